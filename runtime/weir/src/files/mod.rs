//! Files, standard input and standard output as the source and the sink of a pipeline: what `weir run` is
//! made of.
//!
//! A source gives the events of one input, in their order, with sequences that count them from 1 (or those
//! that stand in the input), and ends where the input ends. A sink writes messages, dead letters and receipts
//! to a file each, in the chain's order, and keeps of the chain itself only its end, which is all that a
//! pipeline asks for. Memory does not grow with the input. What a record is and when a unit ends is the
//! pipeline's own affair, and the same as on NATS.

mod checkpoint;
mod frames;
mod input;
mod lines;
mod output;
mod sink;
mod source;
mod subject;
mod table;

use std::path::PathBuf;

use clap::ValueEnum;

pub(crate) use frames::write_frame;
pub(crate) use output::replace;
pub(crate) use sink::{FileSink, Finished, SinkFiles};
pub(crate) use source::{FileSource, InputOptions};
pub(crate) use subject::EventSubject;

/// The bytes that are read at once, and those that a burst of events is made of.
const READ_BYTES: usize = 1 << 20;
/// The longest line, row or frame.
const EVENT_BYTES_MAX: usize = 64 << 20;

/// How events lie in an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// One event a line, as it stands; empty lines are left out
    Ndjson,
    /// One event a row, as a JSON object of texts under the names of the first row
    Csv,
    /// Whole events: subject, payload, headers, sequence and time, each with its length before it
    Msgpack,
}

/// How messages lie in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// One payload a line; a payload with a line break is refused
    Ndjson,
    /// Whole messages, in the form of events
    Msgpack,
}

/// Where something is read from or written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Standard input or standard output.
    Standard,
    /// A file.
    File(PathBuf),
}

impl Place {
    /// The place that a path names: `-` is the standard one.
    pub(crate) fn of(path: &std::path::Path) -> Self {
        if path == std::path::Path::new("-") { Self::Standard } else { Self::File(path.to_owned()) }
    }
}

/// A length that stands before what it counts, where the format has 32 bits for it.
fn length(length: usize) -> u32 {
    u32::try_from(length).expect("events and messages are bounded far below 4 GiB")
}
