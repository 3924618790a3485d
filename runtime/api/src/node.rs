//! The port through which the API sees a node. The binary implements it; the API knows nothing of what is
//! behind it.
//!
//! Every call is bounded in time by the caller, which drops the future: an implementation must leave
//! nothing half done when that happens.

use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use model::{Digest, PipelineName, StreamName, TagName};

use crate::conditions::Preconditions;
use crate::dto::{
    ApplyResult, DeadLetter, Module, NodeInfo, OutputTrace, PassedTests, PipelineDescription, PipelineStatus,
    Readiness, RevisionDescription, RollbackRequest, Shadow, ShadowRequest, SourceTrace, SwapRequest,
    SwapResult, Tag, TryRequest, TryResult, Verification, VerifyRequest,
};
use crate::error::NodeError;

/// What a node will answer.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, NodeError>>;

/// A node, as the API sees it.
pub trait Node: Send + Sync + 'static {
    /// Begins to receive a module.
    fn upload_module(&self) -> Reply<'_, Box<dyn ModuleUpload>>;
    /// All modules, sorted by digest.
    fn modules(&self) -> Reply<'_, Vec<Module>>;
    /// One module. Fails with [`Code::ModuleNotFound`](crate::Code::ModuleNotFound).
    fn module(&self, digest: Digest) -> Reply<'_, Module>;
    /// The bytes of a module, verified. Fails with [`Code::ModuleNotFound`](crate::Code::ModuleNotFound).
    fn module_content(&self, digest: Digest) -> Reply<'_, Bytes>;
    /// Deletes a module. Fails with [`Code::ModuleInUse`](crate::Code::ModuleInUse) while a plan, a
    /// revision or a tag needs it.
    fn delete_module(&self, digest: Digest) -> Reply<'_, ()>;
    /// Keeps with a module which tests it passed. Fails with
    /// [`Code::ModuleNotFound`](crate::Code::ModuleNotFound).
    fn put_module_tests(&self, digest: Digest, tests: PassedTests) -> Reply<'_, Module>;
    /// Runs one event through a module.
    fn try_module(&self, digest: Digest, request: TryRequest) -> Reply<'_, TryResult>;

    /// All tags, sorted by name.
    fn tags(&self) -> Reply<'_, Vec<Tag>>;
    /// One tag. Fails with [`Code::TagNotFound`](crate::Code::TagNotFound).
    fn tag(&self, name: TagName) -> Reply<'_, Tag>;
    /// Sets a tag, if its revision is as the conditions say. Fails with
    /// [`Code::UnknownModule`](crate::Code::UnknownModule) where there is no such module.
    fn put_tag(&self, name: TagName, digest: Digest, conditions: Preconditions) -> Reply<'_, (Tag, Written)>;
    /// Deletes a tag, if its revision is as the conditions say.
    fn delete_tag(&self, name: TagName, conditions: Preconditions) -> Reply<'_, ()>;

    /// Applies a pipeline file, if the pipeline's generation is as the conditions say. Fails with
    /// [`Code::InvalidPipeline`](crate::Code::InvalidPipeline) also where the file names another pipeline.
    fn apply_pipeline(
        &self,
        name: PipelineName,
        file: PipelineFile,
        conditions: Preconditions,
        caller: Caller,
    ) -> Reply<'_, ApplyResult>;
    /// Puts other modules into steps, if the pipeline's generation is as the conditions say. Fails with
    /// [`Code::SwapPassed`](crate::Code::SwapPassed) where the output stream is past the wanted event.
    fn swap_pipeline(
        &self,
        name: PipelineName,
        request: SwapRequest,
        conditions: Preconditions,
        caller: Caller,
    ) -> Reply<'_, SwapResult>;
    /// Puts an older plan in force again, if the pipeline's generation is as the conditions say. Fails with
    /// [`Code::RevisionNotFound`](crate::Code::RevisionNotFound).
    fn roll_back_pipeline(
        &self,
        name: PipelineName,
        request: RollbackRequest,
        conditions: Preconditions,
        caller: Caller,
    ) -> Reply<'_, SwapResult>;
    /// Up to `limit` revisions of a pipeline with an output sequence above `after`, oldest first.
    fn revisions(&self, name: PipelineName, after: u64, limit: u32) -> Reply<'_, Revisions>;
    /// How all pipelines are doing, sorted by name.
    fn pipelines(&self) -> Reply<'_, Vec<PipelineStatus>>;
    /// A pipeline as it was applied. Fails with [`Code::PipelineNotFound`](crate::Code::PipelineNotFound).
    fn pipeline(&self, name: PipelineName) -> Reply<'_, PipelineDescription>;
    /// How a pipeline is doing.
    fn pipeline_status(&self, name: PipelineName) -> Reply<'_, PipelineStatus>;
    /// Stops taking events until resumed, on all nodes; answers the state after it.
    fn pause_pipeline(&self, name: PipelineName) -> Reply<'_, PipelineStatus>;
    /// Takes events again; answers the state after it.
    fn resume_pipeline(&self, name: PipelineName) -> Reply<'_, PipelineStatus>;
    /// Deletes a pipeline, if its generation is as the conditions say.
    fn delete_pipeline(
        &self,
        name: PipelineName,
        output: OutputStream,
        conditions: Preconditions,
    ) -> Reply<'_, ()>;
    /// Up to `limit` dead letters of a pipeline with an output sequence above `after`, oldest first.
    fn dead_letters(&self, name: PipelineName, after: u64, limit: u32) -> Reply<'_, DeadLetters>;
    /// Begins to verify a pipeline's chain. Fails with
    /// [`Code::VerificationRunning`](crate::Code::VerificationRunning) while this node verifies one.
    fn begin_verification(&self, name: PipelineName, request: VerifyRequest) -> Reply<'_, Verification>;
    /// The last verification of a pipeline on this node. Fails with
    /// [`Code::VerificationNotFound`](crate::Code::VerificationNotFound).
    fn verification(&self, name: PipelineName) -> Reply<'_, Verification>;

    /// The shadow of a pipeline. Fails with [`Code::ShadowNotFound`](crate::Code::ShadowNotFound).
    fn shadow(&self, name: PipelineName) -> Reply<'_, Shadow>;
    /// Starts a shadow. Fails with [`Code::ShadowRunning`](crate::Code::ShadowRunning).
    fn start_shadow(&self, name: PipelineName, request: ShadowRequest, caller: Caller) -> Reply<'_, Shadow>;
    /// Stops a shadow; answers what it has come to.
    fn stop_shadow(&self, name: PipelineName) -> Reply<'_, Shadow>;
    /// Applies the plan of a shadow.
    fn promote_shadow(&self, name: PipelineName, caller: Caller) -> Reply<'_, SwapResult>;

    /// Where a record of an output stream comes from. Fails with
    /// [`Code::EntryNotFound`](crate::Code::EntryNotFound).
    fn trace_output(&self, stream: StreamName, sequence: u64) -> Reply<'_, OutputTrace>;
    /// What became of an event of a source stream. Fails with
    /// [`Code::EntryNotFound`](crate::Code::EntryNotFound).
    fn trace_source(&self, stream: StreamName, sequence: u64) -> Reply<'_, SourceTrace>;

    /// What this node is.
    fn info(&self) -> Reply<'_, NodeInfo>;
    /// Whether this node may get traffic. Answers at once.
    fn readiness(&self) -> Readiness;
    /// All metrics, in the OpenMetrics text format.
    fn metrics(&self) -> Reply<'_, String>;
}

/// A module on its way in. Dropping it without finishing discards what was received.
pub trait ModuleUpload: Send {
    /// Takes in the next bytes. The API keeps the size limit.
    fn write(&mut self, chunk: Bytes) -> Reply<'_, ()>;
    /// Checks that the bytes are those of `expected` and a module that can run, and keeps it. Fails with
    /// [`Code::DigestMismatch`](crate::Code::DigestMismatch) or
    /// [`Code::ModuleRefused`](crate::Code::ModuleRefused), and then keeps nothing. What takes longer than
    /// `wait` goes on in the background, and the module is given as
    /// [`Compiling`](crate::dto::ModuleState::Compiling).
    fn finish(self: Box<Self>, expected: Option<Digest>, wait: Duration)
    -> Reply<'static, (Module, Written)>;
}

/// Whether something was there before it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was not.
    Created,
    /// It was, and is now as asked for.
    Existed,
}

impl Written {
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Created => StatusCode::CREATED,
            Self::Existed => StatusCode::OK,
        }
    }
}

/// Who asks: the name of the token that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub String);

impl Caller {
    /// Somebody on a node without tokens.
    pub fn anonymous() -> Self {
        Self("anonymous".to_owned())
    }
}

/// A pipeline file, as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineFile {
    /// What it is written in.
    pub format: FileFormat,
    /// Its text.
    pub text: String,
    /// The plan that it has to make; any if none is named. Another one fails with
    /// [`Code::PlanDiffers`](crate::Code::PlanDiffers).
    pub expected_plan: Option<Digest>,
}

/// What a pipeline file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// `application/toml`.
    Toml,
    /// `application/json`, with the keys of the TOML.
    Json,
}

/// What becomes of the output stream of a pipeline that is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputStream {
    /// It stays, with all its records.
    #[default]
    Keep,
    /// It is deleted with all its records.
    Delete,
}

/// Some dead letters.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetters {
    /// The dead letters, oldest first.
    pub dead_letters: Vec<DeadLetter>,
    /// The output sequence after which to go on; none at the end.
    pub next: Option<u64>,
}

/// Some revisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Revisions {
    /// The revisions, oldest first.
    pub revisions: Vec<RevisionDescription>,
    /// The output sequence after which to go on; none at the end.
    pub next: Option<u64>,
}
