//! What every error looks like: RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What `type` begins with; the code follows. A URN, so that it names the kind of problem without a promise
/// that something is to be fetched there.
pub const PROBLEM_TYPE_PREFIX: &str = "urn:weir:problem:";

/// An error, as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:weir:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind of problem it is, in a few words; the same for all problems of one code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What kind of problem it is, for programs: stable, in kebab-case.
    #[schema(example = "module-not-found")]
    pub code: String,
    /// What happened here, and what to do about it.
    pub detail: String,
    /// The request's id, as in the header `x-request-id` and in the node's log.
    pub request_id: Option<String>,
    /// What else is known, by name; which names there are depends on the code. For example `line`, `column`
    /// and `key` of `invalid-pipeline`, or `expected` and `found` of `digest-mismatch`.
    #[serde(flatten)]
    pub extensions: serde_json::Map<String, serde_json::Value>,
}
