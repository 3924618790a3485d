//! A module on its way in: into the store chunk by chunk, and kept only if it is whole, itself, and can run.

use std::sync::Arc;
use std::time::Duration;

use api::dto::{Module, ModuleState};
use api::{Code, ModuleUpload, NodeError, Reply, Written};
use bytes::Bytes;
use model::Digest;
use store::StoreError;

use super::admission::{Admissions, Standing, WasStored};
use super::errors::load_error;
use super::view;

/// An upload into the node's library.
pub(crate) struct Upload {
    admissions: Arc<Admissions>,
    /// Taken away while a chunk is written, and for good once one could not be.
    receiving: Option<store::Upload>,
}

impl Upload {
    /// Begins.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn begin(admissions: Arc<Admissions>) -> Result<Self, NodeError> {
        let store = admissions.library().store().clone();
        let receiving = blocking(move || store.upload()).await?;
        Ok(Self { admissions, receiving: Some(receiving) })
    }

    fn take(&mut self) -> Result<store::Upload, NodeError> {
        self.receiving
            .take()
            .ok_or_else(|| NodeError::internal("an earlier chunk of this upload was not written"))
    }
}

impl ModuleUpload for Upload {
    fn write(&mut self, chunk: Bytes) -> Reply<'_, ()> {
        Box::pin(async move {
            let mut receiving = self.take()?;
            let written = blocking(move || receiving.write(&chunk).map(|()| receiving)).await?;
            self.receiving = Some(written);
            Ok(())
        })
    }

    fn finish(
        mut self: Box<Self>,
        expected: Option<Digest>,
        wait: Duration,
    ) -> Reply<'static, (Module, Written)> {
        Box::pin(async move {
            let receiving = self.take()?;
            let stored = blocking(move || receiving.finish(expected)).await?;
            let was_stored = if stored.existed { WasStored::Yes } else { WasStored::No };
            let admission = self.admissions.begin(stored.digest, was_stored).await?;
            let ended = admission.wait(wait).await.map_err(|error| load_error(&error))?;
            let standing = match ended {
                Some(_) => None,
                None => self.admissions.standing(stored.digest).await,
            };
            let info = match standing {
                // It may be refused and forgotten by now, which its description tells.
                Some(Standing::Compiling(info) | Standing::Refused(info, _)) => Ok(info),
                None => self.admissions.library().info(stored.digest).await,
            };
            let module = view::module(stored.digest, info.map_err(|error| load_error(&error))?);
            Ok(match ended {
                Some(true) => (module, Written::Existed),
                Some(false) => (module, Written::Created),
                None => (Module { state: ModuleState::Compiling, ..module }, Written::Created),
            })
        })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, NodeError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(NodeError::internal)?;
    done.map_err(|error| match error {
        StoreError::DigestMismatch { .. } => NodeError::new(Code::DigestMismatch, error.to_string()),
        StoreError::TooLarge { .. } => NodeError::new(Code::ModuleTooLarge, error.to_string()),
        _ => NodeError::internal(error),
    })
}
