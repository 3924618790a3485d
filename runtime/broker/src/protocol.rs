//! One connection that speaks NATS' client protocol by itself, for the data path alone.
//!
//! async-nats moves each message through a task, a channel and a map of headers; on the path of every event
//! that is most of what a node does. Here a publish is a few bytes put behind others in a buffer, and what
//! arrives is handed over by the read, not by the message. What async-nats does well and events do not need
//! (reconnecting, subscriptions that come and go, requests) stays with it: a connection has one subscription,
//! made when it is opened, and when it is lost it is over; its owner opens another from where it stands.
//!
//! The protocol is that of the NATS documentation, "Client Protocol".

mod handshake;
mod parse;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::connect::{ConnectError, ConnectOptions};
pub(crate) use parse::Frame;
use parse::Op;

/// A buffer of publishes that has reached this many bytes is written.
const WRITE_BYTES: usize = 64 << 10;
/// The room that a read is given.
const READ_BYTES: usize = 128 << 10;
/// How long the socket may refuse what is written, or a server take to shake hands.
const PATIENCE: Duration = Duration::from_secs(10);

type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// Makes what a connection's owner wants of a message; the reason where it cannot be read.
pub(crate) type Decode<T> = fn(Frame<'_>) -> Result<T, String>;

/// What arrived.
pub(crate) enum Inbound<T> {
    /// Messages of the subscription, at least one, in order.
    Messages(Vec<T>),
    /// The server refused something that this connection sent, and the connection stands.
    Refused(String),
}

/// An open connection with one subscription.
pub(crate) struct Connection<T> {
    outgoing: Vec<u8>,
    /// How many bytes of it the socket has taken.
    sent: usize,
    writer: Arc<Mutex<WriteHalf>>,
    inbound: mpsc::Receiver<Inbound<T>>,
    loss: Arc<OnceLock<String>>,
    reading: JoinHandle<()>,
    max_payload: usize,
}

impl<T: Send + 'static> Connection<T> {
    /// Connects to one of the servers, and to `discovered` ones where none of the given answers; subscribes
    /// to `subject`. No more than `inbound_max` messages may be under way at a time: the owner must not ask
    /// for more than it can take, or reading waits.
    pub(crate) async fn open(
        options: &ConnectOptions,
        discovered: &[String],
        subject: &str,
        inbound_max: usize,
        decode: Decode<T>,
    ) -> Result<Self, ConnectError> {
        // Boxed: a TLS handshake's future is large, and would make every caller's large.
        let opened = Box::pin(handshake::open(options, discovered)).await?;
        let (sender, inbound) = mpsc::channel(inbound_max);
        let loss = Arc::new(OnceLock::new());
        let writer = Arc::new(Mutex::new(opened.write));
        let pump = Pump { read: opened.read, buffer: opened.buffer, writer: writer.clone(), sender, decode };
        let reading = tokio::spawn({
            let loss = loss.clone();
            async move {
                let reason = pump.run().await;
                // Nobody else sets it.
                let _ = loss.set(reason);
            }
        });
        let mut connection = Self {
            outgoing: Vec::new(),
            sent: 0,
            writer,
            inbound,
            loss,
            reading,
            max_payload: opened.max_payload,
        };
        connection.outgoing.extend_from_slice(format!("SUB {subject} 1\r\n").as_bytes());
        connection.flush().await.map_err(|reason| handshake::unreachable(options, &reason))?;
        Ok(connection)
    }

    /// The largest message that the server takes, headers included.
    pub(crate) fn max_payload(&self) -> usize {
        self.max_payload
    }

    /// Whether the connection is known to be lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.loss.get().is_some()
    }

    /// Why the connection was lost.
    pub(crate) fn loss(&self) -> String {
        self.loss.get().cloned().unwrap_or_else(|| "the connection was lost".to_owned())
    }

    /// The buffer to put publishes into, each whole. They are sent by [`flush`](Self::flush), or with others
    /// by [`flush_if_full`](Self::flush_if_full).
    pub(crate) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Puts a message without headers into the buffer.
    pub(crate) fn publish(&mut self, subject: &str, reply: &str, payload: &[u8]) {
        let head = format!("PUB {subject} {reply} {}\r\n", payload.len());
        self.outgoing.extend_from_slice(head.as_bytes());
        self.outgoing.extend_from_slice(payload);
        self.outgoing.extend_from_slice(b"\r\n");
    }

    /// Sends the buffer if that is worth a write by now.
    pub(crate) async fn flush_if_full(&mut self) -> Result<(), String> {
        if self.outgoing.len() < WRITE_BYTES { Ok(()) } else { self.flush().await }
    }

    /// Sends what is in the buffer. Dropping the future loses nothing: the next flush goes on where it was.
    pub(crate) async fn flush(&mut self) -> Result<(), String> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        if self.is_lost() {
            return Err(self.loss());
        }
        let Self { outgoing, sent, writer, .. } = self;
        let write = async {
            let mut writer = writer.lock().await;
            while *sent < outgoing.len() {
                match writer.write(&outgoing[*sent..]).await? {
                    0 => return Err(std::io::ErrorKind::WriteZero.into()),
                    taken => *sent += taken,
                }
            }
            writer.flush().await
        };
        match tokio::time::timeout(PATIENCE, write).await {
            Ok(Ok(())) => {
                outgoing.clear();
                *sent = 0;
                Ok(())
            }
            Ok(Err(error)) => Err(format!("the connection was lost: {error}")),
            Err(_) => Err(format!("the server took nothing in for {} s", PATIENCE.as_secs())),
        }
    }

    /// What arrives next; none when the connection is lost. Dropping the future loses nothing.
    pub(crate) async fn receive(&mut self) -> Option<Inbound<T>> {
        self.inbound.recv().await
    }

    /// What has arrived already.
    pub(crate) fn try_receive(&mut self) -> Option<Inbound<T>> {
        self.inbound.try_recv().ok()
    }
}

impl<T> Drop for Connection<T> {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// The reading half: parses what comes and hands it over.
struct Pump<T> {
    read: ReadHalf,
    buffer: BytesMut,
    writer: Arc<Mutex<WriteHalf>>,
    sender: mpsc::Sender<Inbound<T>>,
    decode: Decode<T>,
}

impl<T> Pump<T> {
    /// Reads until the connection is lost; says why.
    async fn run(mut self) -> String {
        loop {
            if let Err(reason) = self.drain().await {
                return reason;
            }
            self.buffer.reserve(READ_BYTES);
            match self.read.read_buf(&mut self.buffer).await {
                Ok(0) => return "the server closed the connection".to_owned(),
                Ok(_) => {}
                Err(error) => return format!("the connection was lost: {error}"),
            }
        }
    }

    /// Takes every whole operation out of the buffer.
    async fn drain(&mut self) -> Result<(), String> {
        let mut messages = Vec::new();
        let mut pings = 0;
        while let Some(op) = parse::next(&mut self.buffer)? {
            match op {
                Op::Message(message) => messages.push((self.decode)(message.frame()?)?),
                Op::Ping => pings += 1,
                Op::Refused(text) => {
                    hand_over(&self.sender, &mut messages).await?;
                    tracing::warn!(error = %text, "the NATS server refused something");
                    send(&self.sender, Inbound::Refused(text)).await?;
                }
                Op::Closing(text) => return Err(format!("the server ended the connection: {text}")),
                Op::Other => {}
            }
        }
        hand_over(&self.sender, &mut messages).await?;
        for _ in 0..pings {
            let mut writer = self.writer.lock().await;
            let pong = async {
                writer.write_all(b"PONG\r\n").await?;
                writer.flush().await
            };
            pong.await.map_err(|error| format!("the connection was lost: {error}"))?;
        }
        Ok(())
    }
}

async fn hand_over<T>(sender: &mpsc::Sender<Inbound<T>>, messages: &mut Vec<T>) -> Result<(), String> {
    if messages.is_empty() {
        return Ok(());
    }
    send(sender, Inbound::Messages(std::mem::take(messages))).await
}

async fn send<T>(sender: &mpsc::Sender<Inbound<T>>, inbound: Inbound<T>) -> Result<(), String> {
    sender.send(inbound).await.map_err(|_| "the connection was given up".to_owned())
}
