//! The command contract: any program that reads standard input and writes standard output. It is started anew
//! for every event, and knows nothing of Weir. `wit/README.md` describes it.
//!
//! Two ways lead in: a core module that exports WASI preview 1's `_start`, and a component that exports
//! `wasi:cli/run`. What the program is given and what it prints is kept in a [`Process`], which both
//! generations of WASI serve from.

use bytes::Bytes;
use model::{Answer, CommandOutput, Event, GuestFault, Limits};
use wasmtime::component::{self, ComponentExportIndex};
use wasmtime::{InstancePre, Linker, Store, TypedFunc};

use crate::answer::{self, AnswerBuilder, output_too_large};
use crate::state::State;
use crate::{wasi_preview1, wasi_preview2};

/// The interface whose export makes a component a command.
pub(crate) const RUN: &str = "wasi:cli/run@0.2.";

/// The only argument, where programs expect their own name.
const ARGUMENT: &str = "module";

/// A command with its imports resolved.
pub(crate) enum Command {
    Core(InstancePre<State>),
    Component { linked: component::InstancePre<State>, run: ComponentExportIndex },
}

/// A program that is loaded, to be run once.
pub(crate) enum Program {
    Core(TypedFunc<(), ()>),
    Component(component::TypedFunc<(), (Result<(), ()>,)>),
}

/// What a program is given, and what it prints.
pub(crate) struct Process {
    event: Event,
    config: std::sync::Arc<str>,
    limits: Limits,
    read_bytes: usize,
    stdout: Vec<u8>,
}

/// The end of a program by its own will, with its exit code.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("exit code {0}")]
pub(crate) struct Exit(pub(crate) u32);

impl Command {
    /// Resolves the imports of a core module.
    pub(crate) fn link(engine: &wasmtime::Engine, module: &wasmtime::Module) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine);
        wasi_preview1::link_command(&mut linker, module)?;
        Ok(Self::Core(linker.instantiate_pre(module)?))
    }

    /// Resolves the imports of a component.
    pub(crate) fn link_component(
        engine: &wasmtime::Engine,
        component: &component::Component,
    ) -> wasmtime::Result<Self> {
        let mut linker = component::Linker::new(engine);
        let ty = component.component_type();
        for (name, import) in ty.imports(engine) {
            wasi_preview2::link(engine, &mut linker, name, &import.ty)?;
        }
        let interface = ty.exports(engine).find(|(name, _)| name.starts_with(RUN));
        let interface = interface.and_then(|(name, _)| component.get_export_index(None, name));
        let run = interface.and_then(|interface| component.get_export_index(Some(&interface), "run"));
        let run = run.ok_or_else(|| wasmtime::Error::msg("the export 'wasi:cli/run' is gone"))?;
        Ok(Self::Component { linked: linker.instantiate_pre(component)?, run })
    }

    /// Loads the program into `store`.
    pub(crate) fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Program> {
        match self {
            Self::Core(linked) => {
                let instance = linked.instantiate(&mut *store)?;
                store.data_mut().memory = instance.get_memory(&mut *store, "memory");
                Ok(Program::Core(instance.get_typed_func(&mut *store, "_start")?))
            }
            Self::Component { linked, run } => {
                let instance = linked.instantiate(&mut *store)?;
                Ok(Program::Component(instance.get_typed_func(&mut *store, run)?))
            }
        }
    }
}

impl Program {
    /// Runs to the end, and gives the exit code.
    pub(crate) fn run(self, store: &mut Store<State>) -> wasmtime::Result<u32> {
        let ended = match self {
            Self::Core(start) => start.call(store, ()).map(|()| 0),
            Self::Component(run) => run.call(store, ()).map(|(result,)| u32::from(result.is_err())),
        };
        ended.or_else(|error| error.downcast_ref().map(|Exit(code)| *code).ok_or(error))
    }
}

impl Process {
    pub(crate) fn new(event: Event, config: std::sync::Arc<str>, limits: Limits) -> Self {
        Self { event, config, limits, read_bytes: 0, stdout: Vec::new() }
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        vec![ARGUMENT.to_owned()]
    }

    /// All variables, by name and value.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let Event { subject, headers, sequence, timestamp_ns, .. } = &self.event;
        [
            ("WEIR_SUBJECT", subject.clone()),
            ("WEIR_SEQUENCE", sequence.to_string()),
            ("WEIR_TIMESTAMP_NS", timestamp_ns.to_string()),
            ("WEIR_HEADERS", headers.to_json()),
            ("WEIR_CONFIG", self.config.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// How much of standard input is left, in bytes.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.event.payload.len() - self.read_bytes
    }

    /// The next bytes of standard input, at most `bytes_max`; none at its end.
    pub(crate) fn read(&mut self, bytes_max: usize) -> Bytes {
        let from = self.read_bytes;
        self.read_bytes += bytes_max.min(self.unread_bytes());
        self.event.payload.slice(from..self.read_bytes)
    }

    /// Adds to standard output, within what the step may send for one event.
    pub(crate) fn print(&mut self, bytes: &[u8]) -> wasmtime::Result<()> {
        if (self.stdout.len() + bytes.len()) as u64 > self.limits.bytes_per_event {
            return Err(wasmtime::Error::new(output_too_large(&self.limits)));
        }
        self.stdout.extend_from_slice(bytes);
        Ok(())
    }

    /// What a program that ended with `code` answers; `stderr` is the end of what it wrote there.
    pub(crate) fn answer(self, code: u32, stderr: &str, output: CommandOutput) -> Result<Answer, GuestFault> {
        let stdout = Bytes::from(self.stdout);
        match (code, stderr, output) {
            (0, _, CommandOutput::Whole) => {
                let some = (!stdout.is_empty()).then(|| stdout.clone());
                messages(&self.limits, usize::from(!stdout.is_empty()), some.into_iter())
            }
            (0, _, CommandOutput::Lines) => messages(&self.limits, lines(&stdout).count(), lines(&stdout)),
            (code, "", _) => answer::reject(&self.limits, format!("exit code {code}")),
            (code, stderr, _) => answer::reject(&self.limits, format!("exit code {code}: {stderr}")),
        }
    }
}

fn messages(
    limits: &Limits,
    count: usize,
    payloads: impl Iterator<Item = Bytes>,
) -> Result<Answer, GuestFault> {
    let mut answer = AnswerBuilder::begin(limits, count, count)?;
    for payload in payloads {
        answer.count_payload(&payload)?;
        answer.message(None, payload, Vec::<(&str, &str)>::new());
    }
    Ok(answer.finish())
}

/// The lines of an output. A line feed ends a line; a last line without one counts.
fn lines(stdout: &Bytes) -> impl Iterator<Item = Bytes> {
    let ended = stdout.strip_suffix(b"\n").unwrap_or(stdout);
    let lines = (!stdout.is_empty()).then(|| ended.split(|byte| *byte == b'\n'));
    lines.into_iter().flatten().map(|line| stdout.slice_ref(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_line_feeds() {
        for (stdout, expected) in [
            ("", &[][..]),
            ("a", &["a"]),
            ("a\n", &["a"]),
            ("\n", &[""]),
            ("a\r\n\nb", &["a\r", "", "b"]),
            ("a\n\n", &["a", ""]),
        ] {
            assert_eq!(lines(&Bytes::from(stdout)).collect::<Vec<_>>(), expected, "{stdout:?}");
        }
    }
}
