//! Waiting for something to become so. The only place in the tests that lets time pass, and never longer than
//! it has to.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long a test waits for what must come; far more than it takes, so that a slow machine fails nothing.
pub const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

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
pub fn within<T, E: Debug>(patience: Duration, what: &str, mut probe: impl FnMut() -> Result<T, E>) -> T {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(answer) => return answer,
            Err(last) if started.elapsed() > patience => panic!("{what}: not within {patience:?}: {last:?}"),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Lets a moment of chaos pass: the only sleep whose length means something, because what is tested is that
/// the length means nothing.
pub fn drift(pause: Duration) {
    std::thread::sleep(pause);
}
