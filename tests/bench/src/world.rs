//! What a row runs in: one nats-server, `weir` nodes of one revision or another, and relays beside them.

use std::path::{Path, PathBuf};
use std::process::Command;

use model::Digest;
use native::relay::{Kind, Options, Work};
use weir_tests::process::Process;
use weir_tests::{NatsServer, Node, Pipeline, guest};

use crate::process::cpu_seconds;
use crate::streams;

/// Source sequences in a block, as by default.
const BLOCK: u64 = 256;

/// What one side's run gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Events a second, by the times at which the server stored the first and the last record.
    pub(crate) events_per_second: f64,
    /// Processor seconds for a million events: the relay's or the node's own, and the server's.
    pub(crate) own_cpu: f64,
    /// The server's.
    pub(crate) server_cpu: f64,
}

/// A relay as a child process, with its output in a folder.
pub(crate) struct Relay {
    process: Process,
    _folder: tempfile::TempDir,
}

impl Relay {
    /// Starts one.
    pub(crate) fn start(options: &Options) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut command = Command::new(native());
        command.arg("relay").args(options.arguments());
        let process = Process::start("relay", command, &folder.path().join("relay.log"));
        Self { process, _folder: folder }
    }

    /// Its process's id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Panics, with its log, if it has ended.
    pub(crate) fn assert_running(&mut self) {
        let exited = self.process.exited();
        assert!(exited.is_none(), "the relay ended ({exited:?}):\n{}", self.process.log());
    }
}

/// The `weir` that is measured.
pub(crate) fn weir() -> PathBuf {
    folder().join("weir")
}

/// The program of the native sides, built by its own profile.
pub(crate) fn native() -> PathBuf {
    folder().with_file_name("native").join("weir-bench-native")
}

/// Where this program lies.
fn folder() -> PathBuf {
    let exe = std::env::current_exe().expect("a program knows where it is");
    exe.parent().expect("a program lies in a folder").to_owned()
}

/// Starts a node of this program at this server.
pub(crate) fn node(program: &Path, nats: &NatsServer, arguments: &[&str]) -> Node {
    let mut node = Node::stopped_program(program, &[&["--nats", &nats.url()], arguments].concat());
    node.launch();
    node.wait_ready();
    node
}

/// Uploads one of the guests that the build made.
pub(crate) fn push(node: &Node, name: &str) -> Digest {
    node.api().push(&guest(name))
}

/// One run of a relay over `events` events of the stream `IN`.
pub(crate) fn run_relay(nats: &NatsServer, kind: Kind, work: Work, events: u64, replicas: u32) -> Run {
    let mut client = nats.client();
    streams::drop(&mut client, "NATIVE");
    streams::create(&mut client, "NATIVE", &["native.>"], streams::Storage::File, replicas);
    let server = cpu_seconds(nats.id());
    let options = Options { kind, work, nats: nats.url(), source: "IN".into(), prefix: "native".into() };
    let mut relay = Relay::start(&options);
    streams::wait_for(&mut client, "NATIVE", events, || relay.assert_running());
    let (own_cpu, server_cpu) = (cpu_seconds(relay.id()), cpu_seconds(nats.id()) - server);
    std::mem::drop(relay);
    let run = of_stream(&mut client, "NATIVE", 1, events, own_cpu, server_cpu);
    streams::drop(&mut client, "NATIVE");
    // The durable consumer of `acked`; where there is none, nothing is to be deleted.
    let _ = client.api("CONSUMER.DELETE.IN.relay-native", "");
    run
}

/// One run of a pipeline over the `events` events of its source; it and its output stream are removed again.
pub(crate) fn run_pipeline(nats: &NatsServer, node: &Node, pipeline: &Pipeline, events: u64) -> Run {
    run_blocks(nats, node, pipeline, events, BLOCK)
}

/// The same of a pipeline whose blocks are not those of the default.
pub(crate) fn run_blocks(
    nats: &NatsServer,
    node: &Node,
    pipeline: &Pipeline,
    events: u64,
    block: u64,
) -> Run {
    let run = keep_blocks(nats, node, pipeline, events, block);
    remove(node, pipeline);
    streams::drop(&mut nats.client(), "OUT");
    run
}

/// The same, and the output stream stays.
pub(crate) fn run_pipeline_and_keep(nats: &NatsServer, node: &Node, pipeline: &Pipeline, events: u64) -> Run {
    keep_blocks(nats, node, pipeline, events, BLOCK)
}

fn keep_blocks(nats: &NatsServer, node: &Node, pipeline: &Pipeline, events: u64, block: u64) -> Run {
    let mut client = nats.client();
    let (server, own) = (cpu_seconds(nats.id()), cpu_seconds(node.id()));
    node.api().apply(pipeline).expect(201);
    // A revision first, a receipt after each block, and a record for each event.
    let records = 1 + events + events / block;
    streams::wait_for(&mut client, "OUT", records, || {});
    let (own_cpu, server_cpu) = (cpu_seconds(node.id()) - own, cpu_seconds(nats.id()) - server);
    let run = of_stream(&mut client, "OUT", 2, records, own_cpu, server_cpu);
    Run { events_per_second: run.events_per_second * events as f64 / (records - 1) as f64, ..run }
}

/// Deletes a pipeline.
pub(crate) fn remove(node: &Node, pipeline: &Pipeline) {
    node.api().delete(&pipeline.path()).expect(204);
}

fn of_stream(
    client: &mut weir_tests::NatsClient,
    stream: &str,
    first: u64,
    last: u64,
    own: f64,
    server: f64,
) -> Run {
    let elapsed = streams::stored_at(client, stream, last) - streams::stored_at(client, stream, first);
    let millions = (last - first) as f64 / 1e6;
    Run {
        events_per_second: (last - first) as f64 / elapsed,
        own_cpu: own / millions,
        server_cpu: server / millions,
    }
}
