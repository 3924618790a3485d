//! JetStream's request API: one JSON question, one JSON answer, one kind of error.
//!
//! Each request has an inbox of its own, so that one that is never answered leaves nothing behind. Only the
//! fields that Weir reads are named: a newer server's answers are read by older code.

use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::link::Link;
use crate::wire;

/// How long a request waits for its answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Error codes of the server (`errors.json` of nats-server).
pub(crate) mod code {
    pub(crate) const NO_MESSAGE: u64 = 10037;
    pub(crate) const NOT_ENABLED: u64 = 10076;
    pub(crate) const NOT_ENABLED_FOR_ACCOUNT: u64 = 10039;
    pub(crate) const STREAM_NAME_EXISTS: u64 = 10058;
    pub(crate) const STREAM_NOT_FOUND: u64 = 10059;
    pub(crate) const SUBJECTS_OVERLAP: u64 = 10065;
    pub(crate) const MESSAGE_TOO_LARGE: u64 = 10054;
    pub(crate) const WRONG_LAST_ID: u64 = 10070;
    pub(crate) const WRONG_LAST_SEQUENCE: u64 = 10071;
    pub(crate) const WRONG_LAST_SEQUENCE_CONSTANT: u64 = 10164;
    pub(crate) const PULL_NEEDS_ACKS: u64 = 10084;
}

/// Why a request has no result.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ApiError {
    /// Nobody answered, or only that it cannot be done now.
    #[error("{0}")]
    Unavailable(String),
    /// The account may not do this.
    #[error("the NATS server refused: {0}")]
    Refused(String),
    /// The server says no.
    #[error("{} (error {})", .0.description, .0.err_code)]
    Server(Fault),
}

impl ApiError {
    /// The server's error code, if it answered with one.
    pub(crate) fn code(&self) -> Option<u64> {
        match self {
            Self::Server(fault) => Some(fault.err_code),
            _ => None,
        }
    }
}

/// An error as the server writes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fault {
    pub(crate) code: u64,
    pub(crate) err_code: u64,
    pub(crate) description: String,
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        match fault.code {
            503 => Self::Unavailable(format!("JetStream is not ready: {}", fault.description)),
            _ => Self::Server(fault),
        }
    }
}

/// A message as the stream keeps it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RawMessage {
    pub(crate) subject: String,
    pub(crate) seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

impl RawMessage {
    /// Headers, payload and time in nanoseconds; `None` if they are not what the server promises.
    pub(crate) fn parts(&self) -> Option<(model::Headers, Bytes, u64)> {
        let headers = wire::header_block(&wire::base64(&self.hdrs)?);
        Some((headers, wire::base64(&self.data)?, wire::time_ns(&self.time)?))
    }
}

/// What to read with [`get`].
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Get<'a> {
    /// The message with this sequence.
    Sequence { seq: u64 },
    /// The last message under the subject.
    Last { last_by_subj: &'a str },
    /// The first message from `seq` on whose subject matches.
    Next { seq: u64, next_by_subj: &'a str },
}

/// The answer to a publish.
#[derive(Debug, Deserialize)]
pub(crate) struct Stored {
    #[serde(default)]
    pub(crate) stream: String,
    #[serde(default)]
    pub(crate) seq: u64,
    #[serde(default)]
    pub(crate) duplicate: bool,
    error: Option<Fault>,
}

#[derive(Deserialize)]
struct Failed {
    error: Option<Fault>,
}

/// Asks `$JS.API.<operation>`.
pub(crate) async fn call<T: DeserializeOwned>(
    link: &Link,
    operation: &str,
    body: &impl Serialize,
) -> Result<T, ApiError> {
    let body = serde_json::to_vec(body).expect("requests are plain data with strings as keys");
    let answer = request(link, format!("$JS.API.{operation}"), Request::new().payload(body.into())).await?;
    if let Ok(Failed { error: Some(fault) }) = serde_json::from_slice(&answer) {
        return Err(fault.into());
    }
    serde_json::from_slice(&answer)
        .map_err(|error| ApiError::Unavailable(format!("the answer to {operation} cannot be read: {error}")))
}

/// Reads one message; answered by the stream's leader. `None` if there is no such message.
pub(crate) async fn get(link: &Link, stream: &str, what: &Get<'_>) -> Result<Option<RawMessage>, ApiError> {
    #[derive(Deserialize)]
    struct Answer {
        message: RawMessage,
    }
    match call::<Answer>(link, &format!("STREAM.MSG.GET.{stream}"), what).await {
        Ok(answer) => Ok(Some(answer.message)),
        Err(error) if error.code() == Some(code::NO_MESSAGE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Publishes a message and waits until a stream has stored it; gives its sequence there.
pub(crate) async fn store(
    link: &Link,
    subject: String,
    headers: async_nats::HeaderMap,
    payload: Bytes,
) -> Result<Stored, ApiError> {
    let answer = request(link, subject, Request::new().headers(headers).payload(payload)).await?;
    stored(&answer)
}

/// Reads the answer to a publish. An empty one is the server's way to say that it has no leader.
pub(crate) fn stored(answer: &[u8]) -> Result<Stored, ApiError> {
    let stored: Stored = serde_json::from_slice(answer)
        .map_err(|_| ApiError::Unavailable("the stream has no leader at the moment".to_owned()))?;
    match stored.error {
        Some(fault) => Err(fault.into()),
        None => Ok(stored),
    }
}

async fn request(link: &Link, subject: String, request: Request) -> Result<Bytes, ApiError> {
    if !link.connected(PATIENCE).await {
        return Err(ApiError::Unavailable("not connected to NATS".to_owned()));
    }
    let refusals = link.refusals();
    let request = request.inbox(link.client.new_inbox()).timeout(Some(PATIENCE));
    let answer = tokio::select! {
        answer = link.client.send_request(subject.clone(), request) => answer,
        text = link.refused(refusals, &subject) => return Err(ApiError::Refused(text.to_string())),
    };
    answer.map(|message| message.payload).map_err(|error| {
        ApiError::Unavailable(match error.kind() {
            RequestErrorKind::NoResponders => format!("nobody answers on {subject}"),
            RequestErrorKind::TimedOut => format!("no answer on {subject} within {} s", PATIENCE.as_secs()),
            _ => format!("asking on {subject}: {error}"),
        })
    })
}
