//! What the host keeps for one instance while the guest runs: its account, its clock, its randomness, its
//! log.

use std::sync::Arc;

use model::{Digest, Event, GuestFault, GuestFaultCode, Limits};
use wasmtime::component::ResourceTable;
use wasmtime::{AsContextMut, Memory, Trap};

use crate::command::Process;
use crate::interpreter::Sent;
use crate::limits::Limiter;
use crate::log::LogBuffer;
use crate::random::Random;

/// What the clocks show while an instance starts, in nanoseconds: not zero, which some runtimes take for a
/// broken clock.
const START_CLOCK_NS: u64 = 1_000_000_000;

/// Fuel that one call of an import costs, beside what it does for each byte.
const IMPORT_FUEL: u64 = 50;

/// Handles that a component may hold of the host's.
const HANDLES_MAX: usize = 1_000;

/// The data of a wasmtime store.
pub(crate) struct State {
    pub(crate) config: Arc<str>,
    pub(crate) limiter: Limiter,
    pub(crate) log: LogBuffer,
    pub(crate) random: Random,
    /// Wall clock and monotonic clock in one, in nanoseconds: the event's timestamp, and what the guest slept
    /// since.
    pub(crate) clock_ns: u64,
    /// A core module's memory, once it is instantiated.
    pub(crate) memory: Option<Memory>,
    /// A component's handles: pollables.
    pub(crate) handles: ResourceTable,
    /// What a module of the world `interpreter` has sent for the event at hand.
    pub(crate) sent: Option<Sent>,
    /// What a command is given and prints; none in modules of the other kinds, which have no standard input
    /// and no environment.
    pub(crate) process: Option<Process>,
}

impl State {
    pub(crate) fn new(module: Digest, config: Arc<str>, limits: &Limits) -> Self {
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(HANDLES_MAX);
        Self {
            config,
            limiter: Limiter::new(limits),
            log: LogBuffer::new(limits.log_bytes_per_event as usize),
            random: Random::new(module),
            clock_ns: START_CLOCK_NS,
            memory: None,
            handles,
            sent: None,
            process: None,
        }
    }

    /// Makes the clock and the randomness those of `event`.
    pub(crate) fn begin_event(&mut self, event: &Event) {
        self.limiter.begin_event();
        self.random.restart(event.sequence);
        self.clock_ns = event.timestamp_ns;
    }

    /// What the monotonic clock shows: never zero, which Go's runtime takes for a clock that is broken, and
    /// ends itself when it collects garbage.
    pub(crate) fn monotonic_ns(&self) -> u64 {
        self.clock_ns.max(1)
    }

    /// Sleeping takes no time; it moves the guest's clock.
    pub(crate) fn sleep_until(&mut self, instant_ns: u64) {
        self.clock_ns = self.clock_ns.max(instant_ns);
    }
}

/// Takes fuel for an import that handles `bytes` bytes, so that the host's work is bounded as the guest's is.
pub(crate) fn charge(mut store: impl AsContextMut, bytes: u64) -> wasmtime::Result<()> {
    let mut store = store.as_context_mut();
    let left = store.get_fuel()?.checked_sub(IMPORT_FUEL.saturating_add(bytes));
    match left {
        Some(left) => store.set_fuel(left),
        None => {
            store.set_fuel(0)?;
            Err(Trap::OutOfFuel.into())
        }
    }
}

/// The fault of a call that the sandbox does not serve.
pub(crate) fn denied(reason: String) -> wasmtime::Error {
    wasmtime::Error::new(GuestFault::new(GuestFaultCode::DeniedImport, reason))
}

/// The fault of an import that no sandbox serves.
pub(crate) fn denied_import(name: &str) -> wasmtime::Error {
    denied(format!("the module called '{name}', which the sandbox does not serve"))
}
