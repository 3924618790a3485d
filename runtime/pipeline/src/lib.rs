//! The heart of Weir: events of a source, through the steps of a plan, into the records of a chain.
//!
//! ```text
//! reader ──► cutter ──► lanes on workers ──► appender ──► sink
//! ```
//!
//! A pipeline's output stream is a function of its source and its plan, written down record by record, each
//! accepted only at its place. So nothing here keeps an offset, holds a lease or commits: a run reads the
//! chain's end, executes from the start of the unit it lies in, compares, and appends what comes next. Boot,
//! swap, recovery and losing a race to another node are that one path.
//!
//! The crate sees the world through [`ports`] alone, and promises exactly once, in order, for any sink that
//! takes a record only at its position.
//!
//! Reading order: [`ports`], [`mod@unit`] (what a record is), `packing`, [`cutter`] (where units begin and
//! end), [`workers`], [`append`], [`chain`] (where to go on), [`run`], [`service`], [`mod@swap`],
//! [`shadow`], `batch` (a source that ends), [`verify`] (is it all so).

pub mod append;
mod batch;
pub mod chain;
pub mod cutter;
pub mod meters;
mod packing;
pub mod ports;
pub mod run;
pub mod service;
pub mod shadow;
pub mod status;
pub mod swap;
pub mod unit;
pub mod verify;
pub mod workers;

pub use batch::BatchEnd;
pub use meters::Meters;
pub use service::{Desired, Options, Pipeline};
pub use status::{State, Status, StatusCell};
pub use workers::Workers;
