//! The records of a chain, one after the other, up to where the walk ends.
//!
//! They are read, and made out of headers and bytes, by a task of their own, a few bursts ahead: on more than
//! one core a verification does so while it executes and compares.

use std::collections::VecDeque;

use model::number::read_decimal;
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
    binding: Binding,
}

/// The headers that bind a record to its place.
#[derive(Clone, Debug)]
struct Binding {
    id: Result<RecordId, Unread>,
    after: Result<RecordId, Unread>,
    expected: Result<u64, Unread>,
}

/// A header that is not there, or what it holds instead of what it has to.
#[derive(Clone, Debug)]
enum Unread {
    Missing,
    Other(String),
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
        let (sequence, binding) = (stored.sequence, Binding::read(&stored.headers));
        match record_of(pipeline, stored) {
            Ok(record) => entries.push(Entry { sequence, record, binding }),
            Err(difference) => return (entries, Some(difference)),
        }
    }
    (entries, None)
}

impl Binding {
    fn read(headers: &Headers) -> Self {
        fn header<T>(headers: &Headers, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Unread> {
            let text = headers.get(name).ok_or(Unread::Missing)?;
            parse(text).ok_or_else(|| Unread::Other(text.to_owned()))
        }
        Self {
            id: header(headers, ID_HEADER, |text| text.parse().ok()),
            after: header(headers, AFTER_HEADER, |text| text.parse().ok()),
            expected: header(headers, EXPECTED_HEADER, read_decimal),
        }
    }
}

impl Entry {
    /// The record's id, where it has one.
    pub(super) fn id(&self) -> Option<RecordId> {
        self.binding.id.as_ref().ok().copied()
    }

    /// Whether the record is bound to its place, under the revision whose payload has this digest and behind
    /// the record of this id.
    pub(super) fn check_place(
        &self,
        revision: &Digest,
        before_id: Option<RecordId>,
    ) -> Result<(), Box<Difference>> {
        let Binding { id, after, expected } = &self.binding;
        // The first record of each run of a node names none before it.
        let follows = match (after, before_id) {
            (Err(Unread::Missing), _) | (_, None) => true,
            (after, Some(before)) => matches!(after, Ok(after) if *after == before),
        };
        if matches!(id, Ok(id) if *id == RecordId::new(revision, self.sequence))
            && matches!(expected, Ok(expected) if *expected == self.sequence - 1)
            && follows
        {
            return Ok(());
        }
        Err(self.misplaced(revision, before_id))
    }

    /// The first of the headers that bind the record to its place which is not as it has to be.
    fn misplaced(&self, revision: &Digest, before_id: Option<RecordId>) -> Box<Difference> {
        fn shown<T: ToString>(read: &Result<T, Unread>) -> Option<String> {
            match read {
                Ok(value) => Some(value.to_string()),
                Err(Unread::Other(text)) => Some(text.clone()),
                Err(Unread::Missing) => None,
            }
        }
        let id = RecordId::new(revision, self.sequence).to_string();
        let before_id = before_id.map(|id| id.to_string()).unwrap_or_default();
        let parts = [
            (ID_HEADER, id, shown(&self.binding.id)),
            (EXPECTED_HEADER, (self.sequence - 1).to_string(), shown(&self.binding.expected)),
            (AFTER_HEADER, before_id, shown(&self.binding.after)),
        ];
        let differs =
            |(_, expected, found): &&(&str, String, Option<String>)| found.as_ref() != Some(expected);
        let (name, expected, found) = parts.iter().find(differs).unwrap_or(&parts[2]).clone();
        Box::new(Difference {
            record: self.sequence,
            position: Some(self.record.position),
            receipt: None,
            what: format!("header {name}"),
            expected,
            found: found.unwrap_or_else(|| "no such header".to_owned()),
            cause: Cause::ChainAltered,
        })
    }
}
