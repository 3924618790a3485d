//! A module on its way in: hashed while it is written, and named only when it is whole and on the disk.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use model::{Digest, DigestBuilder};
use tempfile::NamedTempFile;

use crate::StoreError;
use crate::files::{self, IoContext as _};

/// A module that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its size, in bytes.
    pub size_bytes: u64,
    /// Whether it was there before.
    pub existed: bool,
}

/// A module that is being received. Dropping it removes what was received.
#[derive(Debug)]
pub struct Upload {
    pub(crate) file: NamedTempFile,
    blobs: PathBuf,
    digest: DigestBuilder,
    received_bytes: u64,
    limit_bytes: u64,
}

impl Upload {
    pub(crate) fn begin(uploads: &Path, blobs: &Path, limit_bytes: u64) -> Result<Self, StoreError> {
        let file = tempfile::Builder::new()
            .prefix("upload-")
            .tempfile_in(uploads)
            .context("make a file in", uploads)?;
        Ok(Self {
            file,
            blobs: blobs.to_owned(),
            digest: DigestBuilder::new(),
            received_bytes: 0,
            limit_bytes,
        })
    }

    /// Takes in the next bytes.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] as soon as the limit is passed, and from then on; [`StoreError::Io`] when the
    /// bytes cannot be written.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        self.received_bytes = self.received_bytes.saturating_add(chunk.len() as u64);
        self.check_size()?;
        self.digest.update(chunk);
        self.file.write_all(chunk).context("write", self.file.path())
    }

    /// Puts the module in its place. A module that is there already is replaced by the same bytes, which
    /// mends a damaged file.
    ///
    /// # Errors
    /// [`StoreError::DigestMismatch`] when the bytes are not those of `expected`, [`StoreError::TooLarge`]
    /// when the limit was passed, [`StoreError::Io`] when the bytes cannot be brought to the disk. In all
    /// cases nothing is kept.
    pub fn finish(self, expected: Option<Digest>) -> Result<Stored, StoreError> {
        self.check_size()?;
        let digest = self.digest.clone().finish();
        if let Some(expected) = expected
            && expected != digest
        {
            return Err(StoreError::DigestMismatch { expected, found: digest });
        }
        self.file.as_file().sync_all().context("sync", self.file.path())?;
        let place = self.blobs.join(digest.hex());
        let existed = place.is_file();
        self.file.persist(&place).map_err(|error| error.error).context("write", &place)?;
        files::sync_directory(&self.blobs)?;
        Ok(Stored { digest, size_bytes: self.received_bytes, existed })
    }

    fn check_size(&self) -> Result<(), StoreError> {
        if self.received_bytes > self.limit_bytes {
            return Err(StoreError::TooLarge { limit_bytes: self.limit_bytes });
        }
        Ok(())
    }
}
