//! The real `weir` binary as a child process: one node, with caches and log in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use tempfile::TempDir;

use crate::eventually::eventually;
use crate::http::{Api, Reply};
use crate::nats::NatsServer;
use crate::process::{Process, built, free_port};

/// A node, running or not.
pub struct Node {
    program: PathBuf,
    arguments: Vec<String>,
    port: u16,
    folder: TempDir,
    process: Option<Process>,
}

impl Node {
    /// Starts a node at this server and waits until it is ready.
    pub fn start(nats: &NatsServer) -> Self {
        let mut node = Self::stopped(&["--nats", &nats.url()]);
        node.launch();
        node.wait_ready();
        node
    }

    /// A node with its folder and its port that does not run yet; `arguments` are more of `weir up`'s.
    pub fn stopped(arguments: &[&str]) -> Self {
        Self::stopped_program(&built("weir"), arguments)
    }

    /// The same, of another build of `weir`.
    pub fn stopped_program(program: &Path, arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("weir-node-").tempdir().expect("a folder can be made");
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { program: program.to_owned(), arguments, port: free_port(), folder, process: None }
    }

    /// Starts the process, and does not wait.
    pub fn launch(&mut self) {
        let mut command = command_of(&self.program);
        command.env("HOME", self.folder.path()).arg("up").arg("--data-dir").arg(self.data());
        if !self.arguments.iter().any(|argument| argument == "--listen") {
            command.arg("--listen").arg(format!("127.0.0.1:{}", self.port));
        }
        command.args(&self.arguments);
        let log = self.folder.path().join("weir.log");
        self.process = Some(Process::start("weir", command, &log));
    }

    /// Waits until the node says that it is ready.
    ///
    /// # Panics
    /// When it ends instead.
    pub fn wait_ready(&mut self) {
        eventually("the node is ready", || {
            self.assert_running();
            match self.ready() {
                Ok(reply) if reply.status == 200 => Ok(()),
                other => Err(other),
            }
        });
    }

    /// What `/readyz` answers, if anything.
    ///
    /// # Errors
    /// When nothing answers.
    pub fn ready(&self) -> Result<Reply, String> {
        self.api().request("GET", "/readyz").try_send(b"")
    }

    /// Its API.
    pub fn api(&self) -> Api {
        Api::new(&format!("http://127.0.0.1:{}", self.port))
    }

    /// The port of its API.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `kill -9`.
    pub fn kill9(&mut self) {
        drop(self.process.take());
    }

    /// SIGTERM; returns how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("the node runs");
        process.signal("TERM");
        process.wait()
    }

    /// Waits for a node that ends by itself; returns how, and what it said.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let mut process = self.process.take().expect("the node was started");
        (process.wait(), process.log())
    }

    /// Its process's id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("the node runs").id()
    }

    /// All that it has logged since it was first started.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("weir.log")).unwrap_or_default()
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder that goes when the node does.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn assert_running(&mut self) {
        let process = self.process.as_mut().expect("the node was started");
        let exited = process.exited();
        assert!(exited.is_none(), "the node ended ({exited:?}):\n{}", process.log());
    }
}

/// `weir`, with nothing of this machine's NATS settings around it.
pub fn command() -> Command {
    command_of(&built("weir"))
}

/// The same, of another build of `weir`.
pub fn command_of(program: &Path) -> Command {
    let mut command = Command::new(program);
    let ours = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy();
        ["NATS_", "XDG_", "WEIR_"].iter().any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command
}
