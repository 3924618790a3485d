//! `/v1/pipelines/{name}/verification`: has a chain executed again and compared. One at a time on a node,
//! since it takes all workers that the pipelines leave.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::PipelineName;

use crate::dto::{Verification, VerifyRequest};
use crate::error::NodeError;
use crate::extract::{JsonBody, PathParameter};
use crate::router::App;

const BODY_BYTES_MAX: usize = 4 << 10;

/// Begin to verify a pipeline's chain. How far it is, and what came of it, is asked for at the same path.
#[utoipa::path(post, path = "/v1/pipelines/{name}/verification", tag = "pipelines",
    operation_id = "verify_pipeline",
    params(("name" = String, Path, description = "The pipeline's name.")),
    request_body = VerifyRequest,
    responses(
        (status = 202, description = "It has begun.", body = Verification),
        (status = 404, description = "`pipeline-not-found`"),
        (status = 409, description = "`verification-running`"),
    ))]
pub(crate) async fn begin(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
    JsonBody(request): JsonBody<VerifyRequest, BODY_BYTES_MAX>,
) -> Result<(StatusCode, Json<Verification>), NodeError> {
    let begun = app.node.begin_verification(name, request).await?;
    Ok((StatusCode::ACCEPTED, Json(begun)))
}

/// The last verification of a pipeline on this node.
#[utoipa::path(get, path = "/v1/pipelines/{name}/verification", tag = "pipelines",
    operation_id = "verification_of_pipeline",
    params(("name" = String, Path, description = "The pipeline's name.")),
    responses(
        (status = 200, description = "How it stands.", body = Verification),
        (status = 404, description = "`verification-not-found`"),
    ))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
) -> Result<Json<Verification>, NodeError> {
    app.node.verification(name).await.map(Json)
}
