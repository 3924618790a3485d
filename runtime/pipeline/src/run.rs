//! One run: from where the chain stands until something ends it. Two tasks, reading and appending, with one
//! bounded queue between them.

use std::sync::Arc;

use model::Event;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::append::Item;
use crate::cutter::{Chunk, Cutter};
use crate::ports::{EventReader, PortError};
use crate::status::StatusCell;
use crate::unit::LoadedPlan;
use crate::workers::Lane;

/// A plan that is ready to take over.
pub struct Swap {
    /// The plan.
    pub plan: Arc<LoadedPlan>,
    /// The application that it carries out.
    pub generation: u64,
}

/// Why reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadEnd {
    /// It was asked to.
    Stopped,
    /// The source has ended, and all of it is read.
    SourceEnded,
    /// A plan took over that reads another selection of the source.
    SourceChanged,
    /// The appender is gone, and says itself why.
    AppenderGone,
}

/// The reading half of a run.
pub struct Reading<R> {
    /// The events.
    pub reader: R,
    /// Where units begin and end.
    pub cutter: Cutter,
    /// What runs at the start.
    pub plan: Arc<LoadedPlan>,
    /// Swaps wait until this sequence has been read again.
    pub swap_after: u64,
    /// Where chunks run.
    pub lanes: Vec<Arc<Lane>>,
    /// Where their results are taken in order.
    pub items: mpsc::Sender<Item>,
    /// A plan that is to take over as soon as it can.
    pub swap: Option<Swap>,
    /// More of them.
    pub swaps: mpsc::Receiver<Swap>,
    /// Ends the reading.
    pub stop: CancellationToken,
    /// Told what was read.
    pub status: Arc<StatusCell>,
}

impl<R: EventReader> Reading<R> {
    /// Reads until stopped.
    ///
    /// # Errors
    /// What the source's port says.
    pub async fn run(mut self) -> Result<ReadEnd, PortError> {
        loop {
            if let Some(end) = self.swap_if_due().await {
                return Ok(end);
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(ReadEnd::Stopped),
                Some(swap) = self.swaps.recv() => self.swap = Some(swap),
                burst = self.reader.next() => {
                    let burst = burst?;
                    if burst.is_empty() {
                        return Ok(self.end().await);
                    }
                    self.status.was_read(burst.len() as u64, self.reader.pending());
                    if let Some(end) = self.take(burst).await {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// After a source's last event its unit is over, as if an event of a later block had come.
    async fn end(&mut self) -> ReadEnd {
        let last = self.cutter.finish();
        let ended = match last {
            Some(chunk) => self.dispatch(chunk).await,
            None => None,
        };
        ended.unwrap_or(ReadEnd::SourceEnded)
    }

    /// Cuts a burst into chunks and submits them. A swap that waits comes in at the first event that it may
    /// govern, and not after the burst: an event that the old plan stops at is then the new plan's.
    async fn take(&mut self, mut burst: Vec<Event>) -> Option<ReadEnd> {
        if self.swap.is_some() {
            let again = burst.partition_point(|event| event.sequence <= self.swap_after);
            let rest = burst.split_off(again);
            if let Some(end) = self.submit(burst).await {
                return Some(end);
            }
            if !rest.is_empty() {
                // They are beyond what has to be read again, so what was read is all of it.
                self.swap_after = self.swap_after.min(self.cutter.read_through());
            }
            if let Some(end) = self.swap_if_due().await {
                return Some(end);
            }
            burst = rest;
        }
        self.submit(burst).await
    }

    async fn submit(&mut self, events: Vec<Event>) -> Option<ReadEnd> {
        let mut chunks = Vec::new();
        self.cutter.push(events, &mut chunks);
        for chunk in chunks {
            if let Some(end) = self.dispatch(chunk).await {
                return Some(end);
            }
        }
        None
    }

    async fn swap_if_due(&mut self) -> Option<ReadEnd> {
        let due = self.cutter.read_through() >= self.swap_after;
        let swap = self.swap.take_if(|_| due)?;
        self.swap(swap).await
    }

    /// Submits a chunk, once there is room for its result. Some end if the run is over.
    async fn dispatch(&mut self, chunk: Chunk) -> Option<ReadEnd> {
        let permit = tokio::select! {
            permit = self.items.reserve() => permit,
            () = self.stop.cancelled() => return Some(ReadEnd::Stopped),
        };
        let Ok(permit) = permit else { return Some(ReadEnd::AppenderGone) };
        let lane = usize::try_from(chunk.unit.ordinal).unwrap_or(0) % self.lanes.len();
        let lane = self.lanes[lane].clone();
        let close = chunk.close;
        let timestamp_ns = chunk.events.first().map(|event| event.timestamp_ns);
        let result = lane.submit(chunk);
        permit.send(Item::Chunk { result, lane, close, timestamp_ns });
        None
    }

    async fn swap(&mut self, swap: Swap) -> Option<ReadEnd> {
        let Swap { plan, generation } = swap;
        let (from_sequence, cut_off) = self.cutter.cut(plan.clone());
        if let Some(chunk) = cut_off
            && let Some(end) = self.dispatch(chunk).await
        {
            return Some(end);
        }
        let source_changed = plan.plan.source != self.plan.plan.source;
        self.plan = plan.clone();
        let revision = Item::Revision { plan, generation, from_sequence };
        if self.items.send(revision).await.is_err() {
            return Some(ReadEnd::AppenderGone);
        }
        source_changed.then_some(ReadEnd::SourceChanged)
    }
}
