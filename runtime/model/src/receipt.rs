//! The receipt: the account of one unit, chained to the one before it.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::PipelineName;

/// The version of the receipt's shape that this code writes and reads.
pub const RECEIPT_VERSION: u32 = 1;

/// What was read, what ran and what was written in one unit.
///
/// A receipt that closes a block is a record of its own. The receipt of a unit that a revision cuts off
/// stands inside that revision's record, so that the two are appended as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`RECEIPT_VERSION`].
    pub version: u32,
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// The sequence from which the unit's instances were fresh.
    pub unit_start: u64,
    /// The first event that was read.
    pub first_sequence: u64,
    /// The last event that was read.
    pub last_sequence: u64,
    /// How many events were read.
    pub events: u64,
    /// The digest of all that the transforms could see of them.
    pub inputs: Digest,
    /// The plan that ran.
    pub plan: Digest,
    /// The engine that ran it. Not a function of source and plan, and so not compared on resuming.
    pub engine: String,
    /// How many messages were written.
    pub messages: u64,
    /// How many dead letters were written.
    pub dead_letters: u64,
    /// The digest of all records that were written.
    pub outputs: Digest,
    /// The receipt before this one; none before the first.
    pub previous: Option<ReceiptLink>,
}

/// Names a receipt: by the record that holds it, and by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptLink {
    /// The sequence, in the output stream, of the receipt or of the revision that holds it.
    pub record: u64,
    /// The digest of the receipt's canonical bytes.
    pub digest: Digest,
}

impl Receipt {
    /// The bytes that are appended and that name the receipt: compact JSON in the order of the fields.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a receipt has only strings as keys, so it can be written as JSON")
    }

    /// The digest of [`canonical_bytes`](Self::canonical_bytes).
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical_bytes())
    }
}
