//! The JSON shapes of the HTTP API, for the server and for clients alike.
//!
//! Names are in `snake_case`, values that are words in `kebab-case`, units stand last in a name, digests
//! are in the OCI grammar, times are RFC 3339 in UTC. What a client sends is refused when it has unknown
//! keys; what it receives may grow new keys within `/v1`, so clients have to ignore those that they do not
//! know.
//!
//! No shape here has behaviour: what the words mean is in `model`, what is done with them is the node's.

mod module;
mod node;
mod payload;
mod pipeline;
mod problem;
mod revision;
mod shadow;
mod trace;
mod trial;
mod verification;

pub use module::{Module, ModuleKind, ModuleList, ModuleState, PassedTests, PutTag, Tag, TagList};
pub use node::{LatchState, NodeInfo, Readiness};
pub use payload::{Base64, Header, Payload};
pub use pipeline::{
    ApplyOutcome, ApplyResult, Counts, DeadLetter, DeadLetterList, DeadLetterSummary, PendingSwap,
    PipelineDescription, PipelineError, PipelineList, PipelineState, PipelineStatus, ReceiptSummary,
    SourceStatus, StepStatus,
};
pub use problem::{PROBLEM_TYPE_PREFIX, Problem};
pub use revision::{
    Applied, AppliedHow, PlanChange, RevisionDescription, RevisionList, RollbackRequest, SwapOutcome,
    SwapRequest, SwapResult,
};
pub use shadow::{Shadow, ShadowGate, ShadowReport, ShadowRequest, ShadowSample, ShadowSides, ShadowState};
pub use trace::{
    EventFate, EventOutcome, OutputTrace, SourceTrace, TracedEvent, TracedRecord, TracedRevision, TracedStep,
};
pub use trial::{TryLimits, TryMessage, TryOutcome, TryOutput, TryRequest, TryResult};
pub use verification::{Verification, VerificationDifference, VerificationState, VerifyRequest};
