//! The API against a node in memory: what each route answers, what each error looks like, who may do what.

mod access;
mod fake;
mod openapi;
mod requests;
mod server;
mod uploads;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::ListenOptions;
use crate::router::router;
use crate::server::app;
pub(crate) use fake::{FakeNode, Shared};

/// A free port on loopback, without tokens, taking modules of up to 1000 bytes.
pub(crate) fn options() -> ListenOptions {
    let mut options = ListenOptions::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    options.upload_bytes_max = 1000;
    options
}

/// A service without a socket.
pub(crate) struct Service(axum::Router);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Service {
    pub(crate) fn new(node: Arc<FakeNode>, options: ListenOptions) -> Self {
        Self(router(Arc::new(app(Arc::new(Shared(node)), options))))
    }

    /// Sends a request whose head is `METHOD path`, with headers and body.
    pub(crate) async fn send(&self, head: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let (method, path) = head.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).expect("a valid request");
        let response = self.0.clone().oneshot(request).await.expect("the router always answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the body is complete").to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of ours is ASCII"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that this is a whole problem of this code.
    pub(crate) fn assert_problem(&self, code: &str, what: &str) -> Value {
        let problem = self.json();
        assert_eq!(problem["code"], code, "{what}: {problem}");
        assert_eq!(problem["status"], self.status.as_u16(), "{what}");
        assert_eq!(problem["type"], format!("urn:weir:problem:{code}"), "{what}");
        assert_eq!(problem["request_id"], self.header("x-request-id"), "{what}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{what}");
        for member in ["title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: {problem}");
        }
        problem
    }
}
