//! The router: all routes, the layer that checks who asks and how long it takes, and the OpenAPI document.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{self, Access, Patience, Route};
use crate::auth::{self, Tokens};
use crate::error::{Code, NodeError};
use crate::node::{Caller, Node};
use crate::problem;
use crate::routes::{health, modules, pipelines, revisions, shadow, tags, trace, verification};
use crate::{openapi, upload};

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// An ordinary request.
    pub request: Duration,
    /// A request that receives, compiles or runs a module.
    pub long_request: Duration,
    /// The wait for the next bytes of an upload.
    pub upload_idle: Duration,
    /// The TLS handshake of a new connection.
    pub handshake: Duration,
    /// The wait for the head of a request, on a new connection or one that is kept open.
    pub request_head: Duration,
    /// The wait for open requests when the server stops.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(30),
            long_request: Duration::from_secs(600),
            upload_idle: Duration::from_secs(30),
            handshake: Duration::from_secs(10),
            request_head: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// What every handler can reach.
pub(crate) struct App {
    pub(crate) node: Arc<dyn Node>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) timeouts: Timeouts,
    pub(crate) upload_bytes_max: u64,
    /// One permit for each module that may be received at the same time.
    pub(crate) uploads: Semaphore,
    pub(crate) openapi: String,
}

/// All routes with their documentation, nothing else around them.
pub(crate) fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(health::openapi))
        .routes(routes!(health::node))
        .routes(routes!(modules::list, modules::upload))
        .routes(routes!(modules::describe, modules::upload_named, modules::delete))
        .routes(routes!(modules::content))
        .routes(routes!(modules::put_tests))
        .routes(routes!(modules::try_event))
        .routes(routes!(tags::list))
        .routes(routes!(tags::get, tags::put, tags::delete))
        .routes(routes!(pipelines::list))
        .routes(routes!(pipelines::describe, pipelines::apply, pipelines::delete))
        .routes(routes!(pipelines::status))
        .routes(routes!(pipelines::pause))
        .routes(routes!(pipelines::resume))
        .routes(routes!(pipelines::dead_letters))
        .routes(routes!(verification::begin, verification::show))
        .routes(routes!(revisions::list))
        .routes(routes!(revisions::swap))
        .routes(routes!(revisions::roll_back))
        .routes(routes!(shadow::describe, shadow::start, shadow::stop))
        .routes(routes!(shadow::promote))
        .routes(routes!(trace::output))
        .routes(routes!(trace::source))
}

/// The whole service.
pub(crate) fn router(app: Arc<App>) -> axum::Router {
    let (router, _) = documented().split_for_parts();
    router
        .route_layer(middleware::from_fn_with_state(app.clone(), guard))
        .fallback(async || NodeError::new(Code::RouteNotFound, "the paths there are stand in /openapi.json"))
        .method_not_allowed_fallback(async || {
            NodeError::new(Code::MethodNotAllowed, "the methods there are stand in the header 'Allow'")
        })
        .layer(middleware::from_fn(problem::envelope))
        .with_state(app)
}

/// Lets a request through if its route's row in the table says so, and stops it when its time is up.
async fn guard(State(app): State<Arc<App>>, path: MatchedPath, mut request: Request, next: Next) -> Response {
    let route = access::find(request.method(), path.as_str());
    let caller = match admit(&app, route, request.headers()) {
        Ok(caller) => caller,
        Err(error) => {
            upload::discard(request).await;
            return error.into_response();
        }
    };
    if let Some(caller) = &caller {
        request.extensions_mut().insert(caller.clone());
    }
    let patience = match route.map(|route| route.patience) {
        Some(Patience::Long) => app.timeouts.long_request,
        Some(Patience::Short) | None => app.timeouts.request,
    };
    let mut response = match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail =
                format!("there was no answer within {} s: look before trying again", patience.as_secs());
            NodeError::new(Code::Timeout, detail).into_response()
        }
    };
    if let Some(caller) = caller {
        response.extensions_mut().insert(caller);
    }
    response
}

fn admit(app: &App, route: Option<&Route>, headers: &HeaderMap) -> Result<Option<Caller>, NodeError> {
    let role = match route.map(|route| route.access) {
        Some(Access::Open) => return Ok(None),
        Some(Access::AtLeast(role)) => role,
        // Not in the table, which a test rules out: then for no one but an administrator.
        None => auth::Role::Admin,
    };
    match &app.tokens {
        Some(tokens) => Ok(Some(Caller(tokens.authorize(headers, role)?.name.clone()))),
        None => auth::refuse_other_sites(headers).map(|()| None),
    }
}
