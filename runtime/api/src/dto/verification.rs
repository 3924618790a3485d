//! The shapes of verifications: what is asked for, how far it is, and what was found.

use model::{Digest, PipelineName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which part of a chain to verify; each end is rounded to a whole unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// The first source sequence; the chain's first if left out.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub from: Option<u64>,
    /// The last source sequence; the chain's last if left out.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub to: Option<u64>,
}

/// A verification on this node: how far it is, or what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// The pipeline.
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    /// What was asked for.
    pub request: VerifyRequest,
    /// How it stands.
    pub state: VerificationState,
    /// When it began: RFC 3339, UTC.
    pub started: String,
    /// How many records were compared.
    pub records: u64,
    /// How many records there are to compare; 0 while that is not known.
    pub records_total: u64,
    /// How many events were executed.
    pub events: u64,
    /// How many receipts were found right.
    pub receipts: u64,
    /// The digest of all inputs, once everything is identical.
    #[schema(value_type = Option<String>)]
    pub inputs: Option<Digest>,
    /// The digest of all outputs, once everything is identical.
    #[schema(value_type = Option<String>)]
    pub outputs: Option<Digest>,
    /// Engines other than this node's that stand in receipts.
    pub other_engines: Vec<String>,
    /// The first difference, if there is one.
    pub difference: Option<VerificationDifference>,
    /// Why it could not go on, if it could not.
    pub error: Option<String>,
}

/// How a verification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerificationState {
    /// It is at work.
    Running,
    /// Everything is what it has to be.
    Identical,
    /// Something is not: see `difference`.
    Differs,
    /// It could not be brought to an end: see `error`.
    Failed,
}

/// The first place where a chain is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerificationDifference {
    /// The record of the output stream at which it shows.
    pub record: u64,
    /// The source event of that record; none where that cannot be told.
    pub event: Option<u64>,
    /// The index of the record among those of its event.
    pub index: Option<u32>,
    /// The receipt of its unit, if the unit has one.
    pub receipt: Option<u64>,
    /// What differs.
    #[schema(example = "payload")]
    pub what: String,
    /// What has to be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// The likely cause, for programs: stable, in kebab-case.
    #[schema(example = "output-altered")]
    pub cause: String,
    /// The likely cause, for people.
    pub detail: String,
}
