//! Rows 1 to 3: from stream to stream, against the hand-written relays.

use std::path::Path;

use anyhow::Context as _;
use native::relay::{Kind, Work, mask_settings};
use weir_tests::{NatsServer, Node, Pipeline};

use super::Bench;
use crate::pairs::{self, Compared};
use crate::report::{Goal, Row};
use crate::streams::{self, Storage};
use crate::world::{self, Run};

/// Payload of an event of rows 1 and 2.
const PAYLOAD_BYTES: usize = 256;

/// Rows 1 and 2.
pub(crate) fn identity(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let events = bench.size(300_000, 60_000);
    let (nats, node) = world_with(&[vec![b'x'; PAYLOAD_BYTES]], events);
    let module = world::push(&node, "identity");
    let pipeline = pipeline("relay").step(module);
    let weir = || world::run_pipeline(&nats, &node, &pipeline, events);
    let mut rows = Vec::new();
    for (id, against, kind, goal) in [
        ("1", "bare append by expected sequence", Kind::Chain, 0.95),
        ("2", "explicit ack and Nats-Msg-Id", Kind::Acked, 2.0),
    ] {
        let relay = || world::run_relay(&nats, kind, Work::Nothing, events, 1);
        let (compared, cpu) = sides(bench.pairs(7), weir, relay)?;
        let name = format!("NATS, identity component, NATS, against {against}");
        rows.push(Row::compared(id, &name, &compared, Goal::AtLeast(goal), "events/s").noted(&cpu));
    }
    Ok(rows)
}

/// Row 8.
pub(crate) fn packed(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    const EVENTS: u64 = 1_000;
    const BLOCK: u64 = 16;
    let line = [vec![b'x'; PAYLOAD_BYTES - 1], b"\n".to_vec()].concat();
    let messages = bench.size(3_000, 1_000);
    let (nats, node) = world_with(&[line.repeat(EVENTS as usize)], messages);
    let mut rows = Vec::new();
    for (id, what, guest) in [("8a", "core module", "upper-c"), ("8b", "component", "upper")] {
        // Blocks count messages: small ones, so that both cores have some.
        let pipeline = Pipeline::new("packed")
            .line(&format!("block = {BLOCK}"))
            .source("stream = \"IN\"\nstart = \"beginning\"\nformat = \"ndjson\"")
            .sink_lines("format = \"ndjson\"")
            .step(world::push(&node, guest));
        let (mut rates, mut own) = (Vec::new(), Vec::new());
        for _ in 0..bench.size(5, 2) {
            let run = world::run_blocks(&nats, &node, &pipeline, messages, BLOCK);
            rates.push(run.events_per_second * EVENTS as f64);
            own.push((run.own_cpu + run.server_cpu) / EVENTS as f64);
        }
        let name = format!("NATS, {what} on lines of {EVENTS} to a message, NATS");
        let spread = pairs::spread(&mut rates);
        let note =
            format!("processor seconds for a million events, own + server: {:.2}", pairs::median(&mut own));
        let goal = Goal::AtLeast(1e6);
        rows.push(
            Row::new(id, &name, pairs::median(&mut rates), goal, "events/s").spread(spread).noted(&note),
        );
    }
    Ok(rows)
}

/// Row 3.
pub(crate) fn mask(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let events = bench.size(200_000, 40_000);
    let (nats, node) = world_with(&flights(bench)?, events);
    let pipeline = masking(&node);
    let weir = || world::run_pipeline(&nats, &node, &pipeline, events);
    let relay = || world::run_relay(&nats, Kind::Chain, Work::Mask, events, 1);
    let (compared, cpu) = sides(bench.pairs(5), weir, relay)?;
    let name = "NATS, mask-pii on flights, NATS, against the same code native";
    Ok(vec![Row::compared("3", name, &compared, Goal::AtLeast(0.85), "events/s").noted(&cpu)])
}

/// The pipeline of row 1, of this revision against another one.
pub(crate) fn identity_against_base(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let payloads = [vec![b'x'; PAYLOAD_BYTES]];
    let identity = |node: &Node| pipeline("relay").step(world::push(node, "identity"));
    Ok(vec![against_base(
        bench,
        ("1", "the identity component"),
        &payloads,
        bench.size(300_000, 60_000),
        identity,
    )?])
}

/// The pipeline of row 3, of this revision against another one.
pub(crate) fn mask_against_base(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let payloads = flights(bench)?;
    Ok(vec![against_base(bench, ("3", "mask-pii"), &payloads, bench.size(200_000, 40_000), masking)?])
}

fn against_base(
    bench: &Bench,
    (id, what): (&str, &str),
    payloads: &[Vec<u8>],
    events: u64,
    make: impl Fn(&Node) -> Pipeline,
) -> anyhow::Result<Row> {
    let base = bench.suite.base.clone().context("--base names no program")?;
    let (nats, node) = world_with(payloads, events);
    let pipeline = make(&node);
    // One node at a time, since two would race for the same pipeline.
    drop(node);
    let run = |program: &Path| {
        let node = world::node(program, &nats, &[]);
        world::run_pipeline(&nats, &node, &pipeline, events)
    };
    let (compared, cpu) = sides(bench.pairs(7), || run(&world::weir()), || run(&base))?;
    let name = format!("NATS, {what}, NATS, this revision against the other");
    Ok(Row::compared(id, &name, &compared, Goal::AtLeast(0.97), "events/s").noted(&cpu))
}

/// The pipeline that masks.
pub(crate) fn masking(node: &Node) -> Pipeline {
    let module = world::push(node, "mask_pii");
    let config = mask_settings();
    let rules = "rules = [{ field = \"$.tailnum\", action = \"tokenise\" }, { field = \"$.flight\", action = \"hash\" }]";
    pipeline("mask").step_with(module, &format!("[steps.config]\nkey = {}\n{rules}\n", config["key"]))
}

/// Flights as JSON, one a payload.
pub(crate) fn flights(bench: &Bench) -> anyhow::Result<Vec<Vec<u8>>> {
    let sample = weir_tests::process::root().join("examples/flights/flights-sample.ndjson");
    let path = bench.suite.flights.clone().unwrap_or(sample);
    let text = std::fs::read_to_string(&path)?;
    Ok(text.lines().map(|line| line.as_bytes().to_vec()).collect())
}

/// A pipeline from the stream `IN` to the stream `OUT`.
pub(crate) fn pipeline(name: &str) -> Pipeline {
    Pipeline::new(name).source("stream = \"IN\"\nstart = \"beginning\"")
}

/// A server with its source filled, and a node.
pub(crate) fn world_with(payloads: &[Vec<u8>], events: u64) -> (NatsServer, Node) {
    let nats = NatsServer::start();
    let mut client = nats.client();
    streams::create(&mut client, "IN", &["in.>"], Storage::File, 1);
    streams::fill(&mut client, "in.a", payloads, usize::try_from(events).expect("events fit the memory"));
    let node = world::node(&world::weir(), &nats, &[]);
    (nats, node)
}

/// Compares the two sides, and says what processor time each took.
fn sides(
    pairs: usize,
    mut first: impl FnMut() -> Run,
    mut second: impl FnMut() -> Run,
) -> anyhow::Result<(Compared, String)> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let compared = pairs::compare(
        pairs,
        || {
            let run = first();
            ours.push(run);
            Ok(run.events_per_second)
        },
        || {
            let run = second();
            theirs.push(run);
            Ok(run.events_per_second)
        },
    )?;
    let cpu = |runs: &[Run]| {
        let part = |part: fn(&Run) -> f64| pairs::median(&mut runs.iter().map(part).collect::<Vec<_>>());
        format!("{:.1} + {:.1}", part(|run| run.own_cpu), part(|run| run.server_cpu))
    };
    let note = format!(
        "processor seconds for a million records, own + server: {} against {}",
        cpu(&ours),
        cpu(&theirs)
    );
    Ok((compared, note))
}
