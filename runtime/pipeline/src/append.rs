//! The appender: takes results in order, compares what is already in the chain with its re-execution, and
//! appends the rest. The only writer.
//!
//! Records are sent as soon as they are next; an answer is asked for every few hundred, and for the last of
//! a burst. A record that the server did not take makes all later ones fail too, so one answer vouches for
//! all records before it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use model::record::own_subject;
use model::{
    Digest, PipelineName, Place, Position, Receipt, ReceiptLink, Record, RecordId, RecordKind, Revision,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::chain::Chain;
use crate::cutter::Close;
use crate::meters::PipelineMeters;
use crate::ports::{AppendError, Appender, Ask, Hint, PortError, StopReason};
use crate::status::StatusCell;
use crate::unit::{LoadedPlan, ReceiptDraft, UnitError};
use crate::workers::{ChunkEnd, ChunkResult, Lane};

/// An answer is asked for at least every so many records.
const RECORDS_PER_ANSWER: u64 = 256;
/// So many answers may be outstanding.
const ANSWERS_OUTSTANDING_MAX: usize = 16;
/// An answer that takes longer is taken for lost.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// What the appender is given, in the order in which it counts.
pub enum Item {
    /// A chunk at work.
    Chunk {
        /// Its result.
        result: oneshot::Receiver<ChunkResult>,
        /// Where it runs.
        lane: Arc<Lane>,
        /// What follows it.
        close: Close,
        /// When its oldest event was stored in the source; `None` for a chunk without events.
        timestamp_ns: Option<u64>,
    },
    /// A plan to put in force.
    Revision {
        /// The plan.
        plan: Arc<LoadedPlan>,
        /// The application that it carries out.
        generation: u64,
        /// The first sequence that it governs.
        from_sequence: u64,
    },
}

/// Appends to one chain; see the head of this file.
pub struct Appending<A> {
    appender: A,
    pipeline: PipelineName,
    meters: PipelineMeters,
    status: Arc<StatusCell>,
    revision_number: u64,
    /// The digest of the payload of the revision in force where the next record is sent.
    revision: Digest,
    next_sequence: u64,
    /// The id of the record that was sent last.
    after: Option<RecordId>,
    link: Option<ReceiptLink>,
    /// The last record of the chain, until its re-execution has been compared with it.
    expected: Option<(u64, Record)>,
    /// The receipt of a unit that the revision to come cuts off.
    cut_off: Option<ReceiptDraft>,
    /// The record that is next to be sent: held back to know whether it is the last of its burst.
    held: Option<Record>,
    sent_since_ask: u64,
    outstanding: VecDeque<Outstanding>,
    unvouched: Progress,
    /// The last source sequence that is worked through.
    through: Option<u64>,
}

/// What an outstanding answer will vouch for.
struct Outstanding {
    sequence: u64,
    deadline: Instant,
    progress: Progress,
}

/// How far the source has been worked through, since the answer before.
#[derive(Default)]
struct Progress {
    events: u64,
    through: Option<u64>,
    timestamps_ns: Vec<u64>,
}

impl<A: Appender> Appending<A> {
    /// Goes on where the chain stands.
    pub fn new(
        appender: A,
        chain: Chain,
        pipeline: PipelineName,
        meters: PipelineMeters,
        status: Arc<StatusCell>,
    ) -> Self {
        let Chain { last_sequence, last, is_compared, revision, revision_digest, link, .. } = chain;
        let expected = is_compared.then_some((last_sequence, last));
        Self {
            appender,
            pipeline,
            meters,
            status,
            revision_number: revision.number,
            revision: revision_digest,
            next_sequence: last_sequence + 1,
            after: None,
            link,
            expected,
            cut_off: None,
            held: None,
            sent_since_ask: 0,
            outstanding: VecDeque::new(),
            unvouched: Progress::default(),
            through: None,
        }
    }

    /// Works until `items` is closed and all is appended and answered.
    ///
    /// # Errors
    /// The first thing that keeps the chain from growing. What was sent by then may or may not be stored.
    pub async fn run(mut self, mut items: mpsc::Receiver<Item>) -> Result<(), AppendError> {
        while let Some(item) = self.next_item(&mut items).await? {
            match item {
                Item::Chunk { result, lane, close, timestamp_ns } => {
                    self.chunk(result, &lane, close, timestamp_ns).await?;
                }
                Item::Revision { plan, generation, from_sequence } => {
                    self.revision(&plan, generation, from_sequence).await?;
                }
            }
        }
        self.send_held(Ask::Answer).await?;
        while !self.outstanding.is_empty() {
            self.take_answer().await?;
        }
        Ok(())
    }

    /// The next item. Before it waits, everything that is known is sent and an answer asked for.
    async fn next_item(&mut self, items: &mut mpsc::Receiver<Item>) -> Result<Option<Item>, AppendError> {
        if let Ok(item) = items.try_recv() {
            return Ok(Some(item));
        }
        self.send_held(Ask::Answer).await?;
        loop {
            if self.outstanding.is_empty() {
                return Ok(items.recv().await);
            }
            tokio::select! {
                item = items.recv() => return Ok(item),
                answered = Self::answer(&mut self.appender, &self.outstanding) => self.vouch(answered?),
            }
        }
    }

    /// Waits for a chunk's result, and takes answers meanwhile.
    async fn result(
        &mut self,
        mut result: oneshot::Receiver<ChunkResult>,
    ) -> Result<ChunkResult, AppendError> {
        let lost = |_| PortError::Unavailable("the run was ended".into());
        match result.try_recv() {
            Ok(result) => return Ok(result),
            Err(oneshot::error::TryRecvError::Closed) => return Err(lost(()).into()),
            Err(oneshot::error::TryRecvError::Empty) => self.send_held(Ask::Answer).await?,
        }
        loop {
            if self.outstanding.is_empty() {
                return result.await.map_err(|_| lost(()).into());
            }
            tokio::select! {
                result = &mut result => return result.map_err(|_| lost(()).into()),
                answered = Self::answer(&mut self.appender, &self.outstanding) => self.vouch(answered?),
            }
        }
    }

    async fn chunk(
        &mut self,
        result: oneshot::Receiver<ChunkResult>,
        lane: &Arc<Lane>,
        close: Close,
        timestamp_ns: Option<u64>,
    ) -> Result<(), AppendError> {
        let mut result = self.result(result).await?;
        loop {
            self.meters.executed(&result);
            for record in result.records {
                self.offer(record).await?;
            }
            self.unvouched.events += result.events;
            self.unvouched.through = result.through.or(self.unvouched.through);
            match result.end {
                ChunkEnd::Split(rest) => {
                    let rest = lane.resume(rest);
                    result = self.result(rest).await?;
                }
                ChunkEnd::Failed(error) => return self.fail(error).await,
                ChunkEnd::Open => break,
                ChunkEnd::Closed(draft) => {
                    self.close(draft, close).await?;
                    break;
                }
            }
        }
        self.unvouched.timestamps_ns.extend(timestamp_ns);
        self.progress_without_records();
        Ok(())
    }

    /// What was computed before the failure is appended first.
    async fn fail(&mut self, error: UnitError) -> Result<(), AppendError> {
        self.send_held(Ask::Answer).await?;
        while !self.outstanding.is_empty() {
            self.take_answer().await?;
        }
        Err(match error {
            UnitError::Host(fault) => {
                self.meters.host_faults.inc();
                PortError::Unavailable(fault.to_string()).into()
            }
            UnitError::Guest { sequence, step, fault } => PortError::Stop(StopReason::new(
                "guest-fault",
                format!(
                    "step '{step}' could not process the event at source sequence {sequence}: {fault}; the \
                     pipeline stops at guest faults: apply it with another module, or with on_guest_fault = \
                     \"dead_letter\""
                ),
            ))
            .into(),
        })
    }

    async fn close(&mut self, draft: Option<ReceiptDraft>, close: Close) -> Result<(), AppendError> {
        let Some(draft) = draft else { return Ok(()) };
        if close == Close::WithRevision {
            self.cut_off = Some(draft);
            return Ok(());
        }
        let position = draft.position();
        let receipt = draft.link(self.link);
        let record = self.own_record(RecordKind::Receipt, receipt.canonical_bytes(), receipt.plan, position);
        let at = self.offer(record).await?;
        self.link = Some(at.unwrap_or(ReceiptLink { record: self.next_sequence, digest: receipt.digest() }));
        Ok(())
    }

    async fn revision(
        &mut self,
        plan: &LoadedPlan,
        generation: u64,
        from_sequence: u64,
    ) -> Result<(), AppendError> {
        self.revision_number += 1;
        let revision = Revision {
            version: model::revision::REVISION_VERSION,
            pipeline: self.pipeline.clone(),
            number: self.revision_number,
            generation,
            from_sequence,
            plan_digest: plan.digest,
            plan: plan.plan.clone(),
            closes: self.cut_off.take().map(|draft| draft.link(self.link)),
            previous: self.link,
        };
        let position = Position { sequence: from_sequence, index: 0 };
        let bytes = revision.canonical_bytes();
        let record = self.own_record(RecordKind::Revision, bytes, plan.digest, position);
        self.offer(record).await?;
        self.link = revision.last_receipt(self.next_sequence);
        self.status.revised(&revision);
        Ok(())
    }

    fn own_record(&self, kind: RecordKind, payload: Vec<u8>, plan: Digest, position: Position) -> Record {
        Record {
            kind,
            subject: own_subject(&self.pipeline, kind),
            headers: model::Headers::new(),
            payload: Bytes::from(payload),
            plan,
            position,
        }
    }

    /// Takes the next record of the function: compares it if it is the one that the chain ends with, passes
    /// over it if it stands before that, and else holds it, as the next to be sent at `next_sequence`. The
    /// link to a receipt that is in the chain already is given back.
    async fn offer(&mut self, record: Record) -> Result<Option<ReceiptLink>, AppendError> {
        if let Some((sequence, expected)) = self.expected.take() {
            if record.position < expected.position {
                self.expected = Some((sequence, expected));
                return Ok(None);
            }
            compare(sequence, &expected, &record).map_err(PortError::from)?;
            let digest = Digest::of(&expected.payload);
            return Ok(Some(ReceiptLink { record: sequence, digest }));
        }
        self.send_held(Ask::Nothing).await?;
        self.held = Some(record);
        Ok(None)
    }

    async fn send_held(&mut self, ask: Ask) -> Result<(), AppendError> {
        let Some(record) = self.held.take() else { return Ok(()) };
        self.sent_since_ask += 1;
        let ask = if self.sent_since_ask >= RECORDS_PER_ANSWER { Ask::Answer } else { ask };
        while ask == Ask::Answer && self.outstanding.len() >= ANSWERS_OUTSTANDING_MAX {
            self.take_answer().await?;
        }
        let sequence = self.next_sequence;
        if record.kind == RecordKind::Revision {
            self.revision = Digest::of(&record.payload);
        }
        let id = RecordId::new(&self.revision, sequence);
        let place = Place { sequence, id, after: self.after.take() };
        self.status.unsettle();
        self.appender.append(&place, &record, ask).await?;
        self.after = Some(place.id);
        self.meters.appended(&record);
        self.next_sequence += 1;
        if ask == Ask::Answer {
            self.sent_since_ask = 0;
            let progress = std::mem::take(&mut self.unvouched);
            let deadline = Instant::now() + ANSWER_DEADLINE;
            self.outstanding.push_back(Outstanding { sequence, deadline, progress });
        }
        Ok(())
    }

    async fn take_answer(&mut self) -> Result<(), AppendError> {
        let answered = Self::answer(&mut self.appender, &self.outstanding).await?;
        self.vouch(answered);
        Ok(())
    }

    async fn answer(appender: &mut A, outstanding: &VecDeque<Outstanding>) -> Result<u64, AppendError> {
        let Some(oldest) = outstanding.front() else { return std::future::pending().await };
        timeout_at(oldest.deadline, appender.answer()).await.unwrap_or_else(|_| {
            let waited = ANSWER_DEADLINE.as_secs();
            let why = format!("the server did not answer for record {} in {waited} s", oldest.sequence);
            Err(PortError::Unavailable(why).into())
        })
    }

    fn vouch(&mut self, through_record: u64) {
        while self.outstanding.front().is_some_and(|oldest| oldest.sequence <= through_record) {
            let done = self.outstanding.pop_front().expect("the front was just looked at");
            self.report(done.sequence, done.progress);
        }
        self.progress_without_records();
    }

    /// Events that gave no record are done as soon as nothing before them is outstanding.
    fn progress_without_records(&mut self) {
        if self.held.is_none() && self.outstanding.is_empty() && self.sent_since_ask == 0 {
            let progress = std::mem::take(&mut self.unvouched);
            let record = self.next_sequence - 1;
            self.report(record, progress);
            if let Some(through) = self.through.filter(|_| self.expected.is_none()) {
                self.status.settle(Hint { record, through });
            }
        }
    }

    fn report(&mut self, record: u64, progress: Progress) {
        self.through = progress.through.or(self.through);
        for timestamp_ns in progress.timestamps_ns {
            self.meters.observe_latency(timestamp_ns);
        }
        self.status.appended(record, progress.events, progress.through);
    }
}

/// Whether the record that the chain ends with is the one that execution gives in its place. A receipt may
/// name another engine, which is said; nothing else may differ.
fn compare(sequence: u64, found: &Record, computed: &Record) -> Result<(), StopReason> {
    if found == computed || differ_in_engine_alone(sequence, found, computed) {
        return Ok(());
    }
    let what = difference(found, computed);
    Err(StopReason::new(
        "record-differs",
        format!(
            "record {sequence} of the output stream, at position {}, is not what its source event gives: {what}; \
             the source event, a module, the engine or the record was altered: see which, and restore it, or \
             apply the pipeline under a new name with a new output stream",
            found.position
        ),
    ))
}

fn differ_in_engine_alone(sequence: u64, found: &Record, computed: &Record) -> bool {
    if found.kind != RecordKind::Receipt || computed.kind != RecordKind::Receipt {
        return false;
    }
    let parse = |record: &Record| serde_json::from_slice::<Receipt>(&record.payload);
    let (Ok(theirs), Ok(ours)) = (parse(found), parse(computed)) else { return false };
    let engine = theirs.engine.clone();
    let same = Receipt { engine: ours.engine.clone(), ..theirs } == ours;
    if same {
        tracing::warn!(
            sequence,
            theirs = engine,
            ours = ours.engine,
            "The last receipt is of another engine"
        );
    }
    same && found.position == computed.position && found.plan == computed.plan
}

fn difference(found: &Record, computed: &Record) -> String {
    if found.position != computed.position {
        return format!("there is no record at that position now; the next is at {}", computed.position);
    }
    let parts = [
        ("kind", found.kind.as_str().to_owned(), computed.kind.as_str().to_owned()),
        ("subject", found.subject.clone(), computed.subject.clone()),
        ("plan", found.plan.to_string(), computed.plan.to_string()),
        ("headers", format!("{:?}", found.headers), format!("{:?}", computed.headers)),
        ("payload", excerpt(&found.payload), excerpt(&computed.payload)),
    ];
    let differing = parts.into_iter().find(|(_, found, computed)| found != computed);
    let Some((what, found, computed)) = differing else { return "its payload differs".into() };
    format!("its {what} is {found}, execution gives {computed}")
}

/// A payload for people: its digest, its size and its beginning.
fn excerpt(payload: &Bytes) -> String {
    let start = String::from_utf8_lossy(&payload[..payload.len().min(120)]).into_owned();
    format!("{start:?} ({} bytes, {})", payload.len(), Digest::of(payload).short())
}
