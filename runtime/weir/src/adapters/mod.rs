//! The pipeline's ports over the real things: NATS streams, and modules in the sandbox. Newtypes without
//! decisions of their own; each error is told apart by whether waiting helps.

mod archive;
mod loader;
mod prefix;
mod replay;
mod sink;
mod source;

pub(crate) use archive::NatsArchive;
pub(crate) use loader::{ModuleLoader, QuietLoader};
pub(crate) use prefix::Prefix;
pub(crate) use replay::{BoundedSource, ReplaySink};
pub(crate) use sink::NatsSink;
pub(crate) use source::NatsSource;
