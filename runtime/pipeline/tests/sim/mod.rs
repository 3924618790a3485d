//! A world in memory: a source, a sink that keeps NATS' promise about expected sequences, modules that are
//! closures, and nodes that can be killed. Faults come from a seed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use model::record::{AFTER_HEADER, EXPECTED_HEADER, ID_HEADER};
use model::{
    Answer, Digest, Event, Fault, GuestFault, GuestFaultCode, Headers, Limits, Message, OnGuestFault, Place,
    Plan, Record, SinkPlan, SourcePlan, StepPlan,
};
use pipeline::ports::{
    AppendError, Appender, Ask, EventReader, Hint, Loader, OpenError, PortError, Sink, Source, Step,
    StepInstance, StopReason, Stored, Tail,
};
use pipeline::service::World;
use pipeline::shadow::Tap;
use pipeline::verify::{Archive, RecordReader};
use pipeline::{Desired, Meters, Options, Pipeline, StatusCell, Workers};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A small generator of numbers, the same for the same seed on any machine (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// What all nodes share.
pub(crate) struct Shared {
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) chain: Mutex<Vec<Stored>>,
    pub(crate) hint: Mutex<Option<Hint>>,
    first_sequence: Mutex<u64>,
    changed: watch::Sender<u64>,
    /// Lets plans of the version [`SLOW`] load.
    pub(crate) loading: watch::Sender<bool>,
    dice: Mutex<Dice>,
    /// One in so many appends fails as if the connection broke; 0 for never.
    pub(crate) breaks_every: u64,
    burst_max: usize,
}

impl Shared {
    pub(crate) fn new(seed: u64, breaks_every: u64, burst_max: usize) -> Arc<Self> {
        Arc::new(Self {
            events: Mutex::default(),
            chain: Mutex::default(),
            hint: Mutex::default(),
            first_sequence: Mutex::new(1),
            changed: watch::channel(0).0,
            loading: watch::channel(false).0,
            dice: Mutex::new(Dice::new(seed)),
            breaks_every,
            burst_max,
        })
    }

    pub(crate) fn publish(&self, events: impl IntoIterator<Item = Event>) {
        self.events.lock().unwrap().extend(events);
        self.changed.send_modify(|n| *n += 1);
    }

    /// Drops the events before `first`, as a stream with limits does.
    pub(crate) fn trim(&self, first: u64) {
        *self.first_sequence.lock().unwrap() = first;
        self.events.lock().unwrap().retain(|event| event.sequence >= first);
    }

    pub(crate) fn records(&self, plan: &Plan) -> Vec<Record> {
        let parse = |s: &Stored| {
            Record::from_wire(&plan.pipeline, s.subject.clone(), s.headers.clone(), s.payload.clone())
                .unwrap()
        };
        self.chain.lock().unwrap().iter().map(parse).collect()
    }

    fn breaks(&self) -> bool {
        self.breaks_every > 0 && self.dice.lock().unwrap().below(self.breaks_every) == 0
    }
}

/// An event as the tests use it: some sequences are left out, as a filter would.
pub(crate) fn event(sequence: u64) -> Event {
    Event {
        subject: format!("in.{}", sequence % 10),
        payload: Bytes::from(format!("event {sequence}")),
        headers: Headers::canonical([("h".to_owned(), sequence.to_string())]),
        sequence,
        timestamp_ns: sequence * 1000,
    }
}

pub(crate) fn plan(version: u32, block: u32) -> Plan {
    let step = |name: &str| StepPlan {
        name: name.into(),
        module: Digest::of(format!("{name} {version}").as_bytes()),
        config: serde_json::json!({ "version": version }),
        limits: Limits::DEFAULT,
        output: model::CommandOutput::Whole,
    };
    Plan {
        version: 1,
        pipeline: "p".parse().unwrap(),
        source: SourcePlan { stream: "IN".parse().unwrap(), subjects: vec![], format: None },
        steps: vec![step("leaky"), step("second")],
        sink: SinkPlan {
            stream: "OUT".parse().unwrap(),
            subject: "out.{subject}".parse().unwrap(),
            allow: vec!["chosen.*".parse().unwrap()],
            record_bytes: 1 << 20,
            pack: None,
        },
        block,
        on_guest_fault: OnGuestFault::DeadLetter,
    }
}

/// A module that leaks a counter from event to event, and does something else for every kind of sequence.
#[derive(Clone)]
pub(crate) struct Leaky {
    pub(crate) version: u64,
    pub(crate) count: u64,
}

impl StepInstance for Leaky {
    fn process(&mut self, event: &Event) -> Result<Answer, Fault> {
        self.count += 1;
        let message = |n: u64| Message {
            subject: (n == 1).then(|| format!("chosen.{}", event.sequence % 3)),
            payload: Bytes::from(format!("{}|v{}|c{}|{n}", event.sequence, self.version, self.count)),
            headers: event.headers.clone(),
        };
        match event.sequence % 13 {
            0 => Err(GuestFault::new(GuestFaultCode::Trap, "unreachable").into()),
            1 => Ok(Answer::Reject(format!("no thirteens, said {} times", self.count))),
            2 | 3 => Ok(Answer::Messages(vec![])),
            4 => Ok(Answer::Messages((0..3).map(message).collect())),
            _ => Ok(Answer::Messages(vec![message(0)])),
        }
    }
}

pub(crate) struct Passing;

impl StepInstance for Passing {
    fn process(&mut self, event: &Event) -> Result<Answer, Fault> {
        let (payload, headers) = (event.payload.clone(), event.headers.clone());
        Ok(Answer::Messages(vec![Message { subject: None, payload, headers }]))
    }
}

pub(crate) struct LeakyStep(pub(crate) u64);
pub(crate) struct PassingStep;

impl Step for LeakyStep {
    fn instantiate(&self) -> Result<Box<dyn StepInstance>, Fault> {
        Ok(Box::new(Leaky { version: self.0, count: 0 }))
    }
}

impl Step for PassingStep {
    fn instantiate(&self) -> Result<Box<dyn StepInstance>, Fault> {
        Ok(Box::new(Passing))
    }
}

/// A version whose module takes its time to load.
pub(crate) const SLOW: u32 = 777;

pub(crate) struct SimLoader(pub(crate) Arc<Shared>);

impl Loader for SimLoader {
    async fn load(&self, plan: &Plan) -> Result<Vec<Arc<dyn Step>>, PortError> {
        let version = plan.steps[0].config["version"].as_u64().unwrap();
        if version == 666 {
            return Err(StopReason::new("module-corrupt", "the module is not what it was").into());
        }
        if version == u64::from(SLOW) {
            let mut may_load = self.0.loading.subscribe();
            may_load.wait_for(|may_load| *may_load).await.expect("the shared world outlives its nodes");
        }
        Ok(vec![Arc::new(LeakyStep(version)), Arc::new(PassingStep)])
    }

    fn engine(&self) -> &str {
        "sim-1"
    }
}

pub(crate) struct SimSource(pub(crate) Arc<Shared>);

pub(crate) struct SimReader {
    shared: Arc<Shared>,
    next: u64,
    changed: watch::Receiver<u64>,
}

impl Source for SimSource {
    type Reader = SimReader;

    async fn last_sequence(&self, _: &SourcePlan) -> Result<u64, PortError> {
        let last = self.0.events.lock().unwrap().last().map_or(0, |e| e.sequence);
        Ok(last.max(*self.0.first_sequence.lock().unwrap() - 1))
    }

    async fn open(&self, _: &SourcePlan, from: u64) -> Result<SimReader, OpenError> {
        let first = *self.0.first_sequence.lock().unwrap();
        if from < first {
            let detail = format!("the first is {first}, not {from}");
            return Err(OpenError::EventsGone(StopReason::new("source-events-gone", detail)));
        }
        let changed = self.0.changed.subscribe();
        Ok(SimReader { shared: self.0.clone(), next: from, changed })
    }
}

impl EventReader for SimReader {
    async fn next(&mut self) -> Result<Vec<Event>, PortError> {
        loop {
            self.changed.borrow_and_update();
            let size = 1 + self.shared.dice.lock().unwrap().below(self.shared.burst_max as u64) as usize;
            let burst: Vec<Event> = {
                let events = self.shared.events.lock().unwrap();
                let start = events.partition_point(|e| e.sequence < self.next);
                events[start..].iter().take(size).cloned().collect()
            };
            if let Some(last) = burst.last() {
                self.next = last.sequence + 1;
                return Ok(burst);
            }
            self.changed.changed().await.expect("the shared world outlives its readers");
        }
    }

    fn pending(&self) -> u64 {
        let events = self.shared.events.lock().unwrap();
        (events.len() - events.partition_point(|e| e.sequence < self.next)) as u64
    }
}

pub(crate) struct SimSink(pub(crate) Arc<Shared>);

pub(crate) struct SimAppender {
    shared: Arc<Shared>,
    answers: VecDeque<Result<u64, AppendError>>,
    broken: bool,
}

impl Sink for SimSink {
    type Appender = SimAppender;

    async fn tail(&self) -> Result<Tail, PortError> {
        let chain = self.0.chain.lock().unwrap();
        Ok(Tail { last_sequence: chain.len() as u64, entry: chain.last().cloned() })
    }

    async fn last_on(&self, subject: &str) -> Result<Option<Stored>, PortError> {
        Ok(self.0.chain.lock().unwrap().iter().rfind(|s| s.subject == subject).cloned())
    }

    async fn get(&self, sequence: u64) -> Result<Option<Stored>, PortError> {
        Ok(self.0.chain.lock().unwrap().get(sequence as usize - 1).cloned())
    }

    async fn hint(&self) -> Result<Option<Hint>, PortError> {
        Ok(*self.0.hint.lock().unwrap())
    }

    async fn keep_hint(&self, hint: Hint) -> Result<(), PortError> {
        *self.0.hint.lock().unwrap() = Some(hint);
        Ok(())
    }

    async fn appender(&self) -> Result<SimAppender, PortError> {
        Ok(SimAppender { shared: self.0.clone(), answers: VecDeque::new(), broken: false })
    }
}

impl Appender for SimAppender {
    async fn append(&mut self, place: &Place, record: &Record, ask: Ask) -> Result<(), AppendError> {
        // A broken connection swallows what is sent, as a real one does before it is known to be broken.
        self.broken |= self.shared.breaks();
        if self.broken {
            let gone = PortError::Unavailable("the connection broke".into());
            if ask == Ask::Answer {
                self.answers.push_back(Err(gone.into()));
            }
            return Ok(());
        }
        let mut chain = self.shared.chain.lock().unwrap();
        let sequence = place.sequence;
        let last_id = chain.last().and_then(|last| last.headers.get(ID_HEADER));
        let follows = place.after.is_none_or(|id| Some(id.to_string().as_str()) == last_id);
        let accepted = chain.len() as u64 + 1 == sequence && follows;
        if accepted {
            let mut headers: Vec<_> =
                record.wire_headers().map(|(n, v)| (n.to_owned(), v.into_owned())).collect();
            headers.push((EXPECTED_HEADER.to_owned(), (sequence - 1).to_string()));
            headers.push((ID_HEADER.to_owned(), place.id.to_string()));
            let after = place.after.map(|id| (AFTER_HEADER.to_owned(), id.to_string()));
            headers.extend(after);
            chain.push(Stored {
                sequence,
                subject: record.subject.clone(),
                headers: Headers::canonical(headers),
                payload: record.payload.clone(),
            });
        }
        if ask == Ask::Answer {
            self.answers.push_back(if accepted { Ok(sequence) } else { Err(AppendError::Conflict) });
        }
        Ok(())
    }

    async fn answer(&mut self) -> Result<u64, AppendError> {
        tokio::task::yield_now().await;
        match self.answers.pop_front() {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

/// The chain, read in bulk.
pub(crate) struct SimArchive(pub(crate) Arc<Shared>);

pub(crate) struct SimRecords {
    shared: Arc<Shared>,
    next: u64,
}

impl Archive for SimArchive {
    type Reader = SimRecords;

    async fn last_sequence(&self) -> Result<u64, PortError> {
        Ok(self.0.chain.lock().unwrap().last().map_or(0, |stored| stored.sequence))
    }

    async fn get(&self, sequence: u64) -> Result<Option<Stored>, PortError> {
        Ok(self.0.chain.lock().unwrap().iter().find(|stored| stored.sequence == sequence).cloned())
    }

    async fn next_on(&self, subject: &str, sequence: u64) -> Result<Option<Stored>, PortError> {
        let chain = self.0.chain.lock().unwrap();
        Ok(chain.iter().find(|stored| stored.sequence >= sequence && stored.subject == subject).cloned())
    }

    async fn open(&self, sequence: u64) -> Result<SimRecords, PortError> {
        Ok(SimRecords { shared: self.0.clone(), next: sequence })
    }
}

impl RecordReader for SimRecords {
    async fn next(&mut self) -> Result<Vec<Stored>, PortError> {
        let size = 1 + self.shared.dice.lock().unwrap().below(self.shared.burst_max as u64) as usize;
        let chain = self.shared.chain.lock().unwrap();
        let burst: Vec<Stored> =
            chain.iter().filter(|stored| stored.sequence >= self.next).take(size).cloned().collect();
        let last = burst.last().expect("nobody reads beyond the end");
        self.next = last.sequence + 1;
        Ok(burst)
    }
}

/// A node that runs one pipeline.
pub(crate) struct Node {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
    pub(crate) status: Arc<StatusCell>,
    pub(crate) tap: Arc<Tap>,
    pub(crate) desired: watch::Sender<Desired>,
}

impl Node {
    pub(crate) fn start(
        shared: &Arc<Shared>,
        workers: &Arc<Workers>,
        desired: Desired,
        options: Options,
    ) -> Self {
        let name = desired.plan.pipeline.clone();
        let meters = Meters::register(&mut Registry::default(), || 0).pipeline(&name);
        let (source, sink) = (SimSource(shared.clone()), SimSink(shared.clone()));
        let world = World { source, sink, loader: SimLoader(shared.clone()) };
        let pipeline = Pipeline::new(name, world, workers.clone(), options, meters);
        let (status, tap, shutdown) = (pipeline.status(), pipeline.tap(), CancellationToken::new());
        let (desired, receiver) = watch::channel(desired);
        let task = tokio::spawn(pipeline.run(receiver, shutdown.clone()));
        Self { task, shutdown, status, tap, desired }
    }

    /// Whether it has taken note of what is desired.
    pub(crate) fn has_seen_desired(&self) -> bool {
        self.status.read().known_generation == self.desired.borrow().generation
    }

    /// As `kill -9`: nothing is finished.
    pub(crate) fn kill(self) {
        self.task.abort();
    }

    /// As SIGTERM.
    pub(crate) async fn drain(self) {
        self.shutdown.cancel();
        self.task.await.expect("a pipeline that is asked to stop does so");
    }
}

pub(crate) fn desired(plan: Plan, generation: u64) -> Desired {
    Desired { generation, plan, at: None, start_sequence: 1, paused: false, attempt: 0 }
}

pub(crate) fn quick(lanes: usize, chunks_in_flight: usize) -> Options {
    Options {
        chunks_in_flight,
        lanes,
        standby: Duration::from_millis(5),
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(20),
    }
}

/// Waits until `done` holds, looked at after each change of the chain or a short while.
pub(crate) async fn until(what: &str, done: impl FnMut() -> bool) {
    until_or(what, done, String::new).await;
}

/// The same, and says how things are if it waited in vain.
pub(crate) async fn until_or(what: &str, mut done: impl FnMut() -> bool, state: impl Fn() -> String) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    while !done() {
        assert!(tokio::time::Instant::now() < deadline, "waited 60 s until {what}: {}", state());
        tick.tick().await;
    }
}
