//! The property that Weir rests on: whatever the parallelism, the bursts, the queues, the crashes, the races
//! and the swaps, the chain is what the events and the revisions in it give, record by record.

#![allow(clippy::unwrap_used, reason = "in a test, a panic says it")]

use std::sync::Arc;

use model::{Plan, Record, RecordKind, Revision};
use pipeline::{State, Workers};
use proptest::prelude::*;

#[path = "chain/growing.rs"]
mod growing;
#[path = "sim/oracle.rs"]
mod oracle;
#[path = "chain/shadows.rs"]
mod shadows;
#[path = "sim/mod.rs"]
#[allow(dead_code, reason = "the tests of verification use the rest")]
mod sim;
#[path = "sim/story.rs"]
mod story;
#[path = "chain/swaps.rs"]
mod swaps;

use sim::{Node, Shared, desired, event, plan, quick, until};
use story::{Case, cases, run, with_visible_end};

fn check(case: Case) {
    let case = with_visible_end(case);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let shared = runtime.block_on(run(&case));
    oracle::check(&shared.events.lock().unwrap(), &shared.records(&plan(0, case.block)));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        // A case is a race, so a smaller one need not fail in the same way.
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_chain_is_a_function_of_events_and_revisions(case in cases()) {
        check(case);
    }
}

#[test]
fn a_connection_that_breaks_at_the_last_receipt_leaves_none_out() {
    for seed in 0..50 {
        // The end that is added, 7, is the end of the block as well.
        let (sequences, nodes) = ((1..=6).collect(), 1 + seed as usize % 2);
        let (block, lanes, chunks_in_flight, burst_max, kills, swaps, breaks_every) = (7, 1, 1, 3, 0, 0, 2);
        check(Case {
            seed,
            sequences,
            block,
            lanes,
            chunks_in_flight,
            burst_max,
            nodes,
            kills,
            swaps,
            breaks_every,
        });
    }
}

#[test]
fn three_nodes_race_through_many_blocks() {
    check(Case {
        seed: 7,
        sequences: (1..5000).collect(),
        block: 256,
        lanes: 2,
        chunks_in_flight: 8,
        burst_max: 1000,
        nodes: 3,
        kills: 10,
        swaps: 3,
        breaks_every: 500,
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_whose_module_cannot_be_loaded_never_takes_over() {
    let shared = Shared::new(1, 0, 10);
    let workers = Arc::new(Workers::start(1));
    let node = Node::start(&shared, &workers, desired(plan(0, 16), 1), quick(1, 4));
    shared.publish((1..20).map(event));
    until("the first events are through", || node.status.read().through == 19).await;
    node.desired.send_replace(desired(plan(666, 16), 2));
    until("the refusal is told", || node.status.read().swap_error.is_some()).await;
    shared.publish((20..60).map(event));
    until("later events are through", || node.status.read().through == 59).await;
    node.desired.send_replace(desired(plan(2, 16), 3));
    until("a good plan takes over", || node.status.read().revision.is_some_and(|r| r.generation == 3)).await;
    node.drain().await;
    let records = shared.records(&plan(0, 16));
    let generations: Vec<u64> = records
        .iter()
        .filter(|r| r.kind == RecordKind::Revision)
        .map(|r| serde_json::from_slice::<Revision>(&r.payload).unwrap().generation)
        .collect();
    assert_eq!(generations, [1, 3]);
}

/// Lets events 1 to 24 through (24 is in mid-block), alters the world while no node runs, and gives the state
/// and the records that a new node ends with.
async fn after(alter: impl FnOnce(&Shared)) -> (State, Vec<Record>) {
    let shared = Shared::new(1, 0, 10);
    let workers = Arc::new(Workers::start(1));
    let node = Node::start(&shared, &workers, desired(plan(0, 16), 1), quick(1, 4));
    shared.publish((1..=24).map(event));
    until("the events are through", || node.status.read().through == 24).await;
    node.drain().await;
    alter(&shared);
    let node = Node::start(&shared, &workers, desired(plan(0, 16), 1), quick(1, 4));
    shared.publish((25..=40).map(event));
    until("the node stopped, or went on", || {
        let status = node.status.read();
        matches!(status.state, State::Stopped(_)) || status.through == 40
    })
    .await;
    let state = node.status.read().state;
    node.drain().await;
    let records = shared.chain.lock().unwrap().clone();
    let parse = |s: pipeline::ports::Stored| {
        Record::from_wire(&plan(0, 16).pipeline, s.subject, s.headers, s.payload).ok()
    };
    (state, records.into_iter().filter_map(parse).collect())
}

async fn after_altering(alter: impl FnOnce(&Shared)) -> State {
    after(alter).await.0
}

#[track_caller]
fn assert_stopped(state: &State, code: &str, says: &str) {
    let State::Stopped(reason) = state else { panic!("went on: {state:?}") };
    assert_eq!(reason.code, code, "{reason}");
    assert!(reason.detail.contains(says), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_altered_goes_on() {
    assert_eq!(after_altering(|_| ()).await, State::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_source_event_stops_the_pipeline() {
    let state = after_altering(|shared| {
        shared.events.lock().unwrap()[23].headers = model::Headers::canonical([("h", "other")]);
    })
    .await;
    assert_stopped(&state, "record-differs", "headers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_in_the_last_record_stops_the_pipeline() {
    let state = after_altering(|shared| {
        let mut chain = shared.chain.lock().unwrap();
        let last = chain.last_mut().unwrap();
        let mut bytes = last.payload.to_vec();
        bytes[0] ^= 1;
        last.payload = bytes.into();
    })
    .await;
    assert_stopped(&state, "record-differs", "payload");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_record_stops_the_pipeline_and_is_named() {
    let state = after_altering(|shared| {
        let mut chain = shared.chain.lock().unwrap();
        let sequence = chain.len() as u64 + 1;
        let headers = model::Headers::new();
        chain.push(pipeline::ports::Stored {
            sequence,
            subject: "out.stray".into(),
            headers,
            payload: "x".into(),
        });
    })
    .await;
    assert_stopped(&state, "foreign-record", "out.stray");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_made_anew_stops_the_pipeline() {
    let shared = Shared::new(1, 0, 10);
    let workers = Arc::new(Workers::start(1));
    let node = Node::start(&shared, &workers, desired(plan(0, 16), 1), quick(1, 4));
    shared.publish((1..=24).map(event));
    until("the events are through", || node.status.read().through == 24).await;
    node.drain().await;
    shared.events.lock().unwrap().truncate(10);
    let node = Node::start(&shared, &workers, desired(plan(0, 16), 1), quick(1, 4));
    until("it stopped", || matches!(node.status.read().state, State::Stopped(_))).await;
    assert_stopped(&node.status.read().state, "source-rewound", "sequence 10");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_put_back_to_an_older_copy_heals_to_the_same_bytes() {
    let shared = Shared::new(1, 0, 10);
    let workers = Arc::new(Workers::start(2));
    let node = Node::start(&shared, &workers, desired(plan(0, 16), 1), quick(2, 4));
    shared.publish((1..=300).map(event));
    until("the events are through", || node.status.read().through == 300).await;
    let before = shared.records(&plan(0, 16));
    shared.chain.lock().unwrap().truncate(before.len() / 2);
    shared.publish((301..=320).map(event));
    until("the new events are through", || node.status.read().through == 320).await;
    node.drain().await;
    assert_eq!(shared.records(&plan(0, 16))[..before.len()], before);
}

/// The same, where the source drops its events before `first`, and more is altered.
async fn after_trimming(first: u64, alter: impl FnOnce(&Shared)) -> (State, Vec<Record>) {
    after(|shared| {
        shared.trim(first);
        alter(shared);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_gone_but_done_do_not_stop_the_pipeline() {
    let (state, records) = after_trimming(25, |_| ()).await;
    assert_eq!(state, State::Running);
    let revisions: Vec<Revision> = records
        .iter()
        .filter(|r| r.kind == RecordKind::Revision)
        .map(|r| serde_json::from_slice(&r.payload).unwrap())
        .collect();
    assert_eq!(revisions.iter().map(|r| (r.number, r.from_sequence)).collect::<Vec<_>>(), [(1, 1), (2, 25)]);
    let positions: Vec<_> =
        records.iter().filter(|r| r.kind == RecordKind::Message).map(|r| r.position).collect();
    assert!(positions.is_sorted_by(|a, b| a < b), "each event is there once: {positions:?}");
    let (status, _) = after_trimming(24, |_| ()).await;
    assert_eq!(status, State::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_are_gone_and_not_known_to_be_done_stop_the_pipeline() {
    let (state, _) = after_trimming(26, |_| ()).await;
    assert_stopped(&state, "source-events-gone", "26");
    let (state, _) = after_trimming(25, |shared| *shared.hint.lock().unwrap() = None).await;
    assert_stopped(&state, "source-events-gone", "25");
    // A hint of another moment says nothing of this one.
    let stale = |shared: &Shared| shared.hint.lock().unwrap().as_mut().unwrap().record -= 1;
    let (state, _) = after_trimming(25, stale).await;
    assert_stopped(&state, "source-events-gone", "25");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plan_takes_over_before_the_event_that_the_old_one_stopped_at() {
    let stopping = |version| Plan { on_guest_fault: model::OnGuestFault::Stop, ..plan(version, 16) };
    let shared = Shared::new(1, 0, 10);
    let workers = Arc::new(Workers::start(1));
    let node = Node::start(&shared, &workers, desired(stopping(0), 1), quick(1, 4));
    shared.publish((2..=24).map(event));
    until("it stops at the first fault", || matches!(node.status.read().state, State::Stopped(_))).await;
    assert_stopped(&node.status.read().state, "guest-fault", "source sequence 13");
    node.desired.send_replace(desired(plan(1, 16), 2));
    until("the new plan takes the rest", || node.status.read().through == 24).await;
    node.drain().await;
    let dead = shared.records(&plan(1, 16)).into_iter().find(|r| r.kind == RecordKind::Dead).unwrap();
    assert_eq!((dead.position.sequence, dead.plan), (13, plan(1, 16).digest()));
}
