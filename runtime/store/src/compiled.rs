//! The cache of compiled code: `compiled/<engine>/<module>`.
//!
//! A file begins with a magic number and a checksum over the engine, the module and the code, so that a
//! torn, a damaged or a misplaced file is found and dropped: it can always be compiled again. The checksum
//! finds accidents. Against a person who can write here nothing helps, which is why the directory is
//! private.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use model::{Digest, DigestBuilder};

use crate::files::{self, IoContext as _};
use crate::{Store, StoreError};

const MAGIC: &[u8; 8] = b"weircode";
const HEADER_BYTES: usize = MAGIC.len() + 32;

/// Names an engine: its full version and configuration, in whatever words it has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineKey(Digest);

impl EngineKey {
    /// The key of the engine that describes itself by `fingerprint`.
    pub fn of(fingerprint: &str) -> Self {
        Self(Digest::of(fingerprint.as_bytes()))
    }
}

impl Store {
    /// The code that this engine made of a module; none if there is none that can be trusted. What cannot be
    /// read or is damaged is logged, dropped and never an error, since it can be made again.
    pub fn compiled(&self, engine: EngineKey, module: Digest) -> Option<Vec<u8>> {
        let path = self.compiled_path(engine, module);
        let mut file = match files::read_if_there(&path) {
            Ok(found) => found?,
            Err(error) => {
                tracing::warn!(%module, %error, "Compiled code cannot be read; compiling again");
                return None;
            }
        };
        if !is_whole(&file, engine, module) {
            tracing::warn!(%module, path = %path.display(), "Compiled code was damaged; compiling again");
            if let Err(error) = files::remove_if_there(&path) {
                tracing::warn!(%module, %error, "Damaged compiled code stays where it is");
            }
            return None;
        }
        mark_used(&path);
        file.drain(..HEADER_BYTES);
        Some(file)
    }

    /// Keeps the code that this engine made of a module, and drops what was used longest ago until all of
    /// it is within the bound. Code that is larger than the bound is not kept at all.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be written.
    pub fn put_compiled(&self, engine: EngineKey, module: Digest, code: &[u8]) -> Result<(), StoreError> {
        let size_bytes = (HEADER_BYTES + code.len()) as u64;
        let Some(room_bytes) = self.options.compiled_bytes_max.checked_sub(size_bytes) else {
            tracing::warn!(%module, size_bytes, "Compiled code is larger than the cache; not kept");
            return Ok(());
        };
        // Only a place in the queue: a writer that panicked has left nothing that could be wrong.
        let _turn = self.compiled_writer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = self.compiled_path(engine, module);
        // Its own older version makes room first, so that it is not counted beside the new one.
        files::remove_if_there(&place)?;
        self.evict_compiled(room_bytes)?;
        let directory = self.compiled.join(engine.0.hex());
        files::make_private_directory(&directory)?;
        // Not synced: what a crash tears is found by its checksum.
        let mut file =
            tempfile::NamedTempFile::new_in(&self.uploads).context("make a file in", &self.uploads)?;
        for part in [&MAGIC[..], checksum(engine, module, code).as_raw(), code] {
            file.write_all(part).context("write", file.path())?;
        }
        file.persist(&place).map_err(|error| error.error).context("write", &place)?;
        Ok(())
    }

    pub(crate) fn remove_compiled(&self, module: Digest) -> Result<(), StoreError> {
        for directory in self.compiled_directories()? {
            files::remove_if_there(&directory.join(module.hex()))?;
        }
        Ok(())
    }

    /// Drops what was used longest ago until at most `room_bytes` are taken.
    fn evict_compiled(&self, room_bytes: u64) -> Result<(), StoreError> {
        let mut all = Vec::new();
        for directory in self.compiled_directories()? {
            all.extend(files::list(&directory)?);
        }
        all.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
        let mut taken_bytes: u64 = all.iter().map(|file| file.size_bytes).sum();
        for file in all {
            if taken_bytes <= room_bytes {
                break;
            }
            files::remove_if_there(&file.path)?;
            taken_bytes -= file.size_bytes;
        }
        Ok(())
    }

    fn compiled_directories(&self) -> Result<Vec<PathBuf>, StoreError> {
        let mut directories = Vec::new();
        for entry in fs::read_dir(&self.compiled).context("list", &self.compiled)? {
            let path = entry.context("list", &self.compiled)?.path();
            if path.is_dir() {
                directories.push(path);
            }
        }
        Ok(directories)
    }

    pub(crate) fn compiled_path(&self, engine: EngineKey, module: Digest) -> PathBuf {
        self.compiled.join(engine.0.hex()).join(module.hex())
    }
}

fn checksum(engine: EngineKey, module: Digest, code: &[u8]) -> Digest {
    let mut digest = DigestBuilder::new();
    digest.field(engine.0.as_raw());
    digest.field(module.as_raw());
    digest.field(code);
    digest.finish()
}

fn is_whole(file: &[u8], engine: EngineKey, module: Digest) -> bool {
    let Some((header, code)) = file.split_at_checked(HEADER_BYTES) else { return false };
    let (magic, sum) = header.split_at(MAGIC.len());
    magic == MAGIC && sum == checksum(engine, module, code).as_raw()
}

/// Notes that a file was used now. Where that fails the file is only dropped earlier than it had to be.
fn mark_used(path: &std::path::Path) {
    let marked =
        File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = marked {
        tracing::debug!(path = %path.display(), %error, "The use of compiled code cannot be noted");
    }
}
