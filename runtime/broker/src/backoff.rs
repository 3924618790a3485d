//! How long to wait before the next try: doubling, bounded, with jitter so that many nodes do not come back
//! in step. Leaves the waiting, and when to give up, to its caller.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

const FIRST_MS: u64 = 50;
const LIMIT_MS: u64 = 5_000;

/// The pause before try number `failures + 1`; none before the first.
pub(crate) fn pause(failures: u32) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let full_ms = FIRST_MS.saturating_mul(1 << (failures - 1).min(20)).min(LIMIT_MS);
    Duration::from_millis(full_ms / 2 + random() % (full_ms / 2 + 1))
}

/// A number that differs between calls and processes: good for jitter, for nothing else.
fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_and_is_bounded() {
        assert_eq!(pause(0), Duration::ZERO);
        for failures in 1..100 {
            let full_ms = (FIRST_MS as u128) << (failures - 1).min(20);
            let full_ms = full_ms.min(u128::from(LIMIT_MS));
            let ms = pause(failures).as_millis();
            assert!((full_ms / 2..=full_ms).contains(&ms), "{failures}: {ms} ms");
        }
    }
}
