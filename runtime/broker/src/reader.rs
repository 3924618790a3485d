//! Reading a source stream: every event once, in order, from a given sequence on.
//!
//! The reader goes on by itself after a lost connection, a restarted server or a lost consumer, from the
//! sequence after the last event it gave. It never skips in silence: events that the stream has dropped
//! before they were read are an error, and so is a stream that is shorter than what was read from it.

use std::time::Duration;

use model::{Event, Headers, StreamName, SubjectPattern};
use tokio::time::Instant;

use crate::admin::{self, Retention, StreamState};
use crate::api::{self, ApiError, Get};
use crate::backoff;
use crate::connect::Broker;
use crate::flow::{Arrival, Broken, Flow, FlowOptions, Start};
use crate::wire::Delivery;

/// Events in one burst, at most.
const BURST_EVENTS: usize = 1024;
/// Payload bytes after which a burst ends.
const BURST_BYTES: usize = 4 << 20;
/// For how long the reader tries by itself before it says that the stream cannot be read.
const SILENT_TRIES: Duration = Duration::from_secs(10);
/// Broken flows in a row, none with an event, after which one event is read by a plain request: its bytes may
/// be what makes the client library drop the connection.
const FRUITLESS_LIMIT: u32 = 3;

/// Why there are no events.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// NATS cannot be reached or is not ready: ask again.
    #[error("the stream {stream} cannot be read at the moment: {reason}")]
    Unavailable {
        /// The stream.
        stream: StreamName,
        /// What happened last.
        reason: String,
    },
    /// The stream does not exist, or not any more.
    #[error("there is no stream {stream}: it was never made, or was deleted (and perhaps made anew)")]
    StreamGone {
        /// The stream.
        stream: StreamName,
    },
    /// The stream has dropped events that were not read yet.
    #[error(
        "the stream {stream} no longer has all events from sequence {wanted} on: the first it has is {first_available}"
    )]
    EventsGone {
        /// The stream.
        stream: StreamName,
        /// The first sequence that was not read yet.
        wanted: u64,
        /// The first sequence that the stream still has.
        first_available: u64,
    },
    /// The stream ends before the sequence to go on from.
    #[error(
        "the stream {stream} ends at sequence {last}, but was read up to {}: it was put back or made anew",
        wanted - 1
    )]
    SourceRewound {
        /// The stream.
        stream: StreamName,
        /// The sequence to go on from.
        wanted: u64,
        /// The last sequence of the stream.
        last: u64,
    },
    /// The stream cannot be a source as it is; somebody has to change something.
    #[error("the stream {stream} cannot be read: {reason}")]
    Refused {
        /// The stream.
        stream: StreamName,
        /// Why, and what to do.
        reason: String,
    },
}

/// Reads one stream, on a connection of its own.
pub struct Reader {
    broker: Broker,
    stream: StreamName,
    filters: Vec<SubjectPattern>,
    reserved: Reserved,
    /// The sequence after the last event given or put into `burst`.
    next: u64,
    /// Up to here the server is known to have looked for matching events.
    proven: u64,
    /// The stream's last sequence at the last heartbeat.
    last_at_heartbeat: u64,
    /// When the stream was made: another time is another stream.
    created: String,
    flow: Option<Flow>,
    /// A flow that broke: to be ended before the next one begins.
    broken: Option<Flow>,
    /// Matching events that the stream is known to hold beyond the last one taken.
    pending: u64,
    burst: Vec<Event>,
    burst_bytes: usize,
    /// The first sequence missing in `burst`, if one is.
    gap: Option<u64>,
    failures: u32,
    failing_since: Option<Instant>,
    retry_at: Instant,
    fruitless: u32,
}

/// What becomes of headers that belong to NATS or to Weir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reserved {
    /// They are left out, as for events.
    LeftOut,
    /// They stay, as for records.
    Kept,
}

impl Reserved {
    fn of(self, headers: Headers) -> Headers {
        match self {
            Self::LeftOut => headers.without_reserved(),
            Self::Kept => headers,
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stream, filters, next, .. } = self;
        f.debug_struct("Reader")
            .field("stream", stream)
            .field("filters", filters)
            .field("next", next)
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// Opens a stream for reading from a sequence on; only the events whose subject is in one of `subjects`,
    /// or all if there are none. Sequence 0 counts as 1.
    ///
    /// # Errors
    /// Every [`ReadError`]; [`ReadError::Unavailable`] is worth another try.
    pub async fn open_reader(
        &self,
        stream: &StreamName,
        subjects: &[SubjectPattern],
        from_sequence: u64,
    ) -> Result<Reader, ReadError> {
        self.open_reader_with(stream, subjects, from_sequence, Reserved::LeftOut).await
    }

    pub(crate) async fn open_reader_with(
        &self,
        stream: &StreamName,
        subjects: &[SubjectPattern],
        from_sequence: u64,
        reserved: Reserved,
    ) -> Result<Reader, ReadError> {
        let next = from_sequence.max(1);
        let mut reader = Reader {
            broker: self.clone(),
            stream: stream.clone(),
            filters: subjects.to_vec(),
            reserved,
            next,
            proven: next - 1,
            last_at_heartbeat: 0,
            created: String::new(),
            flow: None,
            broken: None,
            pending: 0,
            burst: Vec::new(),
            burst_bytes: 0,
            gap: None,
            failures: 0,
            failing_since: None,
            retry_at: Instant::now(),
            fruitless: 0,
        };
        reader.open_flow().await?;
        Ok(reader)
    }
}

impl Reader {
    /// Waits for events: at least one, in order, as many as are there up to a bound. Dropping the future
    /// loses nothing. After an error the same call may be made again; it goes on at the same event.
    ///
    /// # Errors
    /// See [`ReadError`]. Lost connections shorter than some seconds are not reported.
    pub async fn next(&mut self) -> Result<Vec<Event>, ReadError> {
        while self.burst.is_empty() {
            match &mut self.flow {
                None => self.reopen().await?,
                Some(flow) => match flow.receive().await {
                    Ok(Arrival::Message(event, delivery)) => self.take_burst(event, delivery),
                    Ok(Arrival::Idle) => self.note_idle().await,
                    Err(broken) => self.note_broken(&broken),
                },
            }
        }
        self.check_gap().await?;
        self.burst_bytes = 0;
        Ok(std::mem::take(&mut self.burst))
    }

    /// Ends reading at once, where dropping the reader would leave its consumer to the server.
    pub async fn close(mut self) {
        if let Some(flow) = self.flow.take() {
            flow.retire().await;
        }
    }

    /// The sequence after the last event that was given.
    pub fn next_sequence(&self) -> u64 {
        self.burst.first().map_or(self.next, |event| event.sequence)
    }

    /// How many matching events the stream is known to hold beyond the last one that was given.
    pub fn pending(&self) -> u64 {
        self.pending + self.burst.len() as u64
    }

    fn take_burst(&mut self, event: Event, delivery: Delivery) {
        self.failures = 0;
        self.failing_since = None;
        self.fruitless = 0;
        self.take(event, delivery);
        while self.burst.len() < BURST_EVENTS && self.burst_bytes < BURST_BYTES {
            let Some(flow) = &mut self.flow else { break };
            match flow.try_receive() {
                Ok(Some(Arrival::Message(event, delivery))) => self.take(event, delivery),
                Ok(Some(Arrival::Idle)) => {}
                Ok(None) => break,
                Err(broken) => self.note_broken(&broken),
            }
        }
    }

    fn take(&mut self, mut event: Event, delivery: Delivery) {
        self.pending = delivery.pending;
        if !event.headers.is_empty() {
            event.headers = self.reserved.of(event.headers);
        }
        self.push(event);
    }

    fn push(&mut self, event: Event) {
        // A consumer that starts anew may only ever give what comes after.
        if event.sequence < self.next {
            return;
        }
        let unproven = self.next.max(self.proven + 1);
        if event.sequence > unproven && self.gap.is_none() {
            self.gap = Some(unproven);
        }
        self.next = event.sequence + 1;
        self.burst_bytes += event.payload.len();
        self.burst.push(event);
    }

    /// Sequences are missing before or in the burst: events of other subjects, deleted ones, or ones that
    /// the stream has dropped at its start. Only the stream can tell.
    async fn check_gap(&mut self) -> Result<(), ReadError> {
        while let Some(gap) = self.gap {
            self.pause().await;
            match admin::state_of(&self.broker.control, self.stream.as_str()).await {
                Ok(Some(state)) if state.first_sequence > gap => {
                    return Err(self.events_gone(gap, state.first_sequence));
                }
                Ok(Some(_)) => self.gap = None,
                Ok(None) => return Err(ReadError::StreamGone { stream: self.stream.clone() }),
                Err(error) => self.note_failure(error)?,
            }
        }
        Ok(())
    }

    /// Nothing to deliver: all that the stream had at the last heartbeat has been looked at. Kept up only
    /// where a filter leaves events out, since gaps are usual there.
    async fn note_idle(&mut self) {
        self.failures = 0;
        self.failing_since = None;
        self.fruitless = 0;
        if self.filters.is_empty() {
            return;
        }
        self.proven = self.proven.max(self.last_at_heartbeat);
        if let Ok(Some(state)) = admin::state_of(&self.broker.control, self.stream.as_str()).await {
            self.last_at_heartbeat = state.last_sequence;
        }
    }

    fn note_broken(&mut self, broken: &Broken) {
        tracing::debug!(stream = %self.stream, next = self.next, reason = %broken.0, "reading starts over");
        if self.burst.is_empty() {
            self.fruitless += 1;
        }
        self.broken = self.flow.take();
        self.last_at_heartbeat = 0;
        self.failures += 1;
        self.retry_at = Instant::now() + backoff::pause(self.failures);
    }

    async fn reopen(&mut self) -> Result<(), ReadError> {
        self.pause().await;
        if let Some(flow) = self.broken.take() {
            flow.retire().await;
        }
        let result =
            if self.fruitless >= FRUITLESS_LIMIT { self.read_one().await } else { self.open_flow().await };
        match result {
            Err(ReadError::Unavailable { reason, .. }) => self.note_failure(ApiError::Unavailable(reason)),
            result => result,
        }
    }

    async fn open_flow(&mut self) -> Result<(), ReadError> {
        let state = self.check_stream().await?;
        let filters: Vec<_> = self.filters.iter().map(|filter| filter.as_str().to_owned()).collect();
        let options = FlowOptions {
            stream: self.stream.as_str(),
            filters: &filters,
            start: Start::Sequence(self.next),
            replicas: Some(1),
        };
        let opened = Flow::open(&self.broker, &options).await;
        let (flow, pending) = opened.map_err(|error| self.read_error(error))?;
        self.pending = pending;
        self.created = state.created;
        self.flow = Some(flow);
        Ok(())
    }

    /// Whether the stream can be read on from where the reader stands.
    async fn check_stream(&self) -> Result<StreamState, ReadError> {
        let state = admin::state_of(&self.broker.control, self.stream.as_str()).await;
        let stream = self.stream.clone();
        let Some(state) = state.map_err(|error| self.read_error(error))? else {
            return Err(ReadError::StreamGone { stream });
        };
        if !self.created.is_empty() && state.created != self.created {
            return Err(ReadError::StreamGone { stream });
        }
        if let Some(reason) = self.refusal(&state) {
            return Err(ReadError::Refused { stream, reason });
        }
        if state.last_sequence + 1 < self.next {
            return Err(ReadError::SourceRewound { stream, wanted: self.next, last: state.last_sequence });
        }
        let unproven = self.next.max(self.proven + 1);
        if state.first_sequence > unproven {
            return Err(self.events_gone(unproven, state.first_sequence));
        }
        Ok(state)
    }

    fn refusal(&self, state: &StreamState) -> Option<String> {
        if state.retention != Retention::Limits {
            return Some(format!(
                "its {} retention deletes events as soon as they are delivered, so they could never be read again; \
                 use limits retention, or make a stream with limits retention that sources this one",
                state.retention
            ));
        }
        if self.filters.len() > 1 && !self.broker.is_at_least(2, 10) {
            return Some(format!(
                "nats-server {} takes one subject filter, and {} are given; use one pattern that covers them, or nats-server 2.10 or newer",
                self.broker.server_version(),
                self.filters.len()
            ));
        }
        None
    }

    /// Reads the next event by requests on the control connection, whose answers are JSON.
    async fn read_one(&mut self) -> Result<(), ReadError> {
        self.check_stream().await?;
        let all = [">".to_owned()];
        let filters: Vec<_> = self.filters.iter().map(|filter| filter.as_str().to_owned()).collect();
        let mut found: Option<api::RawMessage> = None;
        for filter in if filters.is_empty() { &all[..] } else { &filters[..] } {
            let what = Get::Next { seq: self.next, next_by_subj: filter };
            let message = api::get(&self.broker.control, self.stream.as_str(), &what).await;
            let message = message.map_err(|error| self.read_error(error))?;
            found = [found, message].into_iter().flatten().min_by_key(|message| message.seq);
        }
        self.fruitless = 0;
        let Some(message) = found else { return Ok(()) };
        let Some((headers, payload, timestamp_ns)) = message.parts() else {
            let reason = format!("the server's answer for sequence {} cannot be read", message.seq);
            return Err(ReadError::Unavailable { stream: self.stream.clone(), reason });
        };
        let sequence = message.seq;
        let headers = self.reserved.of(headers);
        self.push(Event { subject: message.subject, payload, headers, sequence, timestamp_ns });
        Ok(())
    }

    async fn pause(&self) {
        tokio::time::sleep_until(self.retry_at).await;
    }

    /// Counts a failed try. It is reported when tries have failed for some time.
    fn note_failure(&mut self, error: ApiError) -> Result<(), ReadError> {
        self.failures += 1;
        self.retry_at = Instant::now() + backoff::pause(self.failures);
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        let ApiError::Unavailable(reason) = error else { return Err(self.read_error(error)) };
        if since.elapsed() < SILENT_TRIES {
            return Ok(());
        }
        Err(ReadError::Unavailable { stream: self.stream.clone(), reason })
    }

    fn read_error(&self, error: ApiError) -> ReadError {
        let stream = self.stream.clone();
        match error.code() {
            Some(api::code::STREAM_NOT_FOUND) => ReadError::StreamGone { stream },
            Some(api::code::PULL_NEEDS_ACKS) => {
                let reason = "its retention needs acknowledgements; use limits retention".to_owned();
                ReadError::Refused { stream, reason }
            }
            _ => match error {
                ApiError::Unavailable(reason) => ReadError::Unavailable { stream, reason },
                error => ReadError::Refused { stream, reason: error.to_string() },
            },
        }
    }

    fn events_gone(&self, wanted: u64, first_available: u64) -> ReadError {
        ReadError::EventsGone { stream: self.stream.clone(), wanted, first_available }
    }
}
