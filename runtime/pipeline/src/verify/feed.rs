//! Reads the source again, cuts it into units where blocks and the chain's own revisions cut it, and has them
//! executed.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{Event, SourcePlan};
use tokio::sync::{mpsc, oneshot};

use super::Lanes;
use super::difference::{Cause, Difference};
use super::history::{History, Placed};
use crate::cutter::{Chunk, Close, Cutter};
use crate::ports::{EventReader, Loader, OpenError, PortError, Source};
use crate::unit::LoadedPlan;
use crate::workers::{ChunkResult, Lane};

/// What the comparison is given, in the order in which it counts.
pub(super) enum Item {
    /// A chunk at work.
    Chunk {
        /// Its result.
        result: oneshot::Receiver<ChunkResult>,
        /// Where it runs.
        lane: Arc<Lane>,
        /// What follows it.
        close: Close,
    },
    /// The next revision of the history.
    Revision,
    /// All that the range holds was given.
    End,
    /// What comes next cannot be given.
    Failed(FeedError),
}

/// Why the source cannot be executed again.
pub(super) enum FeedError {
    /// Something is not there that has to be.
    Differs(Box<Difference>),
    /// Something keeps the work from going on.
    Port(PortError),
}

impl From<PortError> for FeedError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// The comparison has ended, and says itself why.
struct NobodyTakes;

/// See the head of this file.
pub(super) struct Feed<S: Source, L> {
    source: Arc<S>,
    loader: Arc<L>,
    history: Arc<History>,
    lanes: Lanes,
    items: mpsc::Sender<Item>,
    /// Counts the units, so that neighbours run on different lanes.
    units: u64,
    reader: Option<(SourcePlan, S::Reader)>,
    /// Events that were read and belong to a later revision.
    waiting: VecDeque<Event>,
    read_through: u64,
}

impl<S: Source, L: Loader> Feed<S, L> {
    pub(super) fn new(
        (source, loader): (Arc<S>, Arc<L>),
        history: Arc<History>,
        lanes: Lanes,
        items: mpsc::Sender<Item>,
    ) -> Self {
        let read_through = history.from - 1;
        let (reader, waiting, units) = (None, VecDeque::new(), 0);
        Self { source, loader, history, lanes, items, units, reader, waiting, read_through }
    }

    /// Feeds all of the range, or up to what cannot be given.
    pub(super) async fn run(mut self) {
        let last = match self.revisions().await {
            Ok(Ok(())) => Item::End,
            Ok(Err(NobodyTakes)) => return,
            Err(error) => Item::Failed(error),
        };
        // Where nobody takes it, nobody needs it.
        let _ = self.items.send(last).await;
    }

    async fn revisions(&mut self) -> Result<Result<(), NobodyTakes>, FeedError> {
        let history = self.history.clone();
        for (at, placed) in history.revisions.iter().enumerate() {
            let next = history.revisions.get(at + 1);
            let end = next.map_or(history.through, |next| next.revision.from_sequence - 1);
            if let Err(ended) = self.segment(placed, end.min(history.through), next.is_some()).await? {
                return Ok(Err(ended));
            }
            if next.is_some() && self.items.send(Item::Revision).await.is_err() {
                return Ok(Err(NobodyTakes));
            }
        }
        Ok(Ok(()))
    }

    /// Feeds the events that one revision governs, through the sequence `end`.
    async fn segment(
        &mut self,
        placed: &Placed,
        end: u64,
        is_cut: bool,
    ) -> Result<Result<(), NobodyTakes>, FeedError> {
        let revision = &placed.revision;
        let from = revision.from_sequence.max(self.history.from);
        if from > end {
            return Ok(Ok(()));
        }
        let plan = Arc::new(self.load(placed).await?);
        self.open(&revision.plan.source, placed, from).await?;
        let mut cutter = Cutter::new(plan.clone(), revision.from_sequence, from, None);
        loop {
            let events = self.events_through(end, placed).await?;
            if events.is_empty() {
                break;
            }
            let mut chunks = Vec::new();
            cutter.push(events, &mut chunks);
            for chunk in chunks {
                if let Err(ended) = self.dispatch(chunk).await {
                    return Ok(Err(ended));
                }
            }
        }
        let rest = if is_cut { cutter.cut(plan, None).1 } else { cutter.finish() };
        match rest {
            Some(chunk) => Ok(self.dispatch(chunk).await),
            None => Ok(Ok(())),
        }
    }

    async fn load(&mut self, placed: &Placed) -> Result<LoadedPlan, FeedError> {
        let plan = &placed.revision.plan;
        match self.loader.load(plan).await {
            Ok(steps) => {
                let engine = self.loader.engine().to_owned();
                Ok(LoadedPlan::new(plan.clone(), steps, engine))
            }
            Err(PortError::Stop(reason)) => Err(FeedError::Differs(Box::new(Difference {
                record: placed.record,
                position: None,
                receipt: None,
                what: "plan".into(),
                expected: format!("the modules of plan {}", placed.revision.plan_digest),
                found: reason.detail,
                cause: Cause::ModuleUnavailable,
            }))),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the source, unless it is open already with the same selection.
    async fn open(&mut self, plan: &SourcePlan, placed: &Placed, from: u64) -> Result<(), FeedError> {
        if self.reader.as_ref().is_some_and(|(selection, _)| selection == plan) {
            return Ok(());
        }
        self.waiting.clear();
        let last = match self.source.last_sequence(plan).await {
            Ok(last) => last,
            Err(PortError::Stop(reason)) => return Err(input_gone(placed, reason.detail)),
            Err(error) => return Err(error.into()),
        };
        if last < self.history.through {
            let through = self.history.through;
            let at_end = Placed { record: self.history.last_record, ..placed.clone() };
            return Err(input_gone(
                &at_end,
                format!("the source ends at {last}, and was read through {through}"),
            ));
        }
        match self.source.open(plan, from).await {
            Ok(reader) => {
                self.reader = Some((plan.clone(), reader));
                Ok(())
            }
            Err(OpenError::EventsGone(reason)) => Err(input_gone(placed, reason.detail)),
            Err(OpenError::Port(PortError::Stop(reason))) => Err(input_gone(placed, reason.detail)),
            Err(OpenError::Port(error)) => Err(error.into()),
        }
    }

    /// The next events whose sequence is at most `end`; none if there are no more.
    async fn events_through(&mut self, end: u64, placed: &Placed) -> Result<Vec<Event>, FeedError> {
        if self.waiting.is_empty() && self.read_through < end {
            let Some((_, reader)) = &mut self.reader else { return Ok(Vec::new()) };
            if reader.pending() == 0 {
                return Ok(Vec::new());
            }
            match reader.next().await {
                Ok(burst) => self.waiting = burst.into(),
                Err(PortError::Stop(reason)) => return Err(input_gone(placed, reason.detail)),
                Err(error) => return Err(error.into()),
            }
        }
        let count = self.waiting.partition_point(|event| event.sequence <= end);
        let events: Vec<Event> = self.waiting.drain(..count).collect();
        self.read_through = events.last().map_or(self.read_through, |event| event.sequence);
        Ok(events)
    }

    async fn dispatch(&mut self, chunk: Chunk) -> Result<(), NobodyTakes> {
        let permit = self.items.reserve().await.map_err(|_| NobodyTakes)?;
        let lane = usize::try_from(self.units).unwrap_or(0) % self.lanes.len();
        let lane = self.lanes[lane].clone();
        let close = chunk.close;
        let result = lane.submit(chunk);
        permit.send(Item::Chunk { result, lane, close });
        if close != Close::Not {
            self.units += 1;
        }
        Ok(())
    }
}

fn input_gone(placed: &Placed, found: String) -> FeedError {
    FeedError::Differs(Box::new(Difference {
        record: placed.record,
        position: None,
        receipt: None,
        what: "source".into(),
        expected: "the events that were read when the chain was made".into(),
        found,
        cause: Cause::InputGone,
    }))
}
