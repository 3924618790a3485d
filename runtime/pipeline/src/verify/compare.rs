//! Compares what execution gives with what the chain holds, record by record and receipt by receipt.
//!
//! After the first record that differs the rest of its unit is executed and not compared: the unit's receipt
//! then tells whether the input or the output was altered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::record::own_subject;
use model::{Digest, Position, Receipt, ReceiptLink, Record, RecordId, RecordKind, Revision, Totals};
use tokio::sync::{mpsc, oneshot};

use super::cursor::{Cursor, Entry};
use super::difference::{Cause, Difference, excerpt, record_difference};
use super::feed::{FeedError, Item};
use super::history::{History, Placed};
use super::{Archive, Identical, Verdict, Verified, VerifyProgress};
use crate::cutter::Close;
use crate::ports::PortError;
use crate::unit::{ReceiptDraft, UnitError};
use crate::workers::{ChunkEnd, ChunkResult, Lane};

/// See the head of this file.
pub(super) struct Comparing<'a, A, F> {
    archive: &'a A,
    history: &'a History,
    engine: &'a str,
    cursor: Cursor,
    progress: &'a VerifyProgress,
    reached: F,
    /// The revision in force, by its place in the history.
    in_force: usize,
    link: Option<ReceiptLink>,
    totals: Totals,
    receipts: u64,
    records: u64,
    /// The id of the record that was taken last.
    last_id: Option<RecordId>,
    range: Option<(u64, u64)>,
    other_engines: BTreeSet<String>,
    /// The receipt of a unit that the next revision cuts off.
    cut_off: Option<ReceiptDraft>,
    /// The first difference in the unit at work.
    in_unit: Option<Box<Difference>>,
    /// Where the chain ends, execution may go on: its records are yet to be appended.
    is_beyond: bool,
}

/// Why comparing ends early.
enum Halt {
    Differs(Box<Difference>),
    Port(PortError),
}

impl From<PortError> for Halt {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl From<Box<Difference>> for Halt {
    fn from(difference: Box<Difference>) -> Self {
        Self::Differs(difference)
    }
}

impl<'a, A: Archive, F: FnMut(&Verified) + Send> Comparing<'a, A, F> {
    pub(super) fn new(
        archive: &'a A,
        history: &'a History,
        engine: &'a str,
        cursor: Cursor,
        progress: &'a VerifyProgress,
        reached: F,
    ) -> Self {
        Self {
            archive,
            history,
            engine,
            cursor,
            progress,
            reached,
            in_force: 0,
            link: history.link,
            totals: history.before.map_or(Totals::NONE, |before| before.totals),
            receipts: history.before.map_or(0, |before| before.totals.receipts),
            records: 0,
            last_id: None,
            range: None,
            other_engines: BTreeSet::new(),
            cut_off: None,
            in_unit: None,
            is_beyond: false,
        }
    }

    /// Compares until everything is, or something differs.
    pub(super) async fn run(mut self, taken: mpsc::Receiver<Item>) -> Result<Verdict, PortError> {
        match self.compare(taken).await {
            Ok(()) => Ok(Verdict::Identical(Identical {
                totals: self.totals,
                receipts: self.receipts,
                records: self.records,
                range: self.range,
                other_engines: self.other_engines,
            })),
            Err(Halt::Differs(difference)) => Ok(Verdict::Differs(difference)),
            Err(Halt::Port(error)) => Err(error),
        }
    }

    async fn compare(&mut self, mut taken: mpsc::Receiver<Item>) -> Result<(), Halt> {
        if self.history.first_record == self.history.revisions[0].record {
            self.revision_record(0, None).await?;
        }
        while let Some(item) = taken.recv().await {
            match item {
                Item::Chunk { result, lane, close } => self.chunk(result, &lane, close).await?,
                Item::Revision => {
                    self.in_force += 1;
                    let cut_off = self.cut_off.take();
                    self.revision_record(self.in_force, cut_off).await?;
                }
                Item::End => return self.end().await,
                Item::Failed(FeedError::Differs(difference)) => return Err(difference.into()),
                Item::Failed(FeedError::Port(error)) => return Err(error.into()),
            }
        }
        Err(PortError::Unavailable("the source was not read to its end".into()).into())
    }

    async fn chunk(
        &mut self,
        result: oneshot::Receiver<ChunkResult>,
        lane: &Arc<Lane>,
        close: Close,
    ) -> Result<(), Halt> {
        let lost = |_| PortError::Unavailable("the workers have stopped".into());
        let mut result = result.await.map_err(lost)?;
        loop {
            self.progress.events.fetch_add(result.events, Ordering::Relaxed);
            for record in result.records {
                self.record(&record).await?;
            }
            match result.end {
                ChunkEnd::Split(rest) => result = lane.resume(rest).await.map_err(lost)?,
                ChunkEnd::Open => return Ok(()),
                ChunkEnd::Closed(draft) => {
                    return match draft {
                        Some(draft) => self.close(draft, close).await,
                        None => Ok(()),
                    };
                }
                ChunkEnd::Failed(UnitError::Host(fault)) => {
                    return Err(PortError::Unavailable(fault.to_string()).into());
                }
                // The pipeline stopped here, and so has the chain to.
                ChunkEnd::Failed(UnitError::Guest { .. }) => {
                    self.is_beyond = true;
                    return Ok(());
                }
            }
        }
    }

    /// Compares one record with the next one of the chain.
    async fn record(&mut self, computed: &Record) -> Result<(), Halt> {
        if self.in_unit.is_some() || self.is_beyond {
            return Ok(());
        }
        let in_force = &self.history.revisions[self.in_force];
        let Some(entry) = self.cursor.peek().await?? else {
            self.is_beyond = true;
            return Ok(());
        };
        match record_difference(computed, &entry.record) {
            None => {
                entry.check_place(&in_force.digest, self.last_id)?;
                self.take();
            }
            Some(difference) => {
                let entry = entry.clone();
                self.in_unit = Some(differs(&entry, difference, Cause::InputOrOutputAltered));
            }
        }
        Ok(())
    }

    fn take(&mut self) -> Option<Entry> {
        self.records += 1;
        self.progress.records.fetch_add(1, Ordering::Relaxed);
        let entry = self.cursor.take();
        self.last_id = entry.as_ref().and_then(Entry::id);
        entry
    }

    /// A unit is over: its receipt is next, or stands in the next revision, or is yet to come.
    async fn close(&mut self, draft: ReceiptDraft, close: Close) -> Result<(), Halt> {
        if let Some(difference) = self.in_unit.take() {
            return Err(self.explained(difference, &draft.link(None)).await?.into());
        }
        let in_force = &self.history.revisions[self.in_force];
        let position = draft.position();
        let Some(entry) = self.cursor.peek().await?? else {
            if !self.is_beyond {
                self.count(&draft.link(self.link));
            }
            self.is_beyond = true;
            return Ok(());
        };
        if entry.record.kind == RecordKind::Receipt {
            entry.check_place(&in_force.digest, self.last_id)?;
            let entry = self.take().expect("it was just looked at");
            return self.receipt(&entry, draft).await;
        }
        if close == Close::WithRevision {
            self.cut_off = Some(draft);
            return Ok(());
        }
        let entry = entry.clone();
        let what = ("kind", format!("the receipt at {position}"), shown(&entry.record));
        let difference = differs(&entry, what, Cause::ChainAltered);
        Err(self.explained(difference, &draft.link(None)).await?.into())
    }

    /// Compares a receipt that is a record of its own.
    async fn receipt(&mut self, entry: &Entry, draft: ReceiptDraft) -> Result<(), Halt> {
        let (position, ours) = (draft.position(), draft.link(self.link));
        let theirs = parse_receipt(&entry.record.payload);
        let place = (entry.record.position, entry.record.plan, entry.record.headers.is_empty());
        let same_place = place == (position, ours.plan, true);
        match theirs {
            Some(theirs) if same_place && same_but_for_engine(&theirs, &ours) => {
                self.link =
                    Some(ReceiptLink { record: entry.sequence, digest: Digest::of(&entry.record.payload) });
                self.accept(&theirs);
                (self.reached)(&Verified {
                    through: theirs.last_sequence,
                    record: entry.sequence,
                    link: self.link,
                    totals: self.totals,
                });
                Ok(())
            }
            theirs => {
                let is_linked = self.is_linked(entry).await?;
                if let Some(theirs) = theirs.as_ref().filter(|_| is_linked && same_place)
                    && let (Some(here), Some(link)) = (ours.previous, theirs.previous)
                    && same_but_for_engine(&Receipt { previous: ours.previous, ..theirs.clone() }, &ours)
                {
                    // This one is as it was written, so the one before it is not.
                    return Err(earlier_receipt_differs(here, link).into());
                }
                let what = receipt_difference(&ours, theirs.as_ref(), &entry.record, position);
                let cause = match theirs {
                    Some(theirs) if is_linked && theirs.inputs != ours.inputs => Cause::InputAltered,
                    _ => Cause::ReceiptAltered,
                };
                Err(Difference { receipt: Some(entry.sequence), ..*differs(entry, what, cause) }.into())
            }
        }
    }

    /// Compares a revision with its place, and with the receipt in it.
    async fn revision_record(&mut self, at: usize, cut_off: Option<ReceiptDraft>) -> Result<(), Halt> {
        let Placed { record, revision, digest } = &self.history.revisions[at];
        let before = at.checked_sub(1).map(|before| &self.history.revisions[before].revision);
        let Some(entry) = self.cursor.peek().await?? else {
            return Err(super::history::missing(*record).into());
        };
        if entry.sequence != *record {
            let entry = entry.clone();
            let expected = format!("revision {}", revision.number);
            let what = ("kind", expected, shown(&entry.record));
            let difference = differs(&entry, what, Cause::ChainAltered);
            return Err(match cut_off {
                Some(draft) => self.explained(difference, &draft.link(None)).await?.into(),
                None => difference.into(),
            });
        }
        entry.check_place(digest, self.last_id)?;
        let entry = self.take().expect("it was just looked at");
        let ours = cut_off.map(|draft| draft.link(self.link));
        let altered = |what| Halt::from(differs(&entry, what, Cause::RevisionAltered));
        let starts_anew = before.is_some_and(|before| before.plan_digest == revision.plan_digest);
        match (&ours, &revision.closes) {
            (None, None) => {}
            // The events of the unit before were gone when this revision began another one.
            (Some(_), None) if starts_anew => {}
            (Some(ours), Some(theirs)) if same_but_for_engine(theirs, ours) => self.accept(theirs),
            (ours, theirs) => {
                let text =
                    |receipt: &Option<Receipt>| receipt.as_ref().map_or("no receipt".into(), receipt_text);
                let what = ("receipt of the unit that it cuts off", text(ours), text(theirs));
                // All records of the unit are right, so its input can differ only in what they do not show.
                let cause = match (ours, theirs) {
                    (Some(ours), Some(theirs))
                        if same_but_for_engine(&Receipt { inputs: ours.inputs, ..theirs.clone() }, ours) =>
                    {
                        Cause::InputAltered
                    }
                    _ => Cause::RevisionAltered,
                };
                return Err(differs(&entry, what, cause).into());
            }
        }
        let link = if ours.is_some() && revision.closes.is_none() { revision.previous } else { self.link };
        if revision.previous != link {
            let text = |link: Option<ReceiptLink>| format!("{link:?}");
            return Err(altered(("link to the receipt before", text(link), text(revision.previous))));
        }
        check_generation(before, revision).map_err(altered)?;
        self.link = revision.last_receipt(*record);
        let through = revision.from_sequence - 1;
        (self.reached)(&Verified { through, record: *record, link: self.link, totals: self.totals });
        Ok(())
    }

    /// Everything was fed: the chain may hold no more.
    async fn end(&mut self) -> Result<(), Halt> {
        if !self.history.is_whole {
            return Ok(());
        }
        let Some(entry) = self.cursor.peek().await?? else { return Ok(()) };
        let what = ("existence", "nothing more of these events".to_owned(), shown(&entry.record));
        Err(differs(&entry.clone(), what, Cause::InputGone).into())
    }

    /// Counts a receipt of the chain that was found right.
    fn accept(&mut self, theirs: &Receipt) {
        if theirs.engine != self.engine {
            self.other_engines.insert(theirs.engine.clone());
        }
        self.receipts += 1;
        self.progress.receipts.fetch_add(1, Ordering::Relaxed);
        self.count(theirs);
    }

    fn count(&mut self, receipt: &Receipt) {
        self.totals.add(receipt);
        let first = self.range.map_or(receipt.first_sequence, |(first, _)| first);
        self.range = Some((first, receipt.last_sequence));
    }

    /// The same difference, with what the unit's receipt tells of its cause.
    async fn explained(
        &self,
        difference: Box<Difference>,
        ours: &Receipt,
    ) -> Result<Box<Difference>, PortError> {
        let subject = own_subject(&self.history.pipeline, RecordKind::Receipt);
        let entry = self.archive.next_on(&subject, difference.record).await?;
        let own = entry.and_then(|entry| Some((entry.sequence, parse_receipt(&entry.payload)?)));
        let next = self.history.revisions.get(self.in_force + 1);
        let closed = next.and_then(|placed| Some((placed.record, placed.revision.closes.clone()?)));
        let mut receipts = [own, closed].into_iter().flatten();
        let found =
            receipts.find(|(_, theirs)| theirs.unit_start == ours.unit_start && theirs.plan == ours.plan);
        Ok(match found {
            None => difference,
            Some((record, theirs)) => {
                let cause = self.unit_cause(ours, &theirs);
                Box::new(Difference { receipt: Some(record), cause, ..*difference })
            }
        })
    }

    /// Why a unit does not come out as its receipt says, by what the receipt says.
    fn unit_cause(&self, ours: &Receipt, theirs: &Receipt) -> Cause {
        if theirs.inputs != ours.inputs {
            return if theirs.events > ours.events { Cause::InputGone } else { Cause::InputAltered };
        }
        if theirs.outputs == ours.outputs {
            return Cause::OutputAltered;
        }
        if theirs.engine != self.engine {
            return Cause::OtherEngine { theirs: theirs.engine.clone(), ours: self.engine.to_owned() };
        }
        Cause::NotDeterministic
    }

    /// Whether the next receipt names the digest of this one, so that it is as it was written.
    async fn is_linked(&self, entry: &Entry) -> Result<bool, PortError> {
        let subject = own_subject(&self.history.pipeline, RecordKind::Receipt);
        let next = self.archive.next_on(&subject, entry.sequence + 1).await?;
        let next = next.and_then(|next| parse_receipt(&next.payload)?.previous);
        let digest = Digest::of(&entry.record.payload);
        Ok(next.is_some_and(|link| link == ReceiptLink { record: entry.sequence, digest }))
    }
}

fn earlier_receipt_differs(here: ReceiptLink, link: ReceiptLink) -> Difference {
    Difference {
        record: here.record,
        position: None,
        receipt: Some(here.record),
        what: "digest".into(),
        expected: format!("{}, as the receipt after it says", link.digest),
        found: here.digest.to_string(),
        cause: Cause::ReceiptAltered,
    }
}

fn differs(entry: &Entry, what: (&'static str, String, String), cause: Cause) -> Box<Difference> {
    let (what, expected, found) = what;
    Box::new(Difference {
        record: entry.sequence,
        position: Some(entry.record.position),
        receipt: None,
        what: what.to_owned(),
        expected,
        found,
        cause,
    })
}

impl From<Difference> for Halt {
    fn from(difference: Difference) -> Self {
        Self::Differs(Box::new(difference))
    }
}

/// A receipt in its canonical form; none if the bytes are not one.
fn parse_receipt(payload: &[u8]) -> Option<Receipt> {
    let receipt: Receipt = serde_json::from_slice(payload).ok()?;
    (receipt.canonical_bytes() == payload).then_some(receipt)
}

fn same_but_for_engine(theirs: &Receipt, ours: &Receipt) -> bool {
    Receipt { engine: ours.engine.clone(), ..theirs.clone() } == *ours
}

fn receipt_text(receipt: &Receipt) -> String {
    String::from_utf8_lossy(&receipt.canonical_bytes()).into_owned()
}

/// The first key in which two receipts differ, with both values.
fn receipt_difference(
    ours: &Receipt,
    theirs: Option<&Receipt>,
    record: &Record,
    position: Position,
) -> (&'static str, String, String) {
    let Some(theirs) = theirs else {
        return ("payload", receipt_text(ours), excerpt(&record.payload));
    };
    let link = |receipt: &Receipt| format!("{:?}", receipt.previous);
    let parts = [
        ("position", position.to_string(), record.position.to_string()),
        ("plan", ours.plan.to_string(), record.plan.to_string()),
        ("plan", ours.plan.to_string(), theirs.plan.to_string()),
        ("unit_start", ours.unit_start.to_string(), theirs.unit_start.to_string()),
        ("first_sequence", ours.first_sequence.to_string(), theirs.first_sequence.to_string()),
        ("last_sequence", ours.last_sequence.to_string(), theirs.last_sequence.to_string()),
        ("events", ours.events.to_string(), theirs.events.to_string()),
        ("inputs", ours.inputs.to_string(), theirs.inputs.to_string()),
        ("messages", ours.messages.to_string(), theirs.messages.to_string()),
        ("dead_letters", ours.dead_letters.to_string(), theirs.dead_letters.to_string()),
        ("outputs", ours.outputs.to_string(), theirs.outputs.to_string()),
        ("link to the receipt before", link(ours), link(theirs)),
    ];
    let differing = parts.into_iter().find(|(_, ours, theirs)| ours != theirs);
    differing.unwrap_or_else(|| ("payload", receipt_text(ours), excerpt(&record.payload)))
}

/// Generations grow along the chain, but where a new unit of the same plan is begun.
fn check_generation(
    before: Option<&Revision>,
    revision: &Revision,
) -> Result<(), (&'static str, String, String)> {
    let Some(before) = before else { return Ok(()) };
    let is_same = before.generation == revision.generation && before.plan_digest == revision.plan_digest;
    if is_same || revision.generation > before.generation {
        return Ok(());
    }
    let expected = format!("more than {}", before.generation);
    Err(("generation", expected, revision.generation.to_string()))
}

fn shown(record: &Record) -> String {
    format!("{} at {}: {}", record.kind.as_str(), record.position, excerpt(&record.payload))
}
