//! Appending records by expected sequence and id: each record is accepted only as the one right after the
//! record before it, so it is written once, at its place, or not at all.
//!
//! Records go out in order and are not waited for; every so often one asks for the server's answer, which
//! vouches for all before it. When to ask, how many answers may be outstanding, and what to do about a
//! conflict is left to the caller. After an error: read the tail, [`Appender::start_over`], go on.

use std::time::Duration;

use async_nats::client::PublishErrorKind;
use async_nats::{HeaderMap, HeaderName, HeaderValue, Message, StatusCode, Subscriber};
use futures_util::StreamExt as _;
use model::{Place, Record, StreamName};
use tokio::time::Instant;

use crate::api::{self, ApiError};
use crate::connect::{Broker, ConnectError};
use crate::link::Link;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether an append asks for the server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The server says whether it stored the record; see [`Appender::answer`].
    Answer,
    /// The server says nothing.
    Nothing,
}

/// Why a record, or one before it, is not in the stream, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The stream does not end where the record expects: somebody else appended, or a record before this one
    /// was lost. Read the tail.
    #[error("the stream {stream} does not end where the next record belongs{}", ends(*found))]
    Conflict {
        /// The stream.
        stream: StreamName,
        /// The stream's last sequence, where the server said it.
        found: Option<u64>,
    },
    /// The record is larger than the server or the stream takes.
    #[error("the record is larger than the stream {stream} takes: {reason}")]
    TooLarge {
        /// The stream.
        stream: StreamName,
        /// What the server said.
        reason: String,
    },
    /// The server refuses the record; somebody has to change something.
    #[error("the stream {stream} refused the record: {reason}")]
    Refused {
        /// The stream.
        stream: StreamName,
        /// What the server said.
        reason: String,
    },
    /// The connection was lost, nobody answered, or the stream has no leader: what was under way may be
    /// stored or not. Read the tail when NATS is back.
    #[error("the stream {stream} cannot be appended to at the moment: {reason}")]
    Unavailable {
        /// The stream.
        stream: StreamName,
        /// What happened.
        reason: String,
    },
}

/// Appends to one stream, on a connection of its own.
pub struct Appender {
    link: Link,
    stream: StreamName,
    inbox: String,
    answers: Subscriber,
    /// Tells this round's answers from those to earlier tries.
    round: u64,
    losses: u64,
    refusals: u64,
    /// Answers asked for and not yet given.
    awaited: usize,
    /// Since when the oldest of them, or an answer, is waited for.
    silent_since: Instant,
}

impl std::fmt::Debug for Appender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stream, round, awaited, .. } = self;
        f.debug_struct("Appender")
            .field("stream", stream)
            .field("round", round)
            .field("awaited", awaited)
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// Opens a connection for appending to a stream.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`], or [`AppendError::Refused`] by the server's rules for this user.
    pub async fn appender(&self, stream: &StreamName) -> Result<Appender, AppendError> {
        let link = self.open_link().await.map_err(|error| unreachable(stream, &error))?;
        let inbox = link.client.new_inbox();
        let answers = link.client.subscribe(format!("{inbox}.*.*")).await;
        let answers = answers.map_err(|error| unavailable(stream, error.to_string()))?;
        Ok(Appender {
            losses: link.losses(),
            refusals: link.refusals(),
            link,
            stream: stream.clone(),
            inbox,
            answers,
            round: 0,
            awaited: 0,
            silent_since: Instant::now(),
        })
    }
}

impl Appender {
    /// Hands a record to the connection, to be stored at its place alone. Waits while the connection has
    /// enough to do, never for the server's answer.
    ///
    /// # Errors
    /// [`AppendError::TooLarge`] and [`AppendError::Unavailable`], as far as that is known at once.
    pub async fn append(&mut self, place: &Place, record: &Record, ask: Ask) -> Result<(), AppendError> {
        if self.link.losses() > self.losses || !self.link.is_connected() {
            return Err(self.lost());
        }
        let client = self.link.client.clone();
        let (subject, payload) = (record.subject.clone(), record.payload.clone());
        let headers = headers(place, record);
        let sent = match ask {
            Ask::Nothing => self.unless_lost(client.publish_with_headers(subject, headers, payload)).await?,
            Ask::Answer => {
                let reply = format!("{}.{}.{}", self.inbox, self.round, place.sequence);
                let publish = client.publish_with_reply_and_headers(subject, reply, headers, payload);
                let sent = self.unless_lost(publish).await?;
                if self.awaited == 0 {
                    self.silent_since = Instant::now();
                }
                self.awaited += 1;
                sent
            }
        };
        sent.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => {
                AppendError::TooLarge { stream: self.stream.clone(), reason: error.to_string() }
            }
            PublishErrorKind::InvalidSubject => {
                AppendError::Refused { stream: self.stream.clone(), reason: error.to_string() }
            }
            PublishErrorKind::Send => unavailable(&self.stream, error.to_string()),
        })
    }

    /// Waits for the next answer: the sequence up to which all is stored. With no answer outstanding it waits
    /// until the connection is lost. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Every [`AppendError`].
    pub async fn answer(&mut self) -> Result<u64, AppendError> {
        loop {
            if let Some(reason) = self.link.refusal_since(self.refusals) {
                return Err(AppendError::Refused { stream: self.stream.clone(), reason: reason.to_string() });
            }
            let deadline = self.silent_since + PATIENCE;
            let message = tokio::select! {
                biased;
                message = self.answers.next() => message,
                () = self.link.lost_since(self.losses) => return Err(self.lost()),
                text = self.link.refused(self.refusals, "") => {
                    let (stream, reason) = (self.stream.clone(), text.to_string());
                    return Err(AppendError::Refused { stream, reason });
                }
                () = tokio::time::sleep_until(deadline), if self.awaited > 0 => {
                    let reason = format!("no answer within {} s", PATIENCE.as_secs());
                    return Err(unavailable(&self.stream, reason));
                }
            };
            let Some(message) = message else { return Err(self.lost()) };
            if let Some(sequence) = self.sequence_of(&message) {
                self.awaited = self.awaited.saturating_sub(1);
                self.silent_since = Instant::now();
                return self.stored(sequence, &message);
            }
        }
    }

    /// Forgets what is under way: from now on only answers to records appended from now on are given. To be
    /// called after an error, before the tail is read.
    pub fn start_over(&mut self) {
        self.round += 1;
        self.awaited = 0;
        self.losses = self.link.losses();
        self.refusals = self.link.refusals();
    }

    /// Whether the connection stands at this moment.
    pub fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    /// The sequence that an answer belongs to; `None` for an answer to an earlier round.
    fn sequence_of(&self, message: &Message) -> Option<u64> {
        let token = message.subject.strip_prefix(self.inbox.as_str())?.strip_prefix('.')?;
        let (round, sequence) = token.split_once('.')?;
        let sequence = sequence.parse().ok()?;
        (round.parse() == Ok(self.round)).then_some(sequence)
    }

    fn stored(&self, sequence: u64, message: &Message) -> Result<u64, AppendError> {
        let stream = self.stream.clone();
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(unavailable(&stream, "no stream takes the record's subject, or it has no leader"));
        }
        let stored = api::stored(&message.payload).map_err(|error| append_error(&stream, error))?;
        if stored.stream != stream.as_str() {
            let reason = format!("the record's subject belongs to another stream, {}", stored.stream);
            return Err(AppendError::Refused { stream, reason });
        }
        // A duplicate is the same record, which somebody else was quicker to append.
        if stored.seq != sequence || stored.duplicate {
            return Err(AppendError::Conflict { stream, found: Some(stored.seq) });
        }
        Ok(sequence)
    }

    /// Runs `work` unless the connection is lost before it is done.
    async fn unless_lost<T>(&self, work: impl Future<Output = T>) -> Result<T, AppendError> {
        tokio::select! {
            biased;
            result = work => Ok(result),
            () = self.link.lost_since(self.losses) => Err(self.lost()),
        }
    }

    fn lost(&self) -> AppendError {
        unavailable(&self.stream, "the connection was lost")
    }
}

fn headers(place: &Place, record: &Record) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static(model::record::EXPECTED_HEADER),
        HeaderValue::from(place.sequence.saturating_sub(1)),
    );
    headers.insert(HeaderName::from_static(model::record::ID_HEADER), HeaderValue::from(place.id.as_str()));
    if let Some(after) = &place.after {
        headers
            .insert(HeaderName::from_static(model::record::AFTER_HEADER), HeaderValue::from(after.as_str()));
    }
    for (name, value) in record.wire_headers() {
        headers.append(name, HeaderValue::from(value.as_ref()));
    }
    headers
}

fn append_error(stream: &StreamName, error: ApiError) -> AppendError {
    let stream = stream.clone();
    let ApiError::Server(fault) = error else {
        return unavailable(&stream, error.to_string());
    };
    match fault.err_code {
        // The server's word on the last id is no sequence, and is not read as one.
        api::code::WRONG_LAST_ID => AppendError::Conflict { stream, found: None },
        api::code::WRONG_LAST_SEQUENCE | api::code::WRONG_LAST_SEQUENCE_CONSTANT => {
            let found = fault.description.rsplit_once(": ").and_then(|(_, number)| number.parse().ok());
            AppendError::Conflict { stream, found }
        }
        api::code::MESSAGE_TOO_LARGE => AppendError::TooLarge { stream, reason: fault.description },
        _ => AppendError::Refused { stream, reason: ApiError::Server(fault).to_string() },
    }
}

fn unavailable(stream: &StreamName, reason: impl Into<String>) -> AppendError {
    AppendError::Unavailable { stream: stream.clone(), reason: reason.into() }
}

fn unreachable(stream: &StreamName, error: &ConnectError) -> AppendError {
    match error {
        ConnectError::Unreachable { .. } => unavailable(stream, error.to_string()),
        _ => AppendError::Refused { stream: stream.clone(), reason: error.to_string() },
    }
}

fn ends(found: Option<u64>) -> String {
    found.map(|found| format!(", but at sequence {found}")).unwrap_or_default()
}
