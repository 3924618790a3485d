//! `/v1/tags`: mutable names for digests. The `ETag` of a tag is its revision.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use model::TagName;

use crate::conditions::{Preconditions, etag, is_known};
use crate::dto::{PutTag, Tag, TagList};
use crate::error::NodeError;
use crate::extract::{JsonBody, PathParameter};
use crate::router::App;

const TAG_BYTES_MAX: usize = 4 << 10;

/// All tags, sorted by name.
#[utoipa::path(get, path = "/v1/tags", tag = "tags", operation_id = "list_tags", responses(
    (status = 200, description = "The tags.", body = TagList),
))]
pub(crate) async fn list(State(app): State<Arc<App>>) -> Result<Json<TagList>, NodeError> {
    app.node.tags().await.map(|tags| Json(TagList { tags }))
}

/// The module that a tag names now.
#[utoipa::path(get, path = "/v1/tags/{name}", tag = "tags", operation_id = "get_tag",
    params(("name" = String, Path, description = "The tag's name, as in `mask-pii:1.2`.")),
    responses(
        (status = 200, description = "The tag.", body = Tag,
            headers(("etag" = String, description = "The revision, in quotes."))),
        (status = 304, description = "The revision is that of `If-None-Match`."),
        (status = 404, description = "`tag-not-found`"),
    ))]
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<TagName>,
    headers: HeaderMap,
) -> Result<Response, NodeError> {
    let tag = app.node.tag(name).await?;
    let tags = [(header::ETAG, etag(tag.revision))];
    if is_known(&headers, &tag.revision.to_string())? {
        return Ok((StatusCode::NOT_MODIFIED, tags).into_response());
    }
    Ok((tags, Json(tag)).into_response())
}

/// Let a tag name a module. Pipelines that are running do not change by it.
#[utoipa::path(put, path = "/v1/tags/{name}", tag = "tags", operation_id = "put_tag",
    params(
        ("name" = String, Path, description = "The tag's name, as in `mask-pii:1.2`."),
        ("if-match" = Option<String>, Header, description = "Only if the tag has this `ETag`."),
        ("if-none-match" = Option<String>, Header, description = "`*`: only if there is no such tag yet."),
    ),
    request_body = PutTag,
    responses(
        (status = 201, description = "The tag is new.", body = Tag,
            headers(("etag" = String, description = "The revision, in quotes."))),
        (status = 200, description = "The tag is set.", body = Tag,
            headers(("etag" = String, description = "The revision, in quotes."))),
        (status = 412, description = "`precondition-failed`"),
        (status = 422, description = "`unknown-module`"),
    ))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<TagName>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<PutTag, TAG_BYTES_MAX>,
) -> Result<Response, NodeError> {
    let conditions = Preconditions::from_headers(&headers)?;
    let location = [(header::LOCATION, format!("/v1/tags/{name}"))];
    let (tag, written) = app.node.put_tag(name, body.digest, conditions).await?;
    Ok((written.status(), location, [(header::ETAG, etag(tag.revision))], Json(tag)).into_response())
}

/// Delete a tag.
#[utoipa::path(delete, path = "/v1/tags/{name}", tag = "tags", operation_id = "delete_tag",
    params(
        ("name" = String, Path, description = "The tag's name, as in `mask-pii:1.2`."),
        ("if-match" = Option<String>, Header, description = "Only if the tag has this `ETag`."),
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "`tag-not-found`"),
        (status = 412, description = "`precondition-failed`"),
    ))]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    PathParameter(name): PathParameter<TagName>,
    headers: HeaderMap,
) -> Result<StatusCode, NodeError> {
    let conditions = Preconditions::from_headers(&headers)?;
    app.node.delete_tag(name, conditions).await.map(|()| StatusCode::NO_CONTENT)
}
