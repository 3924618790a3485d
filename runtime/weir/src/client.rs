//! The HTTP client of the verbs: one node, its API, and what it says when it refuses.
//!
//! Calls block, one at a time. Answers are kept as the text that came, so that `-o json` shows the API's own
//! JSON. The environment's proxies are not used: a node is reached directly or not at all.

use std::io::Read;
use std::time::Duration;

use api::dto::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::request::Builder;
use ureq::http::{Method, Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, AsSendBody, Body, SendBody};

use crate::config::ClientConfig;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a node may take to begin its answer: a module is compiled, and tried for at most its deadline.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(660);

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody answers.
    #[error(
        "cannot reach the node at {node}: {why}\n  \
         is `weir up` running? if it listens elsewhere, give --node URL or set WEIR_NODE"
    )]
    Unreachable {
        /// Where the node should be.
        node: String,
        /// What the system says.
        why: String,
    },
    /// The node says no, and why.
    #[error("{} ({})", .0.detail, described(.0))]
    Refused(Box<Problem>),
    /// Somebody answers, but not as a node does.
    #[error(
        "{node} does not answer as a node of Weir does: {why}\n  does --node, or WEIR_NODE, name a node?"
    )]
    Unexpected {
        /// Where the node should be.
        node: String,
        /// What is not as it should be.
        why: String,
    },
    /// The file of authorities holds none.
    #[error("--ca-file: {0}")]
    Authorities(String),
}

fn described(problem: &Problem) -> String {
    match &problem.request_id {
        // The cause of a server's fault is in its log only, under this id.
        Some(id) if problem.status >= 500 => format!("{}, request {id} in the node's log", problem.code),
        _ => problem.code.clone(),
    }
}

impl ClientError {
    /// Whether the node could not be reached at all.
    pub(crate) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// What a node answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status: one that says it went well.
    pub(crate) status: u16,
    /// The body.
    pub(crate) text: String,
    node: String,
}

impl Answer {
    /// The body, read as one of the API's shapes.
    ///
    /// # Errors
    /// When it is of another shape.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.text).map_err(|error| {
            let why = format!("its answer has another shape than this version knows ({error})");
            ClientError::Unexpected { node: self.node.clone(), why }
        })
    }
}

/// What is sent with a call.
pub(crate) enum Sent<'a> {
    /// Nothing.
    Nothing,
    /// A text of this media type.
    Text(&'static str, &'a str),
    /// Bytes of this media type and length, read while they are sent.
    Stream(&'static str, u64, &'a mut dyn Read),
}

/// A node, seen from outside.
pub(crate) struct Client {
    agent: Agent,
    config: ClientConfig,
}

impl Client {
    /// Gets ready to call; no call is made yet.
    ///
    /// # Errors
    /// When the authorities to trust cannot be used.
    pub(crate) fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let roots = match &config.ca_pem {
            Some(pem) => RootCerts::new_with_certs(&certificates(pem)?),
            None => RootCerts::WebPki,
        };
        let agent = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Self { agent, config })
    }

    /// Asks for something.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.call(&Method::GET, path, Sent::Nothing)
    }

    /// Asks for something that is not text, of at most `bytes_max` bytes.
    pub(crate) fn get_bytes(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, ClientError> {
        let mut request = Request::builder().method(Method::GET).uri(format!("{}{path}", self.config.node));
        if let Some(token) = &self.config.token {
            request = request.header("authorization", format!("Bearer {}", token.reveal()));
        }
        let mut response = self.run(request, ())?;
        if !response.status().is_success() {
            return self.answer(response).map(|answer| answer.text.into_bytes());
        }
        let limited = response.body_mut().with_config().limit(bytes_max);
        limited.read_to_vec().map_err(|error| self.unexpected(error.to_string()))
    }

    /// Deletes something.
    pub(crate) fn delete(&self, path: &str) -> Result<Answer, ClientError> {
        self.call(&Method::DELETE, path, Sent::Nothing)
    }

    /// Asks for something to be done.
    pub(crate) fn post(&self, path: &str, sent: Sent<'_>) -> Result<Answer, ClientError> {
        self.call(&Method::POST, path, sent)
    }

    /// Asks for something to be done, if what it is done to still has this `ETag`.
    pub(crate) fn post_if(&self, path: &str, etag: u64, sent: Sent<'_>) -> Result<Answer, ClientError> {
        self.call_with(&Method::POST, path, &[("if-match", format!("\"{etag}\""))], sent)
    }

    /// Puts something in its place.
    pub(crate) fn put(&self, path: &str, sent: Sent<'_>) -> Result<Answer, ClientError> {
        self.call(&Method::PUT, path, sent)
    }

    fn call(&self, method: &Method, path: &str, sent: Sent<'_>) -> Result<Answer, ClientError> {
        self.call_with(method, path, &[], sent)
    }

    fn call_with(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, String)],
        sent: Sent<'_>,
    ) -> Result<Answer, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.config.node));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(token) = &self.config.token {
            request = request.header("authorization", format!("Bearer {}", token.reveal()));
        }
        let response = match sent {
            Sent::Nothing => self.run(request, ()),
            Sent::Text(media_type, text) => self.run(request.header("content-type", media_type), text),
            Sent::Stream(media_type, length, reader) => {
                // A node that refuses by size or token says so before it is sent anything.
                let request = request.header("expect", "100-continue").header("content-type", media_type);
                let request = request.header("content-length", length);
                self.run(request, SendBody::from_reader(reader))
            }
        }?;
        self.answer(response)
    }

    fn run(&self, request: Builder, body: impl AsSendBody) -> Result<Response<Body>, ClientError> {
        let request = request.body(body).map_err(|error| self.unexpected(error.to_string()))?;
        self.agent.run(request).map_err(|error| self.unreachable(&error))
    }

    fn answer(&self, mut response: Response<Body>) -> Result<Answer, ClientError> {
        let status = response.status();
        let limited = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).lossy_utf8(true);
        let text = limited.read_to_string().map_err(|error| self.unexpected(error.to_string()))?;
        if status.is_success() {
            return Ok(Answer { status: status.as_u16(), text, node: self.config.node.clone() });
        }
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(self.unexpected(format!("it answers '{status}' and does not say why"))),
        }
    }

    fn unexpected(&self, why: String) -> ClientError {
        ClientError::Unexpected { node: self.config.node.clone(), why }
    }

    fn unreachable(&self, error: &ureq::Error) -> ClientError {
        let why = match error {
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::HostNotFound => "there is no such host".to_owned(),
            ureq::Error::Protocol(error) => return self.unexpected(error.to_string()),
            error => error.to_string(),
        };
        ClientError::Unreachable { node: self.config.node.clone(), why }
    }
}

/// A value as the JSON text to send.
pub(crate) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the API's shapes have only strings as keys")
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, ClientError> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(ClientError::Authorities(error.to_string())),
        }
    }
    if certificates.is_empty() {
        return Err(ClientError::Authorities("the file holds no certificate in PEM".into()));
    }
    Ok(certificates)
}
