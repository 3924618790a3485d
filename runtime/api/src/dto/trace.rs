//! The shapes of traces: where an output comes from, and what became of an event.

use model::{Digest, PipelineName, Plan, StreamName, TagName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::module::ModuleKind;
use super::payload::{Header, Payload};
use super::pipeline::ReceiptSummary;
use super::revision::Applied;

/// Where a record of an output stream comes from, step by step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OutputTrace {
    /// The pipeline that wrote it.
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    /// The record.
    pub record: TracedRecord,
    /// The receipt that accounts for it; none while its block is not over.
    pub receipt: Option<ReceiptSummary>,
    /// The revision that put the record's plan in force.
    pub revision: TracedRevision,
    /// The record's plan, in full.
    #[schema(value_type = Object)]
    pub plan: Plan,
    /// The steps of the plan, in order.
    pub steps: Vec<TracedStep>,
    /// The event that it was made of; none for a revision, and where the source does not have it any more.
    pub event: Option<TracedEvent>,
}

/// A record of an output stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TracedRecord {
    /// The output stream.
    #[schema(value_type = String)]
    pub stream: StreamName,
    /// Its sequence there.
    pub sequence: u64,
    /// What it is: `message`, `dead`, `receipt` or `revision`.
    pub kind: String,
    /// Its subject.
    pub subject: String,
    /// The sequence of the source event that it comes from.
    pub source_sequence: u64,
    /// Its place among that event's records, from 0.
    pub index: u32,
    /// The plan in force.
    #[schema(value_type = String)]
    pub plan: Digest,
    /// When it was appended, by the server's clock: RFC 3339, UTC.
    pub time: String,
    /// Its headers, without those that Weir and NATS add; a dead letter's say what went wrong.
    pub headers: Vec<Header>,
    /// Its payload; none for receipts and revisions.
    pub payload: Option<Payload>,
}

/// The revision that put a plan in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TracedRevision {
    /// Its number.
    pub number: u64,
    /// The sequence in the output stream of the record that holds it.
    pub record: u64,
    /// The first source sequence that it governs.
    pub from_sequence: u64,
    /// The digest of its plan.
    #[schema(value_type = String)]
    pub plan: Digest,
    /// When it was appended, by the server's clock: RFC 3339, UTC.
    pub time: String,
    /// Who applied it; none where that is not known any more.
    pub applied: Option<Applied>,
}

/// A step that an event went through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TracedStep {
    /// Its name.
    pub name: String,
    /// Its module.
    #[schema(value_type = String)]
    pub module: Digest,
    /// What the module is; none where this node cannot get it.
    pub kind: Option<ModuleKind>,
    /// The size of its bytes.
    pub size_bytes: Option<u64>,
    /// The tags that name the module now.
    #[schema(value_type = Vec<String>)]
    pub tags: Vec<TagName>,
}

/// An event, as the source has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TracedEvent {
    /// The source stream.
    #[schema(value_type = String)]
    pub stream: StreamName,
    /// Its sequence there.
    pub sequence: u64,
    /// Its subject.
    pub subject: String,
    /// When it was stored, by the server's clock: RFC 3339, UTC.
    pub time: String,
    /// Its headers.
    pub headers: Vec<Header>,
    /// Its payload.
    pub payload: Payload,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceTrace {
    /// The event; none where the source does not have it.
    pub event: Option<TracedEvent>,
    /// What became of it in each pipeline that reads the stream, sorted by the pipeline's name.
    pub pipelines: Vec<EventFate>,
}

/// What became of an event in one pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventFate {
    /// The pipeline.
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    /// Its output stream.
    #[schema(value_type = String)]
    pub sink: StreamName,
    /// What became of the event.
    pub outcome: EventOutcome,
    /// The revision that governed the event; none where none did yet.
    pub revision: Option<TracedRevision>,
    /// Its messages, or its dead letter; the first thousand.
    pub records: Vec<TracedRecord>,
    /// The receipt that accounts for it; none while its block is not over.
    pub receipt: Option<ReceiptSummary>,
}

/// What can become of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventOutcome {
    /// It gave messages.
    Messages,
    /// It became a dead letter.
    Dead,
    /// It was worked through, and the steps gave nothing.
    Nothing,
    /// The pipeline does not read its subject.
    NotSelected,
    /// It came before the event with which the pipeline began.
    BeforeStart,
    /// The pipeline has not come to it, or left no record since.
    Pending,
    /// The source does not have it, and it left no record.
    Unknown,
}

impl EventOutcome {
    /// The outcome as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Dead => "dead",
            Self::Nothing => "nothing",
            Self::NotSelected => "not-selected",
            Self::BeforeStart => "before-start",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
        }
    }
}
