//! Rows 11 and 12: how quickly things begin, and what they take in memory.

use std::time::Instant;

use serde_json::Value;
use weir_tests::eventually::promptly;
use weir_tests::{Message, NatsClient, NatsServer, Node, Pipeline, guest};

use super::Bench;
use super::append::pipeline;
use crate::pairs;
use crate::process::memory_bytes;
use crate::report::{Goal, Row};
use crate::streams::{self, Storage};
use crate::world;

/// Pipelines of the restarted node.
const PIPELINES: u32 = 50;

/// Row 11.
pub(crate) fn start(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    Ok(vec![
        upload(bench, "11a", "upper-core", "core module")?,
        restart(bench)?,
        swap(bench)?,
        takeover(bench)?,
        upload(bench, "11e", "upper", "component")?,
    ])
}

/// From an upload to the first output.
fn upload(bench: &Bench, id: &str, name: &str, kind: &str) -> anyhow::Result<Row> {
    let nats = NatsServer::start();
    let mut client = nats.client();
    streams::create(&mut client, "IN", &["in.>"], Storage::File, 1);
    streams::fill(&mut client, "in.a", &[b"x".to_vec()], 1);
    let node = world::node(&world::weir(), &nats, &[]);
    let module = guest(name);
    let mut times = Vec::new();
    for _ in 0..bench.size(9, 3) {
        // Bytes of its own each time, so that nothing of it is compiled: an empty custom section more.
        let unique = [&module[..], &custom_section(times.len())].concat();
        let started = Instant::now();
        let pipeline = pipeline("upload").step(node.api().push(&unique));
        node.api().apply(&pipeline).expect(201);
        wait(&mut client, "OUT", 2);
        times.push(started.elapsed().as_secs_f64() * 1e3);
        world::remove(&node, &pipeline);
        streams::drop(&mut client, "OUT");
    }
    let spread = pairs::spread(&mut times);
    let kilobytes = module.len() / 1000;
    let name = format!("from the upload of a {kind} in Rust of {kilobytes} KB to its first output");
    Ok(Row::new(id, &name, pairs::median(&mut times), Goal::AtMost(60.0), "ms").spread(spread))
}

/// A custom section that holds a number.
pub(super) fn custom_section(number: usize) -> Vec<u8> {
    let name = format!("n{number:03}");
    let mut section = vec![0, 1 + 4, 4];
    section.extend_from_slice(name.as_bytes());
    section
}

/// A node with many pipelines, started again.
fn restart(bench: &Bench) -> anyhow::Result<Row> {
    let nats = NatsServer::start();
    let mut client = nats.client();
    streams::create(&mut client, "IN", &["in.>"], Storage::File, 1);
    streams::fill(&mut client, "in.a", &[b"x".to_vec()], 100);
    let mut node = world::node(&world::weir(), &nats, &[]);
    let module = world::push(&node, "identity");
    let outputs: Vec<String> = (0..PIPELINES).map(|number| format!("OUT{number}")).collect();
    for (number, output) in outputs.iter().enumerate() {
        let subject = format!("out{number}.{{subject}}");
        let pipeline = pipeline(&format!("p{number}")).step(module).sink(output, &subject);
        node.api().apply(&pipeline).expect(201);
    }
    outputs.iter().for_each(|output| wait(&mut client, output, 101));
    let mut times = Vec::new();
    for _ in 0..bench.size(5, 2) {
        node.kill9();
        let started = Instant::now();
        node.launch();
        node.wait_ready();
        promptly("all pipelines run", || if all_run(&node) { Ok(()) } else { Err("not yet") });
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let spread = pairs::spread(&mut times);
    let name = format!("a node with {PIPELINES} pipelines, from its start to all of them running");
    Ok(Row::new("11b", &name, pairs::median(&mut times), Goal::AtMost(1_000.0), "ms").spread(spread))
}

fn all_run(node: &Node) -> bool {
    let list = node.api().get("/v1/pipelines").json();
    let list = list["pipelines"].as_array().or(list.as_array()).cloned().unwrap_or_default();
    let runs = |pipeline: &Value| {
        pipeline.pointer("/status/state").or(pipeline.get("state")).is_some_and(|state| state == "running")
    };
    list.len() == PIPELINES as usize && list.iter().all(runs)
}

/// The gap that a swap under load leaves in the output.
fn swap(bench: &Bench) -> anyhow::Result<Row> {
    let events = bench.size(200_000, 60_000);
    let nats = NatsServer::start();
    let mut client = nats.client();
    streams::create(&mut client, "IN", &["in.>"], Storage::File, 1);
    streams::fill(&mut client, "in.a", &[vec![b'x'; 256]], events);
    let node = world::node(&world::weir(), &nats, &[]);
    let (one, other) = (world::push(&node, "identity"), world::push(&node, "upper"));
    let mut gaps = Vec::new();
    for _ in 0..bench.size(5, 2) {
        let (first, second) = (pipeline("swap").step(one), pipeline("swap").step(other));
        node.api().apply(&first).expect(201);
        wait(&mut client, "OUT", 5_000);
        node.api().apply(&second).expect(200);
        streams::wait_for(&mut client, "OUT", events as u64, || {});
        let revision = last_on(&mut client, "OUT", "weir.swap.revision");
        let before = streams::stored_at(&mut client, "OUT", revision - 1);
        let after = streams::stored_at(&mut client, "OUT", revision + 1);
        gaps.push((after - before) * 1e3);
        world::remove(&node, &first);
        streams::drop(&mut client, "OUT");
    }
    let spread = pairs::spread(&mut gaps);
    let name = "the gap in the output around a swap under load";
    Ok(Row::new("11c", name, pairs::median(&mut gaps), Goal::AtMost(5.0), "ms").spread(spread))
}

/// A node is killed under load, and another one goes on.
fn takeover(bench: &Bench) -> anyhow::Result<Row> {
    let nats = NatsServer::start();
    let mut client = nats.client();
    streams::create(&mut client, "IN", &["in.>"], Storage::File, 1);
    let mut nodes = [0, 1].map(|_| world::node(&world::weir(), &nats, &[]));
    let module = world::push(&nodes[0], "identity");
    let pipeline = pipeline("takeover").step(module);
    nodes[0].api().apply(&pipeline).expect(201);
    wait(&mut client, "OUT", 1);
    let mut times = Vec::new();
    for round in 0..bench.size(6, 2) {
        // Whoever wins is killed; an event that is published then has to come through by the other.
        let last = streams::last(&mut client, "OUT").unwrap_or(0);
        streams::fill(&mut client, "in.a", &[b"x".to_vec()], 100);
        wait(&mut client, "OUT", last + 100);
        nodes[round % 2].kill9();
        let last = streams::last(&mut client, "OUT").unwrap_or(0);
        let started = Instant::now();
        client.store([Message::new("in.a", "x")]).expect("the event is stored");
        wait(&mut client, "OUT", last + 1);
        times.push(started.elapsed().as_secs_f64() * 1e3);
        nodes[round % 2].launch();
        nodes[round % 2].wait_ready();
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    let name = "from killing one of two nodes to the next event's record, at worst";
    Ok(Row::new("11d", name, worst, Goal::AtMost(1_000.0), "ms").spread(pairs::spread(&mut times)))
}

/// Row 12.
pub(crate) fn memory(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let mib = |bytes: f64| bytes / (1024.0 * 1024.0);
    let nats = NatsServer::start();
    let mut client = nats.client();
    streams::create(&mut client, "IN", &["in.>"], Storage::File, 1);
    let node = world::node(&world::weir(), &nats, &[]);
    let rest = memory_bytes(node.id(), "VmRSS");
    let mut rows = vec![Row::new("12a", "memory of a node at rest", mib(rest), Goal::AtMost(40.0), "MiB")];
    let module = world::push(&node, "identity");
    let before = memory_bytes(node.id(), "VmRSS");
    for number in 0..PIPELINES {
        let subject = format!("out{number}.{{subject}}");
        let output = format!("OUT{number}");
        let pipeline = pipeline(&format!("p{number}")).step(module).sink(&output, &subject);
        node.api().apply(&pipeline).expect(201);
        wait(&mut client, &output, 1);
    }
    let each = (memory_bytes(node.id(), "VmRSS") - before) / f64::from(PIPELINES);
    rows.push(Row::new(
        "12b",
        "memory of each further pipeline at rest",
        mib(each),
        Goal::AtMost(2.0),
        "MiB",
    ));
    rows.push(backlog(bench)?);
    Ok(rows)
}

/// How much the most memory grows while a long backlog is worked through.
fn backlog(bench: &Bench) -> anyhow::Result<Row> {
    let events: u64 = bench.size(1_000_000, 200_000);
    let nats = NatsServer::start();
    let mut client = nats.client();
    streams::create(&mut client, "IN", &["in.>"], Storage::File, 1);
    streams::fill(&mut client, "in.a", &[vec![b'x'; 100]], usize::try_from(events)?);
    let node = world::node(&world::weir(), &nats, &[]);
    let pipeline: Pipeline = pipeline("backlog").step(world::push(&node, "identity"));
    node.api().apply(&pipeline).expect(201);
    streams::wait_for(&mut client, "OUT", events / 10, || {});
    let early = memory_bytes(node.id(), "VmHWM");
    streams::wait_for(&mut client, "OUT", events, || {});
    let late = memory_bytes(node.id(), "VmHWM");
    let name = format!("the most memory at the end of a backlog of {events}, over that at a tenth of it");
    let note = format!("{:.0} MiB against {:.0} MiB", late / 1048576.0, early / 1048576.0);
    Ok(Row::new("12c", &name, late / early, Goal::AtMost(1.1), "times").noted(&note))
}

/// Waits, with little delay, until a stream ends at `sequence` or later.
fn wait(client: &mut NatsClient, stream: &str, sequence: u64) {
    promptly(&format!("{stream} ends at {sequence}"), || match streams::last(client, stream) {
        Ok(last) if last >= sequence => Ok(()),
        other => Err(other),
    });
}

fn last_on(client: &mut NatsClient, stream: &str, subject: &str) -> u64 {
    let body = serde_json::json!({ "last_by_subj": subject }).to_string();
    let found = client.api(&format!("STREAM.MSG.GET.{stream}"), body).expect("there is one");
    found["message"]["seq"].as_u64().expect("it has a sequence")
}
