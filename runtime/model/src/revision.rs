//! The revision: the record that puts a plan in force from its place in the chain on.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::PipelineName;
use crate::plan::Plan;
use crate::receipt::{Receipt, ReceiptLink};

/// The version of the revision's shape that this code writes and reads.
pub const REVISION_VERSION: u32 = 1;

/// A plan put in force. The first one of a chain is the genesis, and names the source's start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revision {
    /// [`REVISION_VERSION`].
    pub version: u32,
    /// The pipeline's name.
    pub pipeline: PipelineName,
    /// 1 for the genesis, then one more each time.
    pub number: u64,
    /// Which application of the pipeline it carries out. It only ever grows along the chain, so a node that
    /// learns late of an older application cannot undo a newer one.
    pub generation: u64,
    /// The first source sequence that the plan governs. All records of earlier events stand before this one.
    pub from_sequence: u64,
    /// The digest of `plan`.
    pub plan_digest: Digest,
    /// The plan.
    pub plan: Plan,
    /// The account of the unit that this revision cuts off, if it had read any event.
    pub closes: Option<Receipt>,
    /// The last receipt before this record, not counting `closes`.
    pub previous: Option<ReceiptLink>,
}

impl Revision {
    /// The bytes that are appended: compact JSON in the order of the fields.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a revision has only strings as keys, so it can be written as JSON")
    }

    /// The receipt that the next one links to, when this revision lies at `record` in the output stream.
    pub fn last_receipt(&self, record: u64) -> Option<ReceiptLink> {
        match &self.closes {
            Some(receipt) => Some(ReceiptLink { record, digest: receipt.digest() }),
            None => self.previous,
        }
    }
}
