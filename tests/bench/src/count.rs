//! The pure parts, run a given number of times, so that callgrind can count their instructions: counts do not
//! know how busy the machine is. Counting two lengths and taking the difference leaves start and end out.

use std::hint::black_box;

use bytes::Bytes;
use model::{Digest, DigestBuilder, Headers, Position, Record, RecordKind};

use crate::rows::sandbox::{self, CoreOrComponent, Ours};

/// What to run, and how often.
#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// The part.
    #[arg(value_enum)]
    pub(crate) part: Part,
    /// How many times.
    pub(crate) times: u32,
}

/// A pure part of the data path.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The digest of an event, as receipts take it.
    DigestInput,
    /// The digest of a record.
    DigestOutput,
    /// A record's header block.
    RecordHeaders,
    /// One call of a component.
    Component,
    /// One call of a core module.
    Core,
}

/// Runs the part.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let repeat = |part: &mut dyn FnMut()| (0..options.times).for_each(|_| part());
    let event = sandbox::event();
    let record = record();
    let mut digest = DigestBuilder::new();
    match options.part {
        Part::DigestInput => repeat(&mut || black_box(&event).digest_into(&mut digest)),
        Part::DigestOutput => repeat(&mut || black_box(&record).digest_into(&mut digest)),
        Part::RecordHeaders => repeat(&mut || {
            black_box(&record).wire_headers().for_each(|pair| drop(black_box(pair)));
        }),
        Part::Component => Ours::new()?.run(CoreOrComponent::Component, options.times)?,
        Part::Core => Ours::new()?.run(CoreOrComponent::Core, options.times)?,
    }
    black_box(digest.finish());
    Ok(())
}

fn record() -> Record {
    Record {
        kind: RecordKind::Message,
        subject: "out.in.a".to_owned(),
        headers: Headers::canonical([("trace".to_owned(), "0123456789abcdef".to_owned())]),
        payload: Bytes::from(vec![b'X'; 256]),
        plan: Digest::of(b"plan"),
        position: Position { sequence: 1_234_567, index: 0 },
    }
}
