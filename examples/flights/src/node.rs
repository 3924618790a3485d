//! The node that the demo starts: `weir up` as a child, with fresh data of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::process::{Child, Command};

use crate::client::Client;
use crate::{Arguments, ports};

/// How long the node may take until it is ready.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to drain.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// How much of the log is shown when the node ends by itself.
const LOG_LINES: usize = 15;

/// A running node.
pub(crate) struct Node {
    child: Child,
    place: Place,
    log: PathBuf,
}

/// Where a node is.
#[derive(Clone)]
pub(crate) struct Place {
    /// Its API.
    pub(crate) client: Client,
    /// The address of its NATS server.
    pub(crate) nats: String,
    /// Where the demo may keep files as long as the node runs.
    pub(crate) directory: PathBuf,
}

impl Node {
    /// Starts a node and waits until it is ready.
    pub(crate) async fn start(arguments: &Arguments) -> anyhow::Result<Self> {
        let api = ports::choose("the API", 7676)?;
        let nats = ports::choose("NATS", 4222)?;
        // One folder for each run: another demo may still be using its own.
        let directory = arguments.directory.join(format!("node-{}", std::process::id()));
        let data = directory.join("data");
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let log = directory.join("node.log");
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&arguments.weir);
        command.arg("up").arg("--data-dir").arg(&data);
        command.args([
            "--listen",
            &api.to_string(),
            "--nats-listen",
            &nats.to_string(),
            "--log-format",
            "text",
        ]);
        if let Some(program) = &arguments.nats_server {
            command.arg("--nats-server").arg(program);
        }
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // A group of its own: Ctrl-C reaches the demo alone, which then lets the node drain.
        let child = command.process_group(0).kill_on_drop(true).spawn();
        let child = child.with_context(|| format!("cannot start {}", arguments.weir.display()))?;
        let client = Client::new(format!("http://{api}"));
        let mut node =
            Self { child, place: Place { client, nats: format!("nats://{nats}"), directory }, log };
        match node.until_ready().await {
            Ok(()) => Ok(node),
            Err(error) => {
                // Why it did not start matters more than how it stops.
                let _ = node.stop().await;
                Err(error)
            }
        }
    }

    /// Where it is.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Waits until the node ends by itself, which it should not, and says why it did.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow!("the node ended by itself ({status}):\n{}", end_of(&self.log)),
            Err(error) => anyhow!(error).context("cannot wait for the node"),
        }
    }

    /// Asks the node to drain, waits until it has, and removes its data.
    ///
    /// # Errors
    /// When the node does not end, or not with code 0; its log is kept then.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(id) = self.child.id() {
            let told = Command::new("sh").args(["-c", &format!("kill -s TERM {id}")]).status().await;
            told.context("cannot send SIGTERM to the node")?;
        }
        let ended = tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await;
        let log = self.log.display();
        let Ok(status) = ended else {
            bail!("the node did not drain within {} s; see {log}", STOP_PATIENCE.as_secs());
        };
        let status = status.context("cannot wait for the node")?;
        if !status.success() {
            bail!("the node ended with {status} instead of code 0; see {log}:\n{}", end_of(&self.log));
        }
        let directory = &self.place.directory;
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))
    }

    async fn until_ready(&mut self) -> anyhow::Result<()> {
        let client = self.place.client.clone();
        let log = self.log.clone();
        let ready = async {
            while !client.is_ready().await {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::select! {
            ready = tokio::time::timeout(START_PATIENCE, ready) => ready.map_err(|_| {
                anyhow!("the node was not ready within {} s:\n{}", START_PATIENCE.as_secs(), end_of(&log))
            }),
            error = self.ended() => Err(error),
        }
    }
}

/// The last lines of a log.
fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LOG_LINES);
    lines[first..].iter().map(|line| format!("  {line}\n")).collect()
}
