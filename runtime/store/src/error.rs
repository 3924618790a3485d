//! What can go wrong in the store, told apart by whose fault it is.

use std::fmt;
use std::path::PathBuf;

use model::Digest;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the directory open.
    #[error(
        "the data directory {} is in use by another node{}: stop it, or give this one a directory of its own",
        directory.display(),
        Holder(*holder)
    )]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// The other process, as far as it said.
        holder: Option<u32>,
    },
    /// What was received is not what was announced.
    #[error("the bytes received are {found}, but {expected} was expected: send the file again, unchanged")]
    DigestMismatch {
        /// What was announced.
        expected: Digest,
        /// What was received.
        found: Digest,
    },
    /// The module is larger than this store takes in.
    #[error("the module is larger than the {limit_bytes} bytes that this node takes")]
    TooLarge {
        /// The largest module that is taken in, in bytes.
        limit_bytes: u64,
    },
    /// A stored module is not what its name says.
    #[error(
        "the stored module {digest} was damaged: its bytes are {found} now. The file was moved to {}: \
         put the module again",
        path.display()
    )]
    Corrupt {
        /// The name of the module.
        digest: Digest,
        /// The digest of the bytes found.
        found: Digest,
        /// Where the bytes are now.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(process) => write!(f, " (process {process})"),
            None => Ok(()),
        }
    }
}
