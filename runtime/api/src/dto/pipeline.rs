//! The shapes of pipelines: as applied, as running, and what they could not process.

use model::{Digest, PipelineName, Plan, StreamName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payload::{Header, Payload};

/// How a pipeline is doing, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PipelineStatus {
    /// The pipeline's name.
    #[schema(value_type = String)]
    pub name: PipelineName,
    /// What it is doing.
    pub state: PipelineState,
    /// The plan in force at the end of the output stream; none before the first revision is appended.
    #[schema(value_type = Option<String>)]
    pub plan: Option<Digest>,
    /// Which application of the pipeline is in force: 1 for the first, then one more for each change. A
    /// number lower than the description's says that a swap is still to come.
    pub generation: u64,
    /// The number of the revision in force; 0 before the first.
    pub revision: u64,
    /// The source stream, as last seen; none before it was.
    pub source: Option<SourceStatus>,
    /// The output stream.
    #[schema(value_type = String)]
    pub sink: StreamName,
    /// The last source sequence whose records are all appended; 0 before the first.
    pub position: u64,
    /// The sequence of the last record in the output stream; 0 if it is empty.
    pub records: u64,
    /// How many events of the source are still to be done, as far as is known.
    pub lag: u64,
    /// What this node did since it started.
    pub counts: Counts,
    /// The last receipt of the chain.
    pub last_receipt: Option<ReceiptSummary>,
    /// The last event that no step could process; none if there is none in the output stream.
    #[serde(default)]
    pub last_dead_letter: Option<DeadLetterSummary>,
    /// The plan that was applied and is not in force yet; none if there is no such plan.
    #[serde(default)]
    pub swap: Option<PendingSwap>,
    /// Why the pipeline waits or stopped, or a swap did not take place; none while all is well.
    pub error: Option<PipelineError>,
    /// The steps of the plan in force, in order.
    pub steps: Vec<StepStatus>,
}

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PipelineState {
    /// Reading the tail of the output stream, or compiling modules.
    Starting,
    /// Taking events as they come.
    Running,
    /// Paused by a person, until one resumes it.
    Paused,
    /// Trying again by itself what fails for a reason outside the pipeline: see `error`.
    Waiting,
    /// Stopped until a person changes something: see `error`.
    Stopped,
}

impl PipelineState {
    /// The state as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
        }
    }
}

/// The source stream of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceStatus {
    /// The stream.
    #[schema(value_type = String)]
    pub stream: StreamName,
    /// The first sequence that it still has.
    pub first_sequence: u64,
    /// The last sequence that it has.
    pub last_sequence: u64,
}

/// What one node did in a pipeline since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Events whose records are appended.
    pub events: u64,
    /// Messages appended.
    pub messages: u64,
    /// Dead letters appended.
    pub dead_letters: u64,
    /// Host faults, each of which was tried again.
    pub faults: u64,
    /// Records that another node appended first.
    pub conflicts: u64,
}

/// A receipt, in short. All of it is in the output stream at `record`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptSummary {
    /// The sequence in the output stream of the record that holds it.
    pub record: u64,
    /// The digest of the receipt.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// The plan that ran.
    #[schema(value_type = String)]
    pub plan: Digest,
    /// The engine that ran it.
    pub engine: String,
    /// The first event that was read.
    pub first_sequence: u64,
    /// The last event that was read.
    pub last_sequence: u64,
    /// How many events were read.
    pub events: u64,
    /// How many messages were written.
    pub messages: u64,
    /// How many dead letters were written.
    pub dead_letters: u64,
    /// The digest of what was read.
    #[schema(value_type = String)]
    pub inputs: Digest,
    /// The digest of what was written.
    #[schema(value_type = String)]
    pub outputs: Digest,
}

/// A plan that is to take over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingSwap {
    /// The digest of the plan.
    #[schema(value_type = String)]
    pub plan: Digest,
    /// Which application of the pipeline it is.
    pub generation: u64,
    /// The first source sequence that it is to govern; none if as soon as it can.
    pub at: Option<u64>,
}

/// Why a pipeline waits or stopped, or a swap did not take place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PipelineError {
    /// What kind of error it is, for programs: stable, in kebab-case.
    #[schema(example = "output-differs")]
    pub code: String,
    /// What happened, and what to do about it.
    pub detail: String,
}

/// A step of a plan, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepStatus {
    /// The step's name.
    pub name: String,
    /// The module.
    #[schema(value_type = String)]
    pub module: Digest,
}

/// A pipeline as it was applied, and how it is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PipelineDescription {
    /// The pipeline's name.
    #[schema(value_type = String)]
    pub name: PipelineName,
    /// The text of the pipeline file, as it was applied.
    pub spec: String,
    /// The plan that was made of it: every tag resolved and every default filled in.
    #[schema(value_type = Object)]
    pub plan: Plan,
    /// The digest of the plan.
    #[schema(value_type = String)]
    pub plan_digest: Digest,
    /// Which application of the pipeline this is; in quotes it is the pipeline's `ETag`.
    pub generation: u64,
    /// When it was applied: RFC 3339, UTC.
    pub applied: String,
    /// How it is doing.
    pub status: PipelineStatus,
}

/// All pipelines, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PipelineList {
    /// The pipelines.
    pub pipelines: Vec<PipelineStatus>,
}

/// What applying a pipeline did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplyResult {
    /// The pipeline's name.
    #[schema(value_type = String)]
    pub name: PipelineName,
    /// The digest of the plan.
    #[schema(value_type = String)]
    pub plan: Digest,
    /// Which application of the pipeline this is; in quotes it is the pipeline's `ETag`.
    pub generation: u64,
    /// Whether anything changed.
    pub outcome: ApplyOutcome,
}

/// Whether applying a pipeline changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApplyOutcome {
    /// There was no pipeline of this name.
    Created,
    /// The plan differs from the one before: a revision will put it in force.
    Changed,
    /// The plan is the one that was applied already.
    Unchanged,
}

/// An event that no step could process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// The sequence of the dead letter in the output stream.
    pub sequence: u64,
    /// The sequence of the event in the source stream.
    pub position: u64,
    /// The event's subject.
    pub subject: String,
    /// The step that could not process it.
    pub step: String,
    /// That step's module.
    #[schema(value_type = String)]
    pub module: Digest,
    /// What kind of guest fault it was.
    #[schema(example = "rejected")]
    pub code: String,
    /// What happened.
    pub reason: String,
    /// The event's payload; none where it was too large to be kept beside the reason.
    pub payload: Option<Payload>,
    /// Digest and size of a payload that was too large to be kept.
    pub payload_omitted: Option<String>,
    /// The event's headers.
    pub headers: Vec<Header>,
    /// The plan that was in force.
    #[schema(value_type = String)]
    pub plan: Digest,
    /// When it was appended, by the server's clock: RFC 3339, UTC.
    pub time: String,
}

/// A dead letter, in short. All of it is in the output stream at `record`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterSummary {
    /// The sequence of the dead letter in the output stream.
    pub record: u64,
    /// The sequence of the event in the source stream.
    pub position: u64,
    /// The step that could not process it.
    pub step: String,
    /// That step's module.
    #[schema(value_type = String)]
    pub module: Digest,
    /// What kind of guest fault it was.
    #[schema(example = "rejected")]
    pub code: String,
    /// What happened.
    pub reason: String,
}

/// Some of a pipeline's dead letters, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterList {
    /// The dead letters.
    pub dead_letters: Vec<DeadLetter>,
    /// Where to go on: the parameter `cursor` of the next request; none at the end.
    pub next: Option<String>,
}
