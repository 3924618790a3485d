//! What bounds one step. All but the wall clock are deterministic: they decide what a record is.

use serde::{Deserialize, Serialize};

/// The limits of one step, per event where not said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Linear memory and tables of one instance, in bytes.
    pub memory_bytes: u64,
    /// Fuel for one event: about one unit for each WebAssembly instruction. An instance gets ten times as
    /// much once, to start.
    pub fuel_per_event: u64,
    /// Messages in one answer.
    pub messages_per_event: u32,
    /// Bytes of all messages in one answer: payloads, subjects and headers.
    pub bytes_per_event: u64,
    /// Bytes of log lines that are kept; the rest is dropped, and the log says so.
    pub log_bytes_per_event: u32,
    /// Wall clock for one event, in milliseconds: a safety net against what fuel does not see. Running into
    /// it is a host fault.
    pub deadline_ms: u32,
}

impl Limits {
    /// What a step gets that asks for nothing else.
    pub const DEFAULT: Self = Self {
        memory_bytes: 64 << 20,
        fuel_per_event: 200_000_000,
        messages_per_event: 1_000,
        bytes_per_event: 8 << 20,
        log_bytes_per_event: 4 << 10,
        deadline_ms: 10_000,
    };

    /// The most that a step may ask for.
    pub const MAX: Self = Self {
        memory_bytes: 1 << 30,
        fuel_per_event: 1_000_000_000_000,
        messages_per_event: 100_000,
        bytes_per_event: 256 << 20,
        log_bytes_per_event: 1 << 20,
        deadline_ms: 600_000,
    };
}
