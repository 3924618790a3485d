//! Following the keys of the shared state: first what is there, then a mark, then every change.
//!
//! A watch goes on by itself after a lost connection or a restarted server, from the last revision it gave,
//! with bounded back-off. Where the bucket is written faster than it is read, only the last value of a key is
//! sure to come.

use bytes::Bytes;
use model::Event;
use tokio::time::Instant;

use crate::admin;
use crate::api::ApiError;
use crate::backoff;
use crate::connect::Broker;
use crate::flow::{Arrival, Flow, FlowOptions, Start};
use crate::state::{self, StateError};

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key has a value, or has none any more.
    Entry {
        /// The whole key.
        key: String,
        /// Its value; `None` if it was taken away.
        value: Option<Bytes>,
        /// The revision; it only grows.
        revision: u64,
    },
    /// All that was there when the watch began has been told. Comes once.
    InitialEnd,
}

/// Follows the keys under a prefix.
pub struct Watch {
    broker: Broker,
    filter: [String; 1],
    flow: Option<Flow>,
    /// The last revision that was given; 0 before the first.
    revision: u64,
    created: String,
    initial: Initial,
    failures: u32,
    retry_at: Instant,
}

#[derive(Clone, Copy, PartialEq)]
enum Initial {
    /// Entries are still to come.
    Open,
    /// All have been given, and the mark has not.
    Ended,
    /// The mark has been given.
    Told,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { filter, revision, .. } = self;
        f.debug_struct("Watch").field("filter", filter).field("revision", revision).finish_non_exhaustive()
    }
}

impl Watch {
    pub(crate) fn new(broker: Broker, filter: String) -> Self {
        Self {
            broker,
            filter: [filter],
            flow: None,
            revision: 0,
            created: String::new(),
            initial: Initial::Open,
            failures: 0,
            retry_at: Instant::now(),
        }
    }

    /// Waits for what comes next; as long as NATS is away, it waits. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`StateError::BucketGone`] and [`StateError::Refused`].
    pub async fn next(&mut self) -> Result<Change, StateError> {
        loop {
            if self.initial == Initial::Ended {
                self.initial = Initial::Told;
                return Ok(Change::InitialEnd);
            }
            let Some(flow) = &mut self.flow else {
                self.open().await?;
                continue;
            };
            match flow.receive().await {
                Ok(Arrival::Idle) => self.failures = 0,
                Ok(Arrival::Message(event, delivery)) => {
                    self.failures = 0;
                    if delivery.pending == 0 && self.initial == Initial::Open {
                        self.initial = Initial::Ended;
                    }
                    if delivery.stream_sequence > self.revision {
                        self.revision = delivery.stream_sequence;
                        return Ok(entry(&event));
                    }
                }
                Err(broken) => {
                    tracing::debug!(filter = %self.filter[0], reason = %broken.0, "watching starts over");
                    self.note_failure();
                    if let Some(flow) = self.flow.take() {
                        flow.retire().await;
                    }
                }
            }
        }
    }

    /// Ends the watch at once, where dropping it would leave that to the server.
    pub async fn end(mut self) {
        if let Some(flow) = self.flow.take() {
            flow.retire().await;
        }
    }

    async fn open(&mut self) -> Result<(), StateError> {
        tokio::time::sleep_until(self.retry_at).await;
        match self.try_open().await {
            Ok(()) => Ok(()),
            Err(StateError::Unavailable(reason)) => {
                tracing::debug!(filter = %self.filter[0], %reason, "watching has to wait");
                self.note_failure();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn try_open(&mut self) -> Result<(), StateError> {
        let state = admin::state_of(&self.broker.control, state::STREAM).await.map_err(state::state_error)?;
        let state = state.ok_or(StateError::BucketGone)?;
        let is_another = !self.created.is_empty() && state.created != self.created;
        if is_another || state.last_sequence < self.revision {
            return Err(StateError::BucketGone);
        }
        let start = match self.revision {
            0 => Start::LastPerSubject,
            revision => Start::Sequence(revision + 1),
        };
        let options = FlowOptions { stream: state::STREAM, filters: &self.filter, start, replicas: Some(1) };
        let opened: Result<_, ApiError> = Flow::open(&self.broker, &options).await;
        let (flow, pending) = opened.map_err(state::state_error)?;
        self.created = state.created;
        self.flow = Some(flow);
        if pending == 0 && self.initial == Initial::Open {
            self.initial = Initial::Ended;
        }
        Ok(())
    }

    fn note_failure(&mut self) {
        self.failures += 1;
        self.retry_at = Instant::now() + backoff::pause(self.failures);
    }
}

fn entry(event: &Event) -> Change {
    let key = event.subject.strip_prefix(state::SUBJECT_PREFIX).unwrap_or(&event.subject).to_owned();
    // The payload is copied: values are kept for long, and would keep their whole read buffer.
    let value = state::value(&event.headers, Bytes::copy_from_slice(&event.payload));
    Change::Entry { key, value, revision: event.sequence }
}
