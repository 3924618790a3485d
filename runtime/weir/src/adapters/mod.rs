//! The pipeline's ports over the real things: NATS streams, and modules in the sandbox. Newtypes without
//! decisions of their own; each error is told apart by whether waiting helps.

mod loader;
mod sink;
mod source;

pub(crate) use loader::ModuleLoader;
pub(crate) use sink::NatsSink;
pub(crate) use source::NatsSource;
