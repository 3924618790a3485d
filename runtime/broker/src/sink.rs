//! Looking at a stream's messages one by one: its tail, the last under a subject, the next under a subject.
//!
//! All answers come from the stream's leader, so that what was acknowledged before is seen. Appending is in
//! [`crate::appender`].

use bytes::Bytes;
use model::{Headers, StreamName};

use crate::admin;
use crate::api::{self, ApiError, Get};
use crate::connect::Broker;

/// Why a stream cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// NATS cannot be reached or is not ready: ask again.
    #[error("the stream {stream} cannot be read at the moment: {reason}")]
    Unavailable {
        /// The stream.
        stream: StreamName,
        /// What happened.
        reason: String,
    },
    /// There is no such stream.
    #[error("there is no stream {stream}")]
    StreamGone {
        /// The stream.
        stream: StreamName,
    },
    /// The server refuses; somebody has to change something.
    #[error("the stream {stream} cannot be read: {reason}; check what this user may do")]
    Refused {
        /// The stream.
        stream: StreamName,
        /// What the server said.
        reason: String,
    },
}

/// The end of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The last sequence that the stream has given out; 0 if none.
    pub last_sequence: u64,
    /// The message under it; `None` where the stream has none, or has dropped it.
    pub record: Option<StoredMessage>,
}

/// A message as the stream keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its sequence.
    pub sequence: u64,
    /// Its subject.
    pub subject: String,
    /// All its headers, reserved names too.
    pub headers: Headers,
    /// Its payload.
    pub payload: Bytes,
    /// When the stream stored it, in nanoseconds since 1970-01-01 UTC.
    pub timestamp_ns: u64,
}

impl Broker {
    /// The end of a stream.
    ///
    /// # Errors
    /// See [`SinkError`].
    pub async fn tail(&self, stream: &StreamName) -> Result<Tail, SinkError> {
        let state = admin::state_of(&self.control, stream.as_str()).await;
        let state = state.map_err(|error| sink_error(stream, error))?;
        let state = state.ok_or_else(|| SinkError::StreamGone { stream: stream.clone() })?;
        let last_sequence = state.last_sequence;
        let record = if last_sequence == 0 { None } else { self.get(stream, last_sequence).await? };
        Ok(Tail { last_sequence, record })
    }

    /// The last message under a subject, which may be a pattern.
    ///
    /// # Errors
    /// See [`SinkError`].
    pub async fn last_on(
        &self,
        stream: &StreamName,
        subject: &str,
    ) -> Result<Option<StoredMessage>, SinkError> {
        self.look_up(stream, &Get::Last { last_by_subj: subject }).await
    }

    /// The message with this sequence, if the stream has it.
    ///
    /// # Errors
    /// See [`SinkError`].
    pub async fn get(&self, stream: &StreamName, sequence: u64) -> Result<Option<StoredMessage>, SinkError> {
        if sequence == 0 {
            return Ok(None);
        }
        self.look_up(stream, &Get::Sequence { seq: sequence }).await
    }

    /// The first message under a subject, which may be a pattern, from a sequence on.
    ///
    /// # Errors
    /// See [`SinkError`].
    pub async fn next_on(
        &self,
        stream: &StreamName,
        subject: &str,
        from_sequence: u64,
    ) -> Result<Option<StoredMessage>, SinkError> {
        self.look_up(stream, &Get::Next { seq: from_sequence.max(1), next_by_subj: subject }).await
    }

    async fn look_up(&self, stream: &StreamName, what: &Get<'_>) -> Result<Option<StoredMessage>, SinkError> {
        let message = api::get(&self.control, stream.as_str(), what).await;
        let Some(message) = message.map_err(|error| sink_error(stream, error))? else { return Ok(None) };
        let Some((headers, payload, timestamp_ns)) = message.parts() else {
            let reason = format!("the server's answer for sequence {} cannot be read", message.seq);
            return Err(SinkError::Unavailable { stream: stream.clone(), reason });
        };
        let (subject, sequence) = (message.subject, message.seq);
        Ok(Some(StoredMessage { sequence, subject, headers, payload, timestamp_ns }))
    }
}

fn sink_error(stream: &StreamName, error: ApiError) -> SinkError {
    let stream = stream.clone();
    match error.code() {
        Some(api::code::STREAM_NOT_FOUND) => SinkError::StreamGone { stream },
        _ => match error {
            ApiError::Unavailable(reason) => SinkError::Unavailable { stream, reason },
            error => SinkError::Refused { stream, reason: error.to_string() },
        },
    }
}
