//! The node's modules: received, checked, kept in the shared bucket, cached on disk, compiled once, loaded.
//!
//! A module is what its digest says at every step, or an error; which one says whether waiting helps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use engine::{CompileError, Engine, LARGE_MODULE_BYTES, Module, ModuleInfo};
use model::Digest;
use store::{EngineKey, Store, StoreError};
use tokio::sync::Semaphore;

use super::connection::{Connecting, NotConnected};

/// So many loaded modules are kept beyond those that pipelines hold.
const LOADED_MAX: usize = 256;

/// The modules of a node.
pub(crate) struct Library {
    engine: Engine,
    engine_key: EngineKey,
    store: Arc<Store>,
    connecting: Arc<Connecting>,
    module_bytes_max: usize,
    loaded: Mutex<BTreeMap<Digest, Module>>,
    infos: Mutex<BTreeMap<Digest, ModuleInfo>>,
    /// One large module is compiled at a time, and one small one: it does not wait for the large.
    compiling: [Semaphore; 2],
}

/// Why a module cannot be run.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The broker or the disk is away.
    #[error("{0}")]
    Unavailable(String),
    /// Nobody has it.
    #[error("there is no module {0}: push it again")]
    Missing(Digest),
    /// What lies under its digest is something else.
    #[error("{0}")]
    Altered(String),
    /// This engine does not take it.
    #[error("{0}")]
    Refused(engine::Refusal),
}

impl Library {
    /// A library over what the node has.
    pub(crate) fn new(
        engine: Engine,
        store: Arc<Store>,
        connecting: Arc<Connecting>,
        module_bytes_max: usize,
    ) -> Self {
        let engine_key = EngineKey::of(engine.cache_key());
        let (loaded, infos) = (Mutex::default(), Mutex::default());
        let compiling = [Semaphore::new(1), Semaphore::new(1)];
        Self { engine, engine_key, store, connecting, module_bytes_max, loaded, infos, compiling }
    }

    /// The sandbox.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The modules on disk.
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// A module, ready to be instantiated.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub(crate) async fn load(&self, digest: Digest) -> Result<Module, LoadError> {
        if let Some(module) = lock(&self.loaded).get(&digest) {
            return Ok(module.clone());
        }
        let bytes = self.bytes(digest).await?;
        let module = self.compiled(digest, bytes).await?;
        let mut loaded = lock(&self.loaded);
        if loaded.len() >= LOADED_MAX {
            loaded.pop_first();
        }
        loaded.insert(digest, module.clone());
        Ok(module)
    }

    /// The bytes of a module, verified.
    ///
    /// # Errors
    /// All of [`LoadError`] but `Refused`.
    pub(crate) async fn bytes(&self, digest: Digest) -> Result<Bytes, LoadError> {
        let store = self.store.clone();
        if let Some(bytes) = blocking(move || store.read(digest)).await? {
            return Ok(bytes);
        }
        let connection = self.connecting.get()?;
        let bytes = connection.modules.get(&digest, self.module_bytes_max).await.map_err(module_error)?;
        let (store, kept) = (self.store.clone(), bytes.clone());
        blocking(move || store.put(&kept)).await?;
        Ok(bytes)
    }

    /// What a module is.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub(crate) async fn info(&self, digest: Digest) -> Result<ModuleInfo, LoadError> {
        if let Some(info) = lock(&self.infos).get(&digest) {
            return Ok(info.clone());
        }
        let bytes = self.bytes(digest).await?;
        let engine = self.engine.clone();
        let inspected = tokio::task::spawn_blocking(move || engine.inspect(&bytes)).await;
        let inspected = inspected.map_err(|error| LoadError::Unavailable(error.to_string()))?;
        let info = inspected.map_err(LoadError::Refused)?;
        lock(&self.infos).insert(digest, info.clone());
        Ok(info)
    }

    /// Takes in a module that lies in the store: compiles and links it, and puts it into the shared bucket.
    /// Says whether the bucket had it.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub(crate) async fn admit(&self, digest: Digest) -> Result<bool, LoadError> {
        let bytes = self.bytes(digest).await?;
        self.load(digest).await?;
        let connection = self.connecting.get()?;
        let existed = connection.modules.exists(&digest).await.map_err(module_error)?;
        if !existed {
            connection.modules.put(&digest, &bytes).await.map_err(module_error)?;
        }
        Ok(existed)
    }

    /// Forgets a module here: in memory and on disk.
    ///
    /// # Errors
    /// [`LoadError::Unavailable`] when the disk refuses.
    pub(crate) async fn forget(&self, digest: Digest) -> Result<(), LoadError> {
        lock(&self.loaded).remove(&digest);
        lock(&self.infos).remove(&digest);
        let store = self.store.clone();
        blocking(move || store.remove(digest)).await.map(|_| ())
    }

    async fn compiled(&self, digest: Digest, bytes: Bytes) -> Result<Module, LoadError> {
        if let Some(module) = self.kept(digest).await? {
            return Ok(module);
        }
        let is_large = bytes.len() >= LARGE_MODULE_BYTES;
        let _turn = self.compiling[usize::from(is_large)].acquire().await.expect("nobody closes it");
        // Whoever had the turn before may have compiled the same.
        if let Some(module) = self.kept(digest).await? {
            return Ok(module);
        }
        let (store, engine, key) = (self.store.clone(), self.engine.clone(), self.engine_key);
        let work = move || {
            let code = engine.compile(&bytes).map_err(|error| match error {
                CompileError::Refused(refusal) => LoadError::Refused(refusal),
                CompileError::Host(fault) => LoadError::Unavailable(fault.to_string()),
            })?;
            if let Err(error) = store.put_compiled(key, digest, &code) {
                tracing::warn!(%digest, %error, "Compiled code is not kept");
            }
            engine.load(digest, &code).map_err(|fault| LoadError::Unavailable(fault.to_string()))
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| LoadError::Unavailable(error.to_string()))?
    }

    /// A module by the compiled code that is kept on disk, if there is any of use.
    async fn kept(&self, digest: Digest) -> Result<Option<Module>, LoadError> {
        let (store, engine, key) = (self.store.clone(), self.engine.clone(), self.engine_key);
        let work = move || {
            let code = store.compiled(key, digest)?;
            let loaded = engine.load(digest, &code);
            loaded
                .inspect_err(|error| {
                    tracing::warn!(%digest, %error, "Compiled code is of no use; compiling again");
                })
                .ok()
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| LoadError::Unavailable(error.to_string()))
    }
}

impl From<NotConnected> for LoadError {
    fn from(error: NotConnected) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Runs a call of the store on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, LoadError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| LoadError::Unavailable(error.to_string()))?.map_err(|error| match error {
        StoreError::Corrupt { .. } => LoadError::Altered(error.to_string()),
        _ => LoadError::Unavailable(error.to_string()),
    })
}

pub(crate) fn module_error(error: broker::ModuleError) -> LoadError {
    match error {
        broker::ModuleError::Unavailable(why) => LoadError::Unavailable(why),
        broker::ModuleError::NotFound { digest } => LoadError::Missing(digest),
        error @ (broker::ModuleError::Mismatch { .. } | broker::ModuleError::TooLarge { .. }) => {
            LoadError::Altered(error.to_string())
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds this lock")
}
