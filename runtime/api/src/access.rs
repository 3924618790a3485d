//! The table of all routes: which role each one needs, and how long it may take.
//!
//! It is the only place where this is said. The router looks every request up in it, the OpenAPI document
//! takes its security from it, and tests walk through it. A route that is not in it is refused.

use axum::http::Method;

use crate::auth::Role;

/// Who may use a route, where there are tokens at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody, with or without a token.
    Open,
    /// Who has this role or one above it.
    AtLeast(Role),
}

/// How long a route may take; see [`Timeouts`](crate::Timeouts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as an ordinary request.
    Short,
    /// As long as receiving, compiling or running a module takes.
    Long,
}

/// One route.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) patience: Patience,
}

const OPEN: Access = Access::Open;
const READ: Access = Access::AtLeast(Role::Read);
const OPERATE: Access = Access::AtLeast(Role::Operate);
const ADMIN: Access = Access::AtLeast(Role::Admin);

/// All routes. `read` sees how things are, `operate` makes things run and sees what runs through them
/// (payloads of dead letters, configurations with their keys), `admin` takes things away.
#[rustfmt::skip]
pub(crate) const ROUTES: &[Route] = &[
    route(Method::GET,    "/livez",                             OPEN,    Patience::Short),
    route(Method::GET,    "/readyz",                            OPEN,    Patience::Short),
    route(Method::GET,    "/metrics",                           READ,    Patience::Short),
    route(Method::GET,    "/openapi.json",                      READ,    Patience::Short),
    route(Method::GET,    "/v1/node",                           READ,    Patience::Short),
    route(Method::GET,    "/v1/modules",                        READ,    Patience::Short),
    route(Method::POST,   "/v1/modules",                        OPERATE, Patience::Long),
    route(Method::GET,    "/v1/modules/{digest}",               READ,    Patience::Short),
    route(Method::PUT,    "/v1/modules/{digest}",               OPERATE, Patience::Long),
    route(Method::DELETE, "/v1/modules/{digest}",               ADMIN,   Patience::Short),
    route(Method::GET,    "/v1/modules/{digest}/content",       READ,    Patience::Short),
    route(Method::PUT,    "/v1/modules/{digest}/tests",         OPERATE, Patience::Short),
    route(Method::POST,   "/v1/modules/{digest}/try",           OPERATE, Patience::Long),
    route(Method::GET,    "/v1/tags",                           READ,    Patience::Short),
    route(Method::GET,    "/v1/tags/{name}",                    READ,    Patience::Short),
    route(Method::PUT,    "/v1/tags/{name}",                    OPERATE, Patience::Short),
    route(Method::DELETE, "/v1/tags/{name}",                    OPERATE, Patience::Short),
    route(Method::GET,    "/v1/pipelines",                      READ,    Patience::Short),
    route(Method::GET,    "/v1/pipelines/{name}",               OPERATE, Patience::Short),
    route(Method::PUT,    "/v1/pipelines/{name}",               OPERATE, Patience::Long),
    route(Method::DELETE, "/v1/pipelines/{name}",               ADMIN,   Patience::Short),
    route(Method::GET,    "/v1/pipelines/{name}/status",        READ,    Patience::Short),
    route(Method::POST,   "/v1/pipelines/{name}/pause",         OPERATE, Patience::Short),
    route(Method::POST,   "/v1/pipelines/{name}/resume",        OPERATE, Patience::Short),
    route(Method::GET,    "/v1/pipelines/{name}/dead-letters",  OPERATE, Patience::Short),
    route(Method::POST,   "/v1/pipelines/{name}/verification",  OPERATE, Patience::Short),
    route(Method::GET,    "/v1/pipelines/{name}/verification",  OPERATE, Patience::Short),
    route(Method::GET,    "/v1/pipelines/{name}/revisions",     OPERATE, Patience::Short),
    route(Method::POST,   "/v1/pipelines/{name}/swap",          OPERATE, Patience::Long),
    route(Method::POST,   "/v1/pipelines/{name}/rollback",      OPERATE, Patience::Long),
    route(Method::GET,    "/v1/pipelines/{name}/shadow",        OPERATE, Patience::Short),
    route(Method::POST,   "/v1/pipelines/{name}/shadow",        OPERATE, Patience::Long),
    route(Method::DELETE, "/v1/pipelines/{name}/shadow",        OPERATE, Patience::Short),
    route(Method::POST,   "/v1/pipelines/{name}/shadow/promote", OPERATE, Patience::Long),
    route(Method::GET,    "/v1/trace/output",                   OPERATE, Patience::Short),
    route(Method::GET,    "/v1/trace/source",                   OPERATE, Patience::Short),
];

const fn route(method: Method, path: &'static str, access: Access, patience: Patience) -> Route {
    Route { method, path, access, patience }
}

/// The row for a request, by its method and the pattern that its path matched.
pub(crate) fn find(method: &Method, path: &str) -> Option<&'static Route> {
    // Whoever may GET may ask for the headers alone.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    ROUTES.iter().find(|route| route.method == *method && route.path == path)
}
