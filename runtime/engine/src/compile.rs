//! Makes modules: from bytes by compiling, from kept code by loading.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::{CommandOutput, Digest, Fault, HostFault, Limits};
use wasmtime::Precompiled;

use crate::command::Command;
use crate::component::ComponentModule;
use crate::core_module::CoreModule;
use crate::engine::Engine;
use crate::inspect::{self, ModuleKind};
use crate::instance::Instance;
use crate::log::LogLine;
use crate::refusal::Refusal;

/// A module ready to run. Clones share the code.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
    output: CommandOutput,
}

struct Inner {
    engine: Engine,
    digest: Digest,
    linked: Linked,
}

/// A module whose imports are resolved.
pub(crate) enum Linked {
    Component(ComponentModule),
    CoreModule(CoreModule),
    Command(Command),
}

/// A module was told what its standard output comes to, and is none that answers by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "output = \"lines\" is for commands, whose answer is what they print; the module is a {}, and answers with \
     messages: leave 'output' out", .0.as_str()
)]
pub struct NotACommand(pub ModuleKind);

/// Why a module was not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The module's fault: it is not taken.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ours, or the machine's.
    #[error(transparent)]
    Host(#[from] HostFault),
}

impl Module {
    /// The digest of the module's bytes.
    pub fn digest(&self) -> Digest {
        self.inner.digest
    }

    /// Which contract it speaks.
    pub fn kind(&self) -> ModuleKind {
        match self.linked() {
            Linked::Component(_) => ModuleKind::Component,
            Linked::CoreModule(_) => ModuleKind::CoreModule,
            Linked::Command(_) => ModuleKind::Command,
        }
    }

    /// The same module, with another way from standard output to messages; without this it is the whole.
    ///
    /// # Errors
    /// Where that asks for something of a module that is no command.
    pub fn with_output(self, output: CommandOutput) -> Result<Self, NotACommand> {
        match self.kind() {
            ModuleKind::Command => Ok(Self { output, ..self }),
            _ if output == CommandOutput::default() => Ok(self),
            kind => Err(NotACommand(kind)),
        }
    }

    /// A fresh instance: nothing of any other is in it. It gets ten times the fuel of an event to start, and
    /// as much wall clock. `config` is what the guest reads as its configuration; what it logs while starting
    /// goes to `log`. Of a command nothing starts before there is an event.
    ///
    /// # Errors
    /// A guest fault if the module fails to start, which it then always does; a host fault if the machine has
    /// no room, or the engine's instances are all in use.
    pub fn instantiate(
        &self,
        config: impl Into<Arc<str>>,
        limits: &Limits,
        log: &mut dyn FnMut(LogLine),
    ) -> Result<Instance, Fault> {
        Instance::start(self, config.into(), limits, log)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn linked(&self) -> &Linked {
        &self.inner.linked
    }

    pub(crate) fn output(&self) -> CommandOutput {
        self.output
    }

    fn new(engine: &Engine, digest: Digest, linked: Linked) -> Self {
        let inner = Inner { engine: engine.clone(), digest, linked };
        Self { inner: Arc::new(inner), output: CommandOutput::default() }
    }
}

/// See [`Engine::compile`].
pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    let code = Code::compile(engine, bytes)?;
    code.link(engine).map_err(|error| unlinkable(&error))?;
    let serialized = match &code {
        Code::Component(component) => component.serialize(),
        Code::CoreModule(module) => module.serialize(),
    };
    serialized.map_err(|error| HostFault::new(format!("cannot write compiled code: {error:#}")).into())
}

/// See [`Engine::compile_and_load`].
pub(crate) fn compile_and_load(engine: &Engine, bytes: &[u8]) -> Result<Module, CompileError> {
    let linked = Code::compile(engine, bytes)?.link(engine).map_err(|error| unlinkable(&error))?;
    Ok(Module::new(engine, Digest::of(bytes), linked))
}

/// See [`Engine::load`].
pub(crate) fn load(engine: &Engine, digest: Digest, compiled: &[u8]) -> Result<Module, HostFault> {
    let linked = Code::load(engine, compiled).and_then(|code| code.link(engine)).map_err(|error| {
        HostFault::new(format!("cannot load the compiled code of {digest}: {error:#}; compile it again"))
    })?;
    Ok(Module::new(engine, digest, linked))
}

/// Compiled, not yet linked.
enum Code {
    Component(wasmtime::component::Component),
    CoreModule(wasmtime::Module),
}

impl Code {
    fn compile(engine: &Engine, bytes: &[u8]) -> Result<Self, CompileError> {
        engine.inspect(bytes)?;
        let is_component = wasmparser::Parser::is_component(bytes);
        let compiled = catch_unwind(AssertUnwindSafe(|| match is_component {
            true => {
                wasmtime::component::Component::from_binary(engine.wasmtime(), bytes).map(Self::Component)
            }
            false => wasmtime::Module::from_binary(engine.wasmtime(), bytes).map(Self::CoreModule),
        }));
        match compiled {
            Ok(code) => code.map_err(|error| unlinkable(&error)),
            // A panic of the compiler leaves nothing behind: it works on data of its own.
            Err(_) => {
                Err(HostFault::new("the compiler failed on this module, which is an error in Weir").into())
            }
        }
    }

    #[allow(unsafe_code)]
    fn load(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Self> {
        let engine = engine.wasmtime();
        match wasmtime::Engine::detect_precompiled(compiled) {
            // SAFETY: `Engine::load` asks its caller for code that `Engine::compile` made and nobody changed
            // since. Code of another version or configuration is refused by wasmtime, by the version string
            // and settings that stand in it.
            Some(Precompiled::Component) => unsafe {
                wasmtime::component::Component::deserialize(engine, compiled).map(Self::Component)
            },
            // SAFETY: as above.
            Some(Precompiled::Module) => unsafe {
                wasmtime::Module::deserialize(engine, compiled).map(Self::CoreModule)
            },
            None => Err(wasmtime::Error::msg("it is not compiled code")),
        }
    }

    /// Which contract a module speaks is told by the export that answers, as inspection does.
    fn link(&self, engine: &Engine) -> wasmtime::Result<Linked> {
        let engine = engine.wasmtime();
        match self {
            Self::Component(component) => match component.get_export_index(None, inspect::COMPONENT_EXPORT) {
                Some(_) => ComponentModule::link(engine, component).map(Linked::Component),
                None => Command::link_component(engine, component).map(Linked::Command),
            },
            Self::CoreModule(module) => match module.get_export(inspect::CORE_EXPORT) {
                Some(_) => CoreModule::link(engine, module).map(Linked::CoreModule),
                None => Command::link(engine, module).map(Linked::Command),
            },
        }
    }
}

/// What inspection let pass and linking or the pool's limits did not.
fn unlinkable(error: &wasmtime::Error) -> CompileError {
    Refusal::Unlinkable { reason: format!("{error:#}") }.into()
}
