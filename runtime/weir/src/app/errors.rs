//! Errors of what is behind the API as errors of the API: by whose fault they are, and what to do.

use api::{Code, NodeError};
use broker::{AdminError, SinkError, StateError};
use pipeline::ports::PortError;

use super::connection::NotConnected;
use super::library::LoadError;
use crate::spec::{SpecError, SpecErrorKind};

pub(crate) fn not_connected(error: NotConnected) -> NodeError {
    NodeError::new(Code::NotReady, error.to_string())
}

pub(crate) fn state_error(error: &StateError) -> NodeError {
    if matches!(error, StateError::Conflict { .. }) {
        return NodeError::new(
            Code::PreconditionFailed,
            "somebody else changed it meanwhile: read it again, then decide",
        );
    }
    match error {
        StateError::Unavailable(_) => NodeError::new(Code::BrokerUnavailable, error.to_string()),
        _ => NodeError::new(Code::BrokerRefused, error.to_string()),
    }
}

pub(crate) fn load_error(error: &LoadError) -> NodeError {
    let (code, detail) = match error {
        LoadError::Unavailable(_) => (Code::BrokerUnavailable, error.to_string()),
        LoadError::Missing(digest) => {
            let detail = format!("there is no module {digest}; `weir modules` lists those there are");
            (Code::ModuleNotFound, detail)
        }
        LoadError::Altered(_) => (Code::ModuleDamaged, error.to_string()),
        LoadError::Refused(refusal) => {
            return NodeError::new(Code::ModuleRefused, refusal.to_string()).with("refusal", refusal.code());
        }
    };
    NodeError::new(code, detail)
}

pub(crate) fn spec_error(error: &SpecError) -> NodeError {
    let code = match error.kind {
        SpecErrorKind::Invalid => Code::InvalidPipeline,
        SpecErrorKind::Loop => Code::SubjectOverlap,
    };
    let place = NodeError::new(code, error.to_string()).with("key", error.key.clone());
    place.with("line", error.line).with("column", error.column)
}

pub(crate) fn sink_error(error: &SinkError) -> NodeError {
    match error {
        SinkError::Unavailable { .. } => NodeError::new(Code::BrokerUnavailable, error.to_string()),
        SinkError::StreamGone { .. } => NodeError::new(Code::PipelineConflict, error.to_string()),
        SinkError::Refused { .. } => NodeError::new(Code::BrokerRefused, error.to_string()),
    }
}

pub(crate) fn admin_error(error: &AdminError) -> NodeError {
    let code = match error {
        AdminError::Unavailable(_) => Code::BrokerUnavailable,
        AdminError::Refused { .. } => Code::BrokerRefused,
        AdminError::NotOurs { .. } => Code::SinkConflict,
        AdminError::SubjectsTaken { .. } | AdminError::SubjectOutside { .. } => Code::SinkSubject,
        AdminError::StreamGone { .. } => Code::SourceNotFound,
    };
    NodeError::new(code, error.to_string())
}

/// What an output stream says of itself when a pipeline is to go on in it.
pub(crate) fn chain_error(error: PortError) -> NodeError {
    match error {
        PortError::Unavailable(why) => NodeError::new(Code::BrokerUnavailable, why),
        PortError::Stop(reason) => {
            NodeError::new(Code::SinkConflict, reason.detail).with("reason", reason.code)
        }
    }
}
