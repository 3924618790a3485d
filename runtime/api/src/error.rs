//! Errors of the API: a closed list of codes, each with its status and title, and one type that carries them.
//!
//! What crosses the wire is the code, the title, the detail and the extensions. The cause, which may name
//! paths and hosts, goes to the node's log under the request's id and nowhere else.

use std::error::Error;
use std::fmt;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

macro_rules! codes {
    ($($variant:ident = $status:literal $code:literal $title:literal,)*) => {
        /// What kind of error it is. The texts of the codes are part of the public contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $code, "`, ", stringify!($status), ": ", $title, ".")] $variant,)*
        }

        impl Code {
            /// All codes there are.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it stands in a problem.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What kind of error it is, in a few words for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    InvalidRequest = 400 "invalid-request" "A parameter or header cannot be understood",
    Unauthenticated = 401 "unauthenticated" "No valid bearer token",
    Forbidden = 403 "forbidden" "The token's role does not allow this",
    CrossOrigin = 403 "cross-origin" "A browser asked on behalf of another site",
    RouteNotFound = 404 "route-not-found" "There is nothing at this path",
    ModuleNotFound = 404 "module-not-found" "There is no such module",
    TagNotFound = 404 "tag-not-found" "There is no such tag",
    EntryNotFound = 404 "entry-not-found" "The stream has no such entry",
    ShadowNotFound = 404 "shadow-not-found" "The pipeline has no shadow",
    RevisionNotFound = 404 "revision-not-found" "There is no such revision",
    PipelineNotFound = 404 "pipeline-not-found" "There is no such pipeline",
    VerificationNotFound = 404 "verification-not-found" "This node has no such verification",
    MethodNotAllowed = 405 "method-not-allowed" "This path does not know the method",
    RequestTimeout = 408 "request-timeout" "The request did not arrive in time",
    ModuleInUse = 409 "module-in-use" "The module is still needed",
    SinkConflict = 409 "sink-conflict" "The output stream belongs to somebody else",
    PipelineConflict = 409 "pipeline-conflict" "The pipeline's state does not allow this",
    PlanDiffers = 409 "plan-differs" "The file makes another plan than was asked for",
    VerificationRunning = 409 "verification-running" "The node verifies one chain at a time",
    SwapPassed = 409 "swap-passed" "The pipeline is past the event to swap at",
    SwapWaiting = 409 "swap-waiting" "Another swap waits for its event",
    ShadowRunning = 409 "shadow-running" "The pipeline has a shadow already",
    PreconditionFailed = 412 "precondition-failed" "It was changed by somebody else",
    ModuleTooLarge = 413 "module-too-large" "The module is larger than the node takes",
    BodyTooLarge = 413 "body-too-large" "The body is larger than this path takes",
    UnsupportedMediaType = 415 "unsupported-media-type" "The body is of a type that this path does not take",
    InvalidBody = 422 "invalid-body" "The body does not have the right shape",
    DigestMismatch = 422 "digest-mismatch" "The bytes are not those that were announced",
    ModuleRefused = 422 "module-refused" "The module cannot run here",
    InvalidPipeline = 422 "invalid-pipeline" "The pipeline file is not valid",
    UnknownModule = 422 "unknown-module" "The pipeline or tag names a module that is not there",
    UnknownTag = 422 "unknown-tag" "The pipeline names a tag that is not there",
    UnknownStep = 422 "unknown-step" "The pipeline has no such step",
    SourceNotFound = 422 "source-not-found" "The source stream does not exist",
    SourceGone = 422 "source-gone" "The source no longer has the events to start from",
    SubjectOverlap = 422 "subject-overlap" "The pipeline would read what it writes",
    SinkSubject = 422 "sink-subject" "A subject lies outside the output stream",
    Internal = 500 "internal" "The node failed",
    ModuleDamaged = 500 "module-damaged" "The stored module is not what its digest says",
    BrokerRefused = 502 "broker-refused" "The NATS server refused",
    BrokerUnavailable = 503 "broker-unavailable" "The NATS server cannot be reached",
    NotReady = 503 "not-ready" "The node is not ready",
    Overloaded = 503 "overloaded" "The node has too much to do",
    Timeout = 504 "timeout" "The node did not answer in time",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error that a client gets to see.
#[derive(Debug)]
pub struct NodeError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    detail: String,
    extensions: Map<String, Value>,
    retry_after_s: Option<u32>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl NodeError {
    /// An error with what happened and what to do about it, for the client to see.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let retry_after_s = (code.status() == 503).then_some(5);
        let (detail, extensions) = (detail.into(), Map::new());
        Self(Box::new(Inner { code, detail, extensions, retry_after_s, cause: None }))
    }

    /// A failure of the node. The client is told only that, and the request's id; the cause goes to the log.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "the node's log says more under this request_id";
        Self::new(Code::Internal, detail).caused_by(cause)
    }

    /// Adds something that programs can use, under a name of its own beside the problem's standard members.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        debug_assert!(!STANDARD_MEMBERS.contains(&name), "'{name}' is a standard member of a problem");
        self.0.extensions.insert(name.to_owned(), value.into());
        self
    }

    /// Says after how many seconds it makes sense to try again. Errors with the status 503 say 5 by
    /// themselves.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Adds what is for the log only.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// What kind of error it is.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What happened, as the client gets to see it.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub(crate) fn extensions(&self) -> &Map<String, Value> {
        &self.0.extensions
    }

    pub(crate) fn wait_s(&self) -> Option<u32> {
        self.0.retry_after_s
    }
}

const STANDARD_MEMBERS: [&str; 7] = ["type", "title", "status", "detail", "instance", "code", "request_id"];

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)
    }
}

impl Error for NodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

/// Carries the error to the layer that knows the request's id and writes the problem; see `problem`.
impl IntoResponse for NodeError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code().status()).expect("the table has only valid statuses");
        let mut response = status.into_response();
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_kebab_case_and_errors() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} is there twice");
            assert!(code.as_str().bytes().all(|c| c.is_ascii_lowercase() || c == b'-'), "{code}");
            assert!((400..600).contains(&code.status()), "{code}");
        }
    }

    #[test]
    fn the_cause_is_not_in_what_the_client_sees() {
        let error = NodeError::internal("the password is 'sesame'").with("digest", "d");
        assert!(!error.to_string().contains("sesame") && !error.detail().contains("sesame"));
        assert!(error.source().is_some_and(|cause| cause.to_string().contains("sesame")));
    }
}
