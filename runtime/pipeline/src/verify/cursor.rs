//! The records of a chain, one after the other, up to where the walk ends.

use std::collections::VecDeque;

use model::record::{AFTER_HEADER, EXPECTED_HEADER, ID_HEADER, RecordId};
use model::{Digest, PipelineName, Record};

use super::difference::{Cause, Difference};
use super::history::{History, missing, record_of};
use super::{Archive, RecordReader};
use crate::ports::{PortError, Stored};

/// A place in the chain, with the record that is next.
pub(super) struct Cursor<R> {
    reader: R,
    pipeline: PipelineName,
    burst: VecDeque<Stored>,
    next: u64,
    last: u64,
    peeked: Option<Entry>,
}

/// A record as it lies in the chain.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its sequence.
    pub(super) sequence: u64,
    /// The record.
    pub(super) record: Record,
    /// The headers that bind it to its place.
    expected: Option<String>,
    id: Option<String>,
    after: Option<String>,
}

impl<R: RecordReader> Cursor<R> {
    /// Opens the chain at the walk's first record.
    pub(super) async fn open<A: Archive<Reader = R>>(
        archive: &A,
        pipeline: &PipelineName,
        history: &History,
    ) -> Result<Self, PortError> {
        let (next, last) = (history.first_record, history.last_record);
        let reader = archive.open(next).await?;
        let burst = VecDeque::new();
        Ok(Self { reader, pipeline: pipeline.clone(), burst, next, last, peeked: None })
    }

    /// The next record, which stays the next one; none at the end.
    pub(super) async fn peek(&mut self) -> Result<Result<Option<&Entry>, Box<Difference>>, PortError> {
        if self.peeked.is_none() && self.next <= self.last {
            if self.burst.is_empty() {
                self.burst = self.reader.next().await?.into();
            }
            let Some(stored) = self.burst.pop_front() else {
                return Err(PortError::Unavailable("the reader of the chain gave no record".into()));
            };
            if stored.sequence != self.next {
                return Ok(Err(missing(self.next)));
            }
            self.next += 1;
            match entry(&self.pipeline, stored) {
                Ok(entry) => self.peeked = Some(entry),
                Err(difference) => return Ok(Err(difference)),
            }
        }
        Ok(Ok(self.peeked.as_ref()))
    }

    /// Takes the record that was looked at.
    pub(super) fn take(&mut self) -> Option<Entry> {
        self.peeked.take()
    }
}

fn entry(pipeline: &PipelineName, stored: Stored) -> Result<Entry, Box<Difference>> {
    let sequence = stored.sequence;
    let header = |name| stored.headers.get(name).map(str::to_owned);
    let (expected, id, after) = (header(EXPECTED_HEADER), header(ID_HEADER), header(AFTER_HEADER));
    let record = record_of(pipeline, stored)?;
    Ok(Entry { sequence, record, expected, id, after })
}

impl Entry {
    /// The record's id.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
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
        let follows = self.after.is_none() || before_id.is_none() || self.after.as_deref() == before_id;
        if own.is_some_and(|rest| is_number(rest, self.sequence))
            && self.expected.as_deref().is_some_and(|before| is_number(before, self.sequence - 1))
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
            (EXPECTED_HEADER, before.as_str(), self.expected.as_deref()),
            (AFTER_HEADER, before_id.unwrap_or_default(), self.after.as_deref()),
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
