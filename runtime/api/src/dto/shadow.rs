//! The shapes of shadows: a candidate plan beside the one in force, compared and not published.

use std::collections::BTreeMap;

use model::{Digest, PipelineName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A candidate to try beside the plan in force, and when it is promoted or dropped by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowRequest {
    /// The candidate's module, a digest or a tag, by the name of the step.
    pub modules: BTreeMap<String, String>,
    /// When it ends by itself.
    #[serde(default)]
    pub gate: ShadowGate,
}

/// When a shadow ends by itself. What is left out is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowGate {
    /// It is dropped when the records of more events than this differ.
    #[serde(default)]
    pub max_differences: Option<u64>,
    /// It is dropped when it fails at more events than this at which the plan in force does not.
    #[serde(default)]
    pub max_faults: Option<u64>,
    /// It is promoted when this many events were compared.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub for_events: Option<u64>,
}

/// A shadow, and what it has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shadow {
    /// The pipeline.
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    /// What became of it.
    pub state: ShadowState,
    /// Why it ended, where a gate, a fault or somebody's change ended it.
    pub why: Option<String>,
    /// The modules that are tried, by step.
    #[schema(value_type = Object)]
    pub modules: BTreeMap<String, Digest>,
    /// The digest of the plan in force that it is compared with.
    #[schema(value_type = String)]
    pub live: Digest,
    /// The digest of the candidate.
    #[schema(value_type = String)]
    pub candidate: Digest,
    /// When it ends by itself.
    pub gate: ShadowGate,
    /// Who started it: the name of the token that was shown.
    pub by: String,
    /// When it was started: RFC 3339, UTC.
    pub started: String,
    /// When it ended: RFC 3339, UTC; none while it runs.
    pub ended: Option<String>,
    /// What was compared so far, on all nodes together, each event once.
    pub report: ShadowReport,
}

/// What became of a shadow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShadowState {
    /// It runs.
    Running,
    /// A person stopped it.
    Stopped,
    /// Its plan was applied.
    Promoted,
    /// Its gate dropped it.
    Dropped,
    /// It cannot run: see `why`.
    Failed,
    /// Another plan was applied meanwhile, so there is nothing left to compare it with.
    Superseded,
}

impl ShadowState {
    /// The state as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Promoted => "promoted",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }
}

/// What was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowReport {
    /// Events that both plans executed.
    pub events: u64,
    /// Events whose records differ.
    pub differences: u64,
    /// Events that passed while the shadow was busy, and were not compared.
    pub skipped: u64,
    /// Events at which the candidate fails and the plan in force does not.
    pub new_faults: u64,
    /// Events that ended in a guest fault.
    pub faults: ShadowSides,
    /// Messages.
    pub messages: ShadowSides,
    /// Fuel, starting instances included.
    pub fuel: ShadowSides,
    /// Microseconds in the modules, starting instances included.
    pub time_us: ShadowSides,
    /// The last source sequence that was compared; 0 before the first.
    pub through: u64,
    /// Some of the differences, the first ones.
    pub samples: Vec<ShadowSample>,
}

/// The two plans side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowSides {
    /// The plan in force.
    pub live: u64,
    /// The candidate.
    pub candidate: u64,
}

/// An event at which the two plans differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowSample {
    /// The event's sequence in the source stream.
    pub sequence: u64,
    /// What it is about: `fault`, `count`, `subject`, `payload` or `headers`.
    pub what: String,
    /// What the plan in force gave, shortened.
    pub live: String,
    /// What the candidate gave, shortened.
    pub candidate: String,
}
