//! What a verb needs to execute modules in its own process: an engine, workers, and a library over a cache
//! that belongs to one process at a time.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use engine::{Engine, EngineOptions};
use model::Digest;
use pipeline::meters::PipelineMeters;
use pipeline::{Meters, Workers};
use prometheus_client::registry::Registry;
use store::{Store, StoreError, StoreOptions};
use tempfile::TempDir;

use super::connection::Connecting;
use super::library::Library;
use crate::adapters::ModuleLoader;
use crate::config::LocalConfig;

/// Engine, modules and threads of one process.
pub(crate) struct Workbench {
    /// The modules.
    pub(crate) library: Arc<Library>,
    /// The threads that run them.
    pub(crate) workers: Arc<Workers>,
    /// The way to NATS, for a verb that uses it.
    pub(crate) connecting: Arc<Connecting>,
    /// The cache of a process that found the usual one taken; gone with it.
    _own_cache: Option<TempDir>,
}

impl Workbench {
    /// Sets everything up. Where the cache is another process's or cannot be used, this one has its own.
    ///
    /// # Errors
    /// When the engine does not start, or not even a temporary folder can be had.
    pub(crate) fn new(config: &LocalConfig) -> anyhow::Result<Self> {
        let engine = Engine::new(EngineOptions::DEFAULT)?;
        let (store, own_cache) = match config.cache_dir.as_deref().map(open_store) {
            Some(Ok(store)) => (store, None),
            refused => {
                if let Some(Err(error)) = refused {
                    tracing::info!(%error, "The cache cannot be used; modules are compiled anew");
                }
                let own = tempfile::tempdir().context("a temporary folder for compiled modules")?;
                (open_store(own.path())?, Some(own))
            }
        };
        let connecting = Arc::<Connecting>::default();
        let module_bytes_max = EngineOptions::DEFAULT.module_bytes_max;
        let library = Library::new(engine, Arc::new(store), connecting.clone(), module_bytes_max);
        let workers = Arc::new(Workers::start(config.workers.get()));
        Ok(Self { library: Arc::new(library), workers, connecting, _own_cache: own_cache })
    }

    /// Whether a module is in the cache.
    pub(crate) fn has(&self, digest: Digest) -> bool {
        self.library.store().contains(digest)
    }

    /// Puts a module into the cache.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn keep(&self, bytes: &Bytes) -> anyhow::Result<()> {
        self.library.store().put(bytes).map(|_| ()).context("keep a module in the cache")
    }

    /// The way from a plan to its modules.
    pub(crate) fn loader(&self) -> ModuleLoader {
        ModuleLoader(self.library.clone())
    }

    /// Meters that nobody reads.
    pub(crate) fn meters(&self, pipeline: &model::PipelineName) -> PipelineMeters {
        Meters::register(&mut Registry::default(), super::now_ns).pipeline(pipeline)
    }
}

fn open_store(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, StoreOptions::default())
}
