//! Rows 7 and 15: how long an event takes from end to end, at a fixed rate, against the bare relay, and while
//! the node compiles a large module.
//!
//! The load is open: each event has its time, whether or not the ones before it have come through, and what
//! counts is from that time on, so that a stall shows in all the events that it held up (no coordinated
//! omission). The end is the delivery of the record to a consumer of the output stream.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use async_nats::Client;
use futures_util::StreamExt as _;
use hdrhistogram::Histogram;
use model::Digest;
use native::relay::{Kind, Options, Work};
use serde_json::json;
use weir_tests::{NatsServer, Node, guest, within};

use super::Bench;
use super::append::pipeline;
use super::start::custom_section;
use crate::pairs;
use crate::report::{Goal, Row};
use crate::streams::{self, Storage};
use crate::world::{self, Relay};

/// Payload of an event; its time stands in the first eight bytes.
const PAYLOAD_BYTES: usize = 256;
/// Events are published in steps of this.
const STEP: Duration = Duration::from_millis(1);
/// How long the compiler may take, which lets others go first.
const COMPILING_PATIENCE: Duration = Duration::from_secs(120);
/// The longest latency that is told apart.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// Row 7.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let nats = NatsServer::start();
    let node = world::node(&world::weir(), &nats, &[]);
    let seconds = bench.size(8, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rows = Vec::new();
    for (storage, kept) in [(Storage::Memory, "memory"), (Storage::File, "file")] {
        for rate in [1_000, 10_000] {
            let load = Load { nats: &nats, storage, rate, seconds };
            let (mut ours, mut theirs) = (Latencies::new()?, Latencies::new()?);
            let compared = pairs::compare(
                bench.pairs(5),
                || load.pipeline(&runtime, &node, &mut ours),
                || load.relay(&runtime, &mut theirs),
            )?;
            let id = format!("7{}", char::from(b'a' + u8::try_from(rows.len())?));
            let name =
                format!("p99 from end to end, {rate} events/s, {kept} streams, against the bare relay");
            let note = format!("p50/p99/p99.9 in ms: {} against {}", ours.text(), theirs.text());
            rows.push(Row::compared(&id, &name, &compared, Goal::AtMost(1.25), "ms").noted(&note));
        }
    }
    Ok(rows)
}

/// Row 15.
pub(crate) fn while_compiling(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let nats = NatsServer::start();
    let node = world::node(&world::weir(), &nats, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // CPython takes the compiler as long as QuickJS takes four times over.
    let (guest_name, what, seconds) =
        bench.size(("python-hello", "Python", 6), ("js-hello", "JavaScript", 1));
    let module = guest(guest_name);
    let load = Load { nats: &nats, storage: Storage::File, rate: 1_000, seconds };
    let (mut compiling, mut quiet) = (Latencies::new()?, Latencies::new()?);
    let mut uploads = 0;
    let compared = pairs::compare(
        bench.pairs(bench.size(3, 1)),
        || {
            uploads += 1;
            let large = [&module[..], &custom_section(uploads)].concat();
            let digest = upload(&node, &large);
            let p99 = load.pipeline(&runtime, &node, &mut compiling)?;
            ensure!(is_compiling(&node, digest), "the module was compiled before the load was over");
            within(COMPILING_PATIENCE, "the module is compiled", || {
                if is_compiling(&node, digest) { Err("it is being compiled") } else { Ok(()) }
            });
            Ok(p99)
        },
        || load.pipeline(&runtime, &node, &mut quiet),
    )?;
    let name = format!("p99 at 1000 events/s while a {what} module compiles on the node, against without");
    let note = format!("p50/p99/p99.9 in ms: {} against {}", compiling.text(), quiet.text());
    Ok(vec![Row::compared("15", &name, &compared, Goal::AtMost(1.25), "ms").noted(&note)])
}

/// Uploads a module, and does not wait until it is compiled.
fn upload(node: &Node, module: &[u8]) -> Digest {
    let request = node.api().request("POST", "/v1/modules").header("content-type", "application/wasm");
    request.header("prefer", "respond-async").send(module).expect(202);
    Digest::of(module)
}

fn is_compiling(node: &Node, digest: Digest) -> bool {
    node.api().get(&format!("/v1/modules/{digest}")).expect(200).json()["state"] == "compiling"
}

/// All latencies of one side.
struct Latencies(Histogram<u64>);

impl Latencies {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_max(LATENCY_NS_MAX, 3)?))
    }

    fn text(&self) -> String {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e6;
        format!("{:.2}/{:.2}/{:.2}", at(0.5), at(0.99), at(0.999))
    }
}

struct Load<'a> {
    nats: &'a NatsServer,
    storage: Storage,
    rate: u64,
    seconds: u64,
}

impl Load<'_> {
    fn pipeline(
        &self,
        runtime: &tokio::runtime::Runtime,
        node: &Node,
        all: &mut Latencies,
    ) -> anyhow::Result<f64> {
        let mut client = self.fresh("OUT", &["out.>", "weir.latency.>"]);
        let pipeline = pipeline("latency").step(world::push(node, "identity"));
        node.api().apply(&pipeline).expect(201);
        streams::wait_for(&mut client, "OUT", 1, || {});
        let p99 = runtime.block_on(self.run("OUT", "out.>", all))?;
        world::remove(node, &pipeline);
        Ok(p99)
    }

    fn relay(&self, runtime: &tokio::runtime::Runtime, all: &mut Latencies) -> anyhow::Result<f64> {
        drop(self.fresh("NATIVE", &["native.>"]));
        let options = Options {
            kind: Kind::Chain,
            work: Work::Nothing,
            nats: self.nats.url(),
            source: "IN".into(),
            prefix: "native".into(),
        };
        let relay = Relay::start(&options);
        let p99 = runtime.block_on(self.run("NATIVE", "native.>", all));
        drop(relay);
        p99
    }

    fn fresh(&self, output: &str, subjects: &[&str]) -> weir_tests::NatsClient {
        let mut client = self.nats.client();
        for (name, subjects) in [("IN", &["in.>"][..]), (output, subjects)] {
            streams::drop(&mut client, name);
            streams::create(&mut client, name, subjects, self.storage, 1);
        }
        client
    }

    /// Publishes at the rate and takes the records; gives the 99th percentile of this run in milliseconds.
    async fn run(&self, output: &str, subjects: &str, all: &mut Latencies) -> anyhow::Result<f64> {
        let client = async_nats::connect(self.nats.url()).await?;
        let inbox = client.new_inbox();
        let mut records = client.subscribe(inbox.clone()).await?;
        let config = json!({ "deliver_subject": inbox, "ack_policy": "none", "filter_subject": subjects });
        let body = json!({ "stream_name": output, "config": config }).to_string();
        client.request(format!("$JS.API.CONSUMER.CREATE.{output}"), body.into()).await?;
        let origin = Instant::now();
        let expected = self.rate * self.seconds;
        let publishing = async_nats::connect(self.nats.url()).await?;
        let load = tokio::spawn(publish(publishing, origin, self.rate, expected));
        let mut run = Latencies::new()?;
        for _ in 0..expected {
            let record = tokio::time::timeout(Duration::from_secs(60), records.next()).await;
            let record = record.context("a record stays away")?.context("the connection was closed")?;
            let at = u64::from_le_bytes(record.payload[..8].try_into()?);
            let latency = u64::try_from(origin.elapsed().as_nanos())?.saturating_sub(at);
            run.0.saturating_record(latency);
        }
        load.await??;
        all.0.add(&run.0)?;
        Ok(run.0.value_at_quantile(0.99) as f64 / 1e6)
    }
}

/// Publishes each event when its time has come, with that time in it.
async fn publish(client: Client, origin: Instant, rate: u64, count: u64) -> anyhow::Result<()> {
    let (mut sent, mut ticks) = (0, tokio::time::interval(STEP));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    while sent < count {
        ticks.tick().await;
        let due = (origin.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000) as u64;
        while sent < due.min(count) {
            let mut payload = vec![b'x'; PAYLOAD_BYTES];
            payload[..8].copy_from_slice(&(sent * 1_000_000_000 / rate).to_le_bytes());
            client.publish("in.a", payload.into()).await?;
            sent += 1;
        }
    }
    client.flush().await?;
    Ok(())
}
