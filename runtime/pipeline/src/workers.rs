//! The threads that run modules, shared by all pipelines of a node.
//!
//! Each pipeline has a few lanes. A lane runs its chunks one after the other, on whichever worker is free,
//! and keeps the unit that it is in; lanes run in parallel. Nothing here decides what a record is.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use model::{HostFault, Record};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::cutter::{Chunk, Close};
use crate::unit::{LoadedPlan, ReceiptDraft, Unit, UnitError};

/// A result with this many bytes of records is handed on before the rest of its chunk is executed.
const RESULT_BYTES_MAX: usize = 4 << 20;

/// The threads. Dropping them waits for the chunks at work.
pub struct Workers {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    ready: Condvar,
}

#[derive(Default)]
struct QueueState {
    lanes: VecDeque<Arc<Lane>>,
    closed: bool,
}

/// What became of a chunk.
pub struct ChunkResult {
    /// The records of the events that were executed, in order.
    pub records: Vec<Record>,
    /// How many events were executed.
    pub events: u64,
    /// How many calls that took of each step of `plan`.
    pub calls: Vec<u64>,
    /// The plan.
    pub plan: Arc<LoadedPlan>,
    /// The last of them.
    pub through: Option<u64>,
    /// How the chunk ended.
    pub end: ChunkEnd,
}

/// How a chunk ended.
pub enum ChunkEnd {
    /// Whole, in mid-unit.
    Open,
    /// Whole, and the unit is closed. A unit that read no event has no draft.
    Closed(Option<ReceiptDraft>),
    /// In part: the rest waits until it is submitted again.
    Split(Chunk),
    /// Before an event that cannot be processed.
    Failed(UnitError),
}

/// One sequence of chunks, executed in order.
pub struct Lane {
    queue: Arc<Queue>,
    state: Mutex<LaneState>,
    cancelled: CancellationToken,
}

#[derive(Default)]
struct LaneState {
    jobs: VecDeque<Job>,
    /// Queued for a worker, or at one.
    scheduled: bool,
    /// The first chunk was split, and its rest is yet to come back.
    stalled: bool,
    unit: Option<(u64, Unit)>,
}

struct Job {
    chunk: Chunk,
    reply: oneshot::Sender<ChunkResult>,
}

impl Workers {
    /// Starts `count` threads, at least one.
    pub fn start(count: usize) -> Self {
        let queue = Arc::<Queue>::default();
        let thread = |number: usize| {
            let queue = queue.clone();
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || queue.work())
                .expect("the machine has room for a few threads at start")
        };
        Self { threads: (0..count.max(1)).map(thread).collect(), queue }
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// A new lane. Once `cancelled` is, its chunks are dropped unexecuted.
    pub fn lane(&self, cancelled: CancellationToken) -> Arc<Lane> {
        Arc::new(Lane { queue: self.queue.clone(), state: Mutex::default(), cancelled })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        lock(&self.queue.state).closed = true;
        self.queue.ready.notify_all();
        for thread in self.threads.drain(..) {
            // A worker catches the panics of what it runs; there is nothing else to learn from it.
            let _ = thread.join();
        }
    }
}

impl Lane {
    /// Queues a chunk behind those already submitted.
    pub fn submit(self: &Arc<Self>, chunk: Chunk) -> oneshot::Receiver<ChunkResult> {
        let (reply, result) = oneshot::channel();
        let mut state = lock(&self.state);
        state.jobs.push_back(Job { chunk, reply });
        self.schedule(&mut state);
        result
    }

    /// Gives the rest of a split chunk back, to be executed before all that waits.
    pub fn resume(self: &Arc<Self>, rest: Chunk) -> oneshot::Receiver<ChunkResult> {
        let (reply, result) = oneshot::channel();
        let mut state = lock(&self.state);
        state.stalled = false;
        state.jobs.push_front(Job { chunk: rest, reply });
        self.schedule(&mut state);
        result
    }

    fn schedule(self: &Arc<Self>, state: &mut LaneState) {
        if !state.scheduled && !state.stalled && !state.jobs.is_empty() {
            state.scheduled = true;
            self.queue.push(self.clone());
        }
    }

    /// Executes the first waiting chunk.
    fn run_one(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        let Some(Job { chunk, reply }) = state.jobs.pop_front() else { return };
        let unit = state.unit.take();
        drop(state);
        let (unit, result) = if self.cancelled.is_cancelled() {
            (None, None)
        } else {
            let (unit, result) = execute_caught(unit, chunk);
            (unit, Some(result))
        };
        let split = matches!(&result, Some(ChunkResult { end: ChunkEnd::Split(_), .. }));
        let mut state = lock(&self.state);
        state.unit = unit;
        state.scheduled = false;
        state.stalled = split;
        self.schedule(&mut state);
        drop(state);
        if let Some(result) = result {
            // The run that asked may have ended meanwhile.
            let _ = reply.send(result);
        }
    }
}

impl Queue {
    fn push(&self, lane: Arc<Lane>) {
        lock(&self.state).lanes.push_back(lane);
        self.ready.notify_one();
    }

    fn work(&self) {
        loop {
            let mut state = lock(&self.state);
            let lane = loop {
                if let Some(lane) = state.lanes.pop_front() {
                    break lane;
                }
                if state.closed {
                    return;
                }
                state = self.ready.wait(state).expect("no code panics while it holds this lock");
            };
            drop(state);
            lane.run_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds this lock")
}

/// A panic while a chunk is executed is a fault of ours: it ends the run, not the worker.
fn execute_caught(unit: Option<(u64, Unit)>, chunk: Chunk) -> (Option<(u64, Unit)>, ChunkResult) {
    let plan = chunk.unit.plan.clone();
    catch_unwind(AssertUnwindSafe(|| execute(unit, chunk))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        let fault = HostFault::new(format!("a worker panicked, which is a bug in Weir: {text}"));
        let end = ChunkEnd::Failed(UnitError::Host(fault));
        (None, ChunkResult { end, ..ChunkResult::empty(plan) })
    })
}

fn execute(unit: Option<(u64, Unit)>, mut chunk: Chunk) -> (Option<(u64, Unit)>, ChunkResult) {
    let ordinal = chunk.unit.ordinal;
    let mut unit = match unit {
        Some((of, unit)) if of == ordinal => unit,
        _ => Unit::new(chunk.unit.plan.clone(), chunk.unit.start),
    };
    let mut result = ChunkResult::empty(chunk.unit.plan.clone());
    let executed = execute_events(&mut unit, &chunk, &mut result);
    result.calls = unit.take_calls();
    match executed {
        Err(error) => {
            result.end = ChunkEnd::Failed(error);
            (None, result)
        }
        Ok(count) if count < chunk.events.len() => {
            chunk.events.drain(..count);
            result.end = ChunkEnd::Split(chunk);
            (Some((ordinal, unit)), result)
        }
        Ok(_) if chunk.close == Close::Not => (Some((ordinal, unit)), result),
        Ok(_) => {
            result.end = ChunkEnd::Closed(unit.close());
            (None, result)
        }
    }
}

/// Executes events until there are no more or the result is large; gives how many there were.
fn execute_events(unit: &mut Unit, chunk: &Chunk, result: &mut ChunkResult) -> Result<usize, UnitError> {
    let mut bytes = 0;
    result.records.reserve(chunk.events.len());
    for (index, event) in chunk.events.iter().enumerate() {
        let before = result.records.len();
        unit.process(event, &mut result.records)?;
        bytes += result.records[before..].iter().map(Record::wire_bytes).sum::<usize>();
        result.events += 1;
        result.through = Some(event.sequence);
        if bytes >= RESULT_BYTES_MAX {
            return Ok(index + 1);
        }
    }
    Ok(chunk.events.len())
}

impl ChunkResult {
    fn empty(plan: Arc<LoadedPlan>) -> Self {
        let calls = Vec::new();
        Self { records: Vec::new(), events: 0, calls, plan, through: None, end: ChunkEnd::Open }
    }
}
