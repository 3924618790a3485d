//! One consumer's life: made, pulled from, and broken at the first sign that a message may be missing.
//!
//! An ephemeral pull consumer without acknowledgements, kept in the server's memory, on a connection of its
//! own. Messages are asked for ahead, bounded by count and by bytes. Each delivery has to
//! carry the consumer's next number; a gap, a lost connection or silence breaks the flow, and its owner makes
//! another one from where it stands. A flow never skips: it delivers in order, or says that it is broken.

use std::time::Duration;

use model::{Event, Headers};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::api::{self, ApiError};
use crate::connect::{Broker, ConnectError};
use crate::protocol::{Connection, Frame, Inbound};
use crate::wire::{self, Delivery};

/// Messages asked for and not yet taken, at most.
const MESSAGES_AHEAD: usize = 8_192;
/// Room for what the server says between the messages: heartbeats, the ends of requests.
const STATUSES_AHEAD: usize = 64;
/// Bytes asked for and not yet taken, at most; more only where a single message may be larger.
const BYTES_AHEAD: usize = 16 << 20;
/// What a message may be larger than the server's `max_payload`: subjects.
const FRAME_BYTES: usize = 64 << 10;
const HEARTBEAT: Duration = Duration::from_secs(2);
const EXPIRES: Duration = Duration::from_secs(30);
/// Heartbeats missed until the flow counts as broken.
const SILENCE: Duration = Duration::from_secs(5);
/// When the server drops the consumer of an owner that is gone.
const INACTIVE: Duration = Duration::from_secs(30);

/// What to deliver.
pub(crate) struct FlowOptions<'a> {
    pub(crate) stream: &'a str,
    pub(crate) filters: &'a [String],
    pub(crate) start: Start,
    /// Copies of the consumer; `None` leaves it to the server.
    pub(crate) replicas: Option<u32>,
}

/// Where to begin.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// At this sequence.
    Sequence(u64),
    /// With the last message of each subject, then all that comes.
    LastPerSubject,
}

/// What came.
pub(crate) enum Arrival {
    /// The next message, with all its headers.
    Message(Event, Delivery),
    /// A heartbeat: the server has nothing to deliver.
    Idle,
}

/// What a frame holds, read where it arrived.
enum Parcel {
    Message { event: Event, delivery: Delivery, length: usize },
    Status { code: u16, text: String, headers: Headers },
}

/// Why the flow has ended; for the log.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

/// A consumer being pulled from.
pub(crate) struct Flow {
    connection: Connection<Parcel>,
    /// What arrived together and has not been taken yet.
    arrived: std::vec::IntoIter<Parcel>,
    inbox: String,
    stream: String,
    consumer: String,
    /// Messages and bytes asked for and not yet taken.
    messages_ahead: usize,
    bytes_ahead: usize,
    bytes_limit: usize,
    /// The consumer's number of the last message taken.
    delivered: u64,
    /// Since when an open request has brought nothing.
    silent_since: Option<Instant>,
    /// Whether anything came since the last request.
    progress: bool,
}

impl Flow {
    /// Makes the consumer. Gives the flow and how many messages wait for it.
    pub(crate) async fn open(broker: &Broker, options: &FlowOptions<'_>) -> Result<(Self, u64), ApiError> {
        let inbox = broker.control.client.new_inbox();
        let consumer = format!("weir-{}", inbox.rsplit('.').next().unwrap_or(&inbox));
        let connection = broker.open_connection(&inbox, MESSAGES_AHEAD + STATUSES_AHEAD, parcel).await;
        let connection = connection.map_err(|error| match error {
            ConnectError::Unreachable { .. } => ApiError::Unavailable(error.to_string()),
            error => ApiError::Refused(error.to_string()),
        })?;
        let pending = create(broker, options, &consumer).await?;
        let largest = connection.max_payload() + FRAME_BYTES;
        let flow = Self {
            connection,
            arrived: Vec::new().into_iter(),
            inbox,
            stream: options.stream.to_owned(),
            consumer,
            messages_ahead: 0,
            bytes_ahead: 0,
            bytes_limit: BYTES_AHEAD.max(2 * largest),
            delivered: 0,
            silent_since: None,
            progress: true,
        };
        Ok((flow, pending))
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<Arrival, Broken> {
        loop {
            // Nothing may be waited for once something was taken: it would be lost with the future.
            self.refill().await?;
            if let Some(arrival) = self.try_receive()? {
                return Ok(arrival);
            }
            // What was taken just now may have ended the last request, and then nothing would come.
            self.refill().await?;
            let silent_since = *self.silent_since.get_or_insert_with(Instant::now);
            let inbound = tokio::time::timeout_at(silent_since + SILENCE, self.connection.receive()).await;
            let inbound = inbound.map_err(|_| Broken("the server's heartbeats stay away".into()))?;
            let inbound = inbound.ok_or_else(|| Broken(self.connection.loss()))?;
            self.unpack(inbound)?;
        }
    }

    /// What is there already, without waiting.
    pub(crate) fn try_receive(&mut self) -> Result<Option<Arrival>, Broken> {
        loop {
            while let Some(parcel) = self.arrived.next() {
                if let Some(arrival) = self.accept(parcel)? {
                    return Ok(Some(arrival));
                }
            }
            match self.connection.try_receive() {
                Some(inbound) => self.unpack(inbound)?,
                None => return Ok(None),
            }
        }
    }

    /// Tells the server that the consumer is not needed any more, as far as that is possible.
    pub(crate) async fn retire(mut self) {
        let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.stream, self.consumer);
        self.connection.publish(&subject, "", b"");
        // Where it fails, the server drops the consumer by itself a little later.
        let _ = self.connection.flush().await;
    }

    fn unpack(&mut self, inbound: Inbound<Parcel>) -> Result<(), Broken> {
        match inbound {
            Inbound::Messages(parcels) => {
                self.silent_since = None;
                self.arrived = parcels.into_iter();
                Ok(())
            }
            Inbound::Refused(text) => Err(Broken(format!("the server refused: {text}"))),
        }
    }

    /// Asks for more before what was asked for runs out. A request that ended by count leaves its unused
    /// bytes reserved until all requests have ended: the bound on bytes is then known to be free.
    async fn refill(&mut self) -> Result<(), Broken> {
        if self.messages_ahead == 0 {
            self.bytes_ahead = 0;
        }
        let bytes = self.bytes_limit / 2;
        if self.messages_ahead > MESSAGES_AHEAD / 2 || self.bytes_ahead + bytes > self.bytes_limit {
            // A request that was put into the buffer by a call that was dropped.
            return self.connection.flush().await.map_err(Broken);
        }
        let batch = MESSAGES_AHEAD - self.messages_ahead;
        let body = json!({
            "batch": batch,
            "max_bytes": bytes,
            "expires": nanoseconds(EXPIRES),
            "idle_heartbeat": nanoseconds(HEARTBEAT),
        });
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.consumer);
        self.connection.publish(&subject, &self.inbox, body.to_string().as_bytes());
        self.messages_ahead += batch;
        self.bytes_ahead += bytes;
        self.progress = false;
        self.connection.flush().await.map_err(Broken)
    }

    fn accept(&mut self, parcel: Parcel) -> Result<Option<Arrival>, Broken> {
        let (event, delivery, length) = match parcel {
            Parcel::Message { event, delivery, length } => (event, delivery, length),
            Parcel::Status { code, text, headers } => return self.accept_status(code, &text, &headers),
        };
        if delivery.consumer_sequence != self.delivered + 1 {
            return Err(Broken("a delivered message was lost on the way".into()));
        }
        self.delivered += 1;
        self.progress = true;
        self.messages_ahead = self.messages_ahead.saturating_sub(1);
        self.bytes_ahead = self.bytes_ahead.saturating_sub(length);
        Ok(Some(Arrival::Message(event, delivery)))
    }

    fn accept_status(&mut self, code: u16, text: &str, headers: &Headers) -> Result<Option<Arrival>, Broken> {
        let number = |name| headers.get(name).and_then(|value| value.parse::<u64>().ok());
        match code {
            100 if number("Nats-Last-Consumer").is_none_or(|last| last == self.delivered) => {
                Ok(Some(Arrival::Idle))
            }
            100 => Err(Broken("a delivered message was lost on the way".into())),
            404 | 408 => self.request_ended(number("Nats-Pending-Messages"), number("Nats-Pending-Bytes")),
            409 if text.starts_with("Message Size Exceeds") && !self.progress => {
                Err(Broken("the next message is larger than the server's max_payload".into()))
            }
            409 if text.starts_with("Message Size Exceeds") || text.starts_with("Batch Completed") => {
                self.request_ended(number("Nats-Pending-Messages"), number("Nats-Pending-Bytes"))
            }
            code => Err(Broken(format!("the server ended the consumer: {code} {text}"))),
        }
    }

    /// A request ended before it was filled. Where the server does not say by how much, nothing is known of
    /// what is under way.
    fn request_ended(
        &mut self,
        messages: Option<u64>,
        bytes: Option<u64>,
    ) -> Result<Option<Arrival>, Broken> {
        let Some(messages) = messages else {
            return Err(Broken("a request ended and the server did not say how much was open".into()));
        };
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        self.messages_ahead = self.messages_ahead.saturating_sub(count(messages));
        self.bytes_ahead = self.bytes_ahead.saturating_sub(count(bytes.unwrap_or(0)));
        Ok(None)
    }
}

/// Reads a frame as what a consumer sends: a delivery, told by its reply subject, or word about a request.
fn parcel(frame: Frame<'_>) -> Result<Parcel, String> {
    let headers = if frame.headers.is_empty() { Headers::new() } else { wire::header_block(frame.headers) };
    if let Some(delivery) = Delivery::parse(frame.reply) {
        let event = Event {
            subject: frame.subject.to_owned(),
            payload: frame.payload,
            headers,
            sequence: delivery.stream_sequence,
            timestamp_ns: delivery.timestamp_ns,
        };
        return Ok(Parcel::Message { event, delivery, length: frame.length });
    }
    let (code, text) = wire::status(frame.headers)
        .ok_or_else(|| "a message came that the consumer did not deliver".to_owned())?;
    Ok(Parcel::Status { code, text, headers })
}

async fn create(broker: &Broker, options: &FlowOptions<'_>, consumer: &str) -> Result<u64, ApiError> {
    #[derive(Deserialize)]
    struct Created {
        #[serde(default)]
        num_pending: u64,
    }
    let mut config = json!({
        "name": consumer,
        "ack_policy": "none",
        "inactive_threshold": nanoseconds(INACTIVE),
        "mem_storage": true,
    });
    match options.start {
        Start::Sequence(sequence) => {
            config["deliver_policy"] = "by_start_sequence".into();
            config["opt_start_seq"] = sequence.into();
        }
        Start::LastPerSubject => config["deliver_policy"] = "last_per_subject".into(),
    }
    match options.filters {
        [] => {}
        [filter] => config["filter_subject"] = filter.as_str().into(),
        filters => config["filter_subjects"] = json!(filters),
    }
    if let Some(replicas) = options.replicas {
        config["num_replicas"] = replicas.into();
    }
    let operation = format!("CONSUMER.CREATE.{}.{consumer}", options.stream);
    let body = json!({ "stream_name": options.stream, "config": config });
    let created: Created = api::call(&broker.control, &operation, &body).await?;
    Ok(created.num_pending)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("the durations here are of seconds")
}
