//! Shadows: a candidate beside the live plan is compared event by event, and whatever it does, the chain is
//! what it would be without it.

use std::sync::{Arc, Condvar, Mutex};

use model::{Answer, Event, Fault, HostFault};
use pipeline::ports::{Step, StepInstance};
use pipeline::shadow::{ShadowWorker, Sides, Tally, Trial};
use pipeline::unit::LoadedPlan;
use pipeline::{State, Workers};

use crate::oracle;
use crate::sim::{Leaky, LeakyStep, Node, PassingStep, Shared, desired, event, plan, quick, until};

fn loaded(version: u32, first: Arc<dyn Step>) -> LoadedPlan {
    LoadedPlan::new(plan(version, 16), vec![first, Arc::new(PassingStep)], "sim-1".into())
}

fn leaky(version: u32) -> LoadedPlan {
    loaded(version, Arc::new(LeakyStep(version.into())))
}

/// Runs the events 1 to `last` through the live plan with a candidate beside it; gives what was compared,
/// once `is_done` with it, and why it ended.
async fn compared(
    candidate: LoadedPlan,
    last: u64,
    is_done: impl Fn(&Tally, Option<&str>) -> bool,
) -> (Tally, Option<String>) {
    let shared = Shared::new(1, 0, 10);
    let (workers, worker) = (Arc::new(Workers::start(2)), ShadowWorker::start());
    let trial = Arc::new(Trial::new(leaky(0), candidate, 0));
    let node = Node::start(&shared, &workers, desired(plan(0, 16), 1), quick(2, 4));
    // A shadow that comes while a run goes on sees units from the next one on: here, from 17 on.
    until("the run has begun", || node.status.read().state == State::Running).await;
    node.tap.attach(&trial, &worker);
    shared.publish((1..=last).map(event));
    until("the live plan is through", || node.status.read().through == last).await;
    let (mut all, mut failure) = (Tally::default(), None);
    until("the shadow is through", || {
        let (more, why) = trial.take();
        all.add(more);
        failure = why;
        is_done(&all, failure.as_deref())
    })
    .await;
    node.tap.detach();
    node.drain().await;
    oracle::check(&shared.events.lock().unwrap(), &shared.records(&plan(0, 16)));
    (all, failure)
}

fn all_passed(tally: &Tally, _: Option<&str>) -> bool {
    tally.events + tally.skipped == 84
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_module_shows_no_difference() {
    let (tally, failure) = compared(leaky(0), 100, all_passed).await;
    assert_eq!((tally.differences, failure), (0, None), "{tally:?}");
    assert_eq!(tally.faults.live, tally.faults.candidate);
    assert_eq!(tally.messages.live, tally.messages.candidate);
    assert!(tally.faults.live > 0 && tally.messages.live > 0, "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_module_shows_where_it_differs() {
    let (tally, _) = compared(leaky(1), 100, all_passed).await;
    // Events that give messages differ in their payload; dead letters and silence are the same.
    let differing = (17..=100).filter(|n| !matches!(n % 13, 0..=3)).count() as u64;
    assert!(
        tally.differences == differing || tally.skipped > 0 && tally.differences < differing,
        "{tally:?}"
    );
    assert_eq!(tally.samples.len(), 8);
    let sample = tally.samples.iter().find(|sample| sample.what == "payload").unwrap();
    assert!(sample.live.contains("|v0|") && sample.candidate.contains("|v1|"), "{sample:?}");
}

/// A module that waits until it may go on.
struct Stuck(Arc<(Mutex<bool>, Condvar)>);

impl Step for Stuck {
    fn instantiate(&self) -> Result<Box<dyn StepInstance>, Fault> {
        let may_go_on = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(may_go_on, |may| !*may).unwrap());
        Ok(Box::new(Leaky { version: 0, count: 0 }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_is_stuck_holds_nobody_up() {
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let open = gate.clone();
    let last = 5_000;
    // The live plan is through all events while the candidate has not come past its start.
    let is_done = move |tally: &Tally, _: Option<&str>| {
        *open.0.lock().unwrap() = true;
        open.1.notify_all();
        tally.skipped > 0 && tally.events > 0
    };
    let (tally, failure) = compared(loaded(0, Arc::new(Stuck(gate))), last, is_done).await;
    assert_eq!((tally.differences, failure), (0, None));
    assert!(tally.events + tally.skipped <= last && tally.skipped > last / 2, "{tally:?}");
}

/// A module that fails in ways that are not a guest's.
#[derive(Clone, Copy)]
struct Broken {
    panics: bool,
}

impl Step for Broken {
    fn instantiate(&self) -> Result<Box<dyn StepInstance>, Fault> {
        Ok(Box::new(*self))
    }
}

impl StepInstance for Broken {
    fn process(&mut self, event: &Event) -> Result<Answer, Fault> {
        assert!(!self.panics, "as asked at {}", event.sequence);
        Err(HostFault::new("the machine is on fire").into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_breaks_ends_the_shadow_alone() {
    for (panics, says) in [(true, "panic"), (false, "on fire")] {
        let failed = |_: &Tally, failure: Option<&str>| failure.is_some();
        let (tally, failure) = compared(loaded(9, Arc::new(Broken { panics })), 100, failed).await;
        assert!(failure.unwrap().contains(says));
        assert_eq!(tally.events, 0);
    }
}

#[test]
fn what_is_counted_elsewhere_is_not_counted_again() {
    let (mut all, one) = (Tally::default(), Tally { events: 2, through: 9, ..Tally::default() });
    all.add(one.clone());
    all.add(Tally { fuel: Sides { live: 1, candidate: 2 }, through: 5, ..one });
    assert_eq!((all.events, all.through, all.fuel.candidate), (4, 9, 2));
}
