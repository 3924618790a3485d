//! Shadows: a candidate beside the plan in force, compared, promoted by a person or by its gate, or dropped.

use model::Digest;
use serde_json::{Value, json};
use weir_tests::stream;
use weir_tests::{Pipeline, Reply, eventually, oracle};

use crate::answers;
use crate::world::World;

/// `p` of one step `multi`, in blocks of 16.
fn running() -> (World, Digest) {
    let mut world = World::new();
    let module = world.push("multi");
    world.apply(&Pipeline::new("p").line("block = 16").step(module)).expect(201);
    let last = world.put(&["x"; 20]);
    world.settle("p", last);
    (world, module)
}

fn start(world: &World, module: Digest, gate: &Value) -> Reply {
    let body = json!({"modules": {"step-1": module.to_string()}, "gate": gate});
    world.api().post_json("/v1/pipelines/p/shadow", &body)
}

fn shadow(world: &World) -> Value {
    world.api().get("/v1/pipelines/p/shadow").expect(200).json()
}

/// Lets events come until the shadow is as wanted; some of them are refused by the module.
fn until(world: &mut World, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || {
        let payload = |at: usize| if at == 5 { "no".to_owned() } else { format!("event {at}") };
        let last = world.put(&(0..40).map(payload).collect::<Vec<_>>());
        world.settle("p", last);
        let shadow = shadow(world);
        if is_so(&shadow) { Ok(shadow) } else { Err(shadow) }
    })
}

fn events(shadow: &Value) -> u64 {
    shadow["report"]["events"].as_u64().expect("a number")
}

fn check_chain(world: &mut World) -> u64 {
    let events = stream::events(&mut world.client, "IN");
    let records = world.records("p", "OUT");
    oracle::check(&events, &records, answers::multi).expect("the chain is right").revisions
}

#[test]
fn a_shadow_is_compared_and_promoted_by_a_person() {
    let (mut world, live) = running();
    assert_eq!(world.api().get("/v1/pipelines/p/shadow").expect(404).code(), "shadow-not-found");
    let same = start(&world, live, &json!({})).expect(422);
    assert!(same.detail().contains("nothing to compare"), "{same}");
    let candidate = world.push("multi-c");
    start(&world, candidate, &json!({})).expect(201);
    assert_eq!(start(&world, candidate, &json!({})).expect(409).code(), "shadow-running");
    let report = until(&mut world, "events are compared", |shadow| events(shadow) >= 100)["report"].clone();
    assert_eq!((&report["differences"], &report["new_faults"]), (&json!(0), &json!(0)), "{report}");
    assert!(report["faults"]["live"].as_u64() > Some(0), "{report}");
    for measure in ["messages", "fuel", "time_us", "faults"] {
        for side in ["live", "candidate"] {
            assert!(report[measure][side].as_u64() > Some(0), "{measure} of {side}: {report}");
        }
    }
    assert_eq!(report["messages"]["live"], report["messages"]["candidate"]);
    let needed = world.api().delete(&format!("/v1/modules/{candidate}")).expect(409);
    assert!(needed.detail().contains("the shadow of pipeline p"), "{needed}");

    // It survives its node, with all that was compared.
    world.node.kill9();
    world.node.launch();
    world.node.wait_ready();
    let before = events(&shadow(&world));
    assert!(before >= 100);
    until(&mut world, "it goes on", |shadow| events(shadow) > before);
    let metrics = String::from_utf8_lossy(&world.api().get("/metrics").expect(200).body).into_owned();
    assert!(metrics.contains("weir_shadow_events_total{pipeline=\"p\"}"), "{metrics}");
    assert_eq!(check_chain(&mut world), 1, "nothing of it is in the chain");

    let promoted = world.api().post("/v1/pipelines/p/shadow/promote").expect(200).json();
    assert_eq!(promoted["outcome"], "changed");
    eventually("the candidate is in force", || {
        let status = world.status("p");
        if status["plan"] == promoted["plan"] { Ok(()) } else { Err(status) }
    });
    assert_eq!(shadow(&world)["state"], "promoted");
    let again = world.api().post("/v1/pipelines/p/shadow/promote").expect(409);
    assert_eq!(again.code(), "pipeline-conflict");
    let history = world.api().get("/v1/pipelines/p/revisions").expect(200).json();
    assert_eq!(history["revisions"][1]["applied"]["how"], "promote");
    let last = world.put(&["x"; 20]);
    world.settle("p", last);
    assert_eq!(check_chain(&mut world), 2);
}

#[test]
fn a_gate_promotes_what_does_the_same() {
    let (mut world, _) = running();
    let candidate = world.push("multi-c");
    start(&world, candidate, &json!({"max_differences": 0, "max_faults": 0, "for_events": 60})).expect(201);
    let ended = until(&mut world, "the gate promotes it", |shadow| shadow["state"] == "promoted");
    assert!(events(&ended) >= 60, "{ended}");
    eventually("the candidate is in force", || {
        let status = world.status("p");
        if status["steps"][0]["module"] == candidate.to_string() { Ok(()) } else { Err(status) }
    });
    let history = world.api().get("/v1/pipelines/p/revisions").expect(200).json();
    assert_eq!(history["revisions"][1]["applied"]["how"], "gate");
    assert_eq!(check_chain(&mut world), 2);
}

#[test]
fn a_gate_drops_what_differs_and_what_fails() {
    let (mut world, live) = running();
    let (differs, fails) = (world.push("upper"), world.push("hostile-c"));
    start(&world, differs, &json!({"max_differences": 3, "for_events": 1_000_000})).expect(201);
    let ended = until(&mut world, "the gate drops it", |shadow| shadow["state"] != "running");
    assert_eq!(ended["state"], "dropped");
    assert!(ended["why"].as_str().is_some_and(|why| why.contains("the gate lets 3 pass")), "{ended}");
    let samples = ended["report"]["samples"].as_array().expect("a list");
    assert!(!samples.is_empty() && samples.len() <= 8, "{ended}");

    start(&world, fails, &json!({"max_faults": 0})).expect(201);
    let ended = until(&mut world, "the gate drops it", |shadow| shadow["state"] != "running");
    assert_eq!(
        (&ended["state"], ended["report"]["new_faults"].as_u64() > Some(0)),
        (&json!("dropped"), true)
    );
    assert_eq!(world.status("p")["steps"][0]["module"], live.to_string());
    assert_eq!(check_chain(&mut world), 1);
}

#[test]
fn a_shadow_ends_when_it_is_stopped_or_another_plan_is_applied() {
    let (mut world, _) = running();
    let (candidate, third) = (world.push("multi-c"), world.push("multi-zig"));
    start(&world, candidate, &json!({})).expect(201);
    let stopped = world.api().delete("/v1/pipelines/p/shadow").expect(200).json();
    assert_eq!(stopped["state"], "stopped");
    start(&world, candidate, &json!({})).expect(201);
    let swap = json!({"modules": {"step-1": third.to_string()}});
    world.api().post_json("/v1/pipelines/p/swap", &swap).expect(200);
    let ended = until(&mut world, "it is superseded", |shadow| shadow["state"] != "running");
    assert_eq!(ended["state"], "superseded");
    assert_eq!(check_chain(&mut world), 2);
}
