//! A node's HTTP API, as any program would use it: plain requests, plain JSON.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;

const TIMEOUT: Duration = Duration::from_secs(120);

/// A node, seen from outside.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
}

impl Client {
    /// A client of the node at `base`, such as `http://127.0.0.1:7676`.
    pub(crate) fn new(base: String) -> Self {
        let config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).proxy(None);
        Self { agent: config.build().new_agent(), base }
    }

    /// Where the node is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Whether the node is ready for work; `false` also while it does not answer yet.
    pub(crate) async fn is_ready(&self) -> bool {
        self.call("GET", "/readyz", "", Vec::new()).await.is_ok()
    }

    /// What lies under `path`.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call("GET", path, "", Vec::new()).await
    }

    /// Uploads or applies `body`.
    pub(crate) async fn send(
        &self,
        method: &'static str,
        path: &str,
        media_type: &'static str,
        body: Vec<u8>,
    ) -> anyhow::Result<Value> {
        self.call(method, path, media_type, body).await
    }

    async fn call(
        &self,
        method: &'static str,
        path: &str,
        media_type: &'static str,
        body: Vec<u8>,
    ) -> anyhow::Result<Value> {
        let (agent, url) = (self.agent.clone(), format!("{}{path}", self.base));
        let work = move || -> anyhow::Result<(u16, String)> {
            // An upload is answered when the module is compiled.
            let mut request = Request::builder().method(method).uri(&url).header("prefer", "wait=300");
            if !media_type.is_empty() {
                request = request.header("content-type", media_type);
            }
            let mut response = match media_type {
                "" => agent.run(request.body(())?)?,
                _ => agent.run(request.body(body)?)?,
            };
            Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
        };
        let answer = tokio::task::spawn_blocking(work).await.context("the request was cut off")?;
        let (status, text) = answer.with_context(|| format!("{method} {}{path}", self.base))?;
        read(status, &text).with_context(|| format!("{method} {path}"))
    }
}

/// The JSON of an answer that says it went well; the problem's own words of one that does not.
fn read(status: u16, text: &str) -> anyhow::Result<Value> {
    let json: Option<Value> = serde_json::from_str(text).ok();
    if (200..300).contains(&status) {
        return Ok(json.unwrap_or(Value::Null));
    }
    match json.as_ref().and_then(|problem| problem["detail"].as_str()) {
        Some(detail) => bail!("{detail}"),
        None => Err(anyhow!("status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_speaks_for_itself() {
        let refused = |status, text| read(status, text).expect_err("it went wrong").to_string();
        assert_eq!(
            refused(422, r#"{"code":"unknown-tag","detail":"there is no tag 'x'"}"#),
            "there is no tag 'x'"
        );
        assert_eq!(refused(502, "<html>"), "status 502");
        assert_eq!(read(200, "ok").expect("it went well"), Value::Null);
    }
}
