//! Appending records by expected sequence and id: each record is accepted only as the one right after the
//! record before it, so it is written once, at its place, or not at all.
//!
//! Records go out in order and are not waited for; every so often one asks for the server's answer, which
//! vouches for all before it. When to ask, how many answers may be outstanding, and what to do about a
//! conflict is left to the caller. After an error: read the tail, open another appender, go on.

use std::time::Duration;

use bytes::Bytes;
use model::number::push_decimal;
use model::{Digest, Place, Record, StreamName};
use tokio::time::Instant;

use crate::api::{self, ApiError};
use crate::connect::{Broker, ConnectError};
use crate::protocol::{Connection, Frame, Inbound};
use crate::wire;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers that may be under way: more than anybody asks for.
const ANSWERS_MAX: usize = 1_024;

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

/// Appends to one stream, on a connection of its own. After an error it is over: open another.
pub struct Appender {
    connection: Connection<Answer>,
    stream: StreamName,
    inbox: String,
    /// Answers that arrived together and have not been taken yet.
    arrived: std::vec::IntoIter<Answer>,
    /// Answers asked for and not yet given.
    awaited: usize,
    /// Since when the oldest of them, or an answer, is waited for.
    silent_since: Instant,
    /// The header that names a plan, written once for all its records, and the name of the one behind it.
    plan: Option<(Digest, Vec<u8>)>,
    /// The header block of the record at hand.
    block: Vec<u8>,
}

/// The server's answer to a record.
struct Answer {
    /// The sequence that the record was to get.
    sequence: u64,
    /// The status, where the answer has one.
    status: Option<u16>,
    payload: Bytes,
}

impl std::fmt::Debug for Appender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stream, awaited, .. } = self;
        f.debug_struct("Appender").field("stream", stream).field("awaited", awaited).finish_non_exhaustive()
    }
}

impl Broker {
    /// Opens a connection for appending to a stream.
    ///
    /// # Errors
    /// [`AppendError::Unavailable`], or [`AppendError::Refused`] by the server's rules for this user.
    pub async fn appender(&self, stream: &StreamName) -> Result<Appender, AppendError> {
        let inbox = self.control.client.new_inbox();
        let connection = self.open_connection(&format!("{inbox}.*"), ANSWERS_MAX, answer).await;
        Ok(Appender {
            connection: connection.map_err(|error| unreachable(stream, &error))?,
            stream: stream.clone(),
            inbox,
            arrived: Vec::new().into_iter(),
            awaited: 0,
            silent_since: Instant::now(),
            plan: None,
            block: Vec::new(),
        })
    }
}

impl Appender {
    /// Hands a record to the connection, to be stored at its place alone. Waits while the connection has
    /// enough to do, never for the server's answer. A record for which no answer is asked may wait here for
    /// the ones behind it; one with an answer goes out at once, and takes with it all that wait.
    ///
    /// # Errors
    /// [`AppendError::TooLarge`], [`AppendError::Refused`] and [`AppendError::Unavailable`], as far as that
    /// is known at once.
    pub async fn append(&mut self, place: &Place, record: &Record, ask: Ask) -> Result<(), AppendError> {
        if self.connection.is_lost() {
            return Err(self.lost());
        }
        if record.subject.is_empty() || record.subject.bytes().any(|byte| byte <= b' ') {
            let reason = format!("'{}' is no subject", record.subject.escape_default());
            return Err(AppendError::Refused { stream: self.stream.clone(), reason });
        }
        self.write_block(place, record);
        let (head, total) = (self.block.len(), self.block.len() + record.payload.len());
        let most = self.connection.max_payload();
        if total > most {
            let reason = format!("it takes {total} bytes, and the server {most}");
            return Err(AppendError::TooLarge { stream: self.stream.clone(), reason });
        }
        let (subject, inbox, sequence) = (&record.subject, &self.inbox, place.sequence);
        let out = self.connection.outgoing();
        out.extend_from_slice(b"HPUB ");
        out.extend_from_slice(subject.as_bytes());
        if ask == Ask::Answer {
            out.push(b' ');
            out.extend_from_slice(inbox.as_bytes());
            out.push(b'.');
            push_decimal(out, sequence);
        }
        for size in [head, total] {
            out.push(b' ');
            push_decimal(out, size as u64);
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&self.block);
        out.extend_from_slice(&record.payload);
        out.extend_from_slice(b"\r\n");
        if ask == Ask::Answer {
            if self.awaited == 0 {
                self.silent_since = Instant::now();
            }
            self.awaited += 1;
            return self.connection.flush().await.map_err(|reason| unavailable(&self.stream, reason));
        }
        self.connection.flush_if_full().await.map_err(|reason| unavailable(&self.stream, reason))
    }

    /// Waits for the next answer: the sequence up to which all is stored. With no answer outstanding it waits
    /// until the connection is lost. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Every [`AppendError`].
    pub async fn answer(&mut self) -> Result<u64, AppendError> {
        loop {
            if let Some(answer) = self.arrived.next() {
                self.awaited = self.awaited.saturating_sub(1);
                self.silent_since = Instant::now();
                return self.stored(&answer);
            }
            let deadline = self.silent_since + PATIENCE;
            let inbound = tokio::select! {
                biased;
                inbound = self.connection.receive() => inbound,
                () = tokio::time::sleep_until(deadline), if self.awaited > 0 => {
                    let reason = format!("no answer within {} s", PATIENCE.as_secs());
                    return Err(unavailable(&self.stream, reason));
                }
            };
            match inbound {
                Some(Inbound::Messages(answers)) => self.arrived = answers.into_iter(),
                Some(Inbound::Refused(reason)) => {
                    return Err(AppendError::Refused { stream: self.stream.clone(), reason });
                }
                None => return Err(self.lost()),
            }
        }
    }

    /// Writes the header block: where the record belongs, what it is, and its own headers.
    fn write_block(&mut self, place: &Place, record: &Record) {
        use model::record::{AFTER_HEADER, EXPECTED_HEADER, ID_HEADER, PLAN_HEADER, SOURCE_HEADER};
        if self.plan.as_ref().is_none_or(|(plan, _)| *plan != record.plan) {
            let line = format!("\r\n{PLAN_HEADER}: {}\r\n{SOURCE_HEADER}: ", record.plan).into_bytes();
            self.plan = Some((record.plan, line));
        }
        let plan = self.plan.as_ref().map_or(&[][..], |(_, line)| line);
        let block = &mut self.block;
        block.clear();
        let begin = |block: &mut Vec<u8>, name: &str| {
            block.extend_from_slice(b"\r\n");
            block.extend_from_slice(name.as_bytes());
            block.extend_from_slice(b": ");
        };
        block.extend_from_slice(b"NATS/1.0");
        begin(block, EXPECTED_HEADER);
        push_decimal(block, place.sequence.saturating_sub(1));
        begin(block, ID_HEADER);
        place.id.push(block);
        if let Some(after) = &place.after {
            begin(block, AFTER_HEADER);
            after.push(block);
        }
        block.extend_from_slice(plan);
        record.position.push(block);
        block.extend_from_slice(b"\r\n");
        for (name, value) in record.headers.iter() {
            for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                block.extend_from_slice(part);
            }
        }
        block.extend_from_slice(b"\r\n");
    }

    fn stored(&self, answer: &Answer) -> Result<u64, AppendError> {
        let stream = self.stream.clone();
        if answer.status == Some(503) {
            return Err(unavailable(&stream, "no stream takes the record's subject, or it has no leader"));
        }
        let stored = api::stored(&answer.payload).map_err(|error| append_error(&stream, error))?;
        if stored.stream != stream.as_str() {
            let reason = format!("the record's subject belongs to another stream, {}", stored.stream);
            return Err(AppendError::Refused { stream, reason });
        }
        // A duplicate is the same record, which somebody else was quicker to append.
        if stored.seq != answer.sequence || stored.duplicate {
            return Err(AppendError::Conflict { stream, found: Some(stored.seq) });
        }
        Ok(answer.sequence)
    }

    fn lost(&self) -> AppendError {
        unavailable(&self.stream, self.connection.loss())
    }
}

/// Reads a frame as an answer: the record's sequence is the last token of its subject.
fn answer(frame: Frame<'_>) -> Result<Answer, String> {
    let sequence = frame.subject.rsplit('.').next().and_then(|token| token.parse().ok());
    let sequence = sequence.ok_or_else(|| "an answer came that nobody asked for".to_owned())?;
    let status = wire::status(frame.headers).map(|(code, _)| code);
    Ok(Answer { sequence, status, payload: frame.payload })
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
