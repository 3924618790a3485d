//! Real servers for the tests, and the words that the tests are written in.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use broker::{Broker, ConnectOptions};
use model::{Digest, Headers, Place, Position, Record, RecordId, RecordKind, StreamName, SubjectPattern};

/// More than anything here should take; only a hang meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The servers to test against: the newest first, then 2.9 if it is there.
pub(crate) fn servers() -> Vec<PathBuf> {
    let mut servers = vec![server()];
    let old = repository().join(".tools/bin/nats-server-2.9");
    servers.extend(old.is_file().then_some(old));
    servers
}

/// The newest server.
pub(crate) fn server() -> PathBuf {
    let tools = repository().join(".tools/bin/nats-server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::var_os("WEIR_TEST_NATS_SERVER")
        .map(PathBuf::from)
        .into_iter()
        .chain([tools])
        .chain(std::env::split_paths(&path).map(|directory| directory.join("nats-server")))
        .find(|candidate| candidate.is_file())
        .expect("no nats-server: run `make tools`, set WEIR_TEST_NATS_SERVER, or put one on PATH")
}

fn repository() -> &'static Path {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_directory.ancestors().nth(2).expect("the crate lies two levels under the repository")
}

/// A nats-server of the test's own. Ends with the test.
pub(crate) struct TestServer {
    binary: PathBuf,
    data: tempfile::TempDir,
    address: SocketAddr,
    config: &'static str,
    child: Child,
}

impl TestServer {
    pub(crate) fn start(binary: &Path) -> Self {
        Self::start_with(binary, "jetstream: enabled")
    }

    /// Starts a server with these lines in its configuration.
    pub(crate) fn start_with(binary: &Path, config: &'static str) -> Self {
        let data = tempfile::tempdir().expect("a directory for the server");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it has an address");
        drop(listener);
        let child = spawn(binary, data.path(), address, config);
        let server = Self { binary: binary.to_owned(), data, address, config, child };
        server.wait();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    pub(crate) fn options(&self) -> ConnectOptions {
        ConnectOptions { servers: vec![self.url()], name: "test".into(), ..ConnectOptions::default() }
    }

    pub(crate) async fn broker(&self) -> Broker {
        // JetStream may open a moment after the port.
        eventually(async || Broker::connect(self.options()).await.ok()).await
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server can be waited for");
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.binary, self.data.path(), self.address, self.config);
        self.wait();
    }

    fn wait(&self) {
        let start = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(start.elapsed() < PATIENCE, "the server does not listen");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(binary: &Path, data: &Path, address: SocketAddr, config: &str) -> Child {
    let file = data.join("server.conf");
    std::fs::write(&file, config).expect("the configuration can be written");
    Command::new(binary)
        .args(["-a", &address.ip().to_string(), "-p", &address.port().to_string(), "-c"])
        .arg(&file)
        .arg("-sd")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server can be started")
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let tries = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    within(tries).await
}

/// The result of something that must not hang.
pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it takes far too long")
}

pub(crate) fn stream(name: &str) -> StreamName {
    name.parse().expect("a valid stream name")
}

pub(crate) fn pattern(text: &str) -> SubjectPattern {
    text.parse().expect("a valid pattern")
}

pub(crate) fn headers(pairs: &[(&str, &str)]) -> Headers {
    Headers::canonical(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// The record that belongs at `sequence` of a made-up chain.
pub(crate) fn record(subject: &str, sequence: u64) -> Record {
    Record {
        kind: RecordKind::Message,
        subject: subject.to_owned(),
        headers: headers(&[("Number", &sequence.to_string())]),
        payload: format!("record {sequence}").into(),
        plan: Digest::of(b"plan"),
        position: Position { sequence, index: 0 },
    }
}

/// The place at `sequence` of that chain, bound to nothing but the sequence.
pub(crate) fn place(sequence: u64) -> Place {
    Place { sequence, id: RecordId::new(&Digest::of(b"revision"), sequence), after: None }
}

/// The same place, bound also to the record before it.
pub(crate) fn bound(sequence: u64) -> Place {
    Place { after: Some(place(sequence - 1).id), ..place(sequence) }
}

/// A stream made by a user, with further configuration as JSON.
pub(crate) async fn user_stream(server: &TestServer, name: &str, mut config: serde_json::Value) {
    let client = async_nats::connect(server.url()).await.expect("the server is up");
    config["name"] = name.into();
    let payload = config.to_string();
    let subject = format!("$JS.API.STREAM.CREATE.{name}");
    let answer = client.request(subject, payload.into()).await.expect("JetStream answers");
    let answer = String::from_utf8_lossy(&answer.payload).into_owned();
    assert!(!answer.contains("\"error\""), "{answer}");
}

/// Publishes numbered events, `number` from the range: payload `event <number>`.
pub(crate) async fn publish(broker: &Broker, subject: &str, numbers: std::ops::RangeInclusive<u64>) {
    let mut publisher = broker.publisher().await.expect("a connection");
    for number in numbers {
        let payload = format!("event {number}");
        publisher.publish(subject, &Headers::new(), payload).await.expect("it is published");
    }
    publisher.flush().await.expect("it is stored");
}
