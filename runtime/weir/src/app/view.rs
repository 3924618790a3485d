//! How pipelines, modules and dead letters look to the API.

use api::dto::{
    Counts, DeadLetter, DeadLetterSummary, Module, ModuleKind, ModuleState, PassedTests, Payload,
    PendingSwap, PipelineError, PipelineState, PipelineStatus, ReceiptSummary, SourceStatus, StepStatus,
};
use broker::{Broker, StoredMessage, StreamState};
use engine::ModuleInfo;
use model::record::{self, own_subject};
use model::{Digest, PipelineName, Plan, Receipt, Record, RecordKind, Revision};
use pipeline::{State, Status};

use super::admission::Standing;
use super::catalog::Application;
use super::supervisor::Observed;

/// What the output stream itself says of a pipeline.
#[derive(Default)]
pub(crate) struct FromChain {
    revision: Option<Revision>,
    receipt: Option<ReceiptSummary>,
    dead_letter: Option<DeadLetterSummary>,
}

impl FromChain {
    /// Looks at the last revision, the last receipt and the last dead letter. What cannot be had at the
    /// moment is left out.
    pub(crate) async fn look(broker: &Broker, plan: &Plan) -> Self {
        let last = async |kind| {
            let entry = broker.last_on(&plan.sink.stream, &own_subject(&plan.pipeline, kind)).await;
            entry.ok().flatten()
        };
        let revision_entry = last(RecordKind::Revision).await;
        let receipt_entry = last(RecordKind::Receipt).await;
        let dead_letter = last(RecordKind::Dead).await.and_then(|entry| dead_letter(&plan.pipeline, entry));
        let revision = revision_entry.as_ref().and_then(|entry| {
            serde_json::from_slice::<Revision>(&entry.payload).ok().map(|revision| (entry.sequence, revision))
        });
        let receipt = receipt_entry.and_then(|entry| {
            serde_json::from_slice::<Receipt>(&entry.payload).ok().map(|receipt| (entry.sequence, receipt))
        });
        let closed = revision.as_ref().and_then(|(at, revision)| Some((*at, revision.closes.clone()?)));
        let newest = [receipt, closed].into_iter().flatten().max_by_key(|(at, _)| *at);
        Self {
            receipt: newest.map(|(at, receipt)| summary(at, receipt)),
            revision: revision.map(|(_, revision)| revision),
            dead_letter: dead_letter.map(|dead| DeadLetterSummary {
                record: dead.sequence,
                position: dead.position,
                step: dead.step,
                module: dead.module,
                code: dead.code,
                reason: dead.reason,
            }),
        }
    }
}

/// How a pipeline is doing.
pub(crate) fn status(
    name: PipelineName,
    application: &Application,
    source: Option<StreamState>,
    chain: FromChain,
    observed: Option<Observed>,
) -> PipelineStatus {
    let here = observed.as_ref().map(|observed| observed.status.clone()).unwrap_or_default();
    let plan = chain.revision.as_ref().map_or(&application.plan, |revision| &revision.plan);
    let counts = observed.map_or_else(Counts::default, |observed| Counts {
        events: observed.meters.events(),
        messages: observed.meters.records(RecordKind::Message),
        dead_letters: observed.meters.records(RecordKind::Dead),
        faults: observed.meters.host_faults.get(),
        conflicts: observed.meters.conflicts.get(),
    });
    PipelineStatus {
        name,
        state: state(&here.state),
        plan: chain.revision.as_ref().map(|revision| revision.plan_digest),
        generation: chain.revision.as_ref().map_or(0, |revision| revision.generation),
        revision: chain.revision.as_ref().map_or(0, |revision| revision.number),
        source: source.map(|state| SourceStatus {
            stream: application.plan.source.stream.clone(),
            first_sequence: state.first_sequence,
            last_sequence: state.last_sequence,
        }),
        sink: application.plan.sink.stream.clone(),
        position: here.through,
        records: here.last_record,
        lag: here.lag,
        counts,
        last_receipt: chain.receipt,
        last_dead_letter: chain.dead_letter,
        swap: pending(application, chain.revision.as_ref()),
        error: error(&here, application),
        steps: plan.steps.iter().map(|s| StepStatus { name: s.name.clone(), module: s.module }).collect(),
    }
}

/// The plan that was applied, as long as the chain does not have it.
fn pending(application: &Application, in_force: Option<&Revision>) -> Option<PendingSwap> {
    let plan = application.plan.digest();
    let is_carried_out = in_force.is_some_and(|revision| {
        revision.generation >= application.generation || revision.plan_digest == plan
    });
    let (generation, at) = (application.generation, application.at);
    (!is_carried_out).then_some(PendingSwap { plan, generation, at })
}

/// A module for the API.
pub(crate) fn module(digest: Digest, info: ModuleInfo) -> Module {
    let kind = match info.kind {
        engine::ModuleKind::Component => ModuleKind::Component,
        engine::ModuleKind::CoreModule => ModuleKind::CoreModule,
        engine::ModuleKind::Command => ModuleKind::Command,
    };
    Module {
        digest,
        kind,
        state: ModuleState::Ready,
        reason: None,
        size_bytes: info.size_bytes as u64,
        imports: info.imports,
        exports: info.exports,
        tags: Vec::new(),
        used_by: Vec::new(),
        tests: None,
    }
}

/// The tests of a module for the API.
pub(crate) fn tests(tests: &broker::PassedTests) -> PassedTests {
    PassedTests { digest: tests.digest, cases: tests.cases }
}

/// A module that is not in the shared bucket, for the API.
pub(crate) fn standing(digest: Digest, standing: Standing) -> Module {
    match standing {
        Standing::Compiling(info) => Module { state: ModuleState::Compiling, ..module(digest, info) },
        Standing::Refused(info, reason) => {
            Module { state: ModuleState::Refused, reason: Some(reason), ..module(digest, info) }
        }
    }
}

/// A dead letter for the API; none if the entry is not one.
pub(crate) fn dead_letter(pipeline: &PipelineName, entry: StoredMessage) -> Option<DeadLetter> {
    let (sequence, timestamp_ns) = (entry.sequence, entry.timestamp_ns);
    let record = Record::from_wire(pipeline, entry.subject, entry.headers, entry.payload).ok()?;
    let header = |name| record.headers.get(name).unwrap_or_default().to_owned();
    let omitted = record.headers.get(record::DEAD_OMITTED_HEADER).map(str::to_owned);
    Some(DeadLetter {
        sequence,
        position: record.position.sequence,
        subject: header(record::DEAD_SUBJECT_HEADER),
        step: header(record::DEAD_STEP_HEADER),
        module: header(record::DEAD_MODULE_HEADER).parse().ok()?,
        code: header(record::DEAD_FAULT_HEADER),
        reason: header(record::DEAD_REASON_HEADER),
        payload: omitted.is_none().then(|| Payload::from_bytes(&record.payload)),
        payload_omitted: omitted,
        headers: record.headers.clone().without_reserved().iter().map(Into::into).collect(),
        plan: record.plan,
        time: time_text(timestamp_ns),
    })
}

fn state(state: &State) -> PipelineState {
    match state {
        State::Starting => PipelineState::Starting,
        State::Running | State::Standby => PipelineState::Running,
        State::Paused => PipelineState::Paused,
        State::Waiting { .. } => PipelineState::Waiting,
        State::Stopped(_) => PipelineState::Stopped,
    }
}

fn error(status: &Status, application: &Application) -> Option<PipelineError> {
    // What became of an older application is of no interest any more.
    let is_current = status.known_generation >= application.generation;
    match (&status.state, status.swap_error.as_ref().filter(|_| is_current)) {
        (State::Stopped(reason), _) => {
            Some(PipelineError { code: reason.code.to_owned(), detail: reason.detail.clone() })
        }
        (State::Waiting { why }, _) => {
            Some(PipelineError { code: "unavailable".to_owned(), detail: why.clone() })
        }
        (_, Some(why)) => Some(PipelineError { code: why.code.to_owned(), detail: why.detail.clone() }),
        _ => None,
    }
}

pub(crate) fn summary(record: u64, receipt: Receipt) -> ReceiptSummary {
    ReceiptSummary {
        record,
        digest: receipt.digest(),
        plan: receipt.plan,
        engine: receipt.engine,
        first_sequence: receipt.first_sequence,
        last_sequence: receipt.last_sequence,
        events: receipt.events,
        messages: receipt.messages,
        dead_letters: receipt.dead_letters,
        inputs: receipt.inputs,
        outputs: receipt.outputs,
    }
}

pub(crate) fn time_text(timestamp_ns: u64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(timestamp_ns))
        .map(|time| time.to_string())
        .unwrap_or_default()
}
