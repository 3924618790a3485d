//! Applying a pipeline file: everything that can be wrong with it is found here, before anything is changed.

use std::collections::BTreeMap;

use api::dto::{AppliedHow, ApplyOutcome, ApplyResult};
use api::{Caller, Code, NodeError, PipelineFile, Preconditions};
use broker::{Retention, StreamState};
use model::{Digest, PipelineName, Plan, StreamName, SubjectPattern, TagName};

use super::catalog::{Application, Catalog};
use super::connection::Connection;
use super::errors::{admin_error, chain_error, load_error, spec_error};
use super::library::{Library, LoadError};
use super::swap::Standing;
use crate::spec::{Origin, PipelineSpec, Resolution, Start, landing_stream};

/// The name by which errors call a file that came over the API.
const FILE: &str = "pipeline file";
/// A revision holds its plan, and has to fit into one record with room to spare.
const PLAN_SHARE: usize = 2;
/// A record has to hold at least a dead letter's headers.
const RECORD_BYTES_MIN: usize = 4 << 10;

/// Applies `file` as the pipeline `name`.
///
/// # Errors
/// What is wrong, as the API says it; nothing is changed then, but for a landing or output stream that may
/// have been made.
pub(crate) async fn apply(
    connection: &Connection,
    library: &Library,
    name: &PipelineName,
    file: &PipelineFile,
    conditions: &Preconditions,
    caller: &Caller,
) -> Result<ApplyResult, NodeError> {
    let spec = PipelineSpec::parse(&file.text, FILE).map_err(|error| spec_error(&error))?;
    if spec.name != *name {
        let detail =
            format!("the file names pipeline '{}', the path '{name}': make them the same", spec.name);
        return Err(NodeError::new(Code::InvalidPipeline, detail).with("key", "name"));
    }
    let catalog = Catalog(&connection.state);
    let current = catalog.pipeline(name).await?;
    conditions.check(current.as_ref().map(|(application, _)| application.generation))?;
    let applying = Applying { connection, catalog, spec: &spec };
    let (source, stream) = applying.source().await?;
    let plan = applying.plan(&source, &stream).await?;
    let (digest, revision) = (plan.digest(), current.as_ref().map(|(_, revision)| *revision));
    check_expected(file, &plan, digest)?;
    let current = current.map(|(application, _)| application);
    // A swap that waits for its event, or missed it, is no reason to say that nothing is to be done.
    let is_applied = match current.as_ref().filter(|current| current.plan == plan) {
        Some(current) => !Standing::look(connection, current).await?.is_bound_to_an_event(),
        None => false,
    };
    if let Some(current) = current.as_ref().filter(|_| is_applied) {
        // The stream may have been lost meanwhile, and then this makes it again.
        applying.ensure_output(&plan).await?;
        let (generation, outcome) = (current.generation, ApplyOutcome::Unchanged);
        return Ok(ApplyResult { name: name.clone(), plan: digest, generation, outcome });
    }
    applying.check_place(&plan, current.as_ref()).await?;
    check_modules(library, &plan).await?;
    let start_sequence = match &current {
        Some(current) => current.start_sequence,
        None => applying.start_sequence(&stream, &source).await?,
    };
    applying.ensure_output(&plan).await?;
    let generation = applying.next_generation(&plan, current.as_ref()).await?;
    let outcome = if current.is_some() { ApplyOutcome::Changed } else { ApplyOutcome::Created };
    let before = current.unwrap_or_else(|| Application {
        generation: 0,
        spec: String::new(),
        plan: plan.clone(),
        start_sequence,
        paused: false,
        attempt: 0,
        applied: String::new(),
        at: None,
        history: Vec::new(),
    });
    let before = Application { spec: spec.text().to_owned(), ..before };
    let application = before.next(generation, plan, None, AppliedHow::Apply, caller);
    Catalog(&connection.state).put_pipeline(name, &application, revision).await?;
    Ok(ApplyResult { name: name.clone(), plan: digest, generation, outcome })
}

/// Whoever says which plan it is to be gets that one or none.
fn check_expected(file: &PipelineFile, plan: &Plan, digest: Digest) -> Result<(), NodeError> {
    match file.expected_plan {
        Some(expected) if expected != digest => {
            let detail = format!(
                "the file makes plan {digest} here, and {expected} was asked for: lock the pipeline again"
            );
            let plan = serde_json::to_value(plan).map_err(NodeError::internal)?;
            Err(NodeError::new(Code::PlanDiffers, detail).with("plan", plan))
        }
        _ => Ok(()),
    }
}

struct Applying<'a> {
    connection: &'a Connection,
    catalog: Catalog<'a>,
    spec: &'a PipelineSpec,
}

impl Applying<'_> {
    /// The source stream, made first where a core subject has to be landed.
    async fn source(&self) -> Result<(StreamState, StreamName), NodeError> {
        let broker = &self.connection.broker;
        let stream = match &self.spec.source.origin {
            Origin::Stream(stream) => stream.clone(),
            Origin::Subject { pattern, max_age } => {
                let stream = landing_stream(&self.spec.name);
                let patterns = std::slice::from_ref(pattern);
                let made = broker.ensure_landing_stream(&self.spec.name, &stream, patterns, *max_age).await;
                made.map_err(|error| admin_error(&error))?;
                stream
            }
        };
        let state = broker.stream_state(&stream).await.map_err(|error| admin_error(&error))?;
        let state = state.ok_or_else(|| {
            let detail = format!(
                "there is no stream '{stream}' to read from: make it first, or name another in [source]"
            );
            NodeError::new(Code::SourceNotFound, detail).with("key", "source.stream")
        })?;
        if state.retention != Retention::Limits {
            let detail = format!(
                "the stream '{stream}' has {} retention, which deletes events once they are read, so that they could \
                 not be executed again: use a stream with limits retention that sources it",
                state.retention
            );
            return Err(NodeError::new(Code::SourceNotFound, detail).with("key", "source.stream"));
        }
        Ok((state, stream))
    }

    async fn plan(&self, source: &StreamState, stream: &StreamName) -> Result<Plan, NodeError> {
        let mut tags = BTreeMap::<TagName, _>::new();
        for tag in self.spec.tags() {
            let (digest, _) = self.catalog.tag(tag).await?.ok_or_else(|| {
                let detail = format!(
                    "there is no tag '{tag}': push the module with --tag {tag}, or pin it by its digest"
                );
                NodeError::new(Code::UnknownTag, detail).with("tag", tag.as_str())
            })?;
            tags.insert(tag.clone(), digest);
        }
        let record_bytes = self.connection.broker.max_payload();
        if record_bytes < RECORD_BYTES_MIN {
            let detail = format!(
                "the NATS server's max_payload is {record_bytes} bytes, and records need {RECORD_BYTES_MIN}: raise it"
            );
            return Err(NodeError::new(Code::BrokerRefused, detail));
        }
        let resolution = Resolution {
            tags,
            source_stream: stream.clone(),
            source_subjects: self.selected(source),
            record_bytes: u32::try_from(record_bytes).unwrap_or(u32::MAX),
        };
        let plan = self.spec.resolve(&resolution).map_err(|error| spec_error(&error))?;
        let bytes = plan.canonical_bytes().len();
        if bytes > record_bytes / PLAN_SHARE {
            let most = record_bytes / PLAN_SHARE;
            let detail = format!(
                "the plan has {bytes} bytes, and at most {most} fit into a revision: make the configurations smaller"
            );
            return Err(NodeError::new(Code::InvalidPipeline, detail));
        }
        Ok(plan)
    }

    /// The subjects that can come out of the source, as far as they are known.
    fn selected(&self, source: &StreamState) -> Vec<SubjectPattern> {
        if self.spec.source.subjects.is_empty() {
            return source.subjects.iter().filter_map(|subject| subject.parse().ok()).collect();
        }
        self.spec.source.subjects.clone()
    }

    /// Whether the plan may stand where it wants to: on its own chain, beside the other pipelines.
    async fn check_place(&self, plan: &Plan, current: Option<&Application>) -> Result<(), NodeError> {
        if let Some(current) = current {
            let moved = |what: &str, from: &StreamName, to: &StreamName| {
                let detail = format!(
                    "pipeline '{}' cannot change its {what} stream from '{from}' to '{to}', since its chain is bound to \
                     both: apply it under a new name, or delete it first",
                    plan.pipeline
                );
                Err(NodeError::new(Code::PipelineConflict, detail))
            };
            if current.plan.source.stream != plan.source.stream {
                return moved("source", &current.plan.source.stream, &plan.source.stream);
            }
            if current.plan.sink.stream != plan.sink.stream {
                return moved("output", &current.plan.sink.stream, &plan.sink.stream);
            }
        }
        let others: Vec<_> = self.catalog.pipelines().await?;
        let others: Vec<&Plan> =
            others.iter().filter(|(name, _)| *name != plan.pipeline).map(|(_, other)| &other.plan).collect();
        if let Some(owner) = others.iter().find(|other| other.sink.stream == plan.sink.stream) {
            let detail = format!(
                "the stream '{}' is the output of pipeline '{}', and a pipeline needs its output stream to itself",
                plan.sink.stream, owner.pipeline
            );
            return Err(NodeError::new(Code::SinkConflict, detail).with("pipeline", owner.pipeline.as_str()));
        }
        self.check_loops(plan, &others).await
    }

    /// Whether what the pipeline writes can come back to it, through other pipelines or streams that source.
    async fn check_loops(&self, plan: &Plan, others: &[&Plan]) -> Result<(), NodeError> {
        let mut upstream = vec![plan.source.stream.clone()];
        let mut at = 0;
        while let Some(stream) = upstream.get(at).cloned() {
            at += 1;
            if stream == plan.sink.stream {
                let detail = format!(
                    "what pipeline '{}' writes into '{}' would come back to it through '{}': an endless loop",
                    plan.pipeline, plan.sink.stream, plan.source.stream
                );
                return Err(NodeError::new(Code::SubjectOverlap, detail));
            }
            let state =
                self.connection.broker.stream_state(&stream).await.map_err(|error| admin_error(&error))?;
            let sourced =
                state.into_iter().flat_map(|state| state.upstreams).filter_map(|name| name.parse().ok());
            let written = others.iter().filter(|other| other.sink.stream == stream);
            let next: Vec<StreamName> =
                sourced.chain(written.map(|other| other.source.stream.clone())).collect();
            for stream in next {
                if !upstream.contains(&stream) {
                    upstream.push(stream);
                }
            }
        }
        Ok(())
    }

    async fn ensure_output(&self, plan: &Plan) -> Result<(), NodeError> {
        ensure_output(self.connection, plan).await
    }

    async fn start_sequence(&self, stream: &StreamName, source: &StreamState) -> Result<u64, NodeError> {
        let sequence = match &self.spec.source.start {
            Start::Beginning => source.first_sequence,
            Start::Now => source.last_sequence + 1,
            Start::Sequence(sequence) => *sequence,
            Start::Time(moment) => {
                let sequence = self.connection.broker.sequence_at(stream, moment.unix_ns()).await;
                sequence.map_err(|error| admin_error(&error))?
            }
        };
        if sequence < source.first_sequence {
            let detail = format!(
                "the stream '{stream}' no longer has sequence {sequence}; the first it has is {}: start there, or at \
                 \"beginning\"",
                source.first_sequence
            );
            return Err(
                NodeError::new(Code::SourceGone, detail).with("first_sequence", source.first_sequence)
            );
        }
        Ok(sequence)
    }

    /// One more than any generation there was. A chain that is older than the pipeline's entry is gone on
    /// with.
    async fn next_generation(&self, plan: &Plan, current: Option<&Application>) -> Result<u64, NodeError> {
        let sink = self.connection.sink(plan);
        let chain = pipeline::chain::read(&sink, &plan.pipeline).await.map_err(chain_error)?;
        let Some(chain) = chain else { return Ok(current.map_or(0, |current| current.generation) + 1) };
        if chain.revision.plan.source.stream != plan.source.stream {
            let detail = format!(
                "the stream '{}' holds records made of '{}': use a new output stream for another source",
                plan.sink.stream, chain.revision.plan.source.stream
            );
            return Err(NodeError::new(Code::SinkConflict, detail));
        }
        let known = current.map_or(0, |current| current.generation);
        Ok(known.max(chain.revision.generation) + 1)
    }
}

/// Makes the output stream of a plan, or lets it take the plan's subjects.
pub(crate) async fn ensure_output(connection: &Connection, plan: &Plan) -> Result<(), NodeError> {
    let patterns = plan.sink.patterns();
    let made = connection.broker.ensure_output_stream(&plan.pipeline, &plan.sink.stream, &patterns).await;
    made.map_err(|error| admin_error(&error))
}

/// Whether every module is there and runs here, so that the plan can take over at once.
pub(crate) async fn check_modules(library: &Library, plan: &Plan) -> Result<(), NodeError> {
    for (at, step) in plan.steps.iter().enumerate() {
        let module = library.load(step.module).await.map_err(|error| match &error {
            LoadError::Missing(digest) => {
                let detail =
                    format!("step '{}' names module {digest}, which is not there: push it first", step.name);
                NodeError::new(Code::UnknownModule, detail).with("digest", digest.to_string())
            }
            _ => load_error(&error),
        })?;
        module.with_output(step.output).map_err(|error| {
            let detail = format!("step '{}', module {}: {error}", step.name, step.module);
            NodeError::new(Code::InvalidPipeline, detail).with("key", format!("steps[{at}].output"))
        })?;
    }
    Ok(())
}
