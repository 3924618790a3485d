//! Waiting for something to become so. The only place in the tests that lets time pass, and never longer than
//! it has to.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long a test waits for what must come; far more than it takes, so that a slow machine fails nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);
/// Between two looks where it is measured when something happened.
const SHORT_PAUSE: Duration = Duration::from_micros(500);

/// Asks `probe` until it answers `Ok`, and returns the answer.
///
/// # Panics
/// When [`PATIENCE`] is over, with `what` and the last answer.
pub fn eventually<T, E: Debug>(what: &str, probe: impl FnMut() -> Result<T, E>) -> T {
    within(PATIENCE, what, probe)
}

/// The same with a patience of its own.
///
/// # Panics
/// When `patience` is over, with `what` and the last answer.
pub fn within<T, E: Debug>(patience: Duration, what: &str, probe: impl FnMut() -> Result<T, E>) -> T {
    looking(PAUSE, patience, what, probe)
}

/// The same as [`eventually`], looking so often that the answer comes within a millisecond: for measurements.
///
/// # Panics
/// When [`PATIENCE`] is over, with `what` and the last answer.
pub fn promptly<T, E: Debug>(what: &str, probe: impl FnMut() -> Result<T, E>) -> T {
    looking(SHORT_PAUSE, PATIENCE, what, probe)
}

fn looking<T, E: Debug>(
    pause: Duration,
    patience: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(answer) => return answer,
            Err(last) if started.elapsed() > patience => panic!("{what}: not within {patience:?}: {last:?}"),
            Err(_) => std::thread::sleep(pause),
        }
    }
}

/// Lets a moment of chaos pass: the only sleep whose length means something, because what is tested is that
/// the length means nothing.
pub fn drift(pause: Duration) {
    std::thread::sleep(pause);
}
