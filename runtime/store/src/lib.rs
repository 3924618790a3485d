//! Modules and compiled code on disk, by digest.
//!
//! A module is written to a temporary file while it is hashed, and takes its name only when it is whole and
//! on the disk; so a crash at any point leaves either nothing or the whole module. It is hashed again each
//! time it is read, and a file that is not what its name says is moved aside and never given out. Compiled
//! code is a cache: checked by a checksum of its own, bounded in size, and dropped rather than doubted.
//!
//! The directory belongs to one process at a time, which a lock keeps:
//!
//! ```text
//! lock                         held while the store is open
//! blobs/sha256/<hex>           modules, laid out like an OCI image layout
//! compiled/<engine>/<hex>      code compiled of them, for one engine and configuration
//! uploads/                     what is being received; emptied when the store is opened
//! quarantine/<hex>             modules that were not what their names say
//! ```
//!
//! All calls block: an asynchronous caller makes them on a thread for that. What a module is, and whether
//! somebody still needs it, is not known here.

mod compiled;
mod error;
mod files;
mod upload;

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bytes::Bytes;
use model::Digest;

pub use compiled::EngineKey;
pub use error::StoreError;
use files::IoContext as _;
pub use upload::{Stored, Upload};

/// What bounds a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// The largest module that is taken in, in bytes.
    pub module_bytes_max: u64,
    /// The most that compiled code may take on the disk, in bytes; what was used longest ago goes first.
    pub compiled_bytes_max: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { module_bytes_max: 64 << 20, compiled_bytes_max: 1 << 30 }
    }
}

/// A directory of modules and compiled code, held by this process.
#[derive(Debug)]
pub struct Store {
    blobs: PathBuf,
    compiled: PathBuf,
    uploads: PathBuf,
    quarantine: PathBuf,
    options: StoreOptions,
    /// One writer of compiled code at a time, so that the bound on their size holds.
    compiled_writer: Mutex<()>,
    /// Held for its lock only.
    _lock: File,
}

impl Store {
    /// Opens the store in `directory`, which is made if it is not there, and removes what earlier processes
    /// left half received.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it open, [`StoreError::Io`] when the directory
    /// cannot be used.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        files::make_private_directory(directory)?;
        let lock = lock(directory)?;
        let place = |path: &str| {
            let path = directory.join(path);
            files::make_private_directory(&path)?;
            Ok::<_, StoreError>(path)
        };
        place("blobs")?;
        let store = Self {
            blobs: place("blobs/sha256")?,
            compiled: place("compiled")?,
            uploads: place("uploads")?,
            quarantine: place("quarantine")?,
            options,
            compiled_writer: Mutex::new(()),
            _lock: lock,
        };
        files::sync_directory(&directory.join("blobs"))?;
        files::sync_directory(directory)?;
        store.remove_leftovers()?;
        Ok(store)
    }

    /// Begins to receive a module.
    ///
    /// # Errors
    /// [`StoreError::Io`] when no file can be made.
    pub fn upload(&self) -> Result<Upload, StoreError> {
        Upload::begin(&self.uploads, &self.blobs, self.options.module_bytes_max)
    }

    /// Writes a module whose bytes are at hand.
    ///
    /// # Errors
    /// Those of [`Upload::write`] and [`Upload::finish`].
    pub fn put(&self, bytes: &[u8]) -> Result<Stored, StoreError> {
        let mut upload = self.upload()?;
        upload.write(bytes)?;
        upload.finish(None)
    }

    /// Reads a module, and checks that it is what its name says; none if there is no such module.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the bytes have another digest: the file is then in the quarantine, and
    /// the module can be put again. [`StoreError::Io`] when it cannot be read.
    pub fn read(&self, digest: Digest) -> Result<Option<Bytes>, StoreError> {
        let path = self.blob(digest);
        let Some(bytes) = files::read_if_there(&path)? else { return Ok(None) };
        let found = Digest::of(&bytes);
        if found == digest {
            return Ok(Some(bytes.into()));
        }
        let aside = self.quarantine.join(digest.hex());
        fs::rename(&path, &aside).context("move aside", &path)?;
        tracing::error!(%digest, %found, path = %aside.display(), "A stored module was damaged");
        Err(StoreError::Corrupt { digest, found, path: aside })
    }

    /// Whether there is a file of this name. Does not read it.
    pub fn contains(&self, digest: Digest) -> bool {
        self.blob(digest).is_file()
    }

    /// All modules that are there, by digest. Does not read them.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the directory cannot be listed.
    pub fn list(&self) -> Result<Vec<Stored>, StoreError> {
        let mut all = Vec::new();
        for file in files::list(&self.blobs)? {
            if let Ok(digest) = format!("sha256:{}", file.name).parse() {
                all.push(Stored { digest, size_bytes: file.size_bytes, existed: true });
            }
        }
        all.sort_by_key(|stored| stored.digest);
        Ok(all)
    }

    /// Removes a module and all code compiled of it, and says whether the module was there.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a file cannot be removed.
    pub fn remove(&self, digest: Digest) -> Result<bool, StoreError> {
        let was_there = files::remove_if_there(&self.blob(digest))?;
        files::sync_directory(&self.blobs)?;
        self.remove_compiled(digest)?;
        Ok(was_there)
    }

    fn blob(&self, digest: Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    fn remove_leftovers(&self) -> Result<(), StoreError> {
        for file in files::list(&self.uploads)? {
            tracing::info!(path = %file.path.display(), "Removing a file that was never received in full");
            files::remove_if_there(&file.path)?;
        }
        Ok(())
    }
}

/// Takes the directory for this process, and leaves its number in the file for whoever comes next.
fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .context("open", &path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only to say who it is: where it cannot be read, the error says so much the less.
            let _ = (&file).take(20).read_to_string(&mut holder);
            let holder = holder.trim().parse().ok();
            return Err(StoreError::Locked { directory: directory.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(source).context("lock", &path),
    }
    file.set_len(0).context("write", &path)?;
    file.rewind().context("write", &path)?;
    writeln!(file, "{}", std::process::id()).context("write", &path)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
