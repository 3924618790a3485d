//! Where a chain stands: read from the end of the output stream, which alone decides what was done.

use model::record::own_subject;
use model::{Digest, PipelineName, Receipt, ReceiptLink, Record, RecordKind, Revision};

use crate::ports::{PortError, Sink, StopReason, Stored};

/// Where a chain stands.
#[derive(Debug)]
pub struct Chain {
    /// The sequence of the last record.
    pub last_sequence: u64,
    /// The last record.
    pub last: Record,
    /// Whether its re-execution is to be compared with it. A revision is given, not computed.
    pub is_compared: bool,
    /// The revision in force.
    pub revision: Revision,
    /// The digest of that revision's payload.
    pub revision_digest: Digest,
    /// The sequence from which the unit in which the chain ends has to be executed again.
    pub unit_start: u64,
    /// Where that unit is known to end, if the chain ends with its receipt.
    pub unit_end: Option<u64>,
    /// The last receipt before that unit.
    pub link: Option<ReceiptLink>,
}

impl Chain {
    /// The same chain, gone on with after the block that it ends with; `None` unless it ends with a receipt.
    ///
    /// A receipt says that its block is done. So where the block's events are gone, nothing is lost but the
    /// comparison of the receipt with its re-execution.
    pub fn after_last_block(mut self) -> Option<Self> {
        if self.last.kind != RecordKind::Receipt {
            return None;
        }
        self.unit_start = self.revision.plan.block_end(self.last.position.sequence) + 1;
        self.link = Some(ReceiptLink { record: self.last_sequence, digest: Digest::of(&self.last.payload) });
        self.is_compared = false;
        self.unit_end = None;
        Some(self)
    }
}

/// How often the end is looked at anew where somebody extends the chain meanwhile.
const LOOKS_MAX: u32 = 100;

/// Why one look at a chain's end gave nothing.
enum LookError {
    /// The chain was extended between two questions.
    Moved,
    Port(PortError),
}

impl<E: Into<PortError>> From<E> for LookError {
    fn from(error: E) -> Self {
        Self::Port(error.into())
    }
}

/// Reads where the chain of `pipeline` stands; `None` if nothing was ever appended. Where somebody extends it
/// meanwhile, where it stood at some moment of this call.
///
/// # Errors
/// [`PortError::Stop`] if the end of the stream is not this pipeline's.
pub async fn read(sink: &impl Sink, pipeline: &PipelineName) -> Result<Option<Chain>, PortError> {
    for _ in 0..LOOKS_MAX {
        match look(sink, pipeline).await {
            Ok(chain) => return Ok(chain),
            Err(LookError::Moved) => {}
            Err(LookError::Port(error)) => return Err(error),
        }
    }
    Err(PortError::Unavailable("the chain moved whenever it was read".into()))
}

async fn look(sink: &impl Sink, pipeline: &PipelineName) -> Result<Option<Chain>, LookError> {
    let tail = sink.tail().await?;
    if tail.last_sequence == 0 {
        return Ok(None);
    }
    let Some(entry) = tail.entry else { return Err(expired(tail.last_sequence).into()) };
    let last_sequence = entry.sequence;
    let last = parse(pipeline, entry)?;
    let (revision_at, revision, revision_digest) =
        revision_in_force(sink, pipeline, &last, last_sequence).await?;
    let (unit_start, unit_end, link) = match last.kind {
        RecordKind::Revision => (revision.from_sequence, None, revision.last_receipt(revision_at)),
        RecordKind::Receipt => {
            let receipt = parse_receipt(&last, last_sequence)?;
            check_link(sink, pipeline, receipt.previous).await?;
            (receipt.unit_start, Some(receipt.last_sequence), receipt.previous)
        }
        RecordKind::Message | RecordKind::Dead => {
            let start = revision.plan.block_start(last.position.sequence).max(revision.from_sequence);
            (start, None, last_link(sink, pipeline, revision_at, &revision, last_sequence).await?)
        }
    };
    let is_compared = last.kind != RecordKind::Revision;
    Ok(Some(Chain {
        last_sequence,
        last,
        is_compared,
        revision,
        revision_digest,
        unit_start,
        unit_end,
        link,
    }))
}

/// Reads an entry as a record of this pipeline.
pub(crate) fn parse(pipeline: &PipelineName, entry: Stored) -> Result<Record, StopReason> {
    let sequence = entry.sequence;
    Record::from_wire(pipeline, entry.subject, entry.headers, entry.payload).map_err(|foreign| {
        let subject = &foreign.subject;
        StopReason::new(
            "foreign-record",
            format!(
                "the output stream's entry {sequence} under subject '{subject}' is not a record of pipeline \
                 '{pipeline}': {foreign}; a pipeline needs its output stream to itself: remove what else writes \
                 there, and apply the pipeline under a new name with a new output stream"
            ),
        )
    })
}

async fn revision_in_force(
    sink: &impl Sink,
    pipeline: &PipelineName,
    last: &Record,
    last_sequence: u64,
) -> Result<(u64, Revision, Digest), LookError> {
    let subject = own_subject(pipeline, RecordKind::Revision);
    let Some(entry) = sink.last_on(&subject).await? else {
        return Err(expired(last_sequence).into());
    };
    let at = entry.sequence;
    if at > last_sequence {
        return Err(LookError::Moved);
    }
    let record = parse(pipeline, entry)?;
    let revision: Revision = serde_json::from_slice(&record.payload)
        .map_err(|e| altered(at, &format!("its payload is not a revision: {e}")))?;
    if revision.plan.digest() != revision.plan_digest {
        return Err(altered(at, "its plan is not the one whose digest it names").into());
    }
    if last.plan != revision.plan_digest {
        let why = format!("it names plan {}, the revision in force {}", last.plan, revision.plan_digest);
        return Err(altered(last_sequence, &why).into());
    }
    Ok((at, revision, Digest::of(&record.payload)))
}

async fn last_link(
    sink: &impl Sink,
    pipeline: &PipelineName,
    revision_at: u64,
    revision: &Revision,
    last_sequence: u64,
) -> Result<Option<ReceiptLink>, LookError> {
    match sink.last_on(&own_subject(pipeline, RecordKind::Receipt)).await? {
        Some(entry) if entry.sequence > last_sequence => Err(LookError::Moved),
        Some(entry) if entry.sequence > revision_at => {
            let record = entry.sequence;
            let receipt = parse_receipt(&parse(pipeline, entry)?, record)?;
            Ok(Some(ReceiptLink { record, digest: receipt.digest() }))
        }
        _ => Ok(revision.last_receipt(revision_at)),
    }
}

/// Whether a receipt's link names what is really there.
async fn check_link(
    sink: &impl Sink,
    pipeline: &PipelineName,
    link: Option<ReceiptLink>,
) -> Result<(), PortError> {
    let Some(link) = link else { return Ok(()) };
    let Some(entry) = sink.get(link.record).await? else { return Err(expired(link.record).into()) };
    let record = parse(pipeline, entry)?;
    let found = match record.kind {
        RecordKind::Receipt => Some(parse_receipt(&record, link.record)?.digest()),
        RecordKind::Revision => serde_json::from_slice::<Revision>(&record.payload)
            .ok()
            .and_then(|revision| revision.closes)
            .map(|receipt| receipt.digest()),
        RecordKind::Message | RecordKind::Dead => None,
    };
    if found != Some(link.digest) {
        let why = format!("the receipt after it names digest {} for it", link.digest);
        return Err(altered(link.record, &why).into());
    }
    Ok(())
}

fn parse_receipt(record: &Record, sequence: u64) -> Result<Receipt, StopReason> {
    let receipt: Receipt = serde_json::from_slice(&record.payload)
        .map_err(|e| altered(sequence, &format!("its payload is not a receipt: {e}")))?;
    if receipt.canonical_bytes() != record.payload {
        return Err(altered(sequence, "its payload is not the receipt's canonical form"));
    }
    Ok(receipt)
}

fn altered(sequence: u64, why: &str) -> StopReason {
    StopReason::new(
        "record-differs",
        format!(
            "record {sequence} of the output stream is not what Weir wrote: {why}; restore the stream from a \
             copy, or apply the pipeline under a new name with a new output stream"
        ),
    )
}

fn expired(sequence: u64) -> StopReason {
    StopReason::new(
        "chain-truncated",
        format!(
            "record {sequence} of the output stream is needed to go on and is gone: remove limits that let \
             records expire from the stream, and restore it from a copy or apply the pipeline under a new name with a new \
             output stream"
        ),
    )
}
