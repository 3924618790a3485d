//! An open load on a stream, and how long its events take until they are delivered from another one.
//!
//! Each event has its time, whether or not the ones before it have come through, and what counts is from that
//! time on, so that a stall shows in all the events that it held up (no coordinated omission). The end is the
//! delivery of what became of the event to a consumer of the whole output stream.
//!
//! It stands here, not in the bench itself, so that its own work is as little as the compiler can make it:
//! it shares the machine's cores with what is measured.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_nats::Client;
use futures_util::StreamExt as _;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::time::{MissedTickBehavior, timeout};

/// Payload of an event; its time stands in the first eight bytes.
const PAYLOAD_BYTES: usize = 256;
/// Events are published in steps of this.
const STEP: Duration = Duration::from_millis(1);
/// The longest latency that is told apart.
pub const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// Digits of a latency that are kept.
pub const DIGITS: u8 = 3;

/// How much, and from where to where.
#[derive(clap::Args, Clone)]
pub struct Options {
    /// The NATS server.
    #[arg(long)]
    pub nats: String,
    /// The subject that events are published on.
    #[arg(long)]
    pub subject: String,
    /// The stream that takes what becomes of them, in their order.
    #[arg(long)]
    pub output: String,
    /// What the subjects of that begin with; what else the stream holds is passed over.
    #[arg(long)]
    pub prefix: String,
    /// Events a second.
    #[arg(long)]
    pub rate: u64,
    /// Events in all.
    #[arg(long)]
    pub count: u64,
}

impl Options {
    /// The arguments that [`Options`] are parsed from.
    pub fn arguments(&self) -> Vec<String> {
        let pairs = [
            ("--nats", self.nats.clone()),
            ("--subject", self.subject.clone()),
            ("--output", self.output.clone()),
            ("--prefix", self.prefix.clone()),
            ("--rate", self.rate.to_string()),
            ("--count", self.count.to_string()),
        ];
        pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }
}

/// Runs a load to its end, and prints its latencies as JSON: a list of pairs, nanoseconds and how many events
/// took as long.
///
/// # Errors
/// When the server cannot be reached, or an event does not come through.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let latencies = runtime.block_on(measure(options))?;
    let pairs: Vec<_> =
        latencies.iter_recorded().map(|at| (at.value_iterated_to(), at.count_at_value())).collect();
    println!("{}", json!(pairs));
    Ok(())
}

async fn measure(options: &Options) -> anyhow::Result<Histogram<u64>> {
    let client = async_nats::connect(&options.nats).await?;
    let inbox = client.new_inbox();
    let mut records = client.subscribe(inbox.clone()).await?;
    let config = json!({ "deliver_subject": inbox, "ack_policy": "none" });
    let body = json!({ "stream_name": options.output, "config": config }).to_string();
    let answer = client.request(format!("$JS.API.CONSUMER.CREATE.{}", options.output), body.into()).await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload)?;
    ensure!(answer.get("error").is_none(), "no consumer of {}: {answer}", options.output);

    let publishing = async_nats::connect(&options.nats).await?;
    let origin = Instant::now();
    let load = tokio::spawn(publish(publishing, origin, options.clone()));
    let mut latencies = Histogram::new_with_max(LATENCY_NS_MAX, DIGITS)?;
    while latencies.len() < options.count {
        let record = timeout(Duration::from_secs(60), records.next()).await;
        let record = record.context("a record stays away")?.context("the connection was closed")?;
        if record.subject.starts_with(&options.prefix) {
            let at = record.payload.get(..8).context("a record is none of this load's")?.try_into()?;
            let latency = u64::try_from(origin.elapsed().as_nanos())?.saturating_sub(u64::from_le_bytes(at));
            latencies.saturating_record(latency);
        }
    }
    load.await??;
    Ok(latencies)
}

/// Publishes each event when its time has come, with that time in it.
async fn publish(client: Client, origin: Instant, options: Options) -> anyhow::Result<()> {
    let (mut sent, mut ticks) = (0, tokio::time::interval(STEP));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while sent < options.count {
        ticks.tick().await;
        let due = (origin.elapsed().as_nanos() * u128::from(options.rate) / 1_000_000_000) as u64;
        while sent < due.min(options.count) {
            let mut payload = vec![b'x'; PAYLOAD_BYTES];
            payload[..8].copy_from_slice(&(sent * 1_000_000_000 / options.rate).to_le_bytes());
            client.publish(options.subject.clone(), payload.into()).await?;
            sent += 1;
        }
    }
    client.flush().await?;
    Ok(())
}
