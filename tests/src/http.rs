//! The HTTP API as a client sees it: status, headers, JSON and the code of a problem.

use std::time::Duration;

use model::Digest;
use serde_json::Value;
use ureq::Agent;

use crate::pipeline::Pipeline;

/// How long one request may take, a large upload among them.
const REQUEST_PATIENCE: Duration = Duration::from_secs(60);

/// A node's API.
#[derive(Clone)]
pub struct Api {
    base: String,
    token: Option<String>,
    agent: Agent,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    headers: Vec<(String, String)>,
}

/// A request that is about to be sent.
pub struct Request {
    api: Api,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
}

impl Api {
    /// The API at `base`, such as `http://127.0.0.1:7676`, without a token.
    pub fn new(base: &str) -> Self {
        let config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(REQUEST_PATIENCE));
        Self { base: base.to_owned(), token: None, agent: config.build().new_agent() }
    }

    /// The same API, with a bearer token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// A `GET`.
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send(b"")
    }

    /// A `PUT` of JSON.
    pub fn put_json(&self, path: &str, body: &Value) -> Reply {
        self.request("PUT", path).header("content-type", "application/json").send(body.to_string().as_bytes())
    }

    /// A `POST` without a body.
    pub fn post(&self, path: &str) -> Reply {
        self.request("POST", path).send(b"")
    }

    /// A `POST` of JSON.
    pub fn post_json(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path)
            .header("content-type", "application/json")
            .send(body.to_string().as_bytes())
    }

    /// A `DELETE`.
    pub fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path).send(b"")
    }

    /// Applies a pipeline file.
    pub fn apply(&self, pipeline: &Pipeline) -> Reply {
        self.request("PUT", &pipeline.path()).toml(pipeline)
    }

    /// A request of any method, to which headers can be added.
    pub fn request(&self, method: &'static str, path: &str) -> Request {
        Request { api: self.clone(), method, path: path.to_owned(), headers: Vec::new() }
    }

    /// The beginning of an upload.
    pub fn upload(&self, method: &'static str, path: &str) -> Request {
        // A busy machine may take long to compile, and tests want to see how it ends.
        self.request(method, path).header("content-type", "application/wasm").header("prefer", "wait=300")
    }

    /// Uploads a module, new or known, and returns its digest.
    ///
    /// # Panics
    /// When it is refused.
    pub fn push(&self, module: &[u8]) -> Digest {
        let reply = self.upload("POST", "/v1/modules").send(module);
        assert!([200, 201].contains(&reply.status), "the module is refused: {reply:?}");
        let digest = reply.json()["digest"].as_str().and_then(|digest| digest.parse().ok());
        digest.unwrap_or_else(|| panic!("no digest in {reply:?}"))
    }
}

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it with a pipeline file.
    ///
    /// # Panics
    /// When there is no answer at all.
    pub fn toml(self, pipeline: &Pipeline) -> Reply {
        self.header("content-type", "application/toml").send(pipeline.toml().as_bytes())
    }

    /// Sends it with this body.
    ///
    /// # Panics
    /// When there is no answer at all.
    pub fn send(self, body: &[u8]) -> Reply {
        let what = format!("{} {}", self.method, self.path);
        self.try_send(body).unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// The same, where there may be no answer.
    ///
    /// # Errors
    /// When there is no answer at all.
    pub fn try_send(self, body: &[u8]) -> Result<Reply, String> {
        let url = format!("{}{}", self.api.base, self.path);
        let mut request = ureq::http::Request::builder().method(self.method).uri(url);
        if let Some(token) = &self.api.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let text = |error: &dyn std::fmt::Display| error.to_string();
        // A body of no bytes would be sent with a length; a GET has no body at all.
        let answer = if body.is_empty() && self.method != "PUT" && self.method != "POST" {
            self.api.agent.run(request.body(()).map_err(|error| text(&error))?)
        } else {
            self.api.agent.run(request.body(body).map_err(|error| text(&error))?)
        };
        let mut answer = answer.map_err(|error| text(&error))?;
        let pair = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let headers = answer.headers().iter().map(pair).collect();
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(256 << 20).read_to_vec();
        Ok(Reply { status, headers, body: body.map_err(|error| text(&error))? })
    }
}

impl Reply {
    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The first value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The code of the problem that this is.
    ///
    /// # Panics
    /// When it is no problem document, or not a whole one.
    pub fn code(&self) -> String {
        let json = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self}");
        assert_eq!(json["status"], self.status, "{self}");
        let code = json["code"].as_str().unwrap_or_else(|| panic!("a problem without a code: {self}"));
        assert_eq!(json["type"], format!("urn:weir:problem:{code}"), "{self}");
        for text in ["title", "detail"] {
            assert!(json[text].as_str().is_some_and(|text| !text.is_empty()), "no {text} in {self}");
        }
        code.to_owned()
    }

    /// What the problem says happened.
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// The same answer, when it has this status.
    ///
    /// # Panics
    /// When it has another.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}
