//! Bounds what an instance may grow to. A refusal is the limit's and deterministic; a failure after our
//! consent is the machine's, and a host fault.

use model::{HostFault, Limits};
use wasmtime::ResourceLimiter;

use crate::config::TABLE_ELEMENTS_MAX;

/// What one table element counts, in bytes.
const TABLE_ELEMENT_BYTES: usize = 8;

/// The account of one instance's memories and tables.
pub(crate) struct Limiter {
    allowed_bytes: usize,
    used_bytes: usize,
    refused: bool,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        let allowed_bytes = usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX);
        Self { allowed_bytes, used_bytes: 0, refused: false }
    }

    /// Memories and tables as they are now, in bytes.
    pub(crate) const fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// Whether growth was refused since the event began: then a trap is for want of memory.
    pub(crate) const fn refused(&self) -> bool {
        self.refused
    }

    pub(crate) const fn begin_event(&mut self) {
        self.refused = false;
    }

    fn grow(&mut self, current_bytes: usize, desired_bytes: usize, permitted: bool) -> bool {
        let total = (self.used_bytes - current_bytes.min(self.used_bytes)).saturating_add(desired_bytes);
        if permitted && total <= self.allowed_bytes {
            self.used_bytes = total;
            return true;
        }
        self.refused = true;
        false
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let permitted = maximum.is_none_or(|maximum| desired <= maximum);
        Ok(self.grow(current, desired, permitted))
    }

    /// Also called, without a question before, for growth that no memory's type can express.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if error.to_string().contains("exceeds memory type's limits") {
            self.refused = true;
            return Ok(());
        }
        Err(machine_refused("memory", &error))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let permitted = desired <= TABLE_ELEMENTS_MAX && maximum.is_none_or(|maximum| desired <= maximum);
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(self.grow(bytes(current), bytes(desired), permitted))
    }

    /// Also called, without a question before, for a size that overflows.
    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        if error.to_string().contains("overflow") {
            self.refused = true;
            return Ok(());
        }
        Err(machine_refused("a table", &error))
    }
}

fn machine_refused(what: &str, error: &wasmtime::Error) -> wasmtime::Error {
    wasmtime::Error::new(HostFault::new(format!("the machine could not grow {what}: {error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_limit() {
        let mut limiter = Limiter::new(&Limits { memory_bytes: 1000, ..Limits::DEFAULT });
        let steps = [
            (limiter.memory_growing(0, 600, None), true),
            (limiter.table_growing(0, 50, None), true),
            (limiter.memory_growing(600, 601, None), false),
            (limiter.memory_growing(0, 1, Some(0)), false),
        ];
        for (granted, expected) in steps {
            assert_eq!(granted.expect("an answer"), expected);
        }
        assert_eq!((limiter.used_bytes(), limiter.refused()), (1000, true));
    }

    #[test]
    fn failure_after_consent_is_the_machines() {
        let mut limiter = Limiter::new(&Limits::DEFAULT);
        let error = limiter.memory_grow_failed(wasmtime::Error::msg("no")).expect_err("a host fault");
        assert!(error.is::<HostFault>());
        let own = wasmtime::Error::msg("memory growth exceeds memory type's limits");
        assert!(limiter.memory_grow_failed(own).is_ok());
    }
}
