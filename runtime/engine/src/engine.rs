//! The engine: one for a process, shared by all pipelines. It holds the pool that instances come from and the
//! thread that minds the wall clock.

use std::sync::Arc;

use model::{Digest, HostFault};

use crate::compile::{self, CompileError, Module};
use crate::compilers::Compilers;
use crate::config::{self, EngineOptions};
use crate::describe::{self, Description};
use crate::inspect::{self, ModuleInfo};
use crate::refusal::Refusal;
use crate::ticker::{AwakeGuard, Ticker};

/// Compiles modules and runs them. Clones share everything.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    wasmtime: wasmtime::Engine,
    ticker: Ticker,
    options: EngineOptions,
    fingerprint: String,
    cache_key: String,
    compilers: Compilers,
}

impl Engine {
    /// Sets the sandbox up: reserves address space for the pool and starts the ticker.
    ///
    /// # Errors
    /// The machine cannot give what the options ask for, or its processor lacks the pinned instruction set.
    pub fn new(options: EngineOptions) -> Result<Self, HostFault> {
        let wasmtime = config::build(&options)?;
        let ticker = Ticker::start(wasmtime.clone())?;
        let (fingerprint, cache_key) = (config::name(&wasmtime, 8), config::name(&wasmtime, 32));
        let compilers = Compilers::default();
        let inner = Inner { wasmtime, ticker, options, fingerprint, cache_key, compilers };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What ran, for receipts: `wasmtime-<version>-<8 hex>`. Two engines of one fingerprint give the same
    /// answers, also where those depend on fuel and stack.
    pub fn fingerprint(&self) -> &str {
        &self.inner.fingerprint
    }

    /// Under which compiled code can be kept, together with the module's digest: engines of one key can load
    /// each other's code. Letters, digits, dots and dashes; good as a file name.
    pub fn cache_key(&self) -> &str {
        &self.inner.cache_key
    }

    /// What `bytes` are. Nothing is compiled; cost is linear in the size.
    ///
    /// # Errors
    /// They are not a module that can run here.
    pub fn inspect(&self, bytes: &[u8]) -> Result<ModuleInfo, Refusal> {
        inspect::inspect(bytes, self.inner.options.module_bytes_max)
    }

    /// All that `bytes` tell of the module that they are, and every reason to refuse them that shows without
    /// linking.
    pub fn describe(&self, bytes: &[u8]) -> Description {
        describe::describe(bytes, self.inner.options.module_bytes_max)
    }

    /// Inspects, compiles and links a module, and gives code for [`Self::load`]. Takes from milliseconds to
    /// ten seconds of several threads, for large modules of low priority: call it where that may be.
    ///
    /// # Errors
    /// The module is refused, or the compiler failed.
    pub fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
        self.inner.compilers.run(bytes.len(), || compile::compile(self, bytes))
    }

    /// Makes a module of code that [`Self::compile`] gave, on this machine or another with the same cache
    /// key.
    ///
    /// `compiled` is trusted as this program's own code is: whoever can change it can do anything that this
    /// process can. Keep it where only this process writes, and check its digest before.
    ///
    /// # Errors
    /// The code is another engine's or damaged in a way that shows.
    pub fn load(&self, digest: Digest, compiled: &[u8]) -> Result<Module, HostFault> {
        compile::load(self, digest, compiled)
    }

    /// Compiles a module to run it at once, without keeping the code.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_and_load(&self, bytes: &[u8]) -> Result<Module, CompileError> {
        self.inner.compilers.run(bytes.len(), || compile::compile_and_load(self, bytes))
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.wasmtime
    }

    pub(crate) fn keep_awake(&self) -> AwakeGuard {
        self.inner.ticker.keep_awake()
    }
}
