//! Verification: every chain that pipelines make verifies, whatever they lived through; and one altered byte,
//! wherever it is, makes it fail and say where.

#![allow(clippy::unwrap_used, reason = "in a test, a panic says it")]

use std::sync::Arc;

use bytes::Bytes;
use model::{Headers, PipelineName, RecordKind};
use pipeline::Workers;
use pipeline::ports::Stored;
use pipeline::verify::{
    Cause, Difference, Identical, Scope, Verdict, Verified, VerifyProgress, VerifyWorld, verify,
};
use proptest::prelude::*;

#[path = "sim/mod.rs"]
#[allow(dead_code, reason = "the chain's own tests use the rest")]
mod sim;
#[path = "sim/story.rs"]
mod story;

use sim::{Dice, Node, Shared, SimArchive, SimLoader, SimSource, desired, event, plan, quick, until};
use story::{Case, cases, run, with_visible_end};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn verified_from(
    shared: &Arc<Shared>,
    scope: &Scope,
    reached: impl FnMut(&Verified) + Send,
) -> Verdict {
    let world = VerifyWorld {
        source: Arc::new(SimSource(shared.clone())),
        archive: SimArchive(shared.clone()),
        loader: Arc::new(SimLoader(shared.clone())),
    };
    let (workers, progress) = (Workers::start(2), VerifyProgress::default());
    let name: PipelineName = "p".parse().unwrap();
    verify(&world, &name, &workers, scope, &progress, reached).await.unwrap()
}

async fn verified(shared: &Arc<Shared>, scope: &Scope) -> Verdict {
    verified_from(shared, scope, |_| ()).await
}

fn identical(verdict: Verdict) -> Identical {
    match verdict {
        Verdict::Identical(identical) => identical,
        Verdict::Differs(difference) => panic!("{difference}"),
    }
}

fn difference(verdict: Verdict) -> Difference {
    match verdict {
        Verdict::Identical(identical) => panic!("nothing was found: {identical:?}"),
        Verdict::Differs(difference) => *difference,
    }
}

/// The chain of a case verifies: whole, from every unit on, and when it is interrupted.
async fn verifies(case: &Case) {
    let shared = run(case).await;
    let mut reached = Vec::new();
    let whole = identical(verified_from(&shared, &Scope::All, |at| reached.push(*at)).await);
    let (events, records) = (shared.events.lock().unwrap().len(), shared.chain.lock().unwrap().len());
    assert_eq!((whole.totals.events, whole.records), (events as u64, records as u64));
    let mut dice = Dice::new(case.seed ^ 2);
    if !reached.is_empty() {
        let progress = reached[dice.below(reached.len() as u64) as usize];
        let rest = identical(verified(&shared, &Scope::After { progress, to: None }).await);
        assert_eq!((rest.totals, rest.receipts), (whole.totals, whole.receipts));
        assert_eq!(rest.records, records as u64 - progress.record);
    }
    let at = |dice: &mut Dice| case.sequences[dice.below(case.sequences.len() as u64) as usize];
    let (one, other) = (at(&mut dice), at(&mut dice));
    let scope = Scope::Events { from: Some(one.min(other)), to: Some(one.max(other)) };
    let part = identical(verified(&shared, &scope).await);
    let range = part.range.unwrap();
    assert!(range.0 <= one.min(other) && range.1 >= one.max(other), "{scope:?}: {range:?}");
}

/// Alters one byte somewhere, and gives what was altered.
fn alter_one_byte(shared: &Shared, dice: &mut Dice) -> (String, Altered) {
    if dice.below(4) == 0 {
        let mut events = shared.events.lock().unwrap();
        let at = dice.below(events.len() as u64) as usize;
        let event = &mut events[at];
        event.payload = flipped(&event.payload, dice);
        return (format!("event {}", event.sequence), Altered::Event(event.sequence));
    }
    let mut chain = shared.chain.lock().unwrap();
    let at = dice.below(chain.len() as u64) as usize;
    let stored = &mut chain[at];
    let record = stored.sequence;
    let what = match dice.below(3) {
        0 => {
            let name =
                stored.headers.iter().map(|(name, _)| name.to_owned()).nth(dice.below(3) as usize).unwrap();
            let pairs = stored.headers.iter().map(|(n, v)| {
                let other = if v.ends_with('7') { "8" } else { "7" };
                let value = if n == name { format!("{}{other}", &v[..v.len() - 1]) } else { v.to_owned() };
                (n.to_owned(), value)
            });
            stored.headers = Headers::canonical(pairs.collect::<Vec<_>>());
            format!("header {name} of record {record}")
        }
        1 => {
            let other = if stored.subject.ends_with('7') { "8" } else { "7" };
            stored.subject.pop();
            stored.subject.push_str(other);
            format!("the subject of record {record}")
        }
        _ => {
            stored.payload = flipped(&stored.payload, dice);
            format!("the payload of record {record}")
        }
    };
    (what, Altered::Record(record))
}

enum Altered {
    Event(u64),
    Record(u64),
}

fn flipped(payload: &Bytes, dice: &mut Dice) -> Bytes {
    let mut bytes = payload.to_vec();
    let at = dice.below(bytes.len() as u64) as usize;
    bytes[at] ^= 1 << dice.below(7);
    bytes.into()
}

/// A byte of an engine's name counts only where a later receipt holds the digest of the one that it is in.
fn is_told_by_the_next_receipt_alone(shared: &Shared, record: u64) -> bool {
    let chain = shared.chain.lock().unwrap();
    let is_receipt =
        |stored: &&Stored| stored.subject.ends_with(".receipt") || stored.subject.ends_with(".revision");
    chain.iter().rfind(is_receipt).is_some_and(|last| last.sequence <= record)
}

async fn an_altered_byte_is_found(case: &Case) {
    let shared = run(case).await;
    let mut dice = Dice::new(case.seed ^ 3);
    for _ in 0..8 {
        let before = (shared.events.lock().unwrap().clone(), shared.chain.lock().unwrap().clone());
        let (what, altered) = alter_one_byte(&shared, &mut dice);
        let verdict = verified(&shared, &Scope::All).await;
        match (&altered, verdict) {
            (Altered::Record(record), Verdict::Identical(found)) => {
                let excused =
                    !found.other_engines.is_empty() && is_told_by_the_next_receipt_alone(&shared, *record);
                assert!(excused, "{what} was altered, and it is not seen");
            }
            (Altered::Event(sequence), Verdict::Identical(found)) => {
                // The last unit has no receipt yet, and what is not in its records cannot be told.
                let is_open = found.receipts < found.totals.receipts;
                let (block, last) = (u64::from(case.block), *case.sequences.last().unwrap());
                let excused = is_open && (sequence - 1) / block == (last - 1) / block;
                assert!(excused, "{what} was altered, and it is not seen");
            }
            (Altered::Record(record), Verdict::Differs(found)) => {
                let own_subject =
                    shared.chain.lock().unwrap()[*record as usize - 1].subject.starts_with("weir.");
                // A record of Weir's own that is not known as one any more is missed where it should be.
                assert!(found.record == *record || own_subject || found.record > *record, "{what}: {found}");
            }
            (Altered::Event(sequence), Verdict::Differs(found)) => {
                if let Some(position) = found.position {
                    let block = u64::from(case.block);
                    assert!(position.sequence >= *sequence, "{what}: {found}");
                    assert!(
                        (position.sequence - 1) / block <= (*sequence - 1) / block + 1,
                        "{what}: {found}"
                    );
                }
            }
        }
        *shared.events.lock().unwrap() = before.0;
        *shared.chain.lock().unwrap() = before.1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        // A case is a race, so a smaller one need not fail in the same way.
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_chain_verifies(case in cases()) {
        runtime().block_on(verifies(&with_visible_end(case)));
    }

    #[test]
    fn one_altered_byte_fails_and_is_told(case in cases()) {
        runtime().block_on(an_altered_byte_is_found(&with_visible_end(case)));
    }
}

/// A chain of 40 events in blocks of 16, without a crash.
async fn quiet_chain() -> Arc<Shared> {
    let shared = Shared::new(1, 0, 10);
    let workers = Arc::new(Workers::start(1));
    let node = Node::start(&shared, &workers, desired(plan(0, 16), 1), quick(1, 4));
    shared.publish((1..=40).map(event));
    until("the events are through", || node.status.read().through == 40).await;
    node.drain().await;
    shared
}

/// The sequence of the record that comes from an event.
fn record_of(shared: &Shared, sequence: u64) -> usize {
    let records = shared.records(&plan(0, 16));
    records.iter().position(|r| r.kind == RecordKind::Message && r.position.sequence == sequence).unwrap()
}

async fn cause_after(alter: impl FnOnce(&Shared)) -> Difference {
    let shared = quiet_chain().await;
    alter(&shared);
    difference(verified(&shared, &Scope::All).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_likely_cause_is_told() {
    let altered = cause_after(|shared| {
        let at = record_of(shared, 5);
        shared.chain.lock().unwrap()[at].payload = "other".into();
    })
    .await;
    assert_eq!((altered.cause, altered.what.as_str()), (Cause::OutputAltered, "payload"));
    assert_eq!(altered.position.unwrap().sequence, 5);
    assert!(
        altered.receipt.is_some() && altered.found.contains("\"other\"") && altered.expected.contains("5|v0")
    );

    let altered = cause_after(|shared| shared.events.lock().unwrap()[4].headers = Headers::new()).await;
    assert_eq!((altered.cause, altered.position.unwrap().sequence), (Cause::InputAltered, 5));

    // A byte that the modules do not look at is in the digest of the inputs all the same.
    let altered = cause_after(|shared| shared.events.lock().unwrap()[4].timestamp_ns += 1).await;
    assert_eq!((altered.cause, altered.what.as_str()), (Cause::InputAltered, "inputs"));

    let gone = cause_after(|shared| drop(shared.events.lock().unwrap().remove(4))).await;
    assert_eq!(gone.cause, Cause::InputGone, "{gone}");
    let gone = cause_after(|shared| shared.trim(3)).await;
    assert_eq!(gone.cause, Cause::InputGone, "{gone}");
    let gone = cause_after(|shared| shared.events.lock().unwrap().truncate(30)).await;
    assert_eq!(gone.cause, Cause::InputGone, "{gone}");

    // After the last receipt nothing tells an altered input from an altered output.
    let altered = cause_after(|shared| {
        let at = record_of(shared, 38);
        shared.chain.lock().unwrap()[at].payload = "other".into();
    })
    .await;
    assert_eq!(altered.cause, Cause::InputOrOutputAltered);

    let removed = cause_after(|shared| {
        let at = record_of(shared, 5);
        shared.chain.lock().unwrap().remove(at);
    })
    .await;
    assert_eq!((removed.cause, removed.what.as_str()), (Cause::ChainAltered, "existence"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_is_not_what_it_was_is_told() {
    let shared = quiet_chain().await;
    let workers = Arc::new(Workers::start(1));
    let node = Node::start(&shared, &workers, desired(plan(1, 16), 2), quick(1, 4));
    until("the new plan is in force", || node.status.read().revision.is_some_and(|r| r.generation == 2))
        .await;
    node.drain().await;
    identical(verified(&shared, &Scope::All).await);
    // The plan of the second revision names modules that the loader does not give out.
    let world = VerifyWorld {
        source: Arc::new(SimSource(shared.clone())),
        archive: SimArchive(shared.clone()),
        loader: Arc::new(Without(1, SimLoader(shared.clone()))),
    };
    let (workers, progress) = (Workers::start(1), VerifyProgress::default());
    shared.publish((41..=60).map(event));
    let node = Node::start(&shared, &Arc::new(Workers::start(1)), desired(plan(1, 16), 2), quick(1, 4));
    until("the events are through", || node.status.read().through == 60).await;
    node.drain().await;
    let name: PipelineName = "p".parse().unwrap();
    let verdict = verify(&world, &name, &workers, &Scope::All, &progress, |_| ()).await.unwrap();
    assert_eq!(difference(verdict).cause, Cause::ModuleUnavailable);
}

/// A loader that lacks the modules of one version.
struct Without(u64, SimLoader);

impl pipeline::ports::Loader for Without {
    async fn load(
        &self,
        plan: &model::Plan,
    ) -> Result<Vec<Arc<dyn pipeline::ports::Step>>, pipeline::ports::PortError> {
        if plan.steps[0].config["version"].as_u64() == Some(self.0) {
            return Err(pipeline::ports::StopReason::new("module-missing", "there is no such module").into());
        }
        self.1.load(plan).await
    }

    fn engine(&self) -> &str {
        "sim-1"
    }
}
