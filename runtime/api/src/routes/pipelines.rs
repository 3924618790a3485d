//! `/v1/pipelines`: apply, look, pause, resume, delete, and what could not be processed. The `ETag` of a
//! pipeline is its generation.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Digest, PipelineName};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::conditions::{Preconditions, etag};
use crate::dto::{
    ApplyOutcome, ApplyResult, DeadLetterList, PipelineDescription, PipelineList, PipelineStatus,
};
use crate::error::{Code, NodeError};
use crate::extract::{Parameters, PathParameter, media_type, read_body};
use crate::node::{Caller, FileFormat, OutputStream, PipelineFile};
use crate::router::App;

const FILE_BYTES_MAX: usize = 1 << 20;
const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

/// How all pipelines are doing, sorted by name.
#[utoipa::path(get, path = "/v1/pipelines", tag = "pipelines", operation_id = "list_pipelines", responses(
    (status = 200, description = "The pipelines.", body = PipelineList),
))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<PipelineList>, NodeError> {
    app.node.pipelines().await.map(|pipelines| Json(PipelineList { pipelines }))
}

/// A pipeline as it was applied, and how it is doing.
#[utoipa::path(get, path = "/v1/pipelines/{name}", tag = "pipelines", operation_id = "describe_pipeline",
    params(("name" = String, Path, description = "The pipeline's name.")),
    responses(
        (status = 200, description = "The pipeline.", body = PipelineDescription,
            headers(("etag" = String, description = "The generation, in quotes."))),
        (status = 404, description = "`pipeline-not-found`"),
    ))]
pub(crate) async fn describe(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
) -> Result<Response, NodeError> {
    let pipeline = app.node.pipeline(name).await?;
    Ok(([(header::ETAG, etag(pipeline.generation))], Json(pipeline)).into_response())
}

/// Which plan a pipeline file has to make.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApplyParameters {
    /// The digest of the plan that the file has to make here; any if left out.
    #[param(value_type = Option<String>)]
    plan: Option<Digest>,
}

/// Apply a pipeline file.
///
/// A pipeline that is there already is swapped, at an event, by a revision record. Applying what is applied
/// changes nothing.
#[utoipa::path(put, path = "/v1/pipelines/{name}", tag = "pipelines", operation_id = "apply_pipeline",
    params(
        ("name" = String, Path, description = "The pipeline's name, as in the file."),
        ("if-match" = Option<String>, Header, description = "Only if the pipeline has this `ETag`."),
        ("if-none-match" = Option<String>, Header,
            description = "`*`: only if there is no such pipeline yet."),
        ApplyParameters,
    ),
    request_body(description = "The pipeline file.", content(
        (String = "application/toml"),
        (Object = "application/json"),
    )),
    responses(
        (status = 201, description = "The pipeline is new.", body = ApplyResult,
            headers(("etag" = String, description = "The generation, in quotes."))),
        (status = 200, description = "The pipeline is changed, or was so already.", body = ApplyResult,
            headers(("etag" = String, description = "The generation, in quotes."))),
        (status = 409, description = "`sink-conflict`; `plan-differs`, with the `plan` that the file makes"),
        (status = 412, description = "`precondition-failed`"),
        (status = 422, description = "`invalid-pipeline`, with `line`, `column` and `key` where they are \
            known; `unknown-module`, `unknown-tag`, `source-not-found`, `source-gone`, `subject-overlap`, \
            `sink-subject`"),
    ))]
pub(crate) async fn apply(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
    Parameters(parameters): Parameters<ApplyParameters>,
    caller: Caller,
    request: Request,
) -> Result<Response, NodeError> {
    let conditions = Preconditions::from_headers(request.headers())?;
    let file = PipelineFile { expected_plan: parameters.plan, ..pipeline_file(request).await? };
    let location = [(header::LOCATION, format!("/v1/pipelines/{name}"))];
    let result = app.node.apply_pipeline(name, file, conditions, caller).await?;
    let status = match result.outcome {
        ApplyOutcome::Created => StatusCode::CREATED,
        ApplyOutcome::Changed | ApplyOutcome::Unchanged => StatusCode::OK,
    };
    Ok((status, location, [(header::ETAG, etag(result.generation))], Json(result)).into_response())
}

/// What becomes of the rest when a pipeline is deleted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteParameters {
    /// What becomes of the output stream with its records; it stays if left out.
    #[serde(default)]
    #[param(inline)]
    output: OutputStream,
}

/// Delete a pipeline. Its output stream stays unless asked otherwise.
#[utoipa::path(delete, path = "/v1/pipelines/{name}", tag = "pipelines", operation_id = "delete_pipeline",
    params(
        ("name" = String, Path, description = "The pipeline's name."),
        ("if-match" = Option<String>, Header, description = "Only if the pipeline has this `ETag`."),
        DeleteParameters,
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "`pipeline-not-found`"),
        (status = 412, description = "`precondition-failed`"),
    ))]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
    Parameters(parameters): Parameters<DeleteParameters>,
    headers: HeaderMap,
) -> Result<StatusCode, NodeError> {
    let conditions = Preconditions::from_headers(&headers)?;
    app.node.delete_pipeline(name, parameters.output, conditions).await.map(|()| StatusCode::NO_CONTENT)
}

/// How a pipeline is doing.
#[utoipa::path(get, path = "/v1/pipelines/{name}/status", tag = "pipelines", operation_id = "pipeline_status",
    params(("name" = String, Path, description = "The pipeline's name.")),
    responses(
        (status = 200, description = "The status.", body = PipelineStatus),
        (status = 404, description = "`pipeline-not-found`"),
    ))]
pub(crate) async fn status(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
) -> Result<Json<PipelineStatus>, NodeError> {
    app.node.pipeline_status(name).await.map(Json)
}

/// Stop taking events, on all nodes, until resumed. What is computed is still appended.
#[utoipa::path(post, path = "/v1/pipelines/{name}/pause", tag = "pipelines", operation_id = "pause_pipeline",
    params(("name" = String, Path, description = "The pipeline's name.")),
    responses(
        (status = 200, description = "It is paused, or was so already.", body = PipelineStatus),
        (status = 404, description = "`pipeline-not-found`"),
    ))]
pub(crate) async fn pause(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
) -> Result<Json<PipelineStatus>, NodeError> {
    app.node.pause_pipeline(name).await.map(Json)
}

/// Take events again, from where the pipeline stands. Also starts a pipeline that stopped with an error.
#[utoipa::path(post, path = "/v1/pipelines/{name}/resume", tag = "pipelines",
    operation_id = "resume_pipeline",
    params(("name" = String, Path, description = "The pipeline's name.")),
    responses(
        (status = 200, description = "It is running, or was so already.", body = PipelineStatus),
        (status = 404, description = "`pipeline-not-found`"),
    ))]
pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
) -> Result<Json<PipelineStatus>, NodeError> {
    app.node.resume_pipeline(name).await.map(Json)
}

/// Which dead letters to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeadLetterParameters {
    /// Where to go on: the `next` of an earlier answer. Opaque.
    cursor: Option<String>,
    /// How many at most; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// A pipeline's dead letters, oldest first.
#[utoipa::path(get, path = "/v1/pipelines/{name}/dead-letters", tag = "pipelines",
    operation_id = "list_dead_letters",
    params(("name" = String, Path, description = "The pipeline's name."), DeadLetterParameters),
    responses(
        (status = 200, description = "Some dead letters, and where to go on.", body = DeadLetterList),
        (status = 404, description = "`pipeline-not-found`"),
    ))]
pub(crate) async fn dead_letters(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<PipelineName>,
    Parameters(parameters): Parameters<DeadLetterParameters>,
) -> Result<Json<DeadLetterList>, NodeError> {
    let (after, limit) = page(parameters.cursor, parameters.limit)?;
    let found = app.node.dead_letters(name, after, limit).await?;
    Ok(Json(DeadLetterList { dead_letters: found.dead_letters, next: found.next.map(write_cursor) }))
}

async fn pipeline_file(request: Request) -> Result<PipelineFile, NodeError> {
    let format = match media_type(request.headers()) {
        Some("application/toml") => FileFormat::Toml,
        Some("application/json") => FileFormat::Json,
        _ => {
            let detail = "send a pipeline file, with the header 'Content-Type: application/toml' (or \
                          'application/json' for the same keys in JSON)";
            return Err(NodeError::new(Code::UnsupportedMediaType, detail));
        }
    };
    let bytes = read_body(request.into_body(), FILE_BYTES_MAX).await?;
    let text = String::from_utf8(bytes.into()).map_err(|error| {
        NodeError::new(Code::InvalidBody, format!("the pipeline file is not UTF-8: {}", error.utf8_error()))
    })?;
    Ok(PipelineFile { format, text, expected_plan: None })
}

/// After which record a page begins, and how much it may hold.
pub(super) fn page(cursor: Option<String>, limit: Option<u32>) -> Result<(u64, u32), NodeError> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let detail = format!("the parameter 'limit' has to be 1 to {LIMIT_MAX}");
        return Err(NodeError::new(Code::InvalidRequest, detail));
    }
    Ok((cursor.map_or(Ok(0), |cursor| read_cursor(&cursor))?, limit))
}

/// A cursor is opaque to clients, so that what it stands for can change.
pub(super) fn write_cursor(after: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("after:{after}"))
}

fn read_cursor(cursor: &str) -> Result<u64, NodeError> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let after = text.and_then(|text| text.strip_prefix("after:")?.parse().ok());
    after.ok_or_else(|| {
        let detail = "the parameter 'cursor' is not one that this node gave out: begin without it";
        NodeError::new(Code::InvalidRequest, detail)
    })
}
