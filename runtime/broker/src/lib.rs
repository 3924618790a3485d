//! The NATS side of Weir: the only crate that knows async-nats, and NATS' protocol.
//!
//! It promises typed answers to a few questions (read on, append here, what is the tail, what is under this
//! key) and goes on by itself after every reconnect. What a record means, when to retry an append and what
//! to do about a conflict is left to the crates that use it.
//!
//! Reading order: [`connect`] (a [`Broker`]), [`reader`] (the source), [`sink`], [`records`] and [`appender`]
//! (the chain), [`admin`] (streams), [`state`] and [`watch`] (keys that nodes share), [`modules`] (module
//! bytes), [`embedded`] (a server of one's own), [`publisher`] (loading events). Below them: `link` (one
//! connection of async-nats), `protocol` (one of our own, for events and records), `api` (JetStream
//! requests), `flow` (one consumer's life), `wire` (bytes and subjects), `backoff`.

pub mod admin;
mod api;
pub mod appender;
mod backoff;
pub mod connect;
pub mod embedded;
mod flow;
mod link;
pub mod modules;
mod protocol;
pub mod publisher;
pub mod reader;
pub mod records;
pub mod sink;
pub mod state;
pub mod watch;
mod wire;

pub use admin::{AdminError, Retention, Storage, StreamState};
pub use appender::{AppendError, Appender, Ask};
pub use connect::{Auth, Broker, ConnectError, ConnectOptions, TlsOptions};
pub use embedded::{EmbeddedError, EmbeddedOptions, EmbeddedServer};
pub use modules::{ModuleBucket, ModuleError, PassedTests, StoredModule};
pub use publisher::{PublishError, Publisher};
pub use reader::{ReadError, Reader};
pub use records::RecordReader;
pub use sink::{SinkError, StoredMessage, Tail};
pub use state::{StateBucket, StateError};
pub use watch::{Change, Watch};
