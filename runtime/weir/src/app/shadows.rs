//! Shadows on this node: candidates that the shared state names, beside the pipelines that run here.
//!
//! What was compared lies in the shared state too, and an addition to it is accepted only on the report that
//! it was counted for: so an event counts at most once, whichever nodes executed it, and a node that dies
//! takes nothing with it but its last second. What races with another node's report is not counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::dto::{
    AppliedHow, Shadow, ShadowGate, ShadowReport, ShadowRequest, ShadowSample, ShadowSides, ShadowState,
    SwapResult,
};
use api::{Caller, Code, NodeError, Preconditions};
use broker::{Change, StateError};
use model::{PipelineName, Plan};
use pipeline::Meters;
use pipeline::ports::{Loader as _, PortError};
use pipeline::shadow::{ShadowWorker, Sides, Tally, Trial};
use pipeline::unit::LoadedPlan;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::apply::check_modules;
use super::catalog::{Application, Catalog};
use super::connection::Connection;
use super::errors::state_error;
use super::library::Library;
use super::supervisor::Supervisor;
use super::swap::{Successor, Swapping};
use crate::adapters::QuietLoader;

/// The keys of shadows begin so.
const SHADOWS: &str = "shadow";
/// How often what was compared is added to the shared report.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How often a change is tried again that a node's report was quicker with.
const TRIES: u32 = 16;

/// A shadow in the shared state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The plan in force.
    live: Plan,
    /// The plan that is tried.
    candidate: Plan,
    /// All that people want to know.
    pub(crate) shadow: Shadow,
}

impl Entry {
    fn is_running(&self) -> bool {
        self.shadow.state == ShadowState::Running
    }

    fn end(&mut self, state: ShadowState, why: Option<String>) {
        self.shadow.state = state;
        self.shadow.why = why;
        self.shadow.ended = Some(jiff::Timestamp::now().to_string());
    }

    /// Whether the module is needed to go on with it.
    pub(crate) fn needs(&self, module: model::Digest) -> bool {
        self.is_running() && self.candidate.modules().any(|needed| needed == module)
    }
}

/// Shadows as the API asks for them.
pub(crate) struct ShadowDesk<'a> {
    /// Where the shared state is.
    pub(crate) connection: &'a Connection,
    /// Where modules come from.
    pub(crate) library: &'a Library,
}

impl ShadowDesk<'_> {
    /// The shadow of a pipeline, with the revision of its key.
    ///
    /// # Errors
    /// When the shared state cannot be read.
    pub(crate) async fn find(&self, name: &PipelineName) -> Result<Option<(Entry, u64)>, NodeError> {
        let found = self.connection.state.get(&key(name)).await.map_err(|error| state_error(&error))?;
        let Some((value, revision)) = found else { return Ok(None) };
        Ok(Some((serde_json::from_slice(&value).map_err(NodeError::internal)?, revision)))
    }

    /// The shadow of a pipeline.
    ///
    /// # Errors
    /// [`Code::ShadowNotFound`] when it never had one.
    pub(crate) async fn get(&self, name: &PipelineName) -> Result<(Entry, u64), NodeError> {
        self.find(name).await?.ok_or_else(|| {
            let detail =
                format!("pipeline '{name}' has no shadow: start one, `weir shadow {name} STEP=MODULE`");
            NodeError::new(Code::ShadowNotFound, detail)
        })
    }

    /// Starts a shadow.
    ///
    /// # Errors
    /// What is wrong with the request; nothing is changed then.
    pub(crate) async fn start(
        &self,
        name: &PipelineName,
        request: &ShadowRequest,
        caller: &Caller,
    ) -> Result<Shadow, NodeError> {
        let before = self.find(name).await?;
        if before.as_ref().is_some_and(|(entry, _)| entry.is_running()) {
            let detail = format!(
                "pipeline '{name}' has a shadow already: promote it, `weir promote {name}`, or stop it, \
                 `weir shadow {name} --stop`"
            );
            return Err(NodeError::new(Code::ShadowRunning, detail));
        }
        let swapping =
            Swapping::begin(self.connection, self.library, name, &Preconditions::NONE, caller).await?;
        let (live, candidate) = swapping.candidate(&request.modules).await?;
        if candidate == live {
            let detail = format!("pipeline '{name}' has these modules already: there is nothing to compare");
            return Err(NodeError::new(Code::InvalidBody, detail));
        }
        check_modules(self.library, &candidate).await?;
        let is_tried = |step: &&model::StepPlan| request.modules.contains_key(&step.name);
        let modules = candidate.steps.iter().filter(is_tried).map(|step| (step.name.clone(), step.module));
        let shadow = Shadow {
            pipeline: name.clone(),
            state: ShadowState::Running,
            why: None,
            modules: modules.collect(),
            live: live.digest(),
            candidate: candidate.digest(),
            gate: request.gate,
            by: caller.0.clone(),
            started: jiff::Timestamp::now().to_string(),
            ended: None,
            report: ShadowReport::default(),
        };
        let entry = Entry { live, candidate, shadow };
        let value = serde_json::to_vec(&entry).map_err(NodeError::internal)?;
        let state = &self.connection.state;
        let written = match before {
            Some((_, revision)) => state.update(&key(name), value, revision).await,
            None => state.create(&key(name), value).await,
        };
        written.map_err(|error| state_error(&error))?;
        Ok(entry.shadow)
    }

    /// Stops a shadow, unless it has ended.
    ///
    /// # Errors
    /// [`Code::ShadowNotFound`] when there is none.
    pub(crate) async fn stop(&self, name: &PipelineName) -> Result<Shadow, NodeError> {
        self.end(name, ShadowState::Stopped).await
    }

    /// Applies the plan of a shadow that runs.
    ///
    /// # Errors
    /// When it does not run, or another plan was applied meanwhile.
    pub(crate) async fn promote(
        &self,
        name: &PipelineName,
        caller: &Caller,
    ) -> Result<SwapResult, NodeError> {
        let (entry, _) = self.get(name).await?;
        if !entry.is_running() {
            let detail = format!(
                "the shadow of pipeline '{name}' does not run any more ({}): to apply its plan all the same, swap",
                entry.shadow.state.as_str()
            );
            return Err(NodeError::new(Code::PipelineConflict, detail));
        }
        let result = self.apply(name, &entry, AppliedHow::Promote, caller).await?;
        self.end(name, ShadowState::Promoted).await?;
        Ok(result)
    }

    async fn apply(
        &self,
        name: &PipelineName,
        entry: &Entry,
        how: AppliedHow,
        caller: &Caller,
    ) -> Result<SwapResult, NodeError> {
        let swapping =
            Swapping::begin(self.connection, self.library, name, &Preconditions::NONE, caller).await?;
        swapping.require_plan(&entry.live)?;
        let plan = entry.candidate.clone();
        swapping.put(Successor { plan, at: None, revision: None, how }).await
    }

    /// Ends a shadow, however quick its reports come.
    async fn end(&self, name: &PipelineName, state: ShadowState) -> Result<Shadow, NodeError> {
        for _ in 0..TRIES {
            let (mut entry, revision) = self.get(name).await?;
            if !entry.is_running() {
                return Ok(entry.shadow);
            }
            entry.end(state, None);
            let value = serde_json::to_vec(&entry).map_err(NodeError::internal)?;
            match self.connection.state.update(&key(name), value, revision).await {
                Ok(_) => return Ok(entry.shadow),
                Err(StateError::Conflict { .. }) => {}
                Err(error) => return Err(state_error(&error)),
            }
        }
        Err(NodeError::new(
            Code::Overloaded,
            format!("the shadow of '{name}' is changed by too many at once"),
        ))
    }
}

/// Runs this node's part of all shadows.
pub(crate) struct Shadows {
    library: Arc<Library>,
    supervisor: Arc<Supervisor>,
    meters: Meters,
    worker: ShadowWorker,
}

/// A shadow that runs, as this node knows it.
struct Known {
    entry: Entry,
    revision: u64,
    trial: Option<Arc<Trial>>,
    /// What was compared here and is not in the shared report yet.
    unsaved: Tally,
}

type AllKnown = BTreeMap<PipelineName, Known>;

impl Shadows {
    /// Shadows beside the pipelines of `supervisor`.
    pub(crate) fn new(library: Arc<Library>, supervisor: Arc<Supervisor>, meters: Meters) -> Self {
        Self { library, supervisor, meters, worker: ShadowWorker::start() }
    }

    /// Follows the shared state until `shutdown`.
    ///
    /// # Errors
    /// When the shared state can no longer be followed.
    pub(crate) async fn run(
        &self,
        connection: &Connection,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut watch = connection.state.watch(SHADOWS)?;
        let mut all = AllKnown::new();
        let mut tick = tokio::time::interval(SYNC_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                change = watch.next() => {
                    if let Change::Entry { key, value, revision } = change? {
                        self.learn(&mut all, &key, value.as_deref(), revision);
                    }
                }
                _ = tick.tick() => {
                    let mut over = Vec::new();
                    for (name, known) in &mut all {
                        if let Err(error) = self.sync(connection, name, known).await {
                            tracing::debug!(pipeline = %name, %error, "The shadow's report has to wait");
                        }
                        if !known.entry.is_running() {
                            over.push(name.clone());
                        }
                    }
                    over.iter().for_each(|name| self.forget(&mut all, name));
                }
            }
        }
    }

    fn learn(&self, all: &mut AllKnown, key: &str, value: Option<&[u8]>, revision: u64) {
        let Some(name) = name_of(key) else { return };
        let entry = value.map(serde_json::from_slice::<Entry>);
        let Some(Ok(entry)) = entry.filter(|entry| entry.as_ref().is_ok_and(Entry::is_running)) else {
            self.forget(all, &name);
            return;
        };
        match all.get_mut(&name) {
            Some(known) if known.entry.shadow.started == entry.shadow.started => {
                if revision <= known.revision {
                    return;
                }
                if let Some(trial) = &known.trial {
                    trial.skip_through(entry.shadow.report.through);
                }
                (known.entry, known.revision) = (entry, revision);
            }
            _ => {
                self.forget(all, &name);
                tracing::info!(pipeline = %name, candidate = %entry.shadow.candidate, "A shadow starts");
                all.insert(name, Known { entry, revision, trial: None, unsaved: Tally::default() });
            }
        }
    }

    fn forget(&self, all: &mut AllKnown, name: &PipelineName) {
        if all.remove(name).is_some()
            && let Some(tap) = self.supervisor.tap(name)
        {
            tap.detach();
        }
    }

    /// Keeps the shadow at work, and adds what was compared to the shared report.
    async fn sync(
        &self,
        connection: &Connection,
        name: &PipelineName,
        known: &mut Known,
    ) -> Result<(), NodeError> {
        let found = Catalog(&connection.state).pipeline(name).await?;
        let mut entry = known.entry.clone();
        let mut end = found_end(found.as_ref().map(|(application, _)| application), &entry);
        if end.is_none() {
            end = self.keep_at_work(name, known).await;
        }
        if let Some(trial) = &known.trial {
            let (tally, failure) = trial.take();
            self.meters.shadowed(name, &tally);
            known.unsaved.add(tally);
            end = end.or(failure.map(|why| (ShadowState::Failed, why)));
        }
        if known.unsaved.is_empty() && end.is_none() {
            return Ok(());
        }
        add(&mut entry.shadow.report, &known.unsaved);
        if end.is_none() {
            end = self.judge(connection, name, &entry).await?;
        }
        if let Some((state, why)) = end {
            tracing::info!(pipeline = %name, state = state.as_str(), why, "The shadow ends");
            entry.end(state, Some(why));
        }
        let value = serde_json::to_vec(&entry).map_err(NodeError::internal)?;
        match connection.state.update(&key(name), value, known.revision).await {
            Ok(revision) => {
                known.unsaved = Tally::default();
                (known.entry, known.revision) = (entry, revision);
                Ok(())
            }
            Err(error @ StateError::Conflict { .. }) => {
                // Another node's report was quicker, and may hold the same events: none may count twice. The
                // watch brings that report here.
                known.unsaved = Tally::default();
                Err(state_error(&error))
            }
            Err(error) => Err(state_error(&error)),
        }
    }

    /// Loads what is to be compared, and listens where the pipeline runs. Gives the end if that cannot be.
    async fn keep_at_work(&self, name: &PipelineName, known: &mut Known) -> Option<(ShadowState, String)> {
        let trial = match &known.trial {
            Some(trial) => trial.clone(),
            None => match self.load(&known.entry).await {
                Ok(trial) => known.trial.insert(Arc::new(trial)).clone(),
                Err(PortError::Unavailable(why)) => {
                    tracing::debug!(pipeline = %name, why, "The shadow's modules cannot be loaded yet");
                    return None;
                }
                Err(PortError::Stop(reason)) => return Some((ShadowState::Failed, reason.detail)),
            },
        };
        let tap = self.supervisor.tap(name)?;
        if !tap.is_attached(&trial) {
            tap.attach(&trial, &self.worker);
        }
        None
    }

    async fn load(&self, entry: &Entry) -> Result<Trial, PortError> {
        let (live, candidate) = (self.load_plan(&entry.live).await?, self.load_plan(&entry.candidate).await?);
        Ok(Trial::new(live, candidate, entry.shadow.report.through))
    }

    async fn load_plan(&self, plan: &Plan) -> Result<LoadedPlan, PortError> {
        let loader = QuietLoader(self.library.clone());
        let steps = loader.load(plan).await?;
        Ok(LoadedPlan::new(plan.clone(), steps, loader.engine().to_owned()))
    }

    /// Whether the gate ends the shadow now. A plan that it promotes is applied first, so that a node which
    /// dies in between leaves a shadow whose plan is in force, which every node knows for what it is.
    async fn judge(
        &self,
        connection: &Connection,
        name: &PipelineName,
        entry: &Entry,
    ) -> Result<Option<(ShadowState, String)>, NodeError> {
        match verdict(&entry.shadow.gate, &entry.shadow.report) {
            Some((ShadowState::Promoted, why)) => {
                let desk = ShadowDesk { connection, library: &self.library };
                let caller = Caller(entry.shadow.by.clone());
                match desk.apply(name, entry, AppliedHow::Gate, &caller).await {
                    Ok(_) => Ok(Some((ShadowState::Promoted, why))),
                    Err(error) if error.code() == Code::BrokerUnavailable => Err(error),
                    Err(error) => Ok(Some((ShadowState::Failed, format!("it was to be promoted: {error}")))),
                }
            }
            verdict => Ok(verdict),
        }
    }
}

/// What the gate says to a report.
fn verdict(gate: &ShadowGate, report: &ShadowReport) -> Option<(ShadowState, String)> {
    let exceeds = |what: &str, found: u64, most: Option<u64>| {
        let most = most.filter(|most| found > *most)?;
        Some((
            ShadowState::Dropped,
            format!("{found} {what} in {} events; the gate lets {most} pass", report.events),
        ))
    };
    exceeds("differences", report.differences, gate.max_differences)
        .or_else(|| exceeds("new faults", report.new_faults, gate.max_faults))
        .or_else(|| {
            gate.for_events.filter(|wanted| report.events >= *wanted)?;
            let (events, differences) = (report.events, report.differences);
            let (faults, skipped) = (report.new_faults, report.skipped);
            let why = format!(
                "{events} events compared, {differences} differences, {faults} new faults, {skipped} skipped"
            );
            Some((ShadowState::Promoted, why))
        })
}

/// The end that what is applied makes of a shadow.
fn found_end(application: Option<&Application>, entry: &Entry) -> Option<(ShadowState, String)> {
    let Some(application) = application else {
        return Some((ShadowState::Superseded, "the pipeline was deleted".to_owned()));
    };
    if application.plan == entry.live {
        return None;
    }
    if application.plan == entry.candidate {
        return Some((ShadowState::Promoted, format!("generation {} has its plan", application.generation)));
    }
    let why = format!("another plan was applied meanwhile: {}", application.plan.digest());
    Some((ShadowState::Superseded, why))
}

fn add(report: &mut ShadowReport, tally: &Tally) {
    let sum = |into: &mut ShadowSides, from: Sides<u64>| {
        into.live += from.live;
        into.candidate += from.candidate;
    };
    report.events += tally.events;
    report.differences += tally.differences;
    report.skipped += tally.skipped;
    report.new_faults += tally.new_faults;
    sum(&mut report.faults, tally.faults);
    sum(&mut report.messages, tally.messages);
    sum(&mut report.fuel, tally.fuel);
    let micros = |ns: u64| ns / 1000;
    let time = Sides { live: micros(tally.time_ns.live), candidate: micros(tally.time_ns.candidate) };
    sum(&mut report.time_us, time);
    report.through = report.through.max(tally.through);
    let room = pipeline::shadow::SAMPLES_MAX.saturating_sub(report.samples.len());
    report.samples.extend(tally.samples.iter().take(room).map(|sample| ShadowSample {
        sequence: sample.sequence,
        what: sample.what.to_owned(),
        live: sample.live.clone(),
        candidate: sample.candidate.clone(),
    }));
}

fn key(name: &PipelineName) -> String {
    format!("{SHADOWS}.{name}")
}

fn name_of(key: &str) -> Option<PipelineName> {
    key.strip_prefix(SHADOWS)?.strip_prefix('.')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_drops_before_it_promotes() {
        let gate = ShadowGate { max_differences: Some(2), max_faults: Some(0), for_events: Some(10) };
        let judge = |gate: &ShadowGate, events, differences, new_faults| {
            let report = ShadowReport { events, differences, new_faults, ..ShadowReport::default() };
            verdict(gate, &report).map(|(state, _)| state)
        };
        assert_eq!(judge(&gate, 9, 2, 0), None);
        assert_eq!(judge(&gate, 10, 2, 0), Some(ShadowState::Promoted));
        assert_eq!(judge(&gate, 10, 3, 0), Some(ShadowState::Dropped));
        assert_eq!(judge(&gate, 1, 0, 1), Some(ShadowState::Dropped));
        let none = ShadowGate::default();
        assert_eq!(judge(&none, u64::MAX, u64::MAX, u64::MAX), None);
    }
}
