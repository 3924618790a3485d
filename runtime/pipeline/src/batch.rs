//! A pipeline over a source that ends: runs, one after the other, until all of it is done.
//!
//! The runs are those of [`service`](crate::service), and so is what they append. Only what comes after one
//! is decided otherwise: where a service waits for a person, this gives the reason back.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ports::{Loader, PortError, Sink, Source, StopReason};
use crate::service::{Desired, End, Pipeline, pause};
use crate::status::State;

/// How a batch ended, when nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchEnd {
    /// All events of the source are worked through, and their records are stored.
    Done,
    /// It was asked to stop, and what it had begun is stored.
    Stopped,
}

impl<S: Source, K: Sink, L: Loader> Pipeline<S, K, L> {
    /// Runs until the source has ended, or until `shutdown`. Tries again, with back-off, what is expected to
    /// pass.
    ///
    /// # Errors
    /// Why it cannot go on until somebody changes something.
    pub async fn run_to_end(
        self,
        desired: Desired,
        shutdown: CancellationToken,
    ) -> Result<BatchEnd, StopReason> {
        // The sender is kept, for a receiver without one counts as changed.
        let (_kept, mut desired) = watch::channel(desired);
        let mut backoff = self.options.backoff_min;
        while !shutdown.is_cancelled() {
            let before = self.status.read().last_record;
            let ended = self.run_once(&mut desired, &shutdown).await;
            if self.status.read().last_record != before {
                backoff = self.options.backoff_min;
            }
            match ended {
                Ok(End::SourceEnded) => return Ok(BatchEnd::Done),
                Ok(End::Drained | End::Again) => {}
                Ok(End::Conflict) => self.stand_by(&mut desired, &shutdown).await,
                Err(PortError::Unavailable(why)) => {
                    tracing::warn!(pipeline = %self.name, why, "Waiting to try again");
                    self.enter(State::Waiting { why });
                    pause(backoff, &mut desired, &shutdown).await;
                    backoff = (backoff * 2).min(self.options.backoff_max);
                }
                Err(PortError::Stop(reason)) => return Err(reason),
            }
        }
        Ok(BatchEnd::Stopped)
    }
}
