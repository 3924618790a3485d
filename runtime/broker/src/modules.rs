//! Module bytes that nodes share: the Object Store bucket `weir-modules`, objects named by their digest.
//!
//! What is given out has been hashed while it was read: bytes that do not belong to their digest are an
//! error, never a module. Which modules to keep is left to the caller.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::object_store::{
    Config, DeleteErrorKind, GetErrorKind, InfoErrorKind, ObjectInfo, ObjectMetadata, ObjectStore,
    UpdateMetadata,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use model::{Digest, DigestBuilder};
use tokio::io::AsyncReadExt as _;

use crate::connect::Broker;

/// The bucket's name.
pub const BUCKET: &str = "weir-modules";
/// How long one step of reading or writing may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Object Store's usual chunk.
const CHUNK_BYTES: usize = 128 << 10;
/// What stands between the count and the digest of tests in an object's description.
const CASES_PASSED: &str = " cases passed: ";
/// Room for subject and headers beside a chunk.
const FRAME_BYTES: usize = 1 << 10;

/// Why a module cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// NATS cannot be reached or is not ready: try again.
    #[error("the module bucket {BUCKET} is not available at the moment: {0}")]
    Unavailable(String),
    /// The bucket has no such module.
    #[error("the module bucket {BUCKET} has no {digest}: push the module")]
    NotFound {
        /// The module.
        digest: Digest,
    },
    /// The bucket's bytes are not the module's.
    #[error("the bytes under {digest} in the bucket {BUCKET} are not that module: {found}; push it again")]
    Mismatch {
        /// The module.
        digest: Digest,
        /// What was found.
        found: String,
    },
    /// The module is larger than allowed.
    #[error("{digest} has {bytes} bytes, and {bytes_max} are allowed")]
    TooLarge {
        /// The module.
        digest: Digest,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// A module in the bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredModule {
    /// The module.
    pub digest: Digest,
    /// Its size.
    pub size_bytes: u64,
    /// The tests that it passed, if somebody said so.
    pub tests: Option<PassedTests>,
}

/// Tests that a module passed, by the word of who keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PassedTests {
    /// The digest of the cases.
    pub digest: Digest,
    /// How many there are.
    pub cases: u64,
}

/// The opened bucket.
#[derive(Clone)]
pub struct ModuleBucket {
    store: ObjectStore,
    chunk_bytes: usize,
}

impl std::fmt::Debug for ModuleBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModuleBucket").field("chunk_bytes", &self.chunk_bytes).finish_non_exhaustive()
    }
}

impl Broker {
    /// Opens the bucket, and makes it with this many replicas if there is none.
    ///
    /// # Errors
    /// [`ModuleError::Unavailable`].
    pub async fn modules(&self, replicas: usize) -> Result<ModuleBucket, ModuleError> {
        let context = jetstream::new(self.control.client.clone());
        let chunk_bytes = CHUNK_BYTES.min(self.max_payload().saturating_sub(FRAME_BYTES).max(FRAME_BYTES));
        if let Ok(store) = context.get_object_store(BUCKET).await {
            return Ok(ModuleBucket { store, chunk_bytes });
        }
        let config = Config {
            bucket: BUCKET.to_owned(),
            description: Some("Weir: modules by digest".to_owned()),
            num_replicas: replicas.max(1),
            ..Config::default()
        };
        let created = context.create_object_store(config).await;
        Ok(ModuleBucket { store: created.map_err(unavailable)?, chunk_bytes })
    }
}

impl ModuleBucket {
    /// Keeps a module. One that is there already is left alone.
    ///
    /// # Errors
    /// [`ModuleError::Mismatch`] if the bytes are not those of the digest, [`ModuleError::Unavailable`].
    pub async fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<(), ModuleError> {
        let found = Digest::of(bytes);
        if found != *digest {
            return Err(ModuleError::Mismatch { digest: *digest, found: format!("they are {found}") });
        }
        if self.info(digest).await?.is_some_and(|info| info.size == bytes.len()) {
            return Ok(());
        }
        let metadata = ObjectMetadata {
            name: digest.to_string(),
            chunk_size: Some(self.chunk_bytes),
            ..ObjectMetadata::default()
        };
        let mut rest = bytes;
        self.store.put(metadata, &mut rest).await.map(|_| ()).map_err(unavailable)
    }

    /// Gives a module's bytes, hashed while they were read.
    ///
    /// # Errors
    /// Every [`ModuleError`].
    pub async fn get(&self, digest: &Digest, bytes_max: usize) -> Result<Bytes, ModuleError> {
        let opened = within(self.store.get(digest.to_string())).await?;
        let mut object = opened.map_err(|error| match error.kind() {
            GetErrorKind::NotFound => ModuleError::NotFound { digest: *digest },
            _ => unavailable(error),
        })?;
        let size = object.info().size;
        if size > bytes_max {
            return Err(ModuleError::TooLarge { digest: *digest, bytes: size, bytes_max });
        }
        let mismatch = |found: String| ModuleError::Mismatch { digest: *digest, found };
        let mut bytes = Vec::with_capacity(size);
        let mut builder = DigestBuilder::new();
        loop {
            let start = bytes.len();
            let read = within(object.read_buf(&mut bytes)).await?;
            match read {
                Ok(0) => break,
                Ok(_) if bytes.len() > size => return Err(mismatch(format!("more than {size} bytes"))),
                Ok(_) => builder.update(&bytes[start..]),
                Err(error) if error.to_string().to_lowercase().contains("digest") => {
                    return Err(mismatch(error.to_string()));
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
        let found = builder.finish();
        if found != *digest {
            return Err(mismatch(format!("they are {found}")));
        }
        Ok(bytes.into())
    }

    /// Whether the bucket has the module.
    ///
    /// # Errors
    /// [`ModuleError::Unavailable`].
    pub async fn exists(&self, digest: &Digest) -> Result<bool, ModuleError> {
        Ok(self.info(digest).await?.is_some())
    }

    /// What the bucket knows of a module; none if it has no such module.
    ///
    /// # Errors
    /// [`ModuleError::Unavailable`].
    pub async fn describe(&self, digest: &Digest) -> Result<Option<StoredModule>, ModuleError> {
        Ok(self.info(digest).await?.and_then(|info| stored(&info)))
    }

    /// Keeps with a module which tests it passed, in place of what was said before. Its bytes stay as they
    /// are.
    ///
    /// # Errors
    /// [`ModuleError::NotFound`] if there is no such module, [`ModuleError::Unavailable`].
    pub async fn set_tests(&self, digest: &Digest, tests: &PassedTests) -> Result<(), ModuleError> {
        let found = self.info(digest).await?;
        let info = found.ok_or(ModuleError::NotFound { digest: *digest })?;
        // Of what it is given, the client changes nothing but the name and the description.
        let update = UpdateMetadata {
            name: info.name,
            description: Some(format!("{}{CASES_PASSED}{}", tests.cases, tests.digest)),
            metadata: info.metadata,
            headers: info.headers,
        };
        within(self.store.update_metadata(digest.to_string(), update)).await?.map(|_| ()).map_err(unavailable)
    }

    /// All modules, sorted by digest.
    ///
    /// # Errors
    /// [`ModuleError::Unavailable`].
    pub async fn list(&self) -> Result<Vec<StoredModule>, ModuleError> {
        let mut objects = within(self.store.list()).await?.map_err(unavailable)?;
        let mut modules = Vec::new();
        while let Some(info) = within(objects.next()).await? {
            let info = info.map_err(unavailable)?;
            modules.extend(stored(&info));
        }
        modules.sort_unstable();
        Ok(modules)
    }

    /// Deletes a module. One that is not there is as good as deleted.
    ///
    /// # Errors
    /// [`ModuleError::Unavailable`].
    pub async fn delete(&self, digest: &Digest) -> Result<(), ModuleError> {
        match within(self.store.delete(digest.to_string())).await? {
            Err(error) if error.kind() == DeleteErrorKind::NotFound => Ok(()),
            Err(error) => Err(unavailable(error)),
            Ok(()) => Ok(()),
        }
    }

    async fn info(&self, digest: &Digest) -> Result<Option<ObjectInfo>, ModuleError> {
        match within(self.store.info(digest.to_string())).await? {
            Ok(info) => Ok(Some(info).filter(|info| !info.deleted)),
            Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }
}

/// What an object says of the module in it; none if it is no module.
fn stored(info: &ObjectInfo) -> Option<StoredModule> {
    let tests = || {
        let (cases, digest) = info.description.as_ref()?.split_once(CASES_PASSED)?;
        Some(PassedTests { digest: digest.parse().ok()?, cases: cases.parse().ok()? })
    };
    Some(StoredModule { digest: info.name.parse().ok()?, size_bytes: info.size as u64, tests: tests() })
}

/// Runs one step, which may hang where the server went away in the middle.
async fn within<T>(step: impl Future<Output = T>) -> Result<T, ModuleError> {
    let late = |_| ModuleError::Unavailable(format!("no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, step).await.map_err(late)
}

fn unavailable(error: impl std::fmt::Display) -> ModuleError {
    ModuleError::Unavailable(error.to_string())
}
