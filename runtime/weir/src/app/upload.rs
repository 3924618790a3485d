//! A module on its way in: into the store chunk by chunk, and kept only if it is whole, itself, and can run.

use std::sync::Arc;

use api::dto::Module;
use api::{Code, ModuleUpload, NodeError, Reply, Written};
use bytes::Bytes;
use model::Digest;
use store::StoreError;

use super::errors::load_error;
use super::library::Library;
use super::view;

/// An upload into the node's library.
pub(crate) struct Upload {
    library: Arc<Library>,
    /// Taken away while a chunk is written, and for good once one could not be.
    receiving: Option<store::Upload>,
}

impl Upload {
    /// Begins.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn begin(library: Arc<Library>) -> Result<Self, NodeError> {
        let store = library.store().clone();
        let receiving = blocking(move || store.upload()).await?;
        Ok(Self { library, receiving: Some(receiving) })
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

    fn finish(mut self: Box<Self>, expected: Option<Digest>) -> Reply<'static, (Module, Written)> {
        Box::pin(async move {
            let receiving = self.take()?;
            let stored = blocking(move || receiving.finish(expected)).await?;
            let library = &self.library;
            match library.admit(stored.digest).await {
                Ok(existed) => {
                    let info = library.info(stored.digest).await.map_err(|error| load_error(&error))?;
                    let written = if existed { Written::Existed } else { Written::Created };
                    Ok((view::module(stored.digest, info), written))
                }
                Err(error) => {
                    if !stored.existed {
                        library.forget(stored.digest).await.map_err(|error| load_error(&error))?;
                    }
                    Err(load_error(&error))
                }
            }
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
