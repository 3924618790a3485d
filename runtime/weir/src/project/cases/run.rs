//! Running cases: each in a fresh instance, in the real sandbox, within its limits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use engine::{LogLine, Module};
use model::{Answer, Event, Fault, HostFault, Limits};

use super::{Case, Suite};

/// What came of a case.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// How the module ended.
    pub(crate) outcome: Result<Answer, Fault>,
    /// What it logged, also while it started.
    pub(crate) log: Vec<String>,
    /// The fuel that the event took.
    pub(crate) fuel_used: u64,
    /// How long starting and the event took.
    pub(crate) time: Duration,
}

/// Runs all cases on so many threads. What came of them has the order of the suite, file by file.
pub(crate) fn run(module: &Module, suite: &Suite, threads: usize) -> Vec<Vec<Ran>> {
    let all: Vec<(usize, &Case)> = (0..)
        .zip(&suite.files)
        .flat_map(|(at, file)| file.cases.iter().map(move |case| (at, case)))
        .collect();
    let next = AtomicUsize::new(0);
    let (done, outcomes) = mpsc::sync_channel(all.len().max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, all.len().max(1)) {
            let (done, all, next) = (done.clone(), &all, &next);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((_, case)) = all.get(at) else { return };
                    // The channel has room for all, and its other end outlives this thread.
                    let _ = done.send((at, run_case(module, case)));
                }
            });
        }
    });
    drop(done);
    let mut ran: Vec<(usize, Ran)> = outcomes.iter().collect();
    ran.sort_unstable_by_key(|(at, _)| *at);
    let mut files: Vec<Vec<Ran>> = suite.files.iter().map(|_| Vec::new()).collect();
    for (at, ran) in ran {
        files[all[at].0].push(ran);
    }
    files
}

fn run_case(module: &Module, case: &Case) -> Ran {
    match module.clone().with_output(case.output) {
        Ok(module) => run_event(&module, &case.config, &case.limits, &case.event),
        Err(error) => {
            let outcome = Err(HostFault::new(format!("'output' of this case: {error}")).into());
            Ran { outcome, log: Vec::new(), fuel_used: 0, time: Duration::ZERO }
        }
    }
}

/// Runs one event through a fresh instance.
pub(crate) fn run_event(module: &Module, config: &str, limits: &Limits, event: &Event) -> Ran {
    let mut log = Vec::new();
    let mut keep = |line: LogLine| log.push(line.text);
    let started = Instant::now();
    let (outcome, fuel_used) = match module.instantiate(config, limits, &mut keep) {
        Err(fault) => (Err(fault), 0),
        Ok(mut instance) => {
            let outcome = instance.process(event, &mut keep);
            (outcome, instance.last_call().fuel_used)
        }
    };
    Ran { outcome, time: started.elapsed(), fuel_used, log }
}
