//! Loading events into streams fast: publishes go out one after the other, answers are counted behind them.
//!
//! For demos, tests and tools. It promises that [`Publisher::flush`] succeeds only if a stream stored every
//! message; it sends nothing twice, so after an error it is the caller's to know what to send again.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::{HeaderMap, HeaderValue, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use model::Headers;

use crate::api;
use crate::connect::Broker;
use crate::link::Link;

/// Answers that may be outstanding.
const OUTSTANDING_MAX: usize = 4_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a message is not in a stream, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The connection was lost, or nobody answered.
    #[error("messages cannot be published at the moment: {0}")]
    Unavailable(String),
    /// No stream takes the subject, or the stream refused the message.
    #[error("a message was refused: {0}")]
    Refused(String),
}

/// Publishes to JetStream, on a connection of its own.
pub struct Publisher {
    link: Link,
    inbox: String,
    answers: Subscriber,
    losses: u64,
    sent: u64,
    outstanding: HashSet<u64>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let outstanding = self.outstanding.len();
        f.debug_struct("Publisher").field("outstanding", &outstanding).finish_non_exhaustive()
    }
}

impl Broker {
    /// Opens a connection for publishing.
    ///
    /// # Errors
    /// [`PublishError::Unavailable`].
    pub async fn publisher(&self) -> Result<Publisher, PublishError> {
        let unavailable = |error: &dyn std::fmt::Display| PublishError::Unavailable(error.to_string());
        let link = self.open_link().await.map_err(|error| unavailable(&error))?;
        let inbox = link.client.new_inbox();
        let answers = link.client.subscribe(format!("{inbox}.*")).await;
        Ok(Publisher {
            losses: link.losses(),
            answers: answers.map_err(|error| unavailable(&error))?,
            link,
            inbox,
            sent: 0,
            outstanding: HashSet::new(),
        })
    }
}

impl Publisher {
    /// Publishes a message; waits only where too many answers are outstanding.
    ///
    /// # Errors
    /// See [`PublishError`]; it may be about an earlier message.
    pub async fn publish(
        &mut self,
        subject: &str,
        headers: &Headers,
        payload: impl Into<Bytes>,
    ) -> Result<(), PublishError> {
        while self.outstanding.len() >= OUTSTANDING_MAX {
            self.answer().await?;
        }
        let (token, client) = (self.sent, self.link.client.clone());
        let (subject, reply) = (subject.to_owned(), format!("{}.{token}", self.inbox));
        let sent = if headers.is_empty() {
            client.publish_with_reply(subject, reply, payload.into()).await
        } else {
            let headers = header_map(headers);
            client.publish_with_reply_and_headers(subject, reply, headers, payload.into()).await
        };
        sent.map_err(|error| PublishError::Refused(error.to_string()))?;
        self.sent += 1;
        self.outstanding.insert(token);
        Ok(())
    }

    /// Waits until streams have stored every message.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn flush(&mut self) -> Result<(), PublishError> {
        while !self.outstanding.is_empty() {
            self.answer().await?;
        }
        Ok(())
    }

    async fn answer(&mut self) -> Result<(), PublishError> {
        let unavailable = |text: &str| PublishError::Unavailable(text.to_owned());
        let message = tokio::select! {
            biased;
            message = self.answers.next() => message.ok_or_else(|| unavailable("the connection was closed"))?,
            () = self.link.lost_since(self.losses) => {
                self.losses = self.link.losses();
                self.outstanding.clear();
                return Err(unavailable("the connection was lost"));
            }
            () = tokio::time::sleep(PATIENCE) => return Err(unavailable("no stream answers")),
        };
        let token = message.subject.rsplit('.').next().and_then(|token| token.parse().ok());
        if !token.is_some_and(|token| self.outstanding.remove(&token)) {
            return Ok(());
        }
        check(&message)
    }
}

fn check(message: &Message) -> Result<(), PublishError> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(PublishError::Refused("no stream takes its subject".to_owned()));
    }
    match api::stored(&message.payload) {
        Ok(_) => Ok(()),
        Err(api::ApiError::Unavailable(reason)) => Err(PublishError::Unavailable(reason)),
        Err(error) => Err(PublishError::Refused(error.to_string())),
    }
}

fn header_map(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter() {
        map.append(name, HeaderValue::from(value));
    }
    map
}
