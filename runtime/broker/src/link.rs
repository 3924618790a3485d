//! One connection to NATS: async-nats' client, and what its events say that the callers need to know.
//!
//! async-nats reconnects by itself. A link adds how often the connection was lost, so that whoever had
//! something in flight learns of it, and the server's last refusal, which async-nats only logs.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Event, ServerError};
use tokio::sync::watch;

/// Messages that one subscription may hold. A flow never asks for more than half of it.
pub(crate) const SUBSCRIPTION_CAPACITY: usize = 16_384;
/// Commands that wait for the connection's task; each may hold one payload.
const COMMAND_CAPACITY: usize = 256;

/// One connection; clones share it.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) client: Client,
    signal: watch::Receiver<Signal>,
}

#[derive(Clone, Default)]
struct Signal {
    /// How often the connection was lost.
    losses: u64,
    /// Whether the connection is lost now.
    lost: bool,
    /// What the server refused last, and how many refusals there were.
    refusal: Option<Arc<str>>,
    refusals: u64,
}

impl Link {
    /// Opens a connection.
    pub(crate) async fn open(
        options: async_nats::ConnectOptions,
        servers: Vec<async_nats::ServerAddr>,
    ) -> Result<Self, async_nats::ConnectError> {
        let (sender, signal) = watch::channel(Signal::default());
        let client = options
            .subscription_capacity(SUBSCRIPTION_CAPACITY)
            .client_capacity(COMMAND_CAPACITY)
            .reconnect_delay_callback(|attempts| {
                crate::backoff::pause(u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX))
            })
            .event_callback(move |event| {
                note(&sender, event);
                std::future::ready(())
            })
            .connect(servers)
            .await?;
        Ok(Self { client, signal })
    }

    /// How often the connection was lost until now.
    pub(crate) fn losses(&self) -> u64 {
        self.signal.borrow().losses
    }

    /// Waits until the connection was lost more often than `losses`.
    pub(crate) async fn lost_since(&self, losses: u64) {
        wait_for(&self.signal, |signal| signal.losses > losses).await;
    }

    /// How many refusals the server sent until now.
    pub(crate) fn refusals(&self) -> u64 {
        self.signal.borrow().refusals
    }

    /// The last refusal, if there was one after the first `refusals`.
    pub(crate) fn refusal_since(&self, refusals: u64) -> Option<Arc<str>> {
        let signal = self.signal.borrow();
        signal.refusal.clone().filter(|_| signal.refusals > refusals)
    }

    /// Waits for a refusal after the first `refusals` that names `subject`.
    pub(crate) async fn refused(&self, refusals: u64, subject: &str) -> Arc<str> {
        let names = |signal: &Signal| {
            signal.refusals > refusals && signal.refusal.as_ref().is_some_and(|text| text.contains(subject))
        };
        wait_for(&self.signal, names).await;
        self.refusal_since(refusals).unwrap_or_default()
    }

    /// Waits until the connection stands, at most for `patience`; says whether it does.
    pub(crate) async fn connected(&self, patience: Duration) -> bool {
        let stands = wait_for(&self.signal, |signal| !signal.lost);
        tokio::time::timeout(patience, stands).await.is_ok()
    }

    /// Whether the connection stands.
    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }
}

/// Waits for the condition. A connection that was closed for good never meets it.
async fn wait_for(signal: &watch::Receiver<Signal>, condition: impl FnMut(&Signal) -> bool) {
    let mut signal = signal.clone();
    let closed = signal.wait_for(condition).await.is_err();
    if closed {
        std::future::pending::<()>().await;
    }
}

fn note(sender: &watch::Sender<Signal>, event: Event) {
    match event {
        Event::Connected => drop(sender.send_if_modified(|signal| std::mem::take(&mut signal.lost))),
        Event::Disconnected => sender.send_modify(|signal| {
            signal.losses += 1;
            signal.lost = true;
        }),
        // Other errors of the server, such as a stale connection, end the connection and show as its loss.
        Event::ServerError(ServerError::Other(text)) if text.to_lowercase().contains("permissions") => {
            tracing::warn!(error = %text, "the NATS server refused something");
            sender.send_modify(|signal| {
                signal.refusal = Some(text.chars().take(300).collect::<String>().into());
                signal.refusals += 1;
            });
        }
        Event::SlowConsumer(_) => tracing::warn!("a NATS subscription was full: a message is read again"),
        _ => {}
    }
}
