//! Random numbers that a seed makes again: xorshift64*, which is plenty for choosing whom to kill.

use std::io::Write as _;
use std::time::SystemTime;

/// A source of random numbers.
pub struct Random(u64);

impl Random {
    /// From the seed in `WEIR_SEED`, or from a new one; says which, past the test runner's capture.
    ///
    /// # Panics
    /// When `WEIR_SEED` is no number.
    pub fn seeded(test: &str) -> Self {
        let now = || {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(1, |since| u64::from(since.subsec_nanos()) ^ since.as_secs())
        };
        let seed = std::env::var("WEIR_SEED").map_or_else(|_| now(), |seed| seed.parse().expect("a number"));
        writeln!(std::io::stderr(), "{test}: WEIR_SEED={seed}").expect("standard error can be written to");
        Self::new(seed)
    }

    /// From this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }
}
