//! Other plans in place of the one in force: at an exact event, back to an older one, called off, missed; and
//! two hundred times under load among crashes.

use model::{Digest, RecordKind, Revision};
use serde_json::{Value, json};
use weir_tests::random::Random;
use weir_tests::stream::{self, Placed};
use weir_tests::{Pipeline, eventually, guest, oracle};

use crate::answers;
use crate::chaos::{Chaos, Story, last_position};
use crate::verify::{assert_identical, verify_at};
use crate::world::{World, of_kind};

const SWAPS: u64 = 200;

fn revisions(records: &[Placed]) -> Vec<(u64, Revision)> {
    let parse = |placed: &&Placed| {
        let revision = serde_json::from_slice(&placed.record.payload).expect("a revision is JSON");
        (placed.sequence, revision)
    };
    of_kind(records, RecordKind::Revision).iter().map(parse).collect()
}

/// A world with `p` of one step `multi`, in blocks of 16, that has worked through 20 events; and `multi` and
/// `multi-c`, which answer alike.
fn running() -> (World, [Digest; 2]) {
    let mut world = World::new();
    let modules = [world.push("multi"), world.push("multi-c")];
    world.apply(&Pipeline::new("p").line("block = 16").step(modules[0])).expect(201);
    let last = world.put(&["x"; 20]);
    world.settle("p", last);
    (world, modules)
}

fn swap(world: &World, module: Digest, at: Option<u64>) -> weir_tests::Reply {
    let body = json!({"modules": {"step-1": module.to_string()}, "at": at});
    world.api().post_json("/v1/pipelines/p/swap", &body)
}

fn wait_in_force(world: &World, revision: u64) {
    eventually(&format!("revision {revision} is in force"), || {
        let status = world.status("p");
        if status["revision"] == revision && status["swap"] == json!(null) { Ok(()) } else { Err(status) }
    });
}

#[test]
fn a_swap_takes_over_at_its_event() {
    let (mut world, [multi, core]) = running();
    let result = swap(&world, core, Some(30)).expect(200).json();
    assert_eq!(
        (&result["outcome"], &result["at"], &result["position"]),
        (&json!("changed"), &json!(30), &json!(20))
    );
    let change =
        json!({"key": "steps.step-1.module", "before": multi.to_string(), "after": core.to_string()});
    assert_eq!(result["changes"], json!([change]));
    let status = world.status("p");
    assert_eq!((&status["swap"]["at"], &status["swap"]["plan"]), (&json!(30), &result["plan"]));
    let last = world.put(&["x"; 20]);
    world.settle("p", last);
    wait_in_force(&world, 2);

    let events = stream::events(&mut world.client, "IN");
    let records = world.records("p", "OUT");
    oracle::check(&events, &records, answers::multi).expect("the chain is right");
    let revisions = revisions(&records);
    assert_eq!(revisions[1].1.from_sequence, 30);
    // Record by record, what comes before is the old plan's, and the rest the new one's.
    for placed in of_kind(&records, RecordKind::Message) {
        let is_new = placed.record.position.sequence >= 30;
        assert_eq!(placed.record.plan, revisions[usize::from(is_new)].1.plan_digest, "{placed:?}");
    }

    let late = swap(&world, multi, Some(35)).expect(409);
    assert_eq!((late.code().as_str(), &late.json()["position"]), ("swap-passed", &json!(40)), "{late}");
    assert!(late.detail().contains("has come to source sequence 40"), "{late}");
}

#[test]
fn a_swap_that_waits_is_called_off_or_replaced_and_never_forgotten() {
    let (mut world, [multi, core]) = running();
    swap(&world, core, Some(50)).expect(200);
    let second = swap(&world, core, None).expect(409);
    assert_eq!((second.code().as_str(), &second.json()["at"]), ("swap-waiting", &json!(50)), "{second}");
    assert!(second.detail().contains("weir rollback p 1"), "{second}");
    // A node that starts anew still knows of it.
    world.node.kill9();
    world.node.launch();
    world.node.wait_ready();
    let last = world.put(&["x"; 10]);
    world.settle("p", last);
    let called_off =
        world.api().post_json("/v1/pipelines/p/rollback", &json!({"revision": 1})).expect(200).json();
    assert_eq!((&called_off["outcome"], &called_off["changes"]), (&json!("changed"), &json!([])));
    assert_eq!(world.status("p")["swap"], json!(null));
    let last = world.put(&["x"; 30]);
    world.settle("p", last);
    assert_eq!(revisions(&world.records("p", "OUT")).len(), 1, "nothing took over");
    // Applying the file while a swap waits for its event puts the file in force.
    swap(&world, core, Some(90)).expect(200);
    world.apply(&Pipeline::new("p").line("block = 16").step(core)).expect(200);
    wait_in_force(&world, 2);
    swap(&world, multi, Some(70)).expect(200);
    let last = world.put(&["x"; 20]);
    world.settle("p", last);
    let found: Vec<_> = revisions(&world.records("p", "OUT")).iter().map(|(_, r)| r.from_sequence).collect();
    assert_eq!(found, [1, 61, 70]);
}

#[test]
fn what_is_wrong_with_a_swap_is_said_and_changes_nothing() {
    let (world, [multi, core]) = running();
    let absent = Digest::of(b"absent").to_string();
    let post = |verb: &str, body: Value| world.api().post_json(&format!("/v1/pipelines/p/{verb}"), &body);
    for (verb, body, code, says) in [
        ("swap", json!({"modules": {"mask": core.to_string()}}), "unknown-step", "its steps are: step-1"),
        ("swap", json!({"modules": {"step-1": absent}}), "unknown-module", "push it first"),
        ("swap", json!({"modules": {"step-1": "none:1"}}), "unknown-tag", "none:1"),
        ("swap", json!({"modules": {"step-1": "None"}}), "invalid-body", "None"),
        ("rollback", json!({}), "revision-not-found", "nothing to go back to"),
        ("rollback", json!({"revision": 7}), "revision-not-found", "the last one is 1"),
    ] {
        let reply = post(verb, body);
        assert_eq!(reply.code(), code, "{reply}");
        assert!(reply.detail().contains(says), "{reply}");
    }
    let planned =
        post("swap", json!({"modules": {"step-1": core.to_string()}, "dry_run": true})).expect(200).json();
    assert_eq!((&planned["outcome"], &planned["generation"]), (&json!("planned"), &json!(1)));
    for at in [None, Some(1_000)] {
        assert_eq!(swap(&world, multi, at).expect(200).json()["outcome"], "unchanged");
    }
    assert_eq!((&world.status("p")["generation"], &world.status("p")["swap"]), (&json!(1), &json!(null)));
}

#[test]
fn revisions_say_who_when_what_and_from_where_and_any_can_come_back() {
    let (mut world, [multi, core]) = running();
    swap(&world, core, None).expect(200);
    wait_in_force(&world, 2);
    let last = world.put(&["x"; 10]);
    world.settle("p", last);
    let back = world.api().post_json("/v1/pipelines/p/rollback", &json!({})).expect(200).json();
    assert_eq!((&back["revision"], &back["outcome"]), (&json!(1), &json!("changed")));
    wait_in_force(&world, 3);

    let records = world.records("p", "OUT");
    let chain = revisions(&records);
    assert_eq!(chain.iter().map(|(_, r)| r.from_sequence).collect::<Vec<_>>(), [1, 21, 31]);
    assert_eq!(chain[0].1.plan_digest, chain[2].1.plan_digest);
    let list = |query: &str| world.api().get(&format!("/v1/pipelines/p/revisions{query}")).expect(200).json();
    let all = list("");
    let listed = all["revisions"].as_array().expect("a list");
    for (found, (record, revision)) in listed.iter().zip(&chain) {
        assert_eq!(found["record"], *record);
        assert_eq!(
            (&found["number"], &found["generation"]),
            (&json!(revision.number), &json!(revision.generation))
        );
        assert_eq!(found["from_sequence"], revision.from_sequence);
        assert_eq!(found["plan"], revision.plan_digest.to_string());
        assert_eq!(found["applied"]["by"], "anonymous");
        assert!(found["time"].as_str() >= found["applied"]["time"].as_str().map(|_| "20"), "{found}");
    }
    let hows: Vec<_> = listed.iter().map(|revision| &revision["applied"]["how"]).collect();
    assert_eq!(hows, ["apply", "swap", "rollback"]);
    let change =
        json!({"key": "steps.step-1.module", "before": core.to_string(), "after": multi.to_string()});
    assert_eq!((&listed[0]["changes"], &listed[2]["changes"]), (&json!([]), &json!([change])));
    // Page by page it is the same list.
    let (mut paged, mut query) = (Vec::new(), "?limit=1".to_owned());
    loop {
        let page = list(&query);
        paged.extend(page["revisions"].as_array().expect("a list").clone());
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=1&cursor={next}");
    }
    assert_eq!(json!(paged), all["revisions"]);
}

/// Swaps `p` to `module`, mostly now, else some events ahead. Gives its generation and place, once it is
/// accepted; none where the module is there already.
fn try_swap(chaos: &mut Chaos, module: Digest) -> Result<Option<(u64, Option<u64>)>, String> {
    let position = last_position(&mut chaos.client)?;
    // One that would wait for an event which never comes would let no other swap in.
    let ahead = 1 + chaos.random.below(9_000);
    let is_bound = chaos.random.below(12) == 0 && position + ahead <= chaos.story.events;
    let at = is_bound.then_some(position + ahead);
    let body = json!({"modules": {"step-1": module.to_string()}, "at": at}).to_string();
    let mut last = "no node".to_owned();
    for node in &chaos.nodes {
        let api = node.api();
        let request = api.request("POST", "/v1/pipelines/p/swap").header("content-type", "application/json");
        match request.try_send(body.as_bytes()) {
            Ok(reply) if reply.status == 200 => {
                let result = reply.json();
                let generation = result["generation"].as_u64().ok_or("no generation")?;
                return Ok((result["outcome"] == "changed").then_some((generation, at)));
            }
            Ok(reply) => last = reply.to_string(),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One event in a hundred is refused by the module.
fn payload(sequence: u64, random: &mut Random) -> String {
    match random.below(100) {
        0 => format!("no {sequence}"),
        _ => format!("{sequence} {}", "x".repeat(random.below(60) as usize)),
    }
}

#[test]
fn two_hundred_swaps_under_load_among_crashes_are_all_where_the_history_says() {
    let digests = ["multi", "multi-c"].map(|name| Digest::of(&guest(name)));
    let story = Story {
        name: "two_hundred_swaps_under_load_among_crashes_are_all_where_the_history_says",
        events: 200_000,
        node_kills: 20,
        // The server stays: an application that it acknowledged and lost would be another one's generation.
        server_kills: 0,
        first: Pipeline::new("p").step(digests[0]),
        second: None,
    };
    let mut chaos = Chaos::new(story, &["multi", "multi-c"], payload);
    chaos.apply(&chaos.story.first.clone());
    let (mut accepted, mut next) = (Vec::new(), 1);
    for number in 0..SWAPS {
        chaos.wait_for(1 + number * (chaos.story.events / (SWAPS + 1)));
        if number % (SWAPS / chaos.story.node_kills) == 0 {
            chaos.kill_node();
        }
        while accepted.len() as u64 <= number {
            let swap = eventually("a swap is accepted", || try_swap(&mut chaos, digests[next]));
            accepted.extend(swap);
            next = 1 - next;
        }
    }
    chaos.wait_for(chaos.story.events);
    chaos.check_nodes();
    let account = chaos.account(answers::multi);

    let records = stream::records(&mut chaos.client, "p", "OUT");
    let chain: Vec<_> = revisions(&records).into_iter().skip(1).collect();
    assert_eq!(account.revisions, chain.len() as u64 + 1);
    println!(
        "{} of {} swaps are in the chain, the others were overtaken or missed",
        chain.len(),
        accepted.len()
    );
    for (_, revision) in &chain {
        let swap = accepted.iter().find(|(generation, _)| *generation == revision.generation);
        let (_, at) = swap.unwrap_or_else(|| panic!("nobody asked for {revision:?}"));
        assert!(at.is_none_or(|at| at == revision.from_sequence), "to be at {at:?}: {revision:?}");
    }
    assert!(chain.len() as u64 > SWAPS / 4, "too few to show anything: {}", chain.len());
    let status = eventually("the last swap is dealt with", || {
        let status = chaos.nodes[0].api().get("/v1/pipelines/p/status").expect(200).json();
        let is_over = status["swap"].is_null() || status["error"]["code"] == "swap-missed";
        if is_over || accepted.last().is_some_and(|(_, at)| at.is_some()) { Ok(status) } else { Err(status) }
    });
    println!("at the end: generation {}, revision {}", status["generation"], status["revision"]);
    let history = chaos.nodes[0].api().get("/v1/pipelines/p/revisions?limit=1000").expect(200).json();
    let listed = history["revisions"].as_array().expect("a list")[1..].iter();
    let listed: Vec<_> = listed.map(|r| (r["record"].as_u64(), r["from_sequence"].as_u64())).collect();
    let expected: Vec<_> = chain.iter().map(|(record, r)| (Some(*record), Some(r.from_sequence))).collect();
    assert_eq!(listed, expected);
    // Executed again by the plans that the revisions name, all of it is the same.
    let verified = verify_at(&chaos.nats.url(), "p", &[]);
    let line = format!("{} receipts, {} events, identical", account.receipts, chaos.story.events);
    assert_identical(&verified, &line);
    // Every record names the plan of the revision that governs its event, by the history alone.
    let all = revisions(&records);
    for placed in records.iter().filter(|placed| placed.record.kind == RecordKind::Message) {
        let governing = all.iter().rfind(|(_, r)| r.from_sequence <= placed.record.position.sequence);
        let (_, governing) = governing.expect("the genesis governs from the first event on");
        assert_eq!(placed.record.plan, governing.plan_digest, "{placed:?}");
    }
}
