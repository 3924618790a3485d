//! What the pipelines of a test live through: events in bursts, nodes that race and are killed, connections
//! that break, and plans that are swapped, all of it at random.

use std::sync::Arc;

use model::{Event, Plan, Record, RecordKind};
use pipeline::Workers;
use proptest::prelude::*;

use crate::sim::{Dice, Node, Shared, desired, event, plan, quick, until, until_or};

/// What varies from run to run.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) sequences: Vec<u64>,
    pub(crate) block: u32,
    pub(crate) lanes: usize,
    pub(crate) chunks_in_flight: usize,
    pub(crate) burst_max: usize,
    pub(crate) nodes: usize,
    pub(crate) kills: usize,
    pub(crate) swaps: u32,
    pub(crate) breaks_every: u64,
}

/// Cases at random.
pub(crate) fn cases() -> impl Strategy<Value = Case> {
    let shape = (1u32..40, 1usize..4, 1usize..6, 1usize..60);
    let trouble = (1usize..4, 0usize..6, 0u32..4, prop_oneof![Just(0u64), 20u64..200]);
    let gaps = proptest::collection::vec(prop_oneof![4 => Just(1u64), 1 => 2u64..60], 1..400);
    (any::<u64>(), gaps, shape, trouble).prop_map(|(seed, gaps, shape, trouble)| {
        let sequences = gaps.iter().scan(0, |at, gap| {
            *at += gap;
            Some(*at)
        });
        let (block, lanes, chunks_in_flight, burst_max) = shape;
        let (nodes, kills, swaps, breaks_every) = trouble;
        let sequences = sequences.collect();
        Case { seed, sequences, block, lanes, chunks_in_flight, burst_max, nodes, kills, swaps, breaks_every }
    })
}

fn is_done(records: &[Record], case: &Case) -> bool {
    let last = *case.sequences.last().expect("a case has an event");
    // The last event gives one message; where it is the last of its block, a receipt follows, which a
    // connection that breaks may keep back longer.
    let end = if last.is_multiple_of(case.block.into()) { RecordKind::Receipt } else { RecordKind::Message };
    records.iter().any(|r| r.kind == end && r.position.sequence == last)
}

/// Ends the events with one that gives exactly one message, so that the end of the work can be seen.
pub(crate) fn with_visible_end(mut case: Case) -> Case {
    let last = *case.sequences.last().expect("a case has an event");
    let end = (last + 1..).find(|n| n % 13 == 7).expect("every thirteenth is");
    case.sequences.push(end);
    case
}

/// Lives through a case, and gives the world that is left.
pub(crate) async fn run(case: &Case) -> Arc<Shared> {
    let shared = Shared::new(case.seed, case.breaks_every, case.burst_max);
    let workers = Arc::new(Workers::start(2));
    let mut dice = Dice::new(case.seed ^ 1);
    let start = |wanted: Plan, generation| {
        Node::start(&shared, &workers, desired(wanted, generation), quick(case.lanes, case.chunks_in_flight))
    };
    let mut nodes: Vec<Node> = (0..case.nodes).map(|_| start(plan(0, case.block), 1)).collect();
    let events: Vec<Event> = case.sequences.iter().map(|n| event(*n)).collect();
    let (mut kills, mut swaps) = (case.kills, 0);
    let mut published = 0;
    while published < events.len() {
        let next = (published + 1 + dice.below(80) as usize).min(events.len());
        shared.publish(events[published..next].iter().cloned());
        published = next;
        let victim = dice.below(nodes.len() as u64) as usize;
        if kills > 0 && dice.below(2) == 0 {
            kills -= 1;
            nodes.swap_remove(victim).kill();
            nodes.push(start(plan(swaps, case.block), u64::from(swaps) + 1));
        }
        if swaps < case.swaps && dice.below(2) == 0 {
            swaps += 1;
            for node in &nodes {
                node.desired.send_replace(desired(plan(swaps, case.block), u64::from(swaps) + 1));
            }
        }
        let seen = shared.chain.lock().unwrap().len();
        let few = seen + dice.below(20) as usize;
        until("the chain grew a little", || {
            let records = shared.chain.lock().unwrap().len();
            records >= few || records >= seen && nodes.iter().any(|n| n.status.read().lag == 0)
        })
        .await;
    }
    let wanted = plan(0, case.block);
    let state = || format!("{:#?}", nodes.iter().map(|node| node.status.read()).collect::<Vec<_>>());
    until_or("the last event is in the chain", || is_done(&shared.records(&wanted), case), state).await;
    for node in nodes {
        node.drain().await;
    }
    shared
}
