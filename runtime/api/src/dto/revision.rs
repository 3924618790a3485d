//! The shapes of revisions: which plans were in force from where on, and putting another one in force.

use std::collections::BTreeMap;

use model::{Digest, PipelineName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A key of a plan whose value differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanChange {
    /// Where in the plan, with steps by name.
    #[schema(example = "steps.mask.module")]
    pub key: String,
    /// The old value; none where the key is new.
    pub before: Option<Value>,
    /// The new value; none where the key is gone.
    pub after: Option<Value>,
}

/// Other modules for some of a pipeline's steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwapRequest {
    /// The new module, a digest or a tag, by the name of the step.
    pub modules: BTreeMap<String, String>,
    /// The first source sequence that the new plan is to govern; as soon as it can if left out.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub at: Option<u64>,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// An older plan to go back to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The revision whose plan is to be in force again; if left out, the last one with another plan than the
    /// one in force.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub revision: Option<u64>,
    /// Only say what would change.
    #[serde(default)]
    pub dry_run: bool,
}

/// A plan that was put in place of another one, or would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SwapResult {
    /// The pipeline's name.
    #[schema(value_type = String)]
    pub name: PipelineName,
    /// The digest of the new plan.
    #[schema(value_type = String)]
    pub plan: Digest,
    /// Which application of the pipeline this is, or the last one if nothing was applied; in quotes it is the
    /// pipeline's `ETag`.
    pub generation: u64,
    /// What was done.
    pub outcome: SwapOutcome,
    /// The first source sequence that the new plan is to govern; none if as soon as it can.
    pub at: Option<u64>,
    /// The source sequence that the output stream has come to; 0 before the first.
    pub position: u64,
    /// The revision whose plan this is, if it was gone back to.
    pub revision: Option<u64>,
    /// What differs from the plan before it.
    pub changes: Vec<PlanChange>,
}

/// What became of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SwapOutcome {
    /// It is applied: a revision will put it in force.
    Changed,
    /// The plan is the one that was applied already.
    Unchanged,
    /// Nothing was done, as asked.
    Planned,
}

impl SwapOutcome {
    /// The outcome as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Planned => "planned",
        }
    }
}

/// A plan that was put in force, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionDescription {
    /// Its number: 1 for the first, then one more each time.
    pub number: u64,
    /// Which application of the pipeline it carries out.
    pub generation: u64,
    /// The first source sequence that it governs.
    pub from_sequence: u64,
    /// The sequence in the output stream of the record that holds it.
    pub record: u64,
    /// The digest of its plan.
    #[schema(value_type = String)]
    pub plan: Digest,
    /// When it was appended, by the server's clock: RFC 3339, UTC.
    pub time: String,
    /// Who applied it; none where that is not known any more.
    pub applied: Option<Applied>,
    /// What differs from the plan before it; nothing in the first.
    pub changes: Vec<PlanChange>,
}

/// Who applied a plan, when and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// How.
    pub how: AppliedHow,
    /// The name of the token that was shown; `anonymous` on a node without tokens.
    pub by: String,
    /// When, by the node's clock: RFC 3339, UTC.
    pub time: String,
}

/// How a plan was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AppliedHow {
    /// As a pipeline file.
    Apply,
    /// As other modules for steps.
    Swap,
    /// As the plan of an older revision.
    Rollback,
    /// As a shadow that a person promoted.
    Promote,
    /// As a shadow that its gate promoted.
    Gate,
}

impl AppliedHow {
    /// The word as it stands in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Swap => "swap",
            Self::Rollback => "rollback",
            Self::Promote => "promote",
            Self::Gate => "gate",
        }
    }
}

/// Some of a pipeline's revisions, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RevisionList {
    /// The revisions.
    pub revisions: Vec<RevisionDescription>,
    /// Where to go on: the parameter `cursor` of the next request; none at the end.
    pub next: Option<String>,
}
