//! How far a run has come: a small file beside the output, from which a run that was killed goes on.
//!
//! It says what was on the disk when the last receipt of that moment was written. It is a hint in the sense
//! of the chain: going on from it, the receipt's unit is executed again and compared with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::{Digest, Receipt, Totals};
use serde::{Deserialize, Serialize};

use super::OutputFormat;
use super::output::{replace, with_suffix};

const CHECKPOINT_VERSION: u32 = 1;

/// The state of a run at one receipt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkpoint {
    version: u32,
    /// What is being made. A run that is to make something else begins anew.
    pub(super) making: Making,
    /// The last receipt, and its place in the chain.
    pub(super) receipt: Receipt,
    /// The index of its position.
    pub(super) index: u32,
    /// Its place in the chain.
    pub(super) record: u64,
    /// The receipt before it.
    pub(super) previous: Option<Receipt>,
    /// All receipts so far.
    pub(super) totals: Totals,
    /// The bytes of output, dead letters and receipts.
    pub(super) bytes: [u64; 3],
    /// Whether all is written, and only names are to be given.
    pub(super) is_finished: bool,
}

/// What a run makes: two runs of which this is the same make the same files of the same input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Making {
    /// The plan.
    pub(super) plan: Digest,
    /// The digest of all else that decides what the events are.
    pub(super) input: Digest,
    /// The form of the output.
    pub(super) output: String,
    /// Where dead letters go.
    pub(super) dead: Option<PathBuf>,
    /// Where receipts go.
    pub(super) receipts: Option<PathBuf>,
}

impl Making {
    pub(super) fn new(
        plan: Digest,
        input: Digest,
        format: OutputFormat,
        dead: Option<PathBuf>,
        receipts: Option<PathBuf>,
    ) -> Self {
        Self { plan, input, output: format!("{format:?}").to_lowercase(), dead, receipts }
    }
}

impl Checkpoint {
    /// A checkpoint of this version.
    pub(super) fn new(
        making: Making,
        (record, index, receipt): (u64, u32, Receipt),
        previous: Option<Receipt>,
        totals: Totals,
        bytes: [u64; 3],
    ) -> Self {
        let (version, is_finished) = (CHECKPOINT_VERSION, false);
        Self { version, making, receipt, index, record, previous, totals, bytes, is_finished }
    }

    /// The same, where everything is written.
    pub(super) fn finished(self) -> Self {
        Self { is_finished: true, ..self }
    }

    /// Where the checkpoint of an output lies.
    pub(super) fn path(output: &Path) -> PathBuf {
        with_suffix(output, ".checkpoint")
    }

    /// The checkpoint of an output; none if there is none that this version can read.
    pub(super) fn read(output: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(Self::path(output)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let read = serde_json::from_slice::<Self>(&bytes).ok();
        Ok(read.filter(|checkpoint| checkpoint.version == CHECKPOINT_VERSION))
    }

    pub(super) fn write(&self, output: &Path) -> io::Result<()> {
        let text = serde_json::to_vec(self).expect("a checkpoint has only strings as keys");
        replace(&Self::path(output), &text)
    }

    pub(super) fn remove(output: &Path) -> io::Result<()> {
        match fs::remove_file(Self::path(output)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}
