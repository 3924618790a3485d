//! Tells by whose fault a call ended, and says why in words that are the same on every machine: they stand in
//! a record.

use model::{Fault, GuestFault, GuestFaultCode, HostFault, Limits};
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};

use crate::answer::output_too_large;

/// How many of the innermost functions a trap names.
const FUNCTIONS_NAMED: usize = 4;

/// How much of a function's name is shown.
const NAME_CHARS_MAX: usize = 80;

/// What stands in the names of the functions that report a panic, from the innermost on.
const PANICKING: [&str; 8] = [
    "panic",
    "rust_begin_unwind",
    "rust_end_short_backtrace",
    "abort",
    "process::exit",
    "unwrap_failed",
    "rust_oom",
    "alloc_error",
];

/// Where a call was when it ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The instance was being made. What is not known to be the guest's doing is the machine's.
    Start,
    /// An event was being processed. What is not known to be the machine's doing is the guest's.
    Event,
}

/// What a call was bounded by, and whether it was refused memory.
pub(crate) struct Circumstances<'a> {
    pub(crate) phase: Phase,
    pub(crate) limits: &'a Limits,
    pub(crate) fuel: u64,
    pub(crate) memory_refused: bool,
    /// What the guest wrote to standard error.
    pub(crate) stderr: String,
    /// What it last logged as an error.
    pub(crate) last_error: String,
}

impl Circumstances<'_> {
    /// The fault that `error` stands for.
    pub(crate) fn fault(&self, error: &wasmtime::Error) -> Fault {
        if let Some(fault) = error.downcast_ref::<HostFault>() {
            return fault.clone().into();
        }
        if let Some(fault) = error.downcast_ref::<GuestFault>() {
            let complaint =
                if fault.code() == GuestFaultCode::DeniedImport { self.complaint() } else { String::new() };
            return self.at_start(fault.code(), fault.reason().to_owned() + &complaint);
        }
        if let Some(limit) = error.downcast_ref::<PoolConcurrencyLimitError>() {
            return HostFault::new(format!("the sandbox is full: {limit}; allow more instances")).into();
        }
        match error.downcast_ref::<Trap>() {
            Some(trap) => self.trap(*trap, error),
            None => self.other(error),
        }
    }

    fn trap(&self, trap: Trap, error: &wasmtime::Error) -> Fault {
        let (code, what) = match trap {
            Trap::Interrupt => {
                let deadline_ms = self.limits.deadline_ms;
                return HostFault::new(format!("the module ran longer than {deadline_ms} ms of wall clock"))
                    .into();
            }
            Trap::OutOfFuel => {
                (GuestFaultCode::OutOfFuel, format!("all {} units of fuel are used up", self.fuel))
            }
            Trap::StackOverflow => (GuestFaultCode::StackOverflow, "the call stack is used up".to_owned()),
            _ if self.memory_refused => (GuestFaultCode::OutOfMemory, self.out_of_memory()),
            other => (GuestFaultCode::Trap, other.to_string().replace("wasm trap: ", "")),
        };
        // Where fuel or stack end is a matter of the compiler's; only the place of other traps is the
        // module's.
        let place = match code {
            GuestFaultCode::OutOfFuel | GuestFaultCode::StackOverflow => String::new(),
            _ => self.complaint() + &place(error),
        };
        self.at_start(code, what + &place)
    }

    /// Errors that wasmtime has no type for: those of the canonical ABI, told apart by their words.
    fn other(&self, error: &wasmtime::Error) -> Fault {
        if self.memory_refused {
            return self.at_start(GuestFaultCode::OutOfMemory, self.out_of_memory());
        }
        let words = error.root_cause().to_string();
        let code = if error.is::<std::str::Utf8Error>() || error.is::<std::char::DecodeUtf16Error>() {
            GuestFaultCode::BadUtf8
        } else if words.contains("too much data is being copied") {
            return output_too_large(self.limits).into();
        } else if words.contains("pointer") || words.contains("realloc") {
            GuestFaultCode::BadPointer
        } else if words.contains("discriminant") {
            GuestFaultCode::BadAnswer
        } else if self.phase == Phase::Start || error.is::<wasmtime::error::OutOfMemory>() {
            return HostFault::new(format!("the sandbox failed: {words}")).into();
        } else {
            GuestFaultCode::Trap
        };
        self.at_start(code, words)
    }

    fn out_of_memory(&self) -> String {
        format!("the module needs more than its {} bytes of memory", self.limits.memory_bytes)
    }

    /// What the guest said itself about its end.
    fn complaint(&self) -> String {
        match (&*self.stderr, &*self.last_error) {
            ("", "") => String::new(),
            ("", error) => format!("; log: {error}"),
            (stderr, _) => format!("; stderr: {stderr}"),
        }
    }

    fn at_start(&self, code: GuestFaultCode, reason: String) -> Fault {
        let reason = match self.phase {
            Phase::Start => format!("while starting: {reason}"),
            Phase::Event => reason,
        };
        GuestFault::new(code, reason).into()
    }
}

/// The innermost functions, by the names that the module gives them, as their language writes them. Those of
/// a Rust program that only report a panic are left out.
fn place(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let frames = backtrace.frames().iter().map(|frame| match frame.func_name() {
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    });
    let names = frames.skip_while(|name| PANICKING.iter().any(|part| name.contains(part)));
    let names = names.take(FUNCTIONS_NAMED).map(|name| match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    });
    let names: Vec<_> = names.collect();
    if names.is_empty() { String::new() } else { format!("; in {}", names.join(" < ")) }
}
