//! Reading parts of a request into types of ours, so that all that can be wrong with them is a problem like
//! any other. Bodies are bounded here.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use crate::error::{Code, NodeError};
use crate::node::Caller;

/// The one parameter in the path.
pub(crate) struct PathParameter<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr<Err: Display>> FromRequestParts<S> for PathParameter<T> {
    type Rejection = NodeError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NodeError> {
        let wrong = |error: &dyn Display| {
            NodeError::new(Code::InvalidRequest, format!("the path is not valid: {error}"))
        };
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|error| wrong(&error.body_text()))?;
        text.parse().map(Self).map_err(|error| wrong(&error))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(Self::anonymous))
    }
}

/// The parameters after the question mark.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = NodeError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, NodeError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(error) => Err(NodeError::new(Code::InvalidRequest, error.body_text())),
        }
    }
}

/// A JSON body of at most `BYTES_MAX` bytes.
pub(crate) struct JsonBody<T, const BYTES_MAX: usize>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned, const BYTES_MAX: usize> FromRequest<S> for JsonBody<T, BYTES_MAX> {
    type Rejection = NodeError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, NodeError> {
        if media_type(request.headers()) != Some("application/json") {
            return Err(NodeError::new(
                Code::UnsupportedMediaType,
                "send JSON, with the header 'Content-Type: application/json'",
            ));
        }
        let bytes = read_body(request.into_body(), BYTES_MAX).await?;
        parse_json(&bytes).map(Self)
    }
}

/// The media type of a body without its parameters; none where it is not named.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    text.split(';').next().map(str::trim)
}

/// A whole body of at most `bytes_max` bytes.
pub(crate) async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, NodeError> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the body is larger than the {bytes_max} bytes that this path takes");
            Err(NodeError::new(Code::BodyTooLarge, detail).with("limit_bytes", bytes_max))
        }
        Err(error) => Err(broken_body(error)),
    }
}

/// The connection broke, or what came was not HTTP.
pub(crate) fn broken_body(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NodeError {
    NodeError::new(Code::InvalidRequest, "the body ended before it was complete").caused_by(cause)
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NodeError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let key = error.path().to_string();
        invalid_json(error.inner()).with("key", key)
    })?;
    json.end().map_err(|error| invalid_json(&error))?;
    Ok(parsed)
}

fn invalid_json(error: &serde_json::Error) -> NodeError {
    NodeError::new(Code::InvalidBody, format!("the body is not the JSON that this path takes: {error}"))
        .with("line", error.line())
        .with("column", error.column())
}
