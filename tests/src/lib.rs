//! The harness of the whole-system tests: the real `weir` binary and a real nats-server as child processes,
//! the HTTP API as a client sees it, and the streams as they really are.
//!
//! It shares no code with what it tests but the words of `model`: streams are read and written by a small
//! NATS client of its own ([`wire`]), so that a fault in the broker crate cannot hide itself. Everything here
//! panics when something is not as it must be, with what it saw.

pub mod eventually;
pub mod guests;
pub mod http;
pub mod nats;
pub mod node;
pub mod oracle;
pub mod pipeline;
pub mod process;
pub mod random;
pub mod stream;
pub mod wire;

pub use eventually::{eventually, within};
pub use guests::guest;
pub use http::{Api, Reply};
pub use nats::{NatsServer, NatsVersion, SyncWrites};
pub use node::Node;
pub use pipeline::Pipeline;
pub use wire::{Message, NatsClient};
