//! The revisions of a chain, and where in it a verification begins and ends.

use model::record::own_subject;
use model::{Digest, PipelineName, ReceiptLink, Record, RecordKind, Revision};

use super::difference::{Cause, Difference};
use super::{Archive, Scope};
use crate::ports::{PortError, StopReason, Stored};

/// A revision in its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// The sequence of its record.
    pub(super) record: u64,
    /// The revision.
    pub(super) revision: Revision,
    /// The digest of its payload, by which ids name it.
    pub(super) digest: Digest,
}

/// What is known of a chain before it is walked.
#[derive(Debug)]
pub(super) struct History {
    /// The pipeline.
    pub(super) pipeline: PipelineName,
    /// The revision in force where the walk begins, and all after it that the range reaches.
    pub(super) revisions: Vec<Placed>,
    /// The first source sequence.
    pub(super) from: u64,
    /// The last source sequence.
    pub(super) through: u64,
    /// The first record of the walk.
    pub(super) first_record: u64,
    /// The last record that the range can reach.
    pub(super) last_record: u64,
    /// The receipt before the first record.
    pub(super) link: Option<ReceiptLink>,
    /// Whether the range reaches to the end of the chain.
    pub(super) is_whole: bool,
    /// What an earlier verification had found right.
    pub(super) before: Option<super::Verified>,
}

/// What ran in a range of a chain, as far as the chain says it.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRange {
    /// The first source sequence: where the first unit begins.
    pub from: u64,
    /// The last source sequence.
    pub through: u64,
    /// The revisions in force.
    pub revisions: Vec<Revision>,
}

/// Looks up which revisions govern a range of a chain.
///
/// # Errors
/// When the chain cannot be read; what is wrong with it is told as a text, for a verification tells more.
pub async fn history_range(
    archive: &impl Archive,
    pipeline: &PipelineName,
    scope: &Scope,
) -> Result<HistoryRange, PortError> {
    match History::read(archive, pipeline, scope).await? {
        Ok(history) => {
            let through = history.through;
            let revisions = history.revisions.into_iter().map(|placed| placed.revision);
            let governing = revisions.filter(|revision| revision.from_sequence <= through).collect();
            Ok(HistoryRange { from: history.from, through, revisions: governing })
        }
        Err(difference) => Err(StopReason::new("chain-differs", difference.to_string()).into()),
    }
}

type Found<T> = Result<Result<T, Box<Difference>>, PortError>;

/// Gives a difference back at once.
macro_rules! found {
    ($found:expr) => {
        match $found {
            Ok(value) => value,
            Err(difference) => return Ok(Err(difference)),
        }
    };
}

impl History {
    /// Reads the revisions, and finds where to begin and to end.
    pub(super) async fn read(archive: &impl Archive, pipeline: &PipelineName, scope: &Scope) -> Found<Self> {
        let last_record = archive.last_sequence().await?;
        if last_record == 0 {
            let detail = format!("pipeline '{pipeline}' has no record in its output stream yet");
            return Err(StopReason::new("chain-empty", detail).into());
        }
        let revisions = found!(revisions(archive, pipeline, last_record).await?);
        let Some(first) = revisions.first() else {
            if let Some(entry) = archive.get(1).await? {
                let found = found!(record_of(pipeline, entry));
                return Ok(Err(revision_altered(1, &found, ("kind", "the first revision".into()))));
            }
            let detail = format!(
                "the output stream has no revision of pipeline '{pipeline}', so nothing says what ran: its beginning \
                 is gone, or it is another pipeline's"
            );
            return Err(StopReason::new("chain-truncated", detail).into());
        };
        let last = found!(record_at(archive, pipeline, last_record).await?);
        let is_given = last.kind == RecordKind::Revision;
        let end = last.position.sequence - u64::from(is_given);
        let (from, to, before) = match scope {
            Scope::All => (first.revision.from_sequence, None, None),
            Scope::Events { from, to } => (from.unwrap_or(0).max(first.revision.from_sequence), *to, None),
            Scope::After { progress, to } => (progress.through + 1, *to, Some(*progress)),
        };
        let begins_anywhere =
            matches!(scope, Scope::All) || matches!(scope, Scope::Events { from: None, .. });
        let mut history = Self {
            pipeline: pipeline.clone(),
            through: end,
            from,
            first_record: first.record,
            last_record,
            link: None,
            is_whole: true,
            before,
            revisions,
        };
        if let Some(progress) = before {
            history.resume(&progress);
        } else if !begins_anywhere {
            found!(history.begin_at(archive, from).await?);
        }
        if let Some(to) = to {
            history.end_at(to);
        }
        Ok(Ok(history))
    }

    /// Goes on after the end of a unit.
    fn resume(&mut self, progress: &super::Verified) {
        let at = self.revisions.partition_point(|placed| placed.record <= progress.record).max(1);
        self.revisions.drain(..at - 1);
        self.from = self.from.max(self.revisions[0].revision.from_sequence);
        self.first_record = progress.record + 1;
        self.link = progress.link;
    }

    /// Begins with the unit in which a source sequence lies.
    async fn begin_at(&mut self, archive: &impl Archive, from: u64) -> Found<()> {
        let at = self.revisions.partition_point(|placed| placed.revision.from_sequence <= from).max(1);
        let next = self.revisions.get(at).map(|placed| placed.record);
        self.revisions.drain(..at - 1);
        let Placed { record, revision, .. } = &self.revisions[0];
        let (record, start) = (*record, revision.plan.block_start(from).max(revision.from_sequence));
        self.from = start;
        // Positions only grow along the chain.
        let (mut low, mut high) = (record + 1, next.unwrap_or(self.last_record + 1));
        while low < high {
            let middle = low + (high - low) / 2;
            let found = found!(record_at(archive, &self.pipeline, middle).await?);
            if found.position.sequence < start { low = middle + 1 } else { high = middle }
        }
        self.first_record = low;
        let before = found!(record_at(archive, &self.pipeline, low - 1).await?);
        self.link = match before.kind {
            RecordKind::Receipt => Some(ReceiptLink { record: low - 1, digest: Digest::of(&before.payload) }),
            _ => self.revisions[0].revision.last_receipt(record),
        };
        Ok(Ok(()))
    }

    /// Ends with the unit in which a source sequence lies.
    fn end_at(&mut self, to: u64) {
        let governing = self.revisions.partition_point(|placed| placed.revision.from_sequence <= to).max(1);
        let block_end = self.revisions[governing - 1].revision.plan.block_end(to.max(1));
        let next = self.revisions.get(governing).map(|placed| placed.revision.from_sequence - 1);
        let end = next.map_or(block_end, |next| next.min(block_end));
        self.is_whole = self.through <= end;
        self.through = self.through.min(end);
        // The revision that cuts off the last unit holds its receipt.
        let through = self.through;
        self.revisions.retain(|placed| placed.revision.from_sequence <= through.saturating_add(1));
    }
}

async fn revisions(archive: &impl Archive, pipeline: &PipelineName, last_record: u64) -> Found<Vec<Placed>> {
    let subject = own_subject(pipeline, RecordKind::Revision);
    let (mut revisions, mut from) = (Vec::<Placed>::new(), 1);
    while let Some(entry) = archive.next_on(&subject, from).await? {
        let sequence = entry.sequence;
        if sequence > last_record {
            break;
        }
        from = sequence + 1;
        let record = found!(record_of(pipeline, entry));
        match read_revision(pipeline, &record, revisions.last()) {
            Ok(revision) => {
                revisions.push(Placed { record: sequence, revision, digest: Digest::of(&record.payload) });
            }
            Err(why) => return Ok(Err(revision_altered(sequence, &record, why))),
        }
    }
    Ok(Ok(revisions))
}

/// Reads a revision and checks all that can be said of it by itself.
fn read_revision(
    pipeline: &PipelineName,
    record: &Record,
    before: Option<&Placed>,
) -> Result<Revision, (&'static str, String)> {
    let revision: Revision = serde_json::from_slice(&record.payload)
        .map_err(|error| ("payload", format!("a revision ({error})")))?;
    if revision.canonical_bytes() != record.payload {
        return Err(("payload", "the revision in its canonical form".into()));
    }
    let number = before.map_or(1, |before| before.revision.number + 1);
    let position = model::Position { sequence: revision.from_sequence, index: 0 };
    let checks = [
        (revision.plan.digest() == revision.plan_digest, "plan", revision.plan.digest().to_string()),
        (record.plan == revision.plan_digest, "plan", revision.plan_digest.to_string()),
        (revision.number == number, "number", number.to_string()),
        (revision.pipeline == *pipeline, "pipeline", pipeline.to_string()),
        (record.position == position, "position", position.to_string()),
        (record.headers.is_empty(), "headers", "no others".to_owned()),
    ];
    match checks.into_iter().find(|(holds, ..)| !holds) {
        Some((_, what, expected)) => Err((what, expected)),
        None => Ok(revision),
    }
}

fn revision_altered(record: u64, found: &Record, (what, expected): (&str, String)) -> Box<Difference> {
    Box::new(Difference {
        record,
        position: Some(found.position),
        receipt: None,
        what: what.to_owned(),
        expected,
        found: super::difference::excerpt(&found.payload),
        cause: Cause::RevisionAltered,
    })
}

async fn record_at(archive: &impl Archive, pipeline: &PipelineName, sequence: u64) -> Found<Record> {
    let Some(entry) = archive.get(sequence).await? else {
        return Ok(Err(missing(sequence)));
    };
    Ok(record_of(pipeline, entry))
}

/// Reads an entry as a record.
pub(super) fn record_of(pipeline: &PipelineName, entry: Stored) -> Result<Record, Box<Difference>> {
    let sequence = entry.sequence;
    Record::from_wire(pipeline, entry.subject, entry.headers, entry.payload).map_err(|foreign| {
        Box::new(Difference {
            record: sequence,
            position: None,
            receipt: None,
            what: "form".into(),
            expected: format!("a record of pipeline {pipeline}"),
            found: format!("an entry under {}: {foreign}", foreign.subject),
            cause: Cause::ChainAltered,
        })
    })
}

/// A record that is not in the stream any more.
pub(super) fn missing(record: u64) -> Box<Difference> {
    Box::new(Difference {
        record,
        position: None,
        receipt: None,
        what: "existence".into(),
        expected: "a record".into(),
        found: "nothing".into(),
        cause: Cause::ChainAltered,
    })
}
