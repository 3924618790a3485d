//! The shape of the pipeline file: its keys, their types and their defaults, and the JSON Schema of both.
//!
//! Each value on its own is valid once it is read into these types; how they go together is for
//! [`check`](super::check).

use model::{
    CommandOutput, Digest, OnGuestFault, Packing, PipelineName, StreamName, SubjectPattern, SubjectTemplate,
    TagName,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::humane::{ByteCount, Milliseconds, Moment, TimeSpan};

/// A pipeline: where events come from, the modules they go through, and where messages go.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Weir pipeline")]
pub(crate) struct PipelineFile {
    /// The pipeline's name: 1 to 64 characters of a-z, 0-9, '-' and '_', the first a letter or digit.
    #[schemars(with = "String", regex(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$"))]
    pub(crate) name: PipelineName,
    /// How many source sequences make a block, which is the unit of parallel work, of fresh sandboxes and of
    /// receipts. 1 isolates every event.
    #[serde(default = "default_block")]
    #[schemars(range(min = 1, max = 65536))]
    pub(crate) block: u32,
    /// What a fault of a module does: "dead_letter" keeps the event with its reason and goes on, "stop" stops
    /// the pipeline before the event.
    #[serde(default)]
    pub(crate) on_guest_fault: GuestFaultPolicy,
    /// Where events come from.
    pub(crate) source: SourceTable,
    /// The modules that events go through, in order: 1 to 16.
    #[schemars(length(min = 1, max = 16))]
    pub(crate) steps: Vec<StepTable>,
    /// Where messages go.
    pub(crate) sink: SinkTable,
}

/// What a fault of a module does.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GuestFaultPolicy {
    /// The event becomes a dead letter, in its place, and the next one is taken.
    #[default]
    DeadLetter,
    /// The pipeline stops before the event, until a person changes something.
    Stop,
}

impl From<GuestFaultPolicy> for OnGuestFault {
    fn from(policy: GuestFaultPolicy) -> Self {
        match policy {
            GuestFaultPolicy::DeadLetter => Self::DeadLetter,
            GuestFaultPolicy::Stop => Self::Stop,
        }
    }
}

/// Where events come from: a JetStream stream, or a core NATS subject.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceTable {
    /// An existing JetStream stream. Either this or 'subject'.
    #[schemars(with = "Option<String>")]
    pub(crate) stream: Option<StreamName>,
    /// A core NATS subject or pattern, which Weir lands in a stream that it makes. Either this or 'stream'.
    #[schemars(with = "Option<String>")]
    pub(crate) subject: Option<SubjectPattern>,
    /// How long the stream that Weir makes for 'subject' keeps its events; without it, for ever.
    pub(crate) max_age: Option<TimeSpan>,
    /// Which subjects of 'stream' to read; without it, all.
    #[serde(default)]
    #[schemars(with = "Vec<String>", length(max = 64))]
    pub(crate) subjects: Vec<SubjectPattern>,
    /// How many events lie in one message; without it, each message is one event.
    pub(crate) format: Option<PackFormat>,
    /// Where in the source the pipeline starts when it is first applied.
    #[serde(default)]
    pub(crate) start: Start,
}

/// How events, or messages, lie behind each other in one payload.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PackFormat {
    /// One a line; blank lines are none.
    Ndjson,
    /// One MessagePack value after the other.
    Msgpack,
}

impl From<PackFormat> for Packing {
    fn from(format: PackFormat) -> Self {
        match format {
            PackFormat::Ndjson => Self::Ndjson,
            PackFormat::Msgpack => Self::Msgpack,
        }
    }
}

/// Where in the source a new pipeline starts. Later changes of the pipeline go on from where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Start {
    /// At the first event that the source still has.
    #[default]
    Beginning,
    /// At the first event that comes after the pipeline is applied.
    Now,
    /// At this sequence of the source stream; the first is 1.
    Sequence(#[schemars(range(min = 1))] u64),
    /// At the first event that the source stored at this moment or later.
    Time(Moment),
}

/// One module, with its configuration and its limits.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepTable {
    /// The step's name in dead letters, metrics and logs; without it the tag's name, or 'step-1', 'step-2' …
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$"))]
    pub(crate) name: Option<String>,
    /// The module: 'sha256:' and 64 hexadecimal digits, or a tag, which is resolved when the pipeline is
    /// applied.
    #[schemars(with = "String", example = "mask-pii:1.2")]
    pub(crate) module: ModuleRef,
    /// What the module gets as its configuration, as JSON text with sorted keys.
    #[serde(default)]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub(crate) config: serde_json::Value,
    /// What the standard output of a command comes to. Only for modules that are commands.
    #[serde(default)]
    pub(crate) output: OutputMode,
    /// What bounds the module; each key that is missing has its default.
    #[serde(default)]
    pub(crate) limits: LimitsTable,
}

/// What the standard output of a command comes to.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutputMode {
    /// One message: all of it. Nothing printed is no message.
    #[default]
    Whole,
    /// A message for each line, without its line feed.
    Lines,
}

impl From<OutputMode> for CommandOutput {
    fn from(mode: OutputMode) -> Self {
        match mode {
            OutputMode::Whole => Self::Whole,
            OutputMode::Lines => Self::Lines,
        }
    }
}

/// How a step names its module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) enum ModuleRef {
    /// By the digest itself.
    Digest(Digest),
    /// By a tag that is resolved when a plan is made.
    Tag(TagName),
}

impl std::str::FromStr for ModuleRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("sha256:") {
            return text.parse().map(Self::Digest).map_err(|error| format!("{error}"));
        }
        text.parse().map(Self::Tag).map_err(|error| format!("{error}"))
    }
}

impl TryFrom<String> for ModuleRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ModuleRef> for String {
    fn from(module: ModuleRef) -> Self {
        module.to_string()
    }
}

impl std::fmt::Display for ModuleRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

/// The limits of one step, per event where not said otherwise.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsTable {
    /// Linear memory and tables of one instance. Default 64 MiB, at most 1 GiB.
    pub(crate) memory_bytes: Option<ByteCount>,
    /// Fuel for one event, about one unit for each WebAssembly instruction. Default 200 million, at most
    /// 10^12.
    pub(crate) fuel_per_event: Option<u64>,
    /// Messages in one answer. Default 1,000, at most 100,000.
    pub(crate) messages_per_event: Option<u64>,
    /// Bytes of all messages in one answer. Default 8 MiB, at most 256 MiB.
    pub(crate) bytes_per_event: Option<ByteCount>,
    /// Bytes of log lines that are kept. Default 4 KiB, at most 1 MiB.
    pub(crate) log_bytes_per_event: Option<ByteCount>,
    /// Wall clock for one event: a safety net against what fuel does not see. Default 10 s, at most 10 min.
    pub(crate) deadline_ms: Option<Milliseconds>,
}

impl LimitsTable {
    /// These limits, and for those that are not given the usual ones.
    pub(crate) fn or(self, usual: Self) -> Self {
        Self {
            memory_bytes: self.memory_bytes.or(usual.memory_bytes),
            fuel_per_event: self.fuel_per_event.or(usual.fuel_per_event),
            messages_per_event: self.messages_per_event.or(usual.messages_per_event),
            bytes_per_event: self.bytes_per_event.or(usual.bytes_per_event),
            log_bytes_per_event: self.log_bytes_per_event.or(usual.log_bytes_per_event),
            deadline_ms: self.deadline_ms.or(usual.deadline_ms),
        }
    }
}

/// Where messages go: a stream that the pipeline has to itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SinkTable {
    /// The output stream. Weir makes it; nobody else may write into it.
    #[schemars(with = "String")]
    pub(crate) stream: StreamName,
    /// The subject of a message that names none: '{subject}' stands for the event's subject, '{1}', '{2}' …
    /// for its tokens.
    #[schemars(with = "String", example = "clean.{subject}")]
    pub(crate) subject: SubjectTemplate,
    /// The subjects that modules may set, beside those of 'subject'.
    #[serde(default)]
    #[schemars(with = "Vec<String>", length(max = 64))]
    pub(crate) allow: Vec<SubjectPattern>,
    /// Packs the messages that come of one message of the source into as few as 'pack_events' and
    /// 'pack_bytes' allow; without it, each is a message of its own.
    pub(crate) format: Option<PackFormat>,
    /// With 'format': the most messages in one. Default 1,000, at most 65,536.
    #[schemars(range(min = 1, max = 65536))]
    pub(crate) pack_events: Option<u32>,
    /// With 'format': the most bytes in one, but for a message that is larger alone. Default 256 KiB.
    pub(crate) pack_bytes: Option<ByteCount>,
}

fn default_block() -> u32 {
    256
}

/// The JSON Schema of the pipeline file, with a line end.
pub(crate) fn schema_text() -> String {
    let schema = schemars::schema_for!(PipelineFile);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text
}
