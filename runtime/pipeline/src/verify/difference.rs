//! What a verification finds: the first place where a chain is not what it has to be, and why that may be.

use std::fmt;

use model::{Digest, Position, Record};

/// The longest part of a payload that is shown.
const SHOWN_BYTES: usize = 200;

/// The likely cause of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Source events that were read then are not there now.
    InputGone,
    /// A source event is not what it was.
    InputAltered,
    /// A message or a dead letter is not what its receipt says.
    OutputAltered,
    /// Records were taken out, put in, or moved.
    ChainAltered,
    /// A receipt is not what was written.
    ReceiptAltered,
    /// A revision is not what was written.
    RevisionAltered,
    /// Another engine had made it.
    OtherEngine {
        /// The engine that the receipt names.
        theirs: String,
        /// The engine here.
        ours: String,
    },
    /// A module cannot be had, or not as it was.
    ModuleUnavailable,
    /// There is no receipt yet that would tell an altered input from an altered output.
    InputOrOutputAltered,
    /// Inputs, plan and engine are the same, and the receipt agrees with what was found.
    NotDeterministic,
}

impl Cause {
    /// A stable code, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InputGone => "input-gone",
            Self::InputAltered => "input-altered",
            Self::OutputAltered => "output-altered",
            Self::ChainAltered => "chain-altered",
            Self::ReceiptAltered => "receipt-altered",
            Self::RevisionAltered => "revision-altered",
            Self::OtherEngine { .. } => "other-engine",
            Self::ModuleUnavailable => "module-unavailable",
            Self::InputOrOutputAltered => "input-or-output-altered",
            Self::NotDeterministic => "not-deterministic",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputGone => f.write_str("source events that were read then are gone"),
            Self::InputAltered => f.write_str("a source event was altered"),
            Self::OutputAltered => f.write_str("the record was altered after it was written"),
            Self::ChainAltered => f.write_str("records of the chain were taken out, put in or moved"),
            Self::ReceiptAltered => f.write_str("the receipt was altered after it was written"),
            Self::RevisionAltered => f.write_str("the revision was altered after it was written"),
            Self::OtherEngine { theirs, ours } => {
                write!(f, "it was made by another engine, {theirs}; the one here is {ours}")
            }
            Self::ModuleUnavailable => f.write_str("a module is not to be had, or is not what it was"),
            Self::InputOrOutputAltered => {
                f.write_str("the source event or the record was altered; the unit has no receipt yet to tell which")
            }
            Self::NotDeterministic => f.write_str(
                "the receipt agrees with what was found, and the inputs are the same: the record and its receipt were \
                 altered together, or the engine is not deterministic",
            ),
        }
    }
}

/// The first difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The record of the output stream at which it shows.
    pub record: u64,
    /// Where that record comes from: its source event and index; none where that cannot be told.
    pub position: Option<Position>,
    /// The receipt of its unit, if the unit has one.
    pub receipt: Option<u64>,
    /// What differs, such as `payload`.
    pub what: String,
    /// What has to be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Why that may be.
    pub cause: Cause,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}", self.record)?;
        if let Some(position) = self.position {
            write!(f, ", of event {} output {}", position.sequence, position.index)?;
        }
        if let Some(receipt) = self.receipt {
            write!(f, ", under receipt {receipt}")?;
        }
        let Self { what, expected, found, cause, .. } = self;
        write!(f, ": its {what} differs\n  expected {expected}\n  found    {found}\n  likely   {cause}")
    }
}

/// What differs between two records, and both versions of it; nothing if they are the same.
pub(super) fn record_difference(expected: &Record, found: &Record) -> Option<(&'static str, String, String)> {
    if expected == found {
        return None;
    }
    let parts = [
        ("position", expected.position.to_string(), found.position.to_string()),
        ("kind", expected.kind.as_str().to_owned(), found.kind.as_str().to_owned()),
        ("subject", expected.subject.clone(), found.subject.clone()),
        ("plan", expected.plan.to_string(), found.plan.to_string()),
        ("headers", shown_headers(expected), shown_headers(found)),
    ];
    let differing = parts.into_iter().find(|(_, expected, found)| expected != found);
    Some(differing.unwrap_or_else(|| ("payload", excerpt(&expected.payload), excerpt(&found.payload))))
}

fn shown_headers(record: &Record) -> String {
    let pairs: Vec<String> = record.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{pairs:?}")
}

/// A payload for people: its beginning, its size and its digest.
pub(super) fn excerpt(payload: &[u8]) -> String {
    let start = String::from_utf8_lossy(&payload[..payload.len().min(SHOWN_BYTES)]);
    format!("{start:?} ({} bytes, {})", payload.len(), Digest::of(payload).short())
}
