//! The outermost layer: gives every request an id, writes every error as `application/problem+json`, turns
//! panics into errors, and logs what was done.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use tower_http::request_id::{MakeRequestId as _, MakeRequestUuid};
use tracing::Instrument as _;

use crate::dto::{PROBLEM_TYPE_PREFIX, Problem};
use crate::error::{Code, NodeError};
use crate::node::Caller;

const REQUEST_ID: &str = "x-request-id";
const REQUEST_ID_BYTES_MAX: usize = 128;

/// See the module.
pub(crate) async fn envelope(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", request_id = ?id, %method, path);
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone());
    let mut response = match answer.await {
        Ok(response) => response,
        Err(panic) => NodeError::internal(panic_text(&*panic)).into_response(),
    };
    let _in_span = span.enter();
    if let Some(error) = response.extensions_mut().remove::<Arc<NodeError>>() {
        response = problem_response(response, &error, &id);
    }
    log(&method, &path, &response, started);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REQUEST_ID, id);
    response
}

/// The id that the client gave, where it is one; a new one otherwise.
fn request_id(request: &Request) -> HeaderValue {
    let is_usable = |id: &&HeaderValue| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
    };
    let given = request.headers().get(REQUEST_ID).filter(is_usable).cloned();
    given.unwrap_or_else(|| match MakeRequestUuid.make_request_id(request) {
        Some(id) => id.into_header_value(),
        None => HeaderValue::from_static("none"),
    })
}

/// Writes an error as a problem; other headers of the response stay.
fn problem_response(response: Response, error: &NodeError, id: &HeaderValue) -> Response {
    if let Some(cause) = std::error::Error::source(error) {
        tracing::warn!(code = %error.code(), detail = error.detail(), cause, "A request failed");
    }
    let code = error.code();
    let problem = Problem {
        kind: format!("{PROBLEM_TYPE_PREFIX}{code}"),
        title: code.title().to_owned(),
        status: code.status(),
        code: code.to_string(),
        detail: error.detail().to_owned(),
        request_id: id.to_str().ok().map(str::to_owned),
        extensions: error.extensions().clone(),
    };
    let (mut parts, _) = response.into_parts();
    add_headers(&mut parts.headers, error);
    let body = serde_json::to_vec(&problem).expect("a problem has only strings as keys");
    Response::from_parts(parts, Body::from(body))
}

fn add_headers(headers: &mut HeaderMap, error: &NodeError) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.remove(header::CONTENT_LENGTH);
    if let Some(seconds) = error.wait_s() {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    if error.code() == Code::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"weir\""));
    }
}

/// What changes something is worth a line, with who did it, as the layer that checks tokens left it in the
/// response; what only looks, or is asked every few seconds, is not.
fn log(method: &Method, path: &str, response: &Response, started: Instant) {
    let status = response.status();
    let caller = response.extensions().get::<Caller>().map_or("-", |caller| &*caller.0);
    let elapsed_ms = started.elapsed().as_millis();
    let looks = matches!(*method, Method::GET | Method::HEAD);
    if (looks && !status.is_server_error()) || status == StatusCode::UNAUTHORIZED {
        tracing::debug!(status = status.as_u16(), caller, elapsed_ms, "Answered {method} {path}");
    } else {
        tracing::info!(status = status.as_u16(), caller, elapsed_ms, "Answered {method} {path}");
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a handler panicked: {}", text.unwrap_or("without a message"))
}
