//! The shapes of the node itself: what it is, and whether it is ready.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What this node is and what it is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeInfo {
    /// The version of Weir.
    pub version: String,
    /// The version of the HTTP API.
    #[schema(example = "v1")]
    pub api: String,
    /// The engine and its configuration, as receipts name it. Two nodes with the same fingerprint make the
    /// same bytes.
    pub engine: String,
    /// The name of this node, for logs; decides nothing.
    pub name: String,
    /// How many worker threads run transforms.
    pub workers: u32,
    /// The version of the NATS server; none while the node is not connected.
    pub nats_server_version: Option<String>,
    /// The most bytes that one record may have in a plan that is made now: the NATS server's `max_payload`;
    /// none while the node is not connected.
    #[serde(default)]
    pub record_bytes: Option<u32>,
    /// Where the NATS server is, without credentials.
    pub nats_url: String,
    /// When the process started: RFC 3339, UTC.
    pub started: String,
}

/// Whether the node may get traffic, latch by latch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether every latch is open.
    pub ready: bool,
    /// All latches, in the order in which a starting node opens them.
    pub latches: Vec<LatchState>,
}

impl Readiness {
    /// Ready when all of `latches` are.
    pub fn of(latches: Vec<LatchState>) -> Self {
        Self { ready: latches.iter().all(|latch| latch.open), latches }
    }
}

/// One thing that has to be so before the node may get traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LatchState {
    /// What has to be so.
    #[schema(example = "broker")]
    pub name: String,
    /// Whether it is so now.
    pub open: bool,
    /// Why it is not, and what is being done about it; none where the latch is open.
    pub detail: Option<String>,
}
