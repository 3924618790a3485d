//! Relays from stream to stream, on async-nats.
//!
//! - `chain` reads without acknowledgements and appends by expected sequence, pipelined, asking for an answer
//!   every few hundred records: exactly once, but without receipts, swaps, sandbox or a check on resuming.
//!   The bare append that Weir is built on, and the fastest relay that we know how to write.
//! - `acked` is the usual one: a durable consumer with explicit acknowledgements, each message published with
//!   `Nats-Msg-Id`, thousands in flight, acknowledged when its publish is. At least once beyond the window.
//!
//! Each has one connection for reading and one for writing, and copies no payload. They run until they are
//! killed: whoever measures looks at the output stream.

use std::collections::VecDeque;

use anyhow::{Context as _, bail};
use async_nats::{Client, HeaderMap, HeaderValue, Message, Subscriber};
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Messages asked for at a time.
const BATCH: usize = 5_000;
/// The most messages handed over from reading to writing at once.
const BURST: usize = 512;
/// A record of `chain` asks for an answer every so often.
const RECORDS_PER_ANSWER: u64 = 500;
/// So many answers may be outstanding.
const ANSWERS_OUTSTANDING: usize = 8;
/// Messages of `acked` in flight.
const IN_FLIGHT: usize = 4_000;

/// Which relay, between which streams.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// How it appends.
    #[arg(long, value_enum)]
    pub kind: Kind,
    /// What it does to a payload.
    #[arg(long, value_enum, default_value = "nothing")]
    pub work: Work,
    /// The NATS server.
    #[arg(long)]
    pub nats: String,
    /// The stream to read.
    #[arg(long)]
    pub source: String,
    /// What the subjects of its output begin with.
    #[arg(long)]
    pub prefix: String,
}

/// How a relay appends.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By expected sequence.
    Chain,
    /// With message ids and acknowledgements.
    Acked,
}

impl Options {
    /// The arguments that [`Options`] are parsed from.
    pub fn arguments(&self) -> Vec<String> {
        fn name(value: &impl clap::ValueEnum) -> String {
            value.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned())
        }
        let pairs = [
            ("--kind", name(&self.kind)),
            ("--work", name(&self.work)),
            ("--nats", self.nats.clone()),
            ("--source", self.source.clone()),
            ("--prefix", self.prefix.clone()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }
}

/// What a relay does to a payload.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Passes it on.
    Nothing,
    /// Masks it, by the very code of `plugins/mask-pii`.
    Mask,
}

/// The masking of row 3, for both sides.
pub fn mask_settings() -> Value {
    json!({
        "key": "not a secret: the bench's own key",
        "rules": [{ "field": "$.tailnum", "action": "tokenise" }, { "field": "$.flight", "action": "hash" }],
    })
}

/// Runs a relay until it is killed.
///
/// # Errors
/// When the server cannot be reached, or refuses anything: such a run is none.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let work = Transform::new(options.work)?;
        let (reading, writing) = (connect(&options.nats).await?, connect(&options.nats).await?);
        match options.kind {
            Kind::Chain => chain(options, work, reading, writing).await,
            Kind::Acked => acked(options, work, reading, writing).await,
        }
    })
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let options = async_nats::ConnectOptions::new().subscription_capacity(4 * BATCH);
    options.connect(url).await.with_context(|| format!("no NATS server at {url}"))
}

/// The work on one payload, native.
enum Transform {
    Nothing,
    Mask(mask_pii::Settings),
}

impl Transform {
    fn new(work: Work) -> anyhow::Result<Self> {
        Ok(match work {
            Work::Nothing => Self::Nothing,
            Work::Mask => Self::Mask(serde_json::from_value(mask_settings())?),
        })
    }

    fn apply(&self, payload: Bytes) -> anyhow::Result<Bytes> {
        let settings = match self {
            Self::Nothing => return Ok(payload),
            Self::Mask(settings) => settings,
        };
        let event = weir_sdk::Event::new("", payload.to_vec());
        match mask_pii::mask(event, settings) {
            Ok(message) => Ok(message.payload.into()),
            Err(reject) => bail!("a payload cannot be masked: {reject:?}"),
        }
    }
}

/// Asks the JetStream API.
async fn call(client: &Client, operation: &str, body: &Value) -> anyhow::Result<Value> {
    let answer = client.request(format!("$JS.API.{operation}"), body.to_string().into()).await?;
    let answer: Value = serde_json::from_slice(&answer.payload)?;
    if let Some(error) = answer.get("error") {
        bail!("{operation}: {error}");
    }
    Ok(answer)
}

/// A pull consumer that is asked for more before it runs dry.
struct Pull {
    client: Client,
    next: String,
    inbox: String,
    messages: Subscriber,
    open: usize,
}

impl Pull {
    async fn new(client: Client, stream: &str, config: Value) -> anyhow::Result<Self> {
        let durable = config["durable_name"].as_str().map(|name| format!(".{name}")).unwrap_or_default();
        let created = format!("CONSUMER.CREATE.{stream}{durable}");
        let consumer = call(&client, &created, &json!({ "stream_name": stream, "config": config })).await?;
        let name = consumer["name"].as_str().context("a consumer without a name")?;
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}");
        let inbox = client.new_inbox();
        let messages = client.subscribe(inbox.clone()).await?;
        Ok(Self { client, next, inbox, messages, open: 0 })
    }

    /// What is there, at least one message.
    async fn burst(&mut self) -> anyhow::Result<Vec<Message>> {
        let mut burst = Vec::with_capacity(BURST);
        while burst.is_empty() {
            if self.open <= BATCH / 2 {
                let body = json!({ "batch": BATCH, "expires": 30_000_000_000_u64 }).to_string();
                self.client.publish_with_reply(self.next.clone(), self.inbox.clone(), body.into()).await?;
                self.open += BATCH;
            }
            let first = self.messages.next().await.context("the connection was closed")?;
            self.take(first, &mut burst);
            while burst.len() < BURST {
                let next = tokio::task::unconstrained(self.messages.next()).now_or_never();
                let Some(Some(message)) = next else { break };
                self.take(message, &mut burst);
            }
        }
        Ok(burst)
    }

    fn take(&mut self, message: Message, burst: &mut Vec<Message>) {
        if message.status.is_none() {
            self.open = self.open.saturating_sub(1);
            burst.push(message);
        } else {
            // The request is over, filled or not.
            self.open = 0;
        }
    }
}

/// The sequence in the source, from the subject to which a delivery would be acknowledged.
fn source_sequence(message: &Message) -> anyhow::Result<u64> {
    let reply = message.reply.as_ref().context("a delivery without a reply subject")?;
    Ok(reply.split('.').nth(5).context("a short reply subject")?.parse()?)
}

async fn chain(options: &Options, work: Transform, reading: Client, writing: Client) -> anyhow::Result<()> {
    let config =
        json!({ "ack_policy": "none", "mem_storage": true, "inactive_threshold": 30_000_000_000_u64 });
    let mut pull = Pull::new(reading, &options.source, config).await?;
    let (bursts, mut taken) = mpsc::channel::<Vec<Message>>(8);
    let reading = tokio::spawn(async move {
        loop {
            if bursts.send(pull.burst().await?).await.is_err() {
                return anyhow::Ok(());
            }
        }
    });
    let inbox = writing.new_inbox();
    let mut answers = writing.subscribe(inbox.clone()).await?;
    let (mut sequence, mut outstanding) = (0_u64, 0);
    while let Some(burst) = taken.recv().await {
        let last = burst.len() - 1;
        for (at, message) in burst.into_iter().enumerate() {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Expected-Last-Sequence", HeaderValue::from(sequence));
            // What a resuming relay would look for in the last record.
            headers.insert("Source", HeaderValue::from(source_sequence(&message)?));
            let subject = format!("{}.{}", options.prefix, message.subject);
            let payload = work.apply(message.payload)?;
            sequence += 1;
            let asks = sequence.is_multiple_of(RECORDS_PER_ANSWER) || (at == last && taken.is_empty());
            if !asks {
                writing.publish_with_headers(subject, headers, payload).await?;
                continue;
            }
            writing.publish_with_reply_and_headers(subject, inbox.clone(), headers, payload).await?;
            outstanding += 1;
            while outstanding > ANSWERS_OUTSTANDING {
                stored(&answers.next().await.context("the connection was closed")?)?;
                outstanding -= 1;
            }
        }
    }
    reading.await?
}

fn stored(answer: &Message) -> anyhow::Result<()> {
    let value: Value = serde_json::from_slice(&answer.payload)?;
    match value.get("error") {
        Some(error) => bail!("a record was refused: {error}"),
        None => Ok(()),
    }
}

async fn acked(options: &Options, work: Transform, reading: Client, writing: Client) -> anyhow::Result<()> {
    let config = json!({ "ack_policy": "explicit", "ack_wait": 30_000_000_000_u64,
        "max_ack_pending": 2 * IN_FLIGHT,
        "durable_name": format!("relay-{}", options.prefix), "name": format!("relay-{}", options.prefix) });
    let acknowledging = reading.clone();
    let mut pull = Pull::new(reading, &options.source, config).await?;
    let context =
        async_nats::jetstream::context::ContextBuilder::new().max_ack_inflight(IN_FLIGHT).build(writing);
    let mut waiting: FuturesUnordered<_> = FuturesUnordered::new();
    let mut burst = VecDeque::new();
    loop {
        if burst.is_empty() && waiting.len() < IN_FLIGHT {
            tokio::select! {
                more = pull.burst() => burst.extend(more?),
                Some(done) = waiting.next(), if !waiting.is_empty() => {
                    acknowledge(&acknowledging, done).await?;
                }
            }
            continue;
        }
        while waiting.len() < IN_FLIGHT
            && let Some(message) = burst.pop_front()
        {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", HeaderValue::from(source_sequence(&message)?));
            let subject = format!("{}.{}", options.prefix, message.subject);
            let payload = work.apply(message.payload)?;
            let answer = context.publish_with_headers(subject, headers, payload).await?;
            let reply = message.reply.context("a delivery without a reply subject")?;
            waiting.push(async move { (answer.await, reply) });
        }
        if let Some(done) = waiting.next().await {
            acknowledge(&acknowledging, done).await?;
        }
        while let Some(Some(done)) = waiting.next().now_or_never() {
            acknowledge(&acknowledging, done).await?;
        }
    }
}

type Published =
    Result<async_nats::jetstream::publish::PublishAck, async_nats::jetstream::context::PublishError>;

async fn acknowledge(
    client: &Client,
    (answer, reply): (Published, async_nats::Subject),
) -> anyhow::Result<()> {
    answer?;
    client.publish(reply, Bytes::from_static(b"+ACK")).await?;
    Ok(())
}
