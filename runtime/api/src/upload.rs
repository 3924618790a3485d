//! Receiving a module: bounded in size, in time and in how many come at once, handed on piece by piece, so
//! that no more than one piece of it is ever in memory.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::StreamExt as _;
use model::Digest;

use crate::content_digest;
use crate::dto::Module;
use crate::error::{Code, NodeError};
use crate::extract::broken_body;
use crate::node::Written;
use crate::router::App;

/// How many modules may be received at the same time.
pub(crate) const UPLOADS_MAX: usize = 4;
/// How long a request waits for its module to be compiled, unless it says otherwise.
pub(crate) const WAIT_DEFAULT: Duration = Duration::from_secs(2);
/// The longest wait that a request can ask for.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// The header by which it asks (RFC 7240).
const PREFER: &str = "prefer";
/// How much of a body is read after it was refused, so that the client is still there to read the answer.
const DISCARD_BYTES_MAX: u64 = 64 << 20;
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);

/// Receives a module, whose digest the path names or not.
pub(crate) async fn receive(
    app: &App,
    named: Option<Digest>,
    request: Request,
) -> Result<(Module, Written), NodeError> {
    let (parts, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let received = match check(app, named, &parts.headers) {
        Ok(expected) => receive_body(app, expected, wait(&parts.headers), &mut body).await,
        Err(error) => Err(error),
    };
    if received.is_err() {
        discard_rest(&parts.headers, body).await;
    }
    received
}

/// Reads on for a while what a refused request still sends. A server that just closed the connection would
/// make the client fail on sending, before it had read why.
pub(crate) async fn discard(request: Request) {
    let (parts, body) = request.into_parts();
    discard_rest(&parts.headers, body.into_data_stream()).await;
}

/// What the head of the request already tells; answers the digest that the bytes have to have.
fn check(app: &App, named: Option<Digest>, headers: &HeaderMap) -> Result<Option<Digest>, NodeError> {
    let announced = content_digest::announced(headers)?;
    if let (Some(named), Some(announced)) = (named, announced)
        && named != announced
    {
        let detail = format!("the path says {named}, but the header 'content-digest' says {announced}");
        return Err(NodeError::new(Code::DigestMismatch, detail)
            .with("expected", named.to_string())
            .with("found", announced.to_string()));
    }
    let encoding = headers.get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        let detail = "send the module as it is, without 'Content-Encoding': its digest is of its own bytes";
        return Err(NodeError::new(Code::UnsupportedMediaType, detail));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    check_size(app, length.unwrap_or(0))?;
    Ok(named.or(announced))
}

/// How long the client wants to wait, by `Prefer: respond-async` or `Prefer: wait=<seconds>`. A preference
/// that is not understood is none.
fn wait(headers: &HeaderMap) -> Duration {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences = preferences.flat_map(|value| value.split(',')).map(str::trim);
    let wait = preferences.find_map(|preference| match preference.split_once('=') {
        Some((name, seconds)) if name.trim().eq_ignore_ascii_case("wait") => {
            seconds.trim().parse().ok().map(Duration::from_secs)
        }
        None if preference.eq_ignore_ascii_case("respond-async") => Some(Duration::ZERO),
        _ => None,
    });
    wait.map_or(WAIT_DEFAULT, |wait| wait.min(WAIT_MAX))
}

fn check_size(app: &App, bytes: u64) -> Result<(), NodeError> {
    let limit_bytes = app.upload_bytes_max;
    if bytes > limit_bytes {
        let detail = format!("the module is larger than the {limit_bytes} bytes that this node takes");
        return Err(NodeError::new(Code::ModuleTooLarge, detail).with("limit_bytes", limit_bytes));
    }
    Ok(())
}

async fn receive_body(
    app: &App,
    expected: Option<Digest>,
    wait: Duration,
    body: &mut BodyDataStream,
) -> Result<(Module, Written), NodeError> {
    let _place = app.uploads.try_acquire().map_err(|_| {
        let detail = format!("{UPLOADS_MAX} modules are being received already: try again");
        NodeError::new(Code::Overloaded, detail)
    })?;
    let mut upload = app.node.upload_module().await?;
    let mut received_bytes = 0;
    while let Some(chunk) = next_chunk(body, app.timeouts.upload_idle).await? {
        received_bytes += chunk.len() as u64;
        check_size(app, received_bytes)?;
        upload.write(chunk).await?;
    }
    upload.finish(expected, wait).await
}

async fn next_chunk(body: &mut BodyDataStream, idle: Duration) -> Result<Option<Bytes>, NodeError> {
    match tokio::time::timeout(idle, body.next()).await {
        Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
        Ok(Some(Err(error))) => Err(broken_body(error)),
        Ok(None) => Ok(None),
        Err(_) => {
            let detail = format!("nothing more was received for {} s", idle.as_secs());
            Err(NodeError::new(Code::RequestTimeout, detail))
        }
    }
}

async fn discard_rest(headers: &HeaderMap, mut body: BodyDataStream) {
    if headers.contains_key(header::EXPECT) {
        // The client waits for a go-ahead before it sends the body, and reading would give it.
        return;
    }
    let mut left = DISCARD_BYTES_MAX;
    let read = async {
        while let Some(Ok(chunk)) = body.next().await {
            left = left.saturating_sub(chunk.len() as u64);
            if left == 0 {
                return;
            }
        }
    };
    if tokio::time::timeout(DISCARD_TIME_MAX, read).await.is_err() {
        tracing::debug!("A refused request was still sending; closing its connection");
    }
}
