//! Asking an output where it comes from, and an event what became of it.

use model::RecordKind;
use serde_json::{Value, json};
use weir_tests::{Message, Pipeline};

use crate::world::{World, of_kind};

fn trace(world: &World, side: &str, stream: &str, sequence: u64) -> Value {
    world.api().get(&format!("/v1/trace/{side}?stream={stream}&sequence={sequence}")).expect(200).json()
}

/// A world with 40 events, a swap between them, and `p` in blocks of 16; and the module's digest.
fn worked_through() -> (World, String) {
    let mut world = World::new();
    let module = world.push("multi");
    world.api().put_json("/v1/tags/multi:1", &json!({"digest": module.to_string()})).expect(201);
    world.apply(&Pipeline::new("p").line("block = 16").step(module)).expect(201);
    let payload = |at: u64| if at == 7 { "no 7".to_owned() } else { format!("event {at}") };
    let last = world.put(&(1..=20).map(payload).collect::<Vec<_>>());
    world.settle("p", last);
    let core = world.push("multi-c");
    let swap = json!({"modules": {"step-1": core.to_string()}, "at": 30});
    world.api().post_json("/v1/pipelines/p/swap", &swap).expect(200);
    let last = world.put(&(21..=40).map(payload).collect::<Vec<_>>());
    world.settle("p", last);
    (world, module.to_string())
}

#[test]
fn an_output_leads_to_its_receipt_plan_modules_and_event() {
    let (mut world, module) = worked_through();
    let records = world.records("p", "OUT");
    for placed in &records {
        let found = trace(&world, "output", "OUT", placed.sequence);
        let position = placed.record.position;
        assert_eq!(found["pipeline"], "p");
        assert_eq!(found["record"]["kind"], placed.record.kind.as_str());
        assert_eq!(found["record"]["source_sequence"], position.sequence);
        assert_eq!(
            (&found["record"]["plan"], &found["revision"]["plan"]),
            (&json!(placed.record.plan), &json!(placed.record.plan))
        );
        let is_new = position.sequence >= 30;
        assert_eq!(found["revision"]["number"], 1 + u64::from(is_new), "{found}");
        assert_eq!(found["steps"][0]["module"] == json!(module), !is_new);
        let is_revision = placed.record.kind == RecordKind::Revision;
        assert_eq!(found["event"].is_null(), is_revision, "{found}");
        // The blocks are 1 to 16 and 17 to 32, cut off at 30; the one from 33 on is open.
        let receipt = &found["receipt"];
        if is_revision || position.sequence > 32 {
            assert!(receipt.is_null(), "{found}");
        } else {
            let (first, last) = (receipt["first_sequence"].as_u64(), receipt["last_sequence"].as_u64());
            let expected = [(1, 16), (17, 29), (30, 32)];
            let (from, to) =
                expected.into_iter().find(|(_, to)| position.sequence <= *to).expect("one of them");
            assert_eq!((first, last), (Some(from), Some(to)), "{found}");
        }
    }
    let message = of_kind(&records, RecordKind::Message)[0];
    let found = trace(&world, "output", "OUT", message.sequence);
    assert_eq!(found["steps"][0]["tags"], json!(["multi:1"]));
    assert_eq!(found["event"]["payload"]["text"], "event 1");
    assert_eq!((&found["event"]["stream"], &found["event"]["subject"]), (&json!("IN"), &json!("in.a")));
    assert_eq!(found["revision"]["applied"]["how"], "apply");
    let gone = world.api().get("/v1/trace/output?stream=OUT&sequence=999").expect(404);
    assert_eq!(gone.code(), "entry-not-found");
    let foreign = world.api().get("/v1/trace/output?stream=IN&sequence=1").expect(409);
    assert_eq!(foreign.code(), "sink-conflict", "{foreign}");
}

#[test]
fn an_event_leads_to_what_became_of_it_in_each_pipeline() {
    let (mut world, module) = worked_through();
    // One that reads other subjects only, and one that begins later.
    let other = Pipeline::new("q").source("stream = \"IN\"\nsubjects = [\"in.b\"]").step(&module);
    world.apply(&other.sink("OUT_Q", "q.{subject}")).expect(201);
    let late = Pipeline::new("r").source("stream = \"IN\"\nstart = { sequence = 41 }").step(&module);
    world.apply(&late.sink("OUT_R", "r.{subject}")).expect(201);
    let last = world.client.store([Message::new("in.b", "x"), Message::new("in.a", "y")]).expect("stored");
    for pipeline in ["p", "q", "r"] {
        world.settle(pipeline, if pipeline == "q" { last - 1 } else { last });
    }
    let records = world.records("p", "OUT");
    for event in 1..=40 {
        let found = trace(&world, "source", "IN", event);
        assert_eq!(found["event"]["sequence"], event);
        let [p, q, r] = [0, 1, 2].map(|at| found["pipelines"][at].clone());
        assert_eq!(
            (&p["pipeline"], &q["outcome"], &r["outcome"]),
            (&json!("p"), &json!("not-selected"), &json!("before-start"))
        );
        let is_output = |kind| matches!(kind, RecordKind::Message | RecordKind::Dead);
        let of_event = records.iter().filter(|placed| placed.record.position.sequence == event);
        let expected: Vec<_> =
            of_event.filter(|placed| is_output(placed.record.kind)).map(|p| p.sequence).collect();
        let listed: Vec<_> =
            p["records"].as_array().expect("a list").iter().filter_map(|r| r["sequence"].as_u64()).collect();
        assert_eq!(listed, expected, "event {event}: {p}");
        let outcome = match event {
            7 => "dead",
            _ if event % 3 == 0 => "nothing",
            _ => "messages",
        };
        assert_eq!(p["outcome"], outcome, "event {event}: {p}");
        assert_eq!(p["revision"]["number"], 1 + u64::from(event >= 30), "event {event}: {p}");
    }
    let found = trace(&world, "source", "IN", 41);
    let outcomes = [0, 1, 2].map(|at| found["pipelines"][at]["outcome"].clone());
    assert_eq!(outcomes, ["messages", "messages", "messages"]);
    // What is still to come, and what never was.
    world.api().post("/v1/pipelines/p/pause").expect(200);
    world.wait_state("p", "paused");
    let last = world.put(&["z"]);
    world.settle("r", last);
    assert_eq!(trace(&world, "source", "IN", last)["pipelines"][0]["outcome"], "pending");
    let never = world.api().get("/v1/trace/source?stream=IN&sequence=999").expect(404);
    assert_eq!(never.code(), "entry-not-found");
    let unread = world.api().get("/v1/trace/source?stream=OUT&sequence=1").expect(404);
    assert!(unread.detail().contains("no pipeline reads"), "{unread}");
}
