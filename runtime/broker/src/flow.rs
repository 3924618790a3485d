//! One consumer's life: made, pulled from, and broken at the first sign that a message may be missing.
//!
//! An ephemeral pull consumer without acknowledgements, kept in the server's memory. Messages are asked for
//! ahead, bounded by count and by bytes, and never more than the subscription can hold. Each delivery has to
//! carry the consumer's next number; a gap, a lost connection or silence breaks the flow, and its owner makes
//! another one from where it stands. A flow never skips: it delivers in order, or says that it is broken.

use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::api::{self, ApiError};
use crate::link::{Link, SUBSCRIPTION_CAPACITY};
use crate::wire::{self, Delivery};

/// Messages asked for and not yet taken, at most.
const MESSAGES_AHEAD: usize = SUBSCRIPTION_CAPACITY / 2;
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
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack; a box would cost each message")]
pub(crate) enum Arrival {
    /// The next message.
    Message(Message, Delivery),
    /// A heartbeat: the server has nothing to deliver.
    Idle,
}

/// Why the flow has ended; for the log.
#[derive(Debug)]
pub(crate) struct Broken(pub(crate) String);

/// A consumer being pulled from.
pub(crate) struct Flow {
    link: Link,
    subscriber: Subscriber,
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
    losses: u64,
    /// Whether anything came since the last request.
    progress: bool,
}

impl Flow {
    /// Makes the consumer. Gives the flow and how many messages wait for it.
    pub(crate) async fn open(link: &Link, options: &FlowOptions<'_>) -> Result<(Self, u64), ApiError> {
        let losses = link.losses();
        let inbox = link.client.new_inbox();
        let consumer = format!("weir-{}", inbox.rsplit('.').next().unwrap_or(&inbox));
        let subscriber = link.client.subscribe(inbox.clone()).await;
        let subscriber = subscriber.map_err(|error| ApiError::Unavailable(error.to_string()))?;
        let pending = create(link, options, &consumer).await?;
        let largest = link.client.server_info().max_payload + FRAME_BYTES;
        let flow = Self {
            link: link.clone(),
            subscriber,
            inbox,
            stream: options.stream.to_owned(),
            consumer,
            messages_ahead: 0,
            bytes_ahead: 0,
            bytes_limit: BYTES_AHEAD.max(2 * largest),
            delivered: 0,
            silent_since: None,
            losses,
            progress: true,
        };
        Ok((flow, pending))
    }

    /// Waits for what comes next. Dropping the future loses nothing.
    pub(crate) async fn receive(&mut self) -> Result<Arrival, Broken> {
        loop {
            self.refill().await?;
            if let Some(arrival) = self.try_receive()? {
                return Ok(arrival);
            }
            let silent_since = *self.silent_since.get_or_insert_with(Instant::now);
            let message = tokio::select! {
                biased;
                message = self.subscriber.next() => message,
                () = self.link.lost_since(self.losses) => {
                    return Err(Broken("the connection was lost".into()));
                }
                () = tokio::time::sleep_until(silent_since + SILENCE) => {
                    return Err(Broken("the server's heartbeats stay away".into()));
                }
            };
            let message = message.ok_or_else(|| Broken("the connection was closed".into()))?;
            if let Some(arrival) = self.accept(message)? {
                return Ok(arrival);
            }
        }
    }

    /// What is there already, without waiting.
    pub(crate) fn try_receive(&mut self) -> Result<Option<Arrival>, Broken> {
        // Unconstrained: tokio's budget would otherwise end a burst after a hundred messages.
        while let Some(message) = tokio::task::unconstrained(self.subscriber.next()).now_or_never() {
            let message = message.ok_or_else(|| Broken("the connection was closed".into()))?;
            if let Some(arrival) = self.accept(message)? {
                return Ok(Some(arrival));
            }
        }
        Ok(None)
    }

    /// Tells the server that the consumer is not needed any more, as far as that is possible.
    pub(crate) async fn retire(self) {
        if self.link.is_connected() {
            let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.stream, self.consumer);
            // Where it fails, the server drops the consumer by itself a little later.
            let _ = self.link.client.publish(subject, bytes::Bytes::new()).await;
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
            return Ok(());
        }
        let batch = MESSAGES_AHEAD - self.messages_ahead;
        let body = json!({
            "batch": batch,
            "max_bytes": bytes,
            "expires": nanoseconds(EXPIRES),
            "idle_heartbeat": nanoseconds(HEARTBEAT),
        });
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.consumer);
        let publish =
            self.link.client.publish_with_reply(subject, self.inbox.clone(), body.to_string().into());
        tokio::select! {
            sent = publish => sent.map_err(|error| Broken(error.to_string()))?,
            () = self.link.lost_since(self.losses) => return Err(Broken("the connection was lost".into())),
        }
        self.messages_ahead += batch;
        self.bytes_ahead += bytes;
        self.progress = false;
        Ok(())
    }

    fn accept(&mut self, message: Message) -> Result<Option<Arrival>, Broken> {
        self.silent_since = None;
        if let Some(status) = message.status {
            return self.accept_status(&message, status);
        }
        let delivery = message.reply.as_ref().and_then(|reply| Delivery::parse(reply));
        let Some(delivery) = delivery else {
            return Err(Broken("a message came that the consumer did not deliver".into()));
        };
        if delivery.consumer_sequence != self.delivered + 1 {
            return Err(Broken("a delivered message was lost on the way".into()));
        }
        self.delivered += 1;
        self.progress = true;
        self.messages_ahead = self.messages_ahead.saturating_sub(1);
        self.bytes_ahead = self.bytes_ahead.saturating_sub(message.length);
        Ok(Some(Arrival::Message(message, delivery)))
    }

    fn accept_status(&mut self, message: &Message, status: StatusCode) -> Result<Option<Arrival>, Broken> {
        let headers = message.headers.as_ref();
        let number = |name| wire::header(headers, name).and_then(|value| value.parse::<u64>().ok());
        let text = message.description.as_deref().unwrap_or_default();
        match status.as_u16() {
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

async fn create(link: &Link, options: &FlowOptions<'_>, consumer: &str) -> Result<u64, ApiError> {
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
    let created: Created = api::call(link, &operation, &body).await?;
    Ok(created.num_pending)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("the durations here are of seconds")
}
