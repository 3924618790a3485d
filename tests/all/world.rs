//! What most tests begin with: a nats-server with a source stream `IN` of `in.>`, and one node.

use model::{Digest, RecordKind};
use serde_json::Value;
use weir_tests::stream::{self, Placed};
use weir_tests::{Api, NatsClient, NatsServer, NatsVersion, Node, Pipeline, Reply, eventually, guest};

/// A server, a node, and connections to both. The node goes first when it is dropped.
pub(crate) struct World {
    pub(crate) client: NatsClient,
    pub(crate) node: Node,
    pub(crate) nats: NatsServer,
}

impl World {
    /// With the newest server.
    pub(crate) fn new() -> Self {
        Self::on(NatsServer::start())
    }

    /// With a server of this version.
    pub(crate) fn of(version: NatsVersion) -> Self {
        Self::on(NatsServer::start_version(version))
    }

    /// With this server.
    pub(crate) fn on(nats: NatsServer) -> Self {
        let mut client = nats.client();
        stream::create(&mut client, "IN", &["in.>"]);
        let node = Node::start(&nats);
        Self { client, node, nats }
    }

    pub(crate) fn api(&self) -> Api {
        self.node.api()
    }

    /// Uploads a guest.
    pub(crate) fn push(&self, name: &str) -> Digest {
        self.api().push(&guest(name))
    }

    /// Applies a pipeline that has to be accepted.
    pub(crate) fn apply(&self, pipeline: &Pipeline) -> Reply {
        let reply = self.api().apply(pipeline);
        assert!([200, 201].contains(&reply.status), "the pipeline is refused: {reply}\n{}", pipeline.toml());
        reply
    }

    /// Stores events under `in.a`; returns the last sequence.
    pub(crate) fn put<T: AsRef<[u8]>>(&mut self, payloads: &[T]) -> u64 {
        stream::put(&mut self.client, "in.a", payloads)
    }

    pub(crate) fn status(&self, pipeline: &str) -> Value {
        self.api().get(&format!("/v1/pipelines/{pipeline}/status")).expect(200).json()
    }

    /// Waits until all records of the event `sequence` are appended.
    pub(crate) fn settle(&self, pipeline: &str, sequence: u64) -> Value {
        eventually(&format!("{pipeline} gets to event {sequence}"), || {
            let status = self.status(pipeline);
            let is_there = status["position"].as_u64().is_some_and(|position| position >= sequence);
            if is_there { Ok(status) } else { Err(status) }
        })
    }

    /// Applies a pipeline, and waits until its plan is in force, so that the next event is its own.
    pub(crate) fn put_in_force(&self, pipeline: &Pipeline, name: &str) {
        let applied = self.apply(pipeline).json();
        eventually(&format!("the plan of {name} is in force"), || {
            let status = self.status(name);
            if status["generation"] == applied["generation"] { Ok(()) } else { Err(status) }
        });
    }

    /// Waits until the pipeline is in this state.
    pub(crate) fn wait_state(&self, pipeline: &str, state: &str) -> Value {
        eventually(&format!("{pipeline} is {state}"), || {
            let status = self.status(pipeline);
            if status["state"] == state { Ok(status) } else { Err(status) }
        })
    }

    /// All records of a pipeline's stream.
    pub(crate) fn records(&mut self, pipeline: &str, stream: &str) -> Vec<Placed> {
        stream::records(&mut self.client, pipeline, stream)
    }
}

/// The payloads of all messages among `records`, as text.
pub(crate) fn messages(records: &[Placed]) -> Vec<String> {
    let messages = records.iter().filter(|placed| placed.record.kind == RecordKind::Message);
    messages.map(|placed| String::from_utf8_lossy(&placed.record.payload).into_owned()).collect()
}

/// The records of one kind.
pub(crate) fn of_kind(records: &[Placed], kind: RecordKind) -> Vec<&Placed> {
    records.iter().filter(|placed| placed.record.kind == kind).collect()
}
