//! The shadow: a candidate plan beside the live one, on the same units, compared and never appended.
//!
//! A [`Tap`] lets the chunks of a run pass, and copies them into a bounded queue while a [`Trial`] listens.
//! One thread for all shadows of a node takes them from there and executes both plans, each in fresh
//! instances for every unit: what the live plan gives is what the chain holds, since that is a function of
//! the events, and fuel and time of both are measured under the same conditions. Where the queue is full the
//! rest of the unit is skipped and counted, so a shadow costs the live plan a copy of its events and one
//! thread's share of the machine, whatever the candidate does. A host fault or a panic ends the shadow alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use model::record::{DEAD_FAULT_HEADER, DEAD_MODULE_HEADER, DEAD_REASON_HEADER, DEAD_STEP_HEADER};
use model::{Answer, Event, Fault, Headers, Record, RecordKind};
use tokio::sync::mpsc;

use crate::cutter::Chunk;
use crate::ports::{Step, StepInstance};
use crate::unit::{LoadedPlan, Unit, UnitError};

/// So many chunks wait for the thread; each has at most 256 events or some 512 KiB.
const QUEUE_CHUNKS: usize = 16;
/// So many samples are kept of one tally.
pub const SAMPLES_MAX: usize = 8;
/// The most characters of a value in a sample.
const SAMPLE_CHARS_MAX: usize = 200;

/// The live plan's part, and the candidate's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides<T> {
    /// Of the plan in force.
    pub live: T,
    /// Of the plan that is tried.
    pub candidate: T,
}

/// What a comparison has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that were executed by both.
    pub events: u64,
    /// Events whose records differ.
    pub differences: u64,
    /// Events that passed while the queue was full.
    pub skipped: u64,
    /// Events that ended in a guest fault of the candidate's, and of nobody else.
    pub new_faults: u64,
    /// Events that ended in a guest fault.
    pub faults: Sides<u64>,
    /// Messages.
    pub messages: Sides<u64>,
    /// Fuel, starting included.
    pub fuel: Sides<u64>,
    /// Nanoseconds in the modules, starting included.
    pub time_ns: Sides<u64>,
    /// Some of the differences, the first ones.
    pub samples: Vec<Sample>,
    /// The last source sequence that was compared; 0 before the first.
    pub through: u64,
}

/// An event at which the two plans differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The source event.
    pub sequence: u64,
    /// What differs.
    pub what: &'static str,
    /// What the live plan gave.
    pub live: String,
    /// What the candidate gave.
    pub candidate: String,
}

impl Tally {
    /// Adds what came after it.
    pub fn add(&mut self, later: Self) {
        let sum = |into: &mut Sides<u64>, from: Sides<u64>| {
            into.live += from.live;
            into.candidate += from.candidate;
        };
        self.events += later.events;
        self.differences += later.differences;
        self.skipped += later.skipped;
        self.new_faults += later.new_faults;
        sum(&mut self.faults, later.faults);
        sum(&mut self.messages, later.messages);
        sum(&mut self.fuel, later.fuel);
        sum(&mut self.time_ns, later.time_ns);
        let room = SAMPLES_MAX.saturating_sub(self.samples.len());
        self.samples.extend(later.samples.into_iter().take(room));
        self.through = self.through.max(later.through);
    }

    /// Whether nothing was compared or skipped.
    pub fn is_empty(&self) -> bool {
        self.events == 0 && self.skipped == 0
    }
}

/// The place in a pipeline where a shadow listens.
#[derive(Default)]
pub struct Tap {
    is_open: AtomicBool,
    state: Mutex<TapState>,
}

#[derive(Default)]
struct TapState {
    trial: Option<(Arc<Trial>, mpsc::WeakSender<Job>)>,
    /// The unit that is passing.
    unit: Option<u64>,
    /// Whether the next chunk begins a unit, though none has passed.
    is_fresh: bool,
    /// What becomes of the unit that is passing.
    passing: Passing,
    /// Counts units over all runs.
    serial: u64,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Passing {
    /// It is no affair of the shadow's: of another plan, or begun before it listened.
    #[default]
    Unseen,
    Taken,
    /// The queue was full.
    Skipped,
}

struct Job {
    trial: Arc<Trial>,
    unit: u64,
    start: u64,
    events: Vec<Event>,
}

impl Tap {
    /// Lets `trial` listen, in place of any other.
    pub fn attach(&self, trial: &Arc<Trial>, worker: &ShadowWorker) {
        let mut state = lock(&self.state);
        let serial = state.serial;
        let trial = Some((trial.clone(), worker.jobs.downgrade()));
        *state = TapState { trial, serial, ..TapState::default() };
        self.is_open.store(true, Ordering::Release);
    }

    /// Lets nobody listen.
    pub fn detach(&self) {
        self.is_open.store(false, Ordering::Release);
        lock(&self.state).trial = None;
    }

    /// Whether it is `trial` that listens.
    pub fn is_attached(&self, trial: &Arc<Trial>) -> bool {
        lock(&self.state).trial.as_ref().is_some_and(|(attached, _)| Arc::ptr_eq(attached, trial))
    }

    /// A run begins: its first chunk begins a unit.
    pub(crate) fn begin_run(&self) {
        let mut state = lock(&self.state);
        (state.unit, state.is_fresh, state.passing) = (None, true, Passing::Unseen);
    }

    /// A chunk passes.
    pub(crate) fn pass(&self, chunk: &Chunk) {
        if self.is_open.load(Ordering::Acquire) {
            lock(&self.state).pass(chunk);
        }
    }
}

impl TapState {
    fn pass(&mut self, chunk: &Chunk) {
        let Some((trial, jobs)) = &self.trial else { return };
        let Some(jobs) = jobs.upgrade() else { return };
        if self.unit != Some(chunk.unit.ordinal) {
            let is_whole = self.is_fresh || self.unit.is_some();
            let is_ours = chunk.unit.plan.digest == trial.live.digest;
            self.passing = if is_whole && is_ours { Passing::Taken } else { Passing::Unseen };
            (self.unit, self.is_fresh) = (Some(chunk.unit.ordinal), false);
            self.serial += 1;
        }
        if self.passing == Passing::Taken && !chunk.events.is_empty() {
            match jobs.try_reserve() {
                Ok(permit) => {
                    let (unit, start) = (self.serial, chunk.unit.start);
                    permit.send(Job { trial: trial.clone(), unit, start, events: chunk.events.clone() });
                }
                Err(_) => self.passing = Passing::Skipped,
            }
        }
        if self.passing == Passing::Skipped {
            trial.skipped.fetch_add(chunk.events.len() as u64, Ordering::Relaxed);
        }
    }
}

/// One candidate beside one live plan.
pub struct Trial {
    live: Arc<LoadedPlan>,
    candidate: Arc<LoadedPlan>,
    used: Sides<Arc<Used>>,
    skipped: AtomicU64,
    /// The unit at work. No lock is held while modules run.
    unit: Mutex<Option<(u64, Sides<Unit>)>>,
    state: Mutex<TrialState>,
}

#[derive(Default)]
struct TrialState {
    tally: Tally,
    /// Events up to here are counted already.
    through: u64,
    failure: Option<String>,
}

impl Trial {
    /// Puts `candidate` beside `live`; events up to `through` were compared before.
    pub fn new(live: LoadedPlan, candidate: LoadedPlan, through: u64) -> Self {
        let used = Sides::<Arc<Used>>::default();
        let state = Mutex::new(TrialState { through, ..TrialState::default() });
        let (live, candidate) = (metered(live, &used.live), metered(candidate, &used.candidate));
        Self { live, candidate, used, skipped: AtomicU64::new(0), unit: Mutex::default(), state }
    }

    /// What was compared since this was last asked, and why nothing more will be, if so.
    pub fn take(&self) -> (Tally, Option<String>) {
        let mut state = lock(&self.state);
        let skipped = self.skipped.swap(0, Ordering::Relaxed);
        let tally = Tally { skipped, ..std::mem::take(&mut state.tally) };
        (tally, state.failure.clone())
    }

    /// Events up to `through` are counted elsewhere.
    pub fn skip_through(&self, through: u64) {
        let mut state = lock(&self.state);
        state.through = state.through.max(through);
    }

    fn execute(&self, job: &Job) {
        if lock(&self.state).failure.is_some() {
            return;
        }
        let executed = catch_unwind(AssertUnwindSafe(|| self.execute_events(job)));
        let failed = match executed {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => "a panic, which is a bug in Weir: see the node's log".to_owned(),
        };
        lock(&self.state).failure = Some(failed);
    }

    fn execute_events(&self, job: &Job) -> Result<(), String> {
        let before = lock(&self.unit).take();
        let mut unit = match before {
            Some((number, unit)) if number == job.unit => unit,
            _ => Sides {
                live: Unit::new(self.live.clone(), job.start),
                candidate: Unit::new(self.candidate.clone(), job.start),
            },
        };
        for event in &job.events {
            let live = given(&mut unit.live, event).map_err(|why| format!("the live plan: {why}"))?;
            let candidate = given(&mut unit.candidate, event)?;
            let used = Sides { live: self.used.live.take(), candidate: self.used.candidate.take() };
            let mut state = lock(&self.state);
            if event.sequence > state.through {
                state.through = event.sequence;
                state.tally.enter(event.sequence, &live, &candidate, used);
            }
        }
        *lock(&self.unit) = Some((job.unit, unit));
        Ok(())
    }
}

/// What one plan made of an event.
enum Given {
    Records(Vec<Record>),
    /// A guest fault in a plan that stops at one.
    Stop(String),
}

impl Given {
    fn records(&self) -> &[Record] {
        match self {
            Self::Records(records) => records,
            Self::Stop(_) => &[],
        }
    }

    /// What went wrong, if something did.
    fn fault(&self) -> Option<String> {
        match self {
            Self::Stop(why) => Some(why.clone()),
            Self::Records(records) => {
                let dead = records.iter().find(|record| record.kind == RecordKind::Dead)?;
                let header = |name| dead.headers.get(name).unwrap_or_default();
                let (step, code) = (header(DEAD_STEP_HEADER), header(DEAD_FAULT_HEADER));
                Some(format!("step '{step}': {} ({code})", header(DEAD_REASON_HEADER)))
            }
        }
    }
}

fn given(unit: &mut Unit, event: &Event) -> Result<Given, String> {
    let mut records = Vec::new();
    match unit.process(event, &mut records) {
        Ok(()) => Ok(Given::Records(records)),
        Err(UnitError::Guest { step, fault, .. }) => Ok(Given::Stop(format!("step '{step}': {fault}"))),
        Err(UnitError::Host(fault)) => Err(format!("event {}: {fault}", event.sequence)),
    }
}

impl Tally {
    fn enter(&mut self, sequence: u64, live: &Given, candidate: &Given, used: Sides<(u64, u64)>) {
        let count = |given: &Given| {
            let messages = given.records().iter().filter(|record| record.kind == RecordKind::Message);
            messages.count() as u64
        };
        let faults = Sides { live: live.fault(), candidate: candidate.fault() };
        let difference = difference(live, candidate, &faults);
        let is_fault = faults.candidate.is_some();
        let sample = |(what, live, candidate)| Sample { sequence, what, live, candidate };
        let samples: Vec<Sample> = difference.map(sample).into_iter().collect();
        self.add(Self {
            events: 1,
            differences: samples.len() as u64,
            skipped: 0,
            new_faults: u64::from(is_fault && faults.live.is_none()),
            faults: Sides { live: u64::from(faults.live.is_some()), candidate: u64::from(is_fault) },
            messages: Sides { live: count(live), candidate: count(candidate) },
            fuel: Sides { live: used.live.0, candidate: used.candidate.0 },
            time_ns: Sides { live: used.live.1, candidate: used.candidate.1 },
            samples,
            through: sequence,
        });
    }
}

/// In what two plans differ for one event: what, and both sides of it.
fn difference(
    live: &Given,
    candidate: &Given,
    faults: &Sides<Option<String>>,
) -> Option<(&'static str, String, String)> {
    let fault = |fault: &Option<String>| fault.as_deref().map_or("no fault".to_owned(), shortened);
    if faults.live != faults.candidate {
        return Some(("fault", fault(&faults.live), fault(&faults.candidate)));
    }
    let (live, candidate) = (live.records(), candidate.records());
    if live.len() != candidate.len() {
        let count = |records: &[Record]| match records.len() {
            1 => "1 message".to_owned(),
            count => format!("{count} messages"),
        };
        return Some(("count", count(live), count(candidate)));
    }
    live.iter().zip(candidate).find_map(|(live, candidate)| record_difference(live, candidate))
}

fn record_difference(live: &Record, candidate: &Record) -> Option<(&'static str, String, String)> {
    let headers = |record: &Record| {
        let own = record.headers.iter().filter(|(name, _)| *name != DEAD_MODULE_HEADER);
        Headers::canonical(own.map(|(name, value)| (name.to_owned(), value.to_owned())))
    };
    let text = |record: &Record| shortened(&String::from_utf8_lossy(&record.payload));
    let listed = |headers: &Headers| {
        let pairs: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        shortened(&pairs.join(", "))
    };
    if live.subject != candidate.subject {
        return Some(("subject", shortened(&live.subject), shortened(&candidate.subject)));
    }
    if live.payload != candidate.payload {
        return Some(("payload", text(live), text(candidate)));
    }
    let (live, candidate) = (headers(live), headers(candidate));
    (live != candidate).then(|| ("headers", listed(&live), listed(&candidate)))
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SAMPLE_CHARS_MAX {
        return text.to_owned();
    }
    let start: String = text.chars().take(SAMPLE_CHARS_MAX).collect();
    format!("{start}…")
}

/// The thread on which all shadows of a node run. Dropping it waits for the chunk at work.
pub struct ShadowWorker {
    jobs: mpsc::Sender<Job>,
    thread: Option<JoinHandle<()>>,
    is_stopped: Arc<AtomicBool>,
}

impl ShadowWorker {
    /// Starts the thread.
    pub fn start() -> Self {
        let (jobs, mut taken) = mpsc::channel::<Job>(QUEUE_CHUNKS);
        let is_stopped = Arc::<AtomicBool>::default();
        let stop = is_stopped.clone();
        let work = move || {
            while let Some(job) = taken.blocking_recv() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                job.trial.execute(&job);
            }
        };
        let thread = std::thread::Builder::new().name("shadow".to_owned()).spawn(work);
        let thread = thread.expect("the machine has room for one more thread at start");
        Self { jobs, thread: Some(thread), is_stopped }
    }
}

impl Drop for ShadowWorker {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        // The only strong sender goes, and so the thread sees the end of its queue.
        self.jobs = mpsc::channel(1).0;
        // It catches the panics of what it runs; there is nothing else to learn from it.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// What the modules of one plan used since it was last asked.
#[derive(Default)]
struct Used {
    fuel: AtomicU64,
    time_ns: AtomicU64,
}

impl Used {
    fn take(&self) -> (u64, u64) {
        (self.fuel.swap(0, Ordering::Relaxed), self.time_ns.swap(0, Ordering::Relaxed))
    }

    fn add(&self, fuel: u64, since: Instant) {
        let time_ns = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.fuel.fetch_add(fuel, Ordering::Relaxed);
        self.time_ns.fetch_add(time_ns, Ordering::Relaxed);
    }
}

/// A step that is measured.
struct Metered<T> {
    inner: T,
    used: Arc<Used>,
}

fn metered(plan: LoadedPlan, used: &Arc<Used>) -> Arc<LoadedPlan> {
    let step = |inner: Arc<dyn Step>| Arc::new(Metered { inner, used: used.clone() }) as Arc<dyn Step>;
    let LoadedPlan { plan, steps, engine, .. } = plan;
    Arc::new(LoadedPlan::new(plan, steps.into_iter().map(step).collect(), engine))
}

impl Step for Metered<Arc<dyn Step>> {
    fn instantiate(&self) -> Result<Box<dyn StepInstance>, Fault> {
        let started = Instant::now();
        let inner = self.inner.instantiate();
        self.used.add(inner.as_ref().map_or(0, |instance| instance.fuel_used()), started);
        Ok(Box::new(Metered { inner: inner?, used: self.used.clone() }))
    }
}

impl StepInstance for Metered<Box<dyn StepInstance>> {
    fn process(&mut self, event: &Event) -> Result<Answer, Fault> {
        let started = Instant::now();
        let answer = self.inner.process(event);
        self.used.add(self.inner.fuel_used(), started);
        answer
    }

    fn fuel_used(&self) -> u64 {
        self.inner.fuel_used()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds this lock")
}
