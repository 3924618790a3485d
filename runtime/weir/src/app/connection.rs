//! The node's way to NATS: made at start with patience, there for everybody once it is.

use std::sync::OnceLock;
use std::time::Duration;

use broker::{Broker, ConnectError, ConnectOptions, ModuleBucket, StateBucket};
use model::Plan;

use crate::adapters::NatsSink;

/// How many servers keep what Weir makes for itself.
const REPLICAS: u32 = 1;
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What the node uses of NATS.
pub(crate) struct Connection {
    /// The server.
    pub(crate) broker: Broker,
    /// Pipelines and tags.
    pub(crate) state: StateBucket,
    /// Modules.
    pub(crate) modules: ModuleBucket,
}

impl Connection {
    /// The output stream of a plan.
    pub(crate) fn sink(&self, plan: &Plan) -> NatsSink {
        NatsSink {
            broker: self.broker.clone(),
            stream: plan.sink.stream.clone(),
            state: self.state.clone(),
            pipeline: plan.pipeline.clone(),
        }
    }
}

/// A connection that is there, or to come.
#[derive(Default)]
pub(crate) struct Connecting(OnceLock<Connection>);

/// NATS was not reached yet.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the NATS server was not reached yet: see the node's log for why")]
pub(crate) struct NotConnected;

impl Connecting {
    /// The connection.
    ///
    /// # Errors
    /// [`NotConnected`] before it is made for the first time.
    pub(crate) fn get(&self) -> Result<&Connection, NotConnected> {
        self.0.get().ok_or(NotConnected)
    }

    /// Whether NATS is there at this moment.
    pub(crate) fn is_up(&self) -> bool {
        self.0.get().is_some_and(|connection| connection.broker.is_connected())
    }

    /// Connects, without trying again.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses.
    pub(crate) async fn connect_once(&self, options: ConnectOptions) -> anyhow::Result<()> {
        let servers = options.servers.join(",");
        match try_connect(options).await {
            Ok(connection) => {
                // Whoever was quicker has made the same connection.
                let _ = self.0.set(connection);
                Ok(())
            }
            Err(Failed::ForNow(reason)) => Err(ConnectError::Unreachable { servers, reason }.into()),
            Err(Failed::ForGood(error)) => Err(error),
        }
    }

    /// Connects, and tries again for as long as the server cannot be reached.
    ///
    /// # Errors
    /// What waiting does not mend: a server that is too old, or refuses.
    pub(crate) async fn connect(&self, options: ConnectOptions) -> anyhow::Result<()> {
        let mut backoff = BACKOFF_MIN;
        loop {
            match try_connect(options.clone()).await {
                Ok(connection) => {
                    let version = connection.broker.server_version();
                    tracing::info!(version, "Connected to NATS");
                    // Only this function sets it, and the node calls it once.
                    let _ = self.0.set(connection);
                    return Ok(());
                }
                Err(Failed::ForNow(why)) => {
                    tracing::warn!(why, retry_ms = backoff.as_millis(), "NATS cannot be used yet");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                Err(Failed::ForGood(error)) => return Err(error),
            }
        }
    }
}

enum Failed {
    ForNow(String),
    ForGood(anyhow::Error),
}

async fn try_connect(options: ConnectOptions) -> Result<Connection, Failed> {
    let broker = Broker::connect(options).await.map_err(|error| match error {
        ConnectError::Unreachable { .. } => Failed::ForNow(error.to_string()),
        _ => Failed::ForGood(error.into()),
    })?;
    let state = broker.state(REPLICAS).await.map_err(|error| match error {
        broker::StateError::Unavailable(why) => Failed::ForNow(why),
        _ => Failed::ForGood(error.into()),
    })?;
    let modules = broker.modules(REPLICAS as usize).await.map_err(|error| match error {
        broker::ModuleError::Unavailable(why) => Failed::ForNow(why),
        _ => Failed::ForGood(error.into()),
    })?;
    Ok(Connection { broker, state, modules })
}
