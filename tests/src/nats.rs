//! A real nats-server as a child process, with its data in a folder that goes when the test ends.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::eventually::eventually;
use crate::process::{Process, free_port, root};
use crate::wire::NatsClient;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatsVersion {
    /// The newest one.
    Newest,
    /// 2.9, the oldest that Weir works with: Debian's package.
    Oldest,
}

impl NatsVersion {
    /// The program, where `make tools` put it.
    fn program(self) -> PathBuf {
        let name = match self {
            Self::Newest => "nats-server",
            Self::Oldest => "nats-server-2.9",
        };
        root().join(".tools/bin").join(name)
    }

    /// Whether the program is there. Where it is not, says loudly which test did not run, and fails in CI,
    /// which has to have it.
    pub fn is_there(self, test: &str) -> bool {
        let is_there = self.program().is_file();
        if !is_there {
            let message =
                format!("NOT RUN: {test}: {} is missing; see 'make tools'", self.program().display());
            assert!(std::env::var_os("CI").is_none(), "{message}");
            // Past the test runner's capture, which would hide it in a test that passes.
            writeln!(std::io::stderr(), "{message}").expect("standard error can be written to");
        }
        is_there
    }
}

/// When a server syncs what it writes to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncWrites {
    /// Every two minutes, as by default.
    Lazily,
    /// Each write, before it is acknowledged.
    Always,
}

/// A running nats-server with JetStream.
pub struct NatsServer {
    version: NatsVersion,
    port: u16,
    extra: String,
    sync: SyncWrites,
    folder: TempDir,
    process: Option<Process>,
}

impl NatsServer {
    /// Starts the newest server.
    pub fn start() -> Self {
        Self::start_version(NatsVersion::Newest)
    }

    /// Starts a server of this version.
    pub fn start_version(version: NatsVersion) -> Self {
        let mut server = Self::stopped(version, "");
        server.restart();
        server
    }

    /// Starts the newest server with more lines in its configuration, such as `max_payload: 4096`.
    pub fn start_with(configuration: &str) -> Self {
        let mut server = Self::stopped(NatsVersion::Newest, configuration);
        server.restart();
        server
    }

    /// A server that has its port and its folder and does not run yet.
    pub fn stopped(version: NatsVersion, configuration: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("weir-nats-").tempdir().expect("a folder can be made");
        let extra = configuration.to_owned();
        Self { version, port: free_port(), extra, sync: SyncWrites::Lazily, folder, process: None }
    }

    /// Starts the newest server, syncing its writes so.
    pub fn start_syncing(sync: SyncWrites) -> Self {
        let mut server = Self { sync, ..Self::stopped(NatsVersion::Newest, "") };
        server.restart();
        server
    }

    /// Starts the newest servers as one cluster, and waits until it works.
    pub fn cluster(size: u32, sync: SyncWrites) -> Vec<Self> {
        let ports: Vec<u16> = (0..size).map(|_| free_port()).collect();
        let routes: Vec<String> = ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let member = |(at, port): (usize, &u16)| {
            let cluster = format!(
                "server_name: n{at}\ncluster {{ name: c, listen: \"127.0.0.1:{port}\", routes: {routes:?} }}"
            );
            Self { sync, ..Self::stopped(NatsVersion::Newest, &cluster) }
        };
        let mut servers: Vec<Self> = ports.iter().enumerate().map(member).collect();
        // None of them answers before most of them run.
        servers.iter_mut().for_each(Self::launch);
        servers.iter_mut().for_each(Self::wait);
        servers
    }

    /// Starts it again, on the same port and with the same data, and waits until it answers.
    ///
    /// # Panics
    /// When the program is missing, or does not come up.
    pub fn restart(&mut self) {
        self.launch();
        self.wait();
    }

    fn launch(&mut self) {
        let program = self.version.program();
        assert!(program.is_file(), "{} is missing: run 'make tools' first", program.display());
        let configuration = self.folder.path().join("nats.conf");
        let data = self.data();
        let sync = if self.sync == SyncWrites::Always { "sync_interval: always" } else { "" };
        let text = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{\n  store_dir: {data:?}\n  {sync}\n}}\n{}\n",
            self.port, self.extra
        );
        std::fs::write(&configuration, text).expect("the server's configuration can be written");
        let mut command = Command::new(program);
        command.arg("-c").arg(&configuration);
        self.process = Some(Process::start("nats-server", command, &self.folder.path().join("nats.log")));
    }

    fn wait(&mut self) {
        let url = self.url();
        let process = self.process.as_mut().expect("the server was launched");
        eventually("nats-server answers", || {
            assert!(process.exited().is_none(), "nats-server ended at once:\n{}", process.log());
            NatsClient::connect(&url).and_then(|mut client| client.api("INFO", "")).map(|_| ())
        });
    }

    /// `kill -9`.
    pub fn kill9(&mut self) {
        drop(self.process.take());
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("TERM");
            process.wait();
        }
    }

    /// Its process's id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("the server runs").id()
    }

    /// Where it is, for clients.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The folder with the server's data: to be copied and put back while the server is stopped.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The folder of one stream of the default account, below [`data`](Self::data).
    pub fn stream_data(&self, stream: &str) -> PathBuf {
        self.data().join(Path::new("jetstream/$G/streams")).join(stream)
    }

    /// A new connection.
    pub fn client(&self) -> NatsClient {
        let url = self.url();
        eventually("a connection to nats-server", || NatsClient::connect(&url))
    }
}
