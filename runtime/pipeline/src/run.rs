//! One run: from where the chain stands until something ends it. Two tasks, reading and appending, with one
//! bounded queue between them.

use std::sync::Arc;

use model::Event;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::append::Item;
use crate::cutter::{Chunk, Cutter};
use crate::ports::{EventReader, PortError};
use crate::shadow::Tap;
use crate::status::StatusCell;
use crate::swap::{Order, Swap};
use crate::unit::LoadedPlan;
use crate::workers::Lane;

/// Why reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadEnd {
    /// It was asked to.
    Stopped,
    /// The source has ended, and all of it is read.
    SourceEnded,
    /// A plan took over that reads another selection of the source.
    SourceChanged,
    /// A plan is to take over at an event that was read already, though the chain may not be so far yet.
    SwapPassed,
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
    /// What is to be done about plans that are to take over.
    pub orders: mpsc::Receiver<Order>,
    /// Ends the reading.
    pub stop: CancellationToken,
    /// Told what was read.
    pub status: Arc<StatusCell>,
    /// Where a shadow may listen.
    pub tap: Arc<Tap>,
}

/// A run that reads, with what it waits for.
struct Run<R> {
    reading: Reading<R>,
    /// A plan that is to take over as soon as it can.
    swap: Option<Swap>,
    /// Events from this sequence on are to wait.
    hold: Option<u64>,
    /// Those that do.
    held: Vec<Event>,
}

impl<R: EventReader> Reading<R> {
    /// Reads until stopped; `order` is what is known about swaps at the start.
    ///
    /// # Errors
    /// What the source's port says.
    pub async fn run(self, order: Option<Order>) -> Result<ReadEnd, PortError> {
        let mut run = Run { reading: self, swap: None, hold: None, held: Vec::new() };
        // The chain has not passed the swap's place, and nothing was read yet.
        let _ = order.map(|order| run.obey(order));
        run.run().await
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
        self.tap.pass(&chunk);
        let result = lane.submit(chunk);
        permit.send(Item::Chunk { result, lane, close, timestamp_ns });
        None
    }

    async fn swap(&mut self, swap: Swap) -> Option<ReadEnd> {
        let Swap { plan, generation, at } = swap;
        if plan.digest == self.plan.digest {
            // What was to take over was called off.
            return None;
        }
        let (from_sequence, cut_off) = self.cutter.cut(plan.clone(), at);
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

impl<R: EventReader> Run<R> {
    async fn run(&mut self) -> Result<ReadEnd, PortError> {
        loop {
            if let Some(end) = self.go_on().await {
                return Ok(end);
            }
            let Reading { reader, orders, stop, status, .. } = &mut self.reading;
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(ReadEnd::Stopped),
                Some(order) = orders.recv() => {
                    if let Some(end) = self.obey(order) {
                        return Ok(end);
                    }
                }
                burst = reader.next(), if self.held.is_empty() => {
                    let burst = burst?;
                    status.was_read(burst.len() as u64, reader.pending());
                    if burst.is_empty() {
                        return Ok(self.reading.end().await);
                    }
                    if let Some(end) = self.take(burst).await {
                        return Ok(end);
                    }
                }
            }
        }
    }

    /// Takes an order, unless its place has been read already.
    fn obey(&mut self, order: Order) -> Option<ReadEnd> {
        (self.swap, self.hold) = match order {
            Order::Hold(at) => (None, Some(at)),
            Order::TakeOver(swap) => (Some(swap), None),
            Order::GoOn => (None, None),
        };
        let at = self.swap.as_ref().map_or(self.hold, |swap| swap.at);
        let is_passed = at.is_some_and(|at| at <= self.reading.cutter.read_through());
        is_passed.then_some(ReadEnd::SwapPassed)
    }

    /// What can be done before more is read.
    async fn go_on(&mut self) -> Option<ReadEnd> {
        let is_due = self.first_governed() <= self.reading.cutter.read_through() + 1;
        if let Some(swap) = self.swap.take_if(|_| is_due)
            && let Some(end) = self.reading.swap(swap).await
        {
            return Some(end);
        }
        if self.held.is_empty() || self.hold.is_some() {
            return None;
        }
        let held = std::mem::take(&mut self.held);
        self.take(held).await
    }

    /// Cuts a burst into chunks and submits them. A swap that waits comes in at the first event that it may
    /// govern, and not after the burst: an event that the old plan stops at is then the new plan's.
    async fn take(&mut self, mut burst: Vec<Event>) -> Option<ReadEnd> {
        let first = self.first_governed();
        let rest = burst.split_off(burst.partition_point(|event| event.sequence < first));
        if let Some(end) = self.reading.submit(burst).await {
            return Some(end);
        }
        if rest.is_empty() {
            return None;
        }
        // All that comes before the rest has been read.
        let Some(swap) = self.swap.take() else {
            self.held = rest;
            return None;
        };
        if let Some(end) = self.reading.swap(swap).await {
            return Some(end);
        }
        self.reading.submit(rest).await
    }

    /// The first sequence that is not the plan's in force any more, as far as is known.
    fn first_governed(&self) -> u64 {
        let waiting = self.swap.as_ref().map(|swap| swap.at.unwrap_or(self.reading.swap_after + 1));
        waiting.or(self.hold).unwrap_or(u64::MAX)
    }
}
