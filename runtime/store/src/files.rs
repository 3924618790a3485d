//! Small steps on files, each of which says on failure what was tried and where.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::StoreError;

/// Adds to an I/O error what was tried, and on which path.
pub(crate) trait IoContext<T> {
    /// See the trait.
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { action, path: path.to_owned(), source })
    }
}

/// A file in a directory.
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) size_bytes: u64,
    pub(crate) modified: SystemTime,
}

/// The files in a directory, in no order; directories and names that are not UTF-8 are left out.
pub(crate) fn list(directory: &Path) -> Result<Vec<Listed>, StoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).context("list", directory)? {
        let entry = entry.context("list", directory)?;
        let path = entry.path();
        let meta = match entry.metadata() {
            Ok(meta) => meta,
            // Somebody else was quicker to remove it.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context("look at", &path),
        };
        let (Ok(name), true) = (entry.file_name().into_string(), meta.is_file()) else { continue };
        let modified = meta.modified().context("look at", &path)?;
        files.push(Listed { path, name, size_bytes: meta.len(), modified });
    }
    Ok(files)
}

/// Makes a directory that only this user can use: who can write compiled code can run code as this process.
pub(crate) fn make_private_directory(path: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).context("make the directory", path)
}

/// Makes sure that names put into or taken out of a directory are on the disk.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).context("sync", path)
}

/// The bytes of a file; none if there is no such file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("read", path),
    }
}

/// Removes a file, and says whether it was there.
pub(crate) fn remove_if_there(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("remove", path),
    }
}
