//! Rows 7 and 15: how long an event takes from end to end, at a fixed rate, against the bare relay, and while
//! the node compiles a large module.
//!
//! The load, and what counts as an event's latency, is [`native::load`]'s.

use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use hdrhistogram::Histogram;
use model::Digest;
use native::load::{DIGITS, LATENCY_NS_MAX};
use native::relay::{Kind, Options, Work};
use weir_tests::{NatsServer, Node, guest, within};

use super::Bench;
use super::append::pipeline;
use super::start::custom_section;
use crate::pairs;
use crate::report::{Goal, Row};
use crate::streams::{self, Storage};
use crate::world::{self, Relay};

/// How long the compiler may take, which lets others go first.
const COMPILING_PATIENCE: Duration = Duration::from_secs(120);

/// Row 7.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let nats = NatsServer::start();
    let node = world::node(&world::weir(), &nats, &[]);
    let seconds = bench.size(8, 1);
    let mut rows = Vec::new();
    for (storage, kept) in [(Storage::Memory, "memory"), (Storage::File, "file")] {
        for rate in [1_000, 10_000] {
            let load = Load { nats: &nats, storage, rate, seconds };
            let (mut ours, mut theirs) = (Latencies::new()?, Latencies::new()?);
            let compared = pairs::compare(
                bench.pairs(5),
                || load.pipeline(&node, &mut ours),
                || load.relay(&mut theirs),
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
            let p99 = load.pipeline(&node, &mut compiling)?;
            ensure!(is_compiling(&node, digest), "the module was compiled before the load was over");
            within(COMPILING_PATIENCE, "the module is compiled", || {
                if is_compiling(&node, digest) { Err("it is being compiled") } else { Ok(()) }
            });
            Ok(p99)
        },
        || load.pipeline(&node, &mut quiet),
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
        Ok(Self(Histogram::new_with_max(LATENCY_NS_MAX, DIGITS)?))
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
    fn pipeline(&self, node: &Node, all: &mut Latencies) -> anyhow::Result<f64> {
        let mut client = self.fresh("OUT", &["out.>", "weir.latency.>"]);
        let pipeline = pipeline("latency").step(world::push(node, "identity"));
        node.api().apply(&pipeline).expect(201);
        streams::wait_for(&mut client, "OUT", 1, || {});
        let p99 = self.run("OUT", "out.", all)?;
        world::remove(node, &pipeline);
        Ok(p99)
    }

    fn relay(&self, all: &mut Latencies) -> anyhow::Result<f64> {
        drop(self.fresh("NATIVE", &["native.>"]));
        let options = Options {
            kind: Kind::Chain,
            work: Work::Nothing,
            nats: self.nats.url(),
            source: "IN".into(),
            prefix: "native".into(),
        };
        let relay = Relay::start(&options);
        let p99 = self.run("NATIVE", "native.", all);
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
    fn run(&self, output: &str, prefix: &str, all: &mut Latencies) -> anyhow::Result<f64> {
        let options = native::load::Options {
            nats: self.nats.url(),
            subject: "in.a".into(),
            output: output.into(),
            prefix: prefix.into(),
            rate: self.rate,
            count: self.rate * self.seconds,
        };
        let load = Command::new(world::native()).arg("load").args(options.arguments()).output()?;
        ensure!(load.status.success(), "the load failed: {}", String::from_utf8_lossy(&load.stderr));
        let mut run = Latencies::new()?;
        let counts: Vec<(u64, u64)> = serde_json::from_slice(&load.stdout)?;
        for (latency, count) in counts {
            run.0.saturating_record_n(latency, count);
        }
        all.0.add(&run.0)?;
        Ok(run.0.value_at_quantile(0.99) as f64 / 1e6)
    }
}
