//! `/livez`, `/readyz`, `/metrics`, `/openapi.json` and `/v1/node`: the node about itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::dto::{NodeInfo, Readiness};
use crate::error::{Code, NodeError};
use crate::extract::Parameters;
use crate::router::App;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process is alive. Restart it when this does not answer.
#[utoipa::path(get, path = "/livez", tag = "node", operation_id = "live", responses(
    (status = 200, description = "It is.", body = String),
))]
pub(crate) async fn live() -> &'static str {
    "alive\n"
}

/// What `/readyz` is to say.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadyParameters {
    /// With this parameter, whatever its value, the answer lists all latches.
    verbose: Option<String>,
}

/// Whether the node may get traffic.
///
/// When not, the problem names the latches that are closed and has all of them under `latches`.
#[utoipa::path(get, path = "/readyz", tag = "node", operation_id = "ready",
    params(ReadyParameters), responses(
    (status = 200, description = "It may.", content(
        (String = "text/plain"),
        (Readiness = "application/json"),
    )),
    (status = 503, description = "It may not: `not-ready`.", body = crate::dto::Problem,
     content_type = "application/problem+json"),
))]
pub(crate) async fn ready(
    State(app): State<Arc<App>>,
    Parameters(parameters): Parameters<ReadyParameters>,
) -> Result<Response, NodeError> {
    let readiness = app.node.readiness();
    if readiness.ready {
        return Ok(match parameters.verbose {
            Some(_) => Json(readiness).into_response(),
            None => "ready\n".into_response(),
        });
    }
    let closed = readiness.latches.iter().filter(|latch| !latch.open);
    let closed: Vec<String> = closed
        .map(|latch| match &latch.detail {
            Some(detail) => format!("{}: {detail}", latch.name),
            None => latch.name.clone(),
        })
        .collect();
    let latches = serde_json::to_value(&readiness.latches).expect("latches have only strings as keys");
    Err(NodeError::new(Code::NotReady, closed.join("; ")).with("latches", latches))
}

/// All metrics, in the OpenMetrics text format.
#[utoipa::path(get, path = "/metrics", tag = "node", operation_id = "metrics", responses(
    (status = 200, description = "The metrics.", body = String,
     content_type = "application/openmetrics-text"),
))]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, NodeError> {
    let text = app.node.metrics().await?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "node", operation_id = "openapi", responses(
    (status = 200, description = "An OpenAPI 3.1 document.", body = Object,
     content_type = "application/json"),
))]
pub(crate) async fn openapi(State(app): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi.clone()).into_response()
}

/// What this node is and what it is connected to.
#[utoipa::path(get, path = "/v1/node", tag = "node", operation_id = "node", responses(
    (status = 200, description = "The node.", body = NodeInfo),
))]
pub(crate) async fn node(State(app): State<Arc<App>>) -> Result<Json<NodeInfo>, NodeError> {
    app.node.info().await.map(Json)
}
