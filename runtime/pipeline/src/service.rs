//! A pipeline on one node: runs, one after the other, until it is shut down.
//!
//! Each run begins at the chain's end. What a run ends with decides what comes next: a race that was lost is
//! followed by standing by, an outage by trying again with back-off, a difference by stopping until a person
//! changes something.

use std::sync::Arc;
use std::time::Duration;

use model::{Digest, PipelineName, Place, Plan, Position, Record, RecordId, RecordKind, Revision};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::append::Appending;
use crate::chain::{self, Chain};
use crate::cutter::Cutter;
use crate::meters::PipelineMeters;
use crate::ports::{
    AppendError, Appender, Ask, EventReader, Hint, Loader, OpenError, PortError, Sink, Source, StopReason,
};
use crate::run::{ReadEnd, Reading};
use crate::shadow::Tap;
use crate::status::{State, StatusCell};
use crate::swap::{Considered, InForce, Order};
use crate::unit::LoadedPlan;
use crate::workers::Workers;

/// How long the server may take to answer for a revision that is appended by itself.
const REVISION_DEADLINE: Duration = Duration::from_secs(5);
/// How often a pipeline that has nothing to do looks whether its chain still ends where it left it, and keeps
/// a hint.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// What a person wants of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Counts the applications of the pipeline; one that the chain has left behind is not carried out.
    pub generation: u64,
    /// The plan.
    pub plan: Plan,
    /// The first sequence that the plan is to govern, if it takes over from another one; `None` is as soon as
    /// it can.
    pub at: Option<u64>,
    /// Where a chain that does not exist yet begins in the source.
    pub start_sequence: u64,
    /// Whether it is to rest.
    pub paused: bool,
    /// Changes when a person asks to try again.
    pub attempt: u64,
}

/// How a pipeline behaves on this node. None of it decides what a record is.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many chunks may be in flight.
    pub chunks_in_flight: usize,
    /// How many lanes run them.
    pub lanes: usize,
    /// How long a chain that another node extends has to stand still before this node takes over.
    pub standby: Duration,
    /// The first wait after an outage; doubled each time.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
}

impl Options {
    /// What suits a node with this many workers.
    pub fn for_workers(workers: usize) -> Self {
        Self {
            chunks_in_flight: 16 + 4 * workers,
            lanes: workers.max(1),
            standby: Duration::from_millis(250),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
        }
    }
}

/// The world of one pipeline.
pub struct World<S, K, L> {
    /// Where events come from.
    pub source: S,
    /// Where records go.
    pub sink: K,
    /// Where modules come from.
    pub loader: L,
}

/// A pipeline on one node.
pub struct Pipeline<S, K, L> {
    pub(crate) name: PipelineName,
    pub(crate) world: World<S, K, L>,
    workers: Arc<Workers>,
    pub(crate) options: Options,
    meters: PipelineMeters,
    pub(crate) status: Arc<StatusCell>,
    tap: Arc<Tap>,
}

/// How a run ended, when nothing is wrong.
pub(crate) enum End {
    /// It was asked to, and all it had begun is done.
    Drained,
    /// The source has ended, and all of it is done.
    SourceEnded,
    /// Another node was quicker.
    Conflict,
    /// The chain has to be read anew.
    Again,
}

impl<S: Source, K: Sink, L: Loader> Pipeline<S, K, L> {
    /// A pipeline that is yet to run.
    pub fn new(
        name: PipelineName,
        world: World<S, K, L>,
        workers: Arc<Workers>,
        options: Options,
        meters: PipelineMeters,
    ) -> Self {
        Self { name, world, workers, options, meters, status: Arc::default(), tap: Arc::default() }
    }

    /// Where its status can be read while it runs.
    pub fn status(&self) -> Arc<StatusCell> {
        self.status.clone()
    }

    /// Where a shadow can listen.
    pub fn tap(&self) -> Arc<Tap> {
        self.tap.clone()
    }

    /// Runs until `shutdown`, then finishes what is computed.
    pub async fn run(self, mut desired: watch::Receiver<Desired>, shutdown: CancellationToken) {
        let mut backoff = self.options.backoff_min;
        while !shutdown.is_cancelled() {
            if desired.borrow_and_update().paused {
                self.enter(State::Paused);
                wait_for_change(&mut desired, &shutdown).await;
                continue;
            }
            let before = self.status.read().last_record;
            let ended = self.run_once(&mut desired, &shutdown).await;
            if self.status.read().last_record != before {
                backoff = self.options.backoff_min;
            }
            match ended {
                Ok(End::Drained | End::Again) => {}
                Ok(End::SourceEnded) => break,
                Ok(End::Conflict) => self.stand_by(&mut desired, &shutdown).await,
                Err(PortError::Unavailable(why)) => {
                    tracing::warn!(pipeline = %self.name, why, "Waiting to try again");
                    self.enter(State::Waiting { why });
                    pause(backoff, &mut desired, &shutdown).await;
                    backoff = (backoff * 2).min(self.options.backoff_max);
                }
                Err(PortError::Stop(reason)) => {
                    tracing::error!(pipeline = %self.name, code = reason.code, detail = reason.detail, "Stopped");
                    self.enter(State::Stopped(reason));
                    wait_for_change(&mut desired, &shutdown).await;
                }
            }
        }
        self.meters.up.set(0);
    }

    pub(crate) fn enter(&self, state: State) {
        self.meters.up.set(u64::from(matches!(state, State::Running | State::Standby)));
        self.status.set_state(state);
    }

    pub(crate) async fn run_once(
        &self,
        desired: &mut watch::Receiver<Desired>,
        shutdown: &CancellationToken,
    ) -> Result<End, PortError> {
        self.enter(State::Starting);
        self.meters.restarts.inc();
        let wanted = desired.borrow().clone();
        let Some(chain) = chain::read(&self.world.sink, &self.name).await? else {
            return self.begin_chain(wanted).await;
        };
        let plan = Arc::new(self.load(&chain.revision.plan).await?);
        self.check_source(&chain).await?;
        let Some((chain, reader)) = self.open(chain).await? else { return Ok(End::Again) };
        let considered = self.consider(&wanted, &chain).await;
        let appender = self.world.sink.appender().await?;
        self.status.begin_run(reader.pending());
        self.status.revised(&chain.revision);
        let through = chain.last.position.sequence - u64::from(chain.last.kind == RecordKind::Revision);
        self.status.appended(chain.last_sequence, 0, Some(through));
        let tasks = self.start(reader, appender, chain, plan, considered);
        self.enter(State::Running);
        let ended = tasks.attend(self, desired, shutdown).await;
        self.keep_hint().await;
        ended
    }

    /// Opens the source where the chain's last unit starts. Where its events are gone, but are known to be
    /// worked through, the chain goes on behind them; `None` if a record was appended for that.
    async fn open(&self, chain: Chain) -> Result<Option<(Chain, S::Reader)>, PortError> {
        let source = &self.world.source;
        let reason = match source.open(&chain.revision.plan.source, chain.unit_start).await {
            Ok(reader) => return Ok(Some((chain, reader))),
            Err(OpenError::Port(error)) => return Err(error),
            Err(OpenError::EventsGone(reason)) => reason,
        };
        let hint = self.world.sink.hint().await?.filter(|hint| hint.record == chain.last_sequence);
        if let Some(hint) = hint.filter(|_| chain.is_compared && chain.last.kind != RecordKind::Receipt) {
            tracing::warn!(pipeline = %self.name, through = hint.through, "The source dropped events of an open unit");
            self.begin_unit(&chain, hint.through + 1).await?;
            return Ok(None);
        }
        let Some(chain) = chain.after_last_block() else { return Err(reason.into()) };
        let reader = source.open(&chain.revision.plan.source, chain.unit_start).await?;
        tracing::warn!(pipeline = %self.name, "The source dropped the last block's events, so they are not compared");
        Ok(Some((chain, reader)))
    }

    /// Begins a new unit at `from_sequence`, of the plan in force: a revision like any other, but that the
    /// unit before it has no receipt, since its events can no longer be read.
    async fn begin_unit(&self, chain: &Chain, from_sequence: u64) -> Result<(), PortError> {
        let revision = Revision {
            number: chain.revision.number + 1,
            from_sequence,
            closes: None,
            previous: chain.link,
            ..chain.revision.clone()
        };
        self.append_revision(&revision, chain.last_sequence + 1).await
    }

    /// Whether the chain no longer ends where this node left it: the server lost records, or somebody else
    /// wrote.
    async fn has_moved(&self, settled: Option<Hint>) -> bool {
        let Some(settled) = settled else { return false };
        let Ok(tail) = self.world.sink.tail().await else { return false };
        // Meanwhile this node may have gone on itself.
        tail.last_sequence != settled.record && self.status.settled() == Some(settled)
    }

    /// Keeps where chain and source stand, if nothing is under way.
    async fn keep_hint(&self) {
        let Some(hint) = self.status.settled() else { return };
        if let Err(error) = self.world.sink.keep_hint(hint).await {
            tracing::debug!(pipeline = %self.name, %error, "The hint is not kept");
        }
    }

    pub(crate) async fn load(&self, plan: &Plan) -> Result<LoadedPlan, PortError> {
        let steps = self.world.loader.load(plan).await?;
        Ok(LoadedPlan::new(plan.clone(), steps, self.world.loader.engine().to_owned()))
    }

    /// The genesis: the first plan, once its modules are known to load and its source to be there.
    async fn begin_chain(&self, desired: Desired) -> Result<End, PortError> {
        let plan = self.load(&desired.plan).await?;
        drop(self.world.source.open(&desired.plan.source, desired.start_sequence).await?);
        let revision = Revision {
            version: model::revision::REVISION_VERSION,
            pipeline: self.name.clone(),
            number: 1,
            generation: desired.generation,
            from_sequence: desired.start_sequence,
            plan_digest: plan.digest,
            plan: desired.plan,
            closes: None,
            previous: None,
        };
        self.append_revision(&revision, 1).await?;
        Ok(End::Again)
    }

    /// Appends a revision at a place, unless somebody was quicker: what they wrote is read next.
    async fn append_revision(&self, revision: &Revision, sequence: u64) -> Result<(), PortError> {
        let payload = revision.canonical_bytes();
        let place = Place { sequence, id: RecordId::new(&Digest::of(&payload), sequence), after: None };
        let record = Record {
            kind: RecordKind::Revision,
            subject: model::record::own_subject(&self.name, RecordKind::Revision),
            headers: model::Headers::new(),
            payload: payload.into(),
            plan: revision.plan_digest,
            position: Position { sequence: revision.from_sequence, index: 0 },
        };
        let mut appender = self.world.sink.appender().await?;
        let appended = async {
            appender.append(&place, &record, Ask::Answer).await?;
            appender.answer().await
        };
        let silence = || PortError::Unavailable("the server did not answer for a revision".into());
        match tokio::time::timeout(REVISION_DEADLINE, appended).await.map_err(|_| silence())? {
            Ok(_) => {
                self.meters.appended(&record);
                Ok(())
            }
            Err(AppendError::Conflict) => Ok(()),
            Err(AppendError::Port(error)) => Err(error),
        }
    }

    /// A source that ends before the chain's position has lost events, and would give their sequences again
    /// to others.
    async fn check_source(&self, chain: &Chain) -> Result<(), PortError> {
        if chain.last.kind == RecordKind::Revision {
            return Ok(());
        }
        let last = self.world.source.last_sequence(&chain.revision.plan.source).await?;
        let position = chain.last.position.sequence;
        if last >= position {
            return Ok(());
        }
        let stream = &chain.revision.plan.source.stream;
        let detail = format!(
            "the source stream {stream} ends at sequence {last}, before the chain's position {position}: it was \
             made anew or put back to an older copy, and new events would get sequences that are already worked \
             through; restore the source, or apply the pipeline under a \
             new name with a new output stream"
        );
        Err(StopReason::new("source-rewound", detail).into())
    }

    fn start(
        &self,
        reader: S::Reader,
        appender: K::Appender,
        chain: Chain,
        plan: Arc<LoadedPlan>,
        considered: Considered,
    ) -> Tasks {
        let cancelled = CancellationToken::new();
        let (items, taken) = mpsc::channel(self.options.chunks_in_flight);
        let (orders, orders_taken) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let swap_after = if chain.is_compared { chain.last.position.sequence } else { chain.unit_start - 1 };
        let Considered { order, in_force } = considered;
        let reading = Reading {
            reader,
            cutter: Cutter::new(plan.clone(), chain.revision.from_sequence, chain.unit_start, chain.unit_end),
            plan,
            swap_after,
            lanes: (0..self.options.lanes).map(|_| self.workers.lane(cancelled.clone())).collect(),
            items,
            orders: orders_taken,
            stop: stop.clone(),
            status: self.status.clone(),
            tap: self.tap.clone(),
        };
        self.tap.begin_run();
        let meters = self.meters.clone();
        let appending = Appending::new(appender, chain, self.name.clone(), meters, self.status.clone());
        let mut set = JoinSet::new();
        set.spawn(async move { Ended::Reading(reading.run(order).await) });
        set.spawn(async move { Ended::Appending(appending.run(taken).await) });
        Tasks { set, in_force, orders, stop, _cancel: cancelled.drop_guard() }
    }

    /// Waits while another node extends the chain.
    pub(crate) async fn stand_by(
        &self,
        desired: &mut watch::Receiver<Desired>,
        shutdown: &CancellationToken,
    ) {
        self.meters.conflicts.inc();
        self.enter(State::Standby);
        let mut seen = None;
        while let Ok(tail) = self.world.sink.tail().await {
            if seen == Some(tail.last_sequence)
                || shutdown.is_cancelled()
                || desired.has_changed().unwrap_or(true)
            {
                return;
            }
            seen = Some(tail.last_sequence);
            pause(self.options.standby, desired, shutdown).await;
        }
    }
}

/// The two tasks of a run. Dropping them ends it at once.
struct Tasks {
    set: JoinSet<Ended>,
    in_force: InForce,
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    _cancel: DropGuard,
}

enum Ended {
    Reading(Result<ReadEnd, PortError>),
    Appending(Result<(), AppendError>),
}

impl Tasks {
    /// Waits for the run's end; meanwhile carries out what is newly desired.
    async fn attend<S: Source, K: Sink, L: Loader>(
        mut self,
        pipeline: &Pipeline<S, K, L>,
        desired: &mut watch::Receiver<Desired>,
        shutdown: &CancellationToken,
    ) -> Result<End, PortError> {
        let mut read = Ok(ReadEnd::Stopped);
        let following = pipeline.follow(desired, self.in_force, self.orders);
        tokio::pin!(following);
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let mut kept = None;
        loop {
            let ended = tokio::select! {
                ended = self.set.join_next() => ended,
                _ = looks.tick() => {
                    let settled = pipeline.status.settled();
                    if pipeline.has_moved(settled).await {
                        return Ok(End::Again);
                    }
                    if settled != kept {
                        pipeline.keep_hint().await;
                        kept = settled;
                    }
                    continue;
                }
                () = shutdown.cancelled(), if !self.stop.is_cancelled() => {
                    self.stop.cancel();
                    continue;
                }
                () = &mut following, if !self.stop.is_cancelled() => {
                    self.stop.cancel();
                    continue;
                }
            };
            match ended.map(|joined| joined.expect("a run's tasks do not panic, and nobody aborts them")) {
                // What is under way may not be appended: the chain would pass the swap's place as well.
                Some(Ended::Reading(Ok(ReadEnd::SwapPassed))) => return Ok(End::Again),
                Some(Ended::Reading(ended)) => read = ended,
                Some(Ended::Appending(Err(AppendError::Conflict))) => return Ok(End::Conflict),
                Some(Ended::Appending(Err(AppendError::Port(error)))) => return Err(error),
                Some(Ended::Appending(Ok(()))) | None => {
                    return read.map(|end| match end {
                        ReadEnd::Stopped => End::Drained,
                        ReadEnd::SourceEnded => End::SourceEnded,
                        ReadEnd::SourceChanged | ReadEnd::SwapPassed | ReadEnd::AppenderGone => End::Again,
                    });
                }
            }
        }
    }
}

async fn wait_for_change(desired: &mut watch::Receiver<Desired>, shutdown: &CancellationToken) {
    tokio::select! {
        changed = desired.changed() => if changed.is_err() { shutdown.cancelled().await },
        () = shutdown.cancelled() => {}
    }
}

pub(crate) async fn pause(
    time: Duration,
    desired: &mut watch::Receiver<Desired>,
    shutdown: &CancellationToken,
) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = wait_for_change(desired, shutdown) => {}
    }
}
