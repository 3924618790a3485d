//! Makes modules: from bytes by compiling, from kept code by loading.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::{Digest, Fault, HostFault, Limits};
use wasmtime::Precompiled;

use crate::component::ComponentModule;
use crate::core_module::CoreModule;
use crate::engine::Engine;
use crate::inspect::ModuleKind;
use crate::instance::Instance;
use crate::log::LogLine;
use crate::refusal::Refusal;

/// A module ready to run. Clones share the code.
#[derive(Clone)]
pub struct Module {
    inner: Arc<Inner>,
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
}

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

    /// A fresh instance: nothing of any other is in it. It gets ten times the fuel of an event to start, and
    /// as much wall clock. `config` is what the guest reads as its configuration; what it logs while starting
    /// goes to `log`.
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

    fn new(engine: &Engine, digest: Digest, linked: Linked) -> Self {
        Self { inner: Arc::new(Inner { engine: engine.clone(), digest, linked }) }
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
        let kind = engine.inspect(bytes)?.kind;
        let compiled = catch_unwind(AssertUnwindSafe(|| match kind {
            ModuleKind::Component => {
                wasmtime::component::Component::from_binary(engine.wasmtime(), bytes).map(Self::Component)
            }
            ModuleKind::CoreModule => {
                wasmtime::Module::from_binary(engine.wasmtime(), bytes).map(Self::CoreModule)
            }
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

    fn link(&self, engine: &Engine) -> wasmtime::Result<Linked> {
        match self {
            Self::Component(component) => {
                ComponentModule::link(engine.wasmtime(), component).map(Linked::Component)
            }
            Self::CoreModule(module) => CoreModule::link(engine.wasmtime(), module).map(Linked::CoreModule),
        }
    }
}

/// What inspection let pass and linking or the pool's limits did not.
fn unlinkable(error: &wasmtime::Error) -> CompileError {
    Refusal::Unlinkable { reason: format!("{error:#}") }.into()
}
