//! `/v1/pipelines/{name}/revisions`, `/swap` and `/rollback`: which plans were in force from where on, and
//! putting another one in force at an exact event.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use model::PipelineName;
use serde::Deserialize;
use utoipa::IntoParams;

use super::pipelines::{page, write_cursor};
use crate::conditions::{Preconditions, etag};
use crate::dto::{RevisionList, RollbackRequest, SwapRequest, SwapResult};
use crate::error::{Code, NodeError};
use crate::extract::{JsonBody, Parameters, PathParameter};
use crate::node::Caller;
use crate::router::App;

const BODY_BYTES_MAX: usize = 64 << 10;

/// Which revisions to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevisionParameters {
    /// Where to go on: the `next` of an earlier answer. Opaque.
    cursor: Option<String>,
    /// How many at most; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A pipeline's revisions, oldest first: which plan was in force from which event on, who applied it and what
/// it changed.
#[utoipa::path(get, path = "/v1/pipelines/{name}/revisions", tag = "pipelines",
    operation_id = "list_revisions",
    params(("name" = String, Path, description = "The pipeline's name."), RevisionParameters),
    responses(
        (status = 200, description = "Some revisions, and where to go on.", body = RevisionList),
        (status = 404, description = "`pipeline-not-found`"),
    ))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
    Parameters(parameters): Parameters<RevisionParameters>,
) -> Result<Json<RevisionList>, NodeError> {
    let (after, limit) = page(parameters.cursor, parameters.limit)?;
    let found = app.node.revisions(name, after, limit).await?;
    Ok(Json(RevisionList { revisions: found.revisions, next: found.next.map(write_cursor) }))
}

/// Put other modules into steps of a pipeline.
///
/// The modules are fetched, verified and compiled before the swap is accepted. It takes over by a revision
/// record, as soon as it can or with the event `at`: there on every node, or nowhere. Where the pipeline
/// comes to that event before its nodes know of the swap, the swap is missed, and the status says so.
#[utoipa::path(post, path = "/v1/pipelines/{name}/swap", tag = "pipelines", operation_id = "swap_pipeline",
    params(
        ("name" = String, Path, description = "The pipeline's name."),
        ("if-match" = Option<String>, Header, description = "Only if the pipeline has this `ETag`."),
    ),
    request_body = SwapRequest,
    responses(
        (status = 200, description = "The swap is accepted, or would be.", body = SwapResult,
            headers(("etag" = String, description = "The generation, in quotes."))),
        (status = 404, description = "`pipeline-not-found`"),
        (status = 409, description = "`swap-passed`, with `position`; `swap-waiting`, with `at`"),
        (status = 412, description = "`precondition-failed`"),
        (status = 422, description = "`unknown-step`, `unknown-module`, `unknown-tag`, `module-refused`"),
    ))]
pub(crate) async fn swap(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(request): JsonBody<SwapRequest, BODY_BYTES_MAX>,
) -> Result<Response, NodeError> {
    if request.modules.is_empty() || request.at == Some(0) {
        let detail =
            "name at least one step with its module in 'modules', and in 'at' a sequence of 1 or more";
        return Err(NodeError::new(Code::InvalidBody, detail));
    }
    let conditions = Preconditions::from_headers(&headers)?;
    app.node.swap_pipeline(name, request, conditions, caller).await.map(tagged)
}

/// Put the plan of an older revision in force again, as a new revision.
#[utoipa::path(post, path = "/v1/pipelines/{name}/rollback", tag = "pipelines",
    operation_id = "roll_back_pipeline",
    params(
        ("name" = String, Path, description = "The pipeline's name."),
        ("if-match" = Option<String>, Header, description = "Only if the pipeline has this `ETag`."),
    ),
    request_body = RollbackRequest,
    responses(
        (status = 200, description = "The older plan is applied, or would be.", body = SwapResult,
            headers(("etag" = String, description = "The generation, in quotes."))),
        (status = 404, description = "`pipeline-not-found`, `revision-not-found`"),
        (status = 412, description = "`precondition-failed`"),
        (status = 422, description = "`unknown-module`, `module-refused`"),
    ))]
pub(crate) async fn roll_back(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(request): JsonBody<RollbackRequest, BODY_BYTES_MAX>,
) -> Result<Response, NodeError> {
    let conditions = Preconditions::from_headers(&headers)?;
    app.node.roll_back_pipeline(name, request, conditions, caller).await.map(tagged)
}

fn tagged(result: SwapResult) -> Response {
    ([(header::ETAG, etag(result.generation))], Json(result)).into_response()
}
