//! `/v1/pipelines/{name}/shadow`: a candidate plan beside the one in force.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use model::PipelineName;

use crate::conditions::etag;
use crate::dto::{Shadow, ShadowRequest, SwapResult};
use crate::error::{Code, NodeError};
use crate::extract::{JsonBody, PathParameter};
use crate::node::Caller;
use crate::router::App;

const BODY_BYTES_MAX: usize = 64 << 10;

/// A pipeline's shadow, the last one if it has ended, and what it has come to.
#[utoipa::path(get, path = "/v1/pipelines/{name}/shadow", tag = "shadows", operation_id = "describe_shadow",
    params(("name" = String, Path, description = "The pipeline's name.")),
    responses(
        (status = 200, description = "The shadow.", body = Shadow),
        (status = 404, description = "`pipeline-not-found`, `shadow-not-found`"),
    ))]
pub(crate) async fn describe(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
) -> Result<Json<Shadow>, NodeError> {
    app.node.shadow(name).await.map(Json)
}

/// Try other modules beside those in force.
///
/// The candidate executes the same events in the same units; its records are compared and not appended. It
/// costs the pipeline at most one worker's share of each node, and events that it cannot keep up with are
/// skipped and counted.
#[utoipa::path(post, path = "/v1/pipelines/{name}/shadow", tag = "shadows", operation_id = "start_shadow",
    params(("name" = String, Path, description = "The pipeline's name.")),
    request_body = ShadowRequest,
    responses(
        (status = 201, description = "It runs.", body = Shadow),
        (status = 404, description = "`pipeline-not-found`"),
        (status = 409, description = "`shadow-running`; `swap-waiting`, with `at`"),
        (status = 422, description = "`unknown-step`, `unknown-module`, `unknown-tag`, `module-refused`"),
    ))]
pub(crate) async fn start(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
    caller: Caller,
    JsonBody(request): JsonBody<ShadowRequest, BODY_BYTES_MAX>,
) -> Result<Response, NodeError> {
    if request.modules.is_empty() || request.gate.for_events == Some(0) {
        let detail = "name at least one step with its module in 'modules', and in 'for_events' 1 or more";
        return Err(NodeError::new(Code::InvalidBody, detail));
    }
    let shadow = app.node.start_shadow(name, request, caller).await?;
    Ok((StatusCode::CREATED, Json(shadow)).into_response())
}

/// Stop a shadow. What it has come to can still be read.
#[utoipa::path(delete, path = "/v1/pipelines/{name}/shadow", tag = "shadows", operation_id = "stop_shadow",
    params(("name" = String, Path, description = "The pipeline's name.")),
    responses(
        (status = 200, description = "It is stopped, or has ended before.", body = Shadow),
        (status = 404, description = "`pipeline-not-found`, `shadow-not-found`"),
    ))]
pub(crate) async fn stop(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
) -> Result<Json<Shadow>, NodeError> {
    app.node.stop_shadow(name).await.map(Json)
}

/// Put a shadow's plan in force.
#[utoipa::path(post, path = "/v1/pipelines/{name}/shadow/promote", tag = "shadows",
    operation_id = "promote_shadow",
    params(("name" = String, Path, description = "The pipeline's name.")),
    responses(
        (status = 200, description = "The plan is applied.", body = SwapResult,
            headers(("etag" = String, description = "The generation, in quotes."))),
        (status = 404, description = "`pipeline-not-found`, `shadow-not-found`"),
        (status = 409, description = "`pipeline-conflict`: it does not run any more"),
    ))]
pub(crate) async fn promote(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
    caller: Caller,
) -> Result<Response, NodeError> {
    let result = app.node.promote_shadow(name, caller).await?;
    Ok(([(header::ETAG, etag(result.generation))], Json(result)).into_response())
}
