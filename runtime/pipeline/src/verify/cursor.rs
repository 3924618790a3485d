//! The records of a chain, one after the other, up to where the walk ends.
//!
//! They are read, and made out of headers and bytes, by a task of their own, a few bursts ahead: on more than
//! one core a verification does so while it executes and compares.

use std::collections::VecDeque;

use model::record::{AFTER_HEADER, EXPECTED_HEADER, ID_HEADER};
use model::{Digest, Headers, PipelineName, Record, RecordId};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::difference::{Cause, Difference};
use super::history::{History, missing, record_of};
use super::{Archive, RecordReader};
use crate::ports::{PortError, Stored};

/// Bursts that are read ahead.
const BURSTS_AHEAD: usize = 2;

/// What was made of a burst, up to the first entry that is no record.
type Burst = Result<(Vec<Entry>, Option<Box<Difference>>), PortError>;

/// A place in the chain, with the record that is next.
pub(super) struct Cursor {
    bursts: mpsc::Receiver<Burst>,
    /// Ends with the cursor.
    _reading: JoinSet<()>,
    burst: VecDeque<Entry>,
    /// What is wrong with the entry after the burst.
    unreadable: Option<Box<Difference>>,
    next: u64,
    last: u64,
}

/// A record as it lies in the chain.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its sequence.
    pub(super) sequence: u64,
    /// The record.
    pub(super) record: Record,
    /// All its headers, with those that bind it to its place.
    headers: Headers,
}

impl Cursor {
    /// Opens the chain at the walk's first record.
    pub(super) async fn open<A: Archive>(
        archive: &A,
        pipeline: &PipelineName,
        history: &History,
    ) -> Result<Self, PortError> {
        let (next, last) = (history.first_record, history.last_record);
        let reader = archive.open(next).await?;
        let (found, bursts) = mpsc::channel(BURSTS_AHEAD);
        let mut reading = JoinSet::new();
        reading.spawn(read(reader, pipeline.clone(), last, found));
        Ok(Self { bursts, _reading: reading, burst: VecDeque::new(), unreadable: None, next, last })
    }

    /// The next record, which stays the next one; none at the end.
    pub(super) async fn peek(&mut self) -> Result<Result<Option<&Entry>, Box<Difference>>, PortError> {
        if self.next > self.last {
            return Ok(Ok(None));
        }
        if self.burst.is_empty() && self.unreadable.is_none() {
            let ended = || PortError::Unavailable("the reader of the chain gave no record".into());
            let (entries, unreadable) = self.bursts.recv().await.ok_or_else(ended)??;
            (self.burst, self.unreadable) = (entries.into(), unreadable);
        }
        match (self.burst.front(), &self.unreadable) {
            (Some(entry), _) if entry.sequence != self.next => Ok(Err(missing(self.next))),
            (Some(entry), _) => Ok(Ok(Some(entry))),
            (None, Some(difference)) if difference.record != self.next => Ok(Err(missing(self.next))),
            (None, Some(difference)) => Ok(Err(difference.clone())),
            (None, None) => Err(PortError::Unavailable("the reader of the chain gave no record".into())),
        }
    }

    /// Takes the record that was looked at.
    pub(super) fn take(&mut self) -> Option<Entry> {
        let entry = self.burst.pop_front();
        self.next += u64::from(entry.is_some());
        entry
    }
}

/// Reads records up to the last one, or to one that cannot be read.
async fn read<R: RecordReader>(mut reader: R, pipeline: PipelineName, last: u64, found: mpsc::Sender<Burst>) {
    loop {
        let burst = match reader.next().await {
            Ok(stored) => Ok(entries(&pipeline, stored)),
            Err(error) => Err(error),
        };
        let is_over = match &burst {
            Ok((entries, unreadable)) => {
                unreadable.is_some() || entries.last().is_none_or(|entry| entry.sequence >= last)
            }
            Err(_) => true,
        };
        // Where nobody takes it, nobody needs it.
        if found.send(burst).await.is_err() || is_over {
            return;
        }
    }
}

fn entries(pipeline: &PipelineName, burst: Vec<Stored>) -> (Vec<Entry>, Option<Box<Difference>>) {
    let mut entries = Vec::with_capacity(burst.len());
    for stored in burst {
        let (sequence, headers) = (stored.sequence, stored.headers.clone());
        match record_of(pipeline, stored) {
            Ok(record) => entries.push(Entry { sequence, record, headers }),
            Err(difference) => return (entries, Some(difference)),
        }
    }
    (entries, None)
}

impl Entry {
    /// The record's id.
    pub(super) fn id(&self) -> Option<&str> {
        self.headers.get(ID_HEADER)
    }

    fn after(&self) -> Option<&str> {
        self.headers.get(AFTER_HEADER)
    }

    fn expected(&self) -> Option<&str> {
        self.headers.get(EXPECTED_HEADER)
    }

    /// Whether the record is bound to its place, under the revision whose payload has this digest and behind
    /// the record of this id. `prefix` is what the ids under that revision begin with.
    pub(super) fn check_place(
        &self,
        revision: &Digest,
        prefix: &str,
        before_id: Option<&str>,
    ) -> Result<(), Box<Difference>> {
        let own = self.id().and_then(|id| id.strip_prefix(prefix));
        // The first record of each run of a node names none before it.
        let after = self.after();
        let follows = after.is_none() || before_id.is_none() || after == before_id;
        if own.is_some_and(|rest| is_number(rest, self.sequence))
            && self.expected().is_some_and(|before| is_number(before, self.sequence - 1))
            && follows
        {
            return Ok(());
        }
        Err(self.misplaced(revision, before_id))
    }

    /// The first of the headers that bind the record to its place which is not as it has to be.
    fn misplaced(&self, revision: &Digest, before_id: Option<&str>) -> Box<Difference> {
        let id = RecordId::new(revision, self.sequence).to_string();
        let before = (self.sequence - 1).to_string();
        let parts = [
            (ID_HEADER, id.as_str(), self.id()),
            (EXPECTED_HEADER, before.as_str(), self.expected()),
            (AFTER_HEADER, before_id.unwrap_or_default(), self.after()),
        ];
        let differing = parts.into_iter().find(|(_, expected, found)| Some(*expected) != *found);
        let (name, expected, found) = differing.unwrap_or(parts[2]);
        Box::new(Difference {
            record: self.sequence,
            position: Some(self.record.position),
            receipt: None,
            what: format!("header {name}"),
            expected: expected.to_owned(),
            found: found.unwrap_or("no such header").to_owned(),
            cause: Cause::ChainAltered,
        })
    }
}

/// Whether a text is this number, written as numbers are.
fn is_number(text: &str, number: u64) -> bool {
    let is_plain = text == "0" || text.starts_with(|first: char| ('1'..='9').contains(&first));
    is_plain && text.parse() == Ok(number)
}

#[cfg(test)]
mod tests {
    use super::is_number;

    #[test]
    fn a_number_is_written_in_one_way() {
        assert!(is_number("0", 0) && is_number("70", 70));
        for other in ["", "+70", "070", "71", "70 ", "7e1"] {
            assert!(!is_number(other, 70), "{other}");
        }
    }
}
