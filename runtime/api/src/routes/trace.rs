//! `/v1/trace`: where an output comes from, and what became of an event.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use model::StreamName;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::dto::{OutputTrace, SourceTrace};
use crate::error::{Code, NodeError};
use crate::extract::Parameters;
use crate::router::App;

/// An entry of a stream.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntryParameters {
    /// The stream.
    #[param(value_type = String)]
    stream: StreamName,
    /// The sequence in it.
    #[param(minimum = 1)]
    sequence: u64,
}

/// Where a record of an output stream comes from: receipt, plan, modules and source event.
#[utoipa::path(get, path = "/v1/trace/output", tag = "trace", operation_id = "trace_output",
    params(EntryParameters),
    responses(
        (status = 200, description = "The record's origin.", body = OutputTrace),
        (status = 404, description = "`entry-not-found`"),
        (status = 409, description = "`sink-conflict`: the entry is no record of a pipeline"),
    ))]
pub(crate) async fn output(
    State(app): State<Arc<App>>,
    Parameters(entry): Parameters<EntryParameters>,
) -> Result<Json<OutputTrace>, NodeError> {
    let entry = entry.checked()?;
    app.node.trace_output(entry.stream, entry.sequence).await.map(Json)
}

/// What became of an event of a source stream, in each pipeline that reads the stream.
#[utoipa::path(get, path = "/v1/trace/source", tag = "trace", operation_id = "trace_source",
    params(EntryParameters),
    responses(
        (status = 200, description = "What became of the event.", body = SourceTrace),
        (status = 404, description = "`entry-not-found`: no pipeline reads this stream, or there is no such event"),
    ))]
pub(crate) async fn source(
    State(app): State<Arc<App>>,
    Parameters(entry): Parameters<EntryParameters>,
) -> Result<Json<SourceTrace>, NodeError> {
    let entry = entry.checked()?;
    app.node.trace_source(entry.stream, entry.sequence).await.map(Json)
}

impl EntryParameters {
    fn checked(self) -> Result<Self, NodeError> {
        if self.sequence > 0 {
            return Ok(self);
        }
        Err(NodeError::new(Code::InvalidRequest, "the parameter 'sequence' has to be 1 or more"))
    }
}
