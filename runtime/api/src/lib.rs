//! The HTTP API of a node, and the only crate that knows axum.
//!
//! It speaks HTTP and nothing else: what is behind it is reached through the [`Node`] port, which the
//! binary implements. Here are the routes and who may use them, the shapes of what goes over the wire
//! ([`dto`]), errors as RFC 9457 problems with stable codes, uploads that are bounded while they are
//! received, the OpenAPI document, and the server with its TLS.
//!
//! Reading order: [`dto`] (the shapes), `node` (the port), `access` (the table of routes), `routes` (the
//! handlers), `server`.

mod access;
mod auth;
mod conditions;
mod content_digest;
pub mod dto;
mod error;
mod extract;
mod node;
mod openapi;
mod problem;
mod router;
mod routes;
mod server;
mod tls;
mod upload;

pub use auth::{Role, Tokens, TokensError};
pub use conditions::Preconditions;
pub use error::{Code, NodeError};
pub use node::{
    Caller, DeadLetters, FileFormat, ModuleUpload, Node, OutputStream, PipelineFile, Reply, Revisions,
    Written,
};
pub use router::Timeouts;
pub use server::{ListenError, ListenOptions, PlainHttp, Server};
pub use tls::{TlsError, TlsFiles};

#[cfg(test)]
mod tests;
