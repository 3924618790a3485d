//! `/v1/modules`: upload, list, describe, download, delete and try.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use model::Digest;

use crate::conditions::{etag, is_known};
use crate::content_digest::{CONTENT_DIGEST, content_digest};
use crate::dto::{Module, ModuleList, ModuleState, PassedTests, TryRequest, TryResult};
use crate::error::NodeError;
use crate::extract::{JsonBody, PathParameter};
use crate::node::Written;
use crate::router::App;
use crate::upload::receive;

const TRY_BYTES_MAX: usize = 4 << 20;
const TESTS_BYTES_MAX: usize = 4 << 10;

/// All modules, sorted by digest.
#[utoipa::path(get, path = "/v1/modules", tag = "modules", operation_id = "list_modules", responses(
    (status = 200, description = "The modules.", body = ModuleList),
))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<ModuleList>, NodeError> {
    app.node.modules().await.map(|modules| Json(ModuleList { modules }))
}

/// Upload a module.
///
/// The bytes are hashed while they are received. Sending the same module again changes nothing and answers
/// 200. A module that takes long to compile answers 202 after 2 seconds, or when `Prefer` says.
#[utoipa::path(post, path = "/v1/modules", tag = "modules", operation_id = "upload_module",
    params(("content-digest" = Option<String>, Header,
        description = "`sha-256=:<base64>:` (RFC 9530). Bytes of another digest are refused."),
        ("prefer" = Option<String>, Header,
        description = "`respond-async`, or `wait=<seconds>` (RFC 7240): how long to wait for the compiler.")),
    request_body(content_type = "application/wasm", description = "The bytes of the module, as they are."),
    responses(
        (status = 201, description = "The module is new.", body = Module, headers(
            ("location" = String, description = "Where the module is described."),
            ("etag" = String, description = "The digest, in quotes."))),
        (status = 200, description = "The module was there already.", body = Module),
        (status = 202, description = "The module is being compiled, which takes longer than the request waits: \
            ask for its description until its `state` is another.", body = Module, headers(
            ("location" = String, description = "Where the module is described."))),
        (status = 413, description = "`module-too-large`"),
        (status = 422, description = "`digest-mismatch` or `module-refused`; nothing is kept"),
    ))]
pub(crate) async fn upload(State(app): State<Arc<App>>, request: Request) -> Result<Response, NodeError> {
    receive(&app, None, request).await.map(uploaded)
}

/// What is known of a module.
#[utoipa::path(get, path = "/v1/modules/{digest}", tag = "modules", operation_id = "describe_module",
    params(("digest" = String, Path, description = "`sha256:` and 64 lower-case hexadecimal digits")),
    responses(
        (status = 200, description = "The module.", body = Module),
        (status = 404, description = "`module-not-found`"),
    ))]
pub(crate) async fn describe(
    State(app): State<Arc<App>>,
    PathParameter(digest): PathParameter<Digest>,
) -> Result<Json<Module>, NodeError> {
    app.node.module(digest).await.map(Json)
}

/// Upload a module under its digest. Bytes of another digest are refused.
#[utoipa::path(put, path = "/v1/modules/{digest}", tag = "modules", operation_id = "upload_named_module",
    params(
        ("digest" = String, Path, description = "`sha256:` and 64 lower-case hexadecimal digits"),
        ("content-digest" = Option<String>, Header, description = "May say the same once more."),
        ("prefer" = Option<String>, Header, description = "As when a module is uploaded without a name."),
    ),
    request_body(content_type = "application/wasm", description = "The bytes of the module, as they are."),
    responses(
        (status = 201, description = "The module is new.", body = Module, headers(
            ("location" = String, description = "Where the module is described."),
            ("etag" = String, description = "The digest, in quotes."))),
        (status = 200, description = "The module was there already.", body = Module),
        (status = 202, description = "The module is being compiled, which takes longer than the request waits: \
            ask for its description until its `state` is another.", body = Module, headers(
            ("location" = String, description = "Where the module is described."))),
        (status = 413, description = "`module-too-large`"),
        (status = 422, description = "`digest-mismatch` or `module-refused`; nothing is kept"),
    ))]
pub(crate) async fn upload_named(
    State(app): State<Arc<App>>,
    PathParameter(digest): PathParameter<Digest>,
    request: Request,
) -> Result<Response, NodeError> {
    receive(&app, Some(digest), request).await.map(uploaded)
}

/// Delete a module that nothing needs.
#[utoipa::path(delete, path = "/v1/modules/{digest}", tag = "modules", operation_id = "delete_module",
    params(("digest" = String, Path, description = "`sha256:` and 64 lower-case hexadecimal digits")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "`module-not-found`"),
        (status = 409, description = "`module-in-use`: a plan, a revision or a tag still needs it"),
    ))]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    PathParameter(digest): PathParameter<Digest>,
) -> Result<StatusCode, NodeError> {
    app.node.delete_module(digest).await.map(|()| StatusCode::NO_CONTENT)
}

/// Download the bytes of a module.
#[utoipa::path(get, path = "/v1/modules/{digest}/content", tag = "modules", operation_id = "download_module",
    params(("digest" = String, Path, description = "`sha256:` and 64 lower-case hexadecimal digits")),
    responses(
        (status = 200, description = "The bytes, as they were uploaded.", content_type = "application/wasm",
            headers(
                ("etag" = String, description = "The digest, in quotes."),
                ("content-digest" = String, description = "The digest, as `sha-256=:<base64>:`."))),
        (status = 304, description = "The bytes are those of `If-None-Match`."),
        (status = 404, description = "`module-not-found`"),
    ))]
pub(crate) async fn content(
    State(app): State<Arc<App>>,
    PathParameter(digest): PathParameter<Digest>,
    headers: HeaderMap,
) -> Result<Response, NodeError> {
    let tags = [(header::ETAG, etag(digest))];
    if is_known(&headers, &digest.to_string())? {
        // Still there? Otherwise it is 404 and not 304.
        app.node.module(digest).await?;
        return Ok((StatusCode::NOT_MODIFIED, tags).into_response());
    }
    let bytes = app.node.module_content(digest).await?;
    let digest = [(CONTENT_DIGEST, content_digest(digest))];
    Ok((tags, digest, [(header::CONTENT_TYPE, "application/wasm")], bytes).into_response())
}

/// Keep with a module which tests it passed.
///
/// It is the word of whoever calls, for people who look at the module later; nothing depends on it. What was
/// said before is replaced.
#[utoipa::path(put, path = "/v1/modules/{digest}/tests", tag = "modules", operation_id = "put_module_tests",
    params(("digest" = String, Path, description = "`sha256:` and 64 lower-case hexadecimal digits")),
    request_body = PassedTests,
    responses(
        (status = 200, description = "The module.", body = Module),
        (status = 404, description = "`module-not-found`"),
    ))]
pub(crate) async fn put_tests(
    State(app): State<Arc<App>>,
    PathParameter(digest): PathParameter<Digest>,
    JsonBody(tests): JsonBody<PassedTests, TESTS_BYTES_MAX>,
) -> Result<Json<Module>, NodeError> {
    app.node.put_module_tests(digest, tests).await.map(Json)
}

/// Run one event through a module, in the real sandbox, without a pipeline.
///
/// What the module answers is in the outcome: a rejection or a guest fault is not an error of the request.
#[utoipa::path(post, path = "/v1/modules/{digest}/try", tag = "modules", operation_id = "try_module",
    params(("digest" = String, Path, description = "`sha256:` and 64 lower-case hexadecimal digits")),
    request_body = TryRequest,
    responses(
        (status = 200, description = "What came of it.", body = TryResult),
        (status = 404, description = "`module-not-found`"),
    ))]
pub(crate) async fn try_event(
    State(app): State<Arc<App>>,
    PathParameter(digest): PathParameter<Digest>,
    JsonBody(request): JsonBody<TryRequest, TRY_BYTES_MAX>,
) -> Result<Json<TryResult>, NodeError> {
    app.node.try_module(digest, request).await.map(Json)
}

fn uploaded((module, written): (Module, Written)) -> Response {
    let status = match module.state {
        ModuleState::Compiling => StatusCode::ACCEPTED,
        ModuleState::Ready | ModuleState::Refused => written.status(),
    };
    let location = [(header::LOCATION, format!("/v1/modules/{}", module.digest))];
    (status, location, [(header::ETAG, etag(module.digest))], Json(module)).into_response()
}
