//! Every route and every error, as data: what is sent, which status comes back, and with what.

use axum::http::StatusCode;
use model::Digest;
use serde_json::json;

use super::{Answer, FakeNode, Service, options};

const MODULE: &[u8] = b"module";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
const TOML: &[(&str, &str)] = &[("content-type", "application/toml")];

type Headers<'a> = &'a [(&'a str, &'a str)];

fn service() -> Service {
    Service::new(FakeNode::holding(&[MODULE]), options())
}

/// `{m}` stands for the digest of the module that is there, `{x}` for one that is not.
fn fill(text: &str) -> String {
    text.replace("{m}", &Digest::of(MODULE).to_string()).replace("{x}", &Digest::of(b"none").to_string())
}

async fn send(service: &Service, head: &str, headers: Headers<'_>, body: &str) -> Answer {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, fill(value))).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    service.send(&fill(head), &headers, fill(body)).await
}

#[tokio::test]
async fn each_request_gets_its_status_and_headers() {
    let service = service();
    let tag = r#"{"digest": "{m}"}"#;
    let cases: &[(&str, Headers<'_>, &str, u16, Headers<'_>)] = &[
        ("GET /livez", &[], "", 200, &[]),
        ("HEAD /livez", &[], "", 200, &[]),
        ("GET /readyz", &[], "", 200, &[("content-type", "text/plain; charset=utf-8")]),
        ("GET /readyz?verbose", &[], "", 200, &[("content-type", "application/json")]),
        (
            "GET /metrics",
            &[],
            "",
            200,
            &[("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")],
        ),
        ("GET /openapi.json", &[], "", 200, &[("content-type", "application/json")]),
        ("GET /v1/node", &[], "", 200, &[]),
        ("GET /v1/modules", &[], "", 200, &[]),
        ("GET /v1/modules/{m}", &[], "", 200, &[]),
        (
            "GET /v1/modules/{m}/content",
            &[],
            "",
            200,
            &[("etag", "\"{m}\""), ("content-type", "application/wasm")],
        ),
        ("GET /v1/modules/{m}/content", &[("if-none-match", "\"{m}\"")], "", 304, &[("etag", "\"{m}\"")]),
        ("GET /v1/modules/{m}/content", &[("if-none-match", "\"{x}\"")], "", 200, &[]),
        ("POST /v1/modules/{m}/try", JSON, "{}", 200, &[]),
        ("GET /v1/tags", &[], "", 200, &[]),
        ("PUT /v1/tags/a:1", JSON, tag, 201, &[("etag", "\"1\""), ("location", "/v1/tags/a:1")]),
        ("PUT /v1/tags/a:1", JSON, tag, 200, &[("etag", "\"2\"")]),
        ("GET /v1/tags/a:1", &[], "", 200, &[("etag", "\"2\"")]),
        ("GET /v1/tags/a:1", &[("if-none-match", "\"2\"")], "", 304, &[("etag", "\"2\"")]),
        ("PUT /v1/tags/a:1", &[JSON[0], ("if-match", "\"2\"")], tag, 200, &[("etag", "\"3\"")]),
        ("DELETE /v1/tags/a:1", &[("if-match", "\"3\"")], "", 204, &[]),
        ("PUT /v1/pipelines/p", TOML, "a = 1", 201, &[("etag", "\"1\""), ("location", "/v1/pipelines/p")]),
        ("PUT /v1/pipelines/p", TOML, "a = 1", 200, &[("etag", "\"1\"")]),
        ("PUT /v1/pipelines/p", &[JSON[0], ("if-match", "\"1\"")], "{}", 200, &[("etag", "\"2\"")]),
        ("GET /v1/pipelines", &[], "", 200, &[]),
        ("GET /v1/pipelines/p", &[], "", 200, &[("etag", "\"2\"")]),
        ("GET /v1/pipelines/p/status", &[], "", 200, &[]),
        ("POST /v1/pipelines/p/pause", &[], "", 200, &[]),
        ("POST /v1/pipelines/p/resume", &[], "", 200, &[]),
        ("GET /v1/pipelines/p/dead-letters", &[], "", 200, &[]),
        ("POST /v1/pipelines/p/verification", JSON, "{}", 202, &[]),
        ("POST /v1/pipelines/p/verification", JSON, r#"{"from": 1, "to": 9}"#, 202, &[]),
        ("GET /v1/pipelines/p/revisions?limit=2", &[], "", 200, &[]),
        ("POST /v1/pipelines/p/swap", JSON, r#"{"modules": {"a": "t"}, "at": 9}"#, 200, &[("etag", "\"3\"")]),
        ("POST /v1/pipelines/p/rollback", JSON, r#"{"revision": 1}"#, 200, &[("etag", "\"4\"")]),
        ("POST /v1/pipelines/p/shadow", JSON, r#"{"modules": {"a": "t"}}"#, 201, &[]),
        ("GET /v1/pipelines/p/shadow", &[], "", 200, &[]),
        ("DELETE /v1/pipelines/p/shadow", &[], "", 200, &[]),
        ("POST /v1/pipelines/p/shadow/promote", &[], "", 200, &[("etag", "\"5\"")]),
        ("GET /v1/trace/output?stream=OUT&sequence=1", &[], "", 200, &[]),
        ("GET /v1/trace/source?stream=IN&sequence=1", &[], "", 200, &[]),
        ("DELETE /v1/pipelines/p?output=keep", &[("if-match", "\"5\"")], "", 204, &[]),
        ("DELETE /v1/modules/{m}", &[], "", 204, &[]),
    ];
    for (head, headers, body, status, expected) in cases {
        let answer = send(&service, head, headers, body).await;
        assert_eq!(answer.status.as_u16(), *status, "{head}: {answer:?}");
        for (name, value) in *expected {
            assert_eq!(answer.header(name), fill(value), "{head}: {name}");
        }
        assert!(!answer.header("x-request-id").is_empty(), "{head}");
    }
}

#[tokio::test]
async fn each_fault_is_a_problem_with_its_code() {
    let service = service();
    send(&service, "PUT /v1/pipelines/p", TOML, "a = 1").await;
    send(&service, "PUT /v1/tags/t", JSON, r#"{"digest": "{m}"}"#).await;
    let long = format!("PUT /v1/tags/{}", "a".repeat(100));
    let huge = "x".repeat(5000);
    let cases: &[(&str, Headers<'_>, &str, &str)] = &[
        ("GET /nothing", &[], "", "route-not-found"),
        ("GET /v1/modules/", &[], "", "route-not-found"),
        ("GET /v1/modules/{m}/nothing", &[], "", "route-not-found"),
        ("PATCH /v1/modules", &[], "", "method-not-allowed"),
        ("POST /livez", &[], "", "method-not-allowed"),
        ("GET /readyz?quiet", &[], "", "invalid-request"),
        ("GET /v1/modules/sha256:abc", &[], "", "invalid-request"),
        ("GET /v1/modules/%ff", &[], "", "invalid-request"),
        ("PUT /v1/modules/sha512:abc", &[], "", "invalid-request"),
        ("GET /v1/modules/{x}", &[], "", "module-not-found"),
        ("GET /v1/modules/{x}/content", &[], "", "module-not-found"),
        ("GET /v1/modules/{x}/content", &[("if-none-match", "\"{x}\"")], "", "module-not-found"),
        ("DELETE /v1/modules/{x}", &[], "", "module-not-found"),
        ("DELETE /v1/modules/{m}", &[], "", "module-in-use"),
        ("POST /v1/modules/{x}/try", JSON, "{}", "module-not-found"),
        ("POST /v1/modules/{m}/try", &[], "{}", "unsupported-media-type"),
        ("POST /v1/modules/{m}/try", JSON, "{", "invalid-body"),
        ("POST /v1/modules/{m}/try", JSON, "{} {}", "invalid-body"),
        ("POST /v1/modules/{m}/try", JSON, r#"{"sequence": -1}"#, "invalid-body"),
        ("POST /v1/modules/{m}/try", JSON, r#"{"subject": "fail"}"#, "internal"),
        ("POST /v1/modules/{m}/try", JSON, r#"{"subject": "panic"}"#, "internal"),
        ("POST /v1/modules/{m}/try", JSON, r#"{"subject": "away"}"#, "broker-unavailable"),
        ("GET /v1/tags/A", &[], "", "invalid-request"),
        ("GET /v1/tags/none", &[], "", "tag-not-found"),
        (&long, JSON, r#"{"digest": "{m}"}"#, "invalid-request"),
        ("PUT /v1/tags/u", JSON, r#"{"digest": "{x}"}"#, "unknown-module"),
        ("PUT /v1/tags/u", JSON, r#"{"digest": "u"}"#, "invalid-body"),
        ("PUT /v1/tags/u", JSON, r#"{"digest": "{m}", "force": true}"#, "invalid-body"),
        ("PUT /v1/tags/u", JSON, &huge, "body-too-large"),
        ("PUT /v1/tags/u", &[JSON[0], ("if-match", "1")], r#"{"digest": "{m}"}"#, "invalid-request"),
        ("PUT /v1/tags/t", &[JSON[0], ("if-match", "\"9\"")], r#"{"digest": "{m}"}"#, "precondition-failed"),
        ("PUT /v1/tags/t", &[JSON[0], ("if-none-match", "*")], r#"{"digest": "{m}"}"#, "precondition-failed"),
        ("DELETE /v1/tags/t", &[("if-match", "\"9\"")], "", "precondition-failed"),
        ("DELETE /v1/tags/none", &[], "", "tag-not-found"),
        ("GET /v1/pipelines/P", &[], "", "invalid-request"),
        ("GET /v1/pipelines/none", &[], "", "pipeline-not-found"),
        ("GET /v1/pipelines/none/status", &[], "", "pipeline-not-found"),
        ("POST /v1/pipelines/none/pause", &[], "", "pipeline-not-found"),
        ("POST /v1/pipelines/none/resume", &[], "", "pipeline-not-found"),
        ("DELETE /v1/pipelines/none", &[], "", "pipeline-not-found"),
        ("DELETE /v1/pipelines/p?output=both", &[], "", "invalid-request"),
        ("DELETE /v1/pipelines/p?output=delete", &[], "", "broker-refused"),
        ("DELETE /v1/pipelines/p", &[("if-match", "\"9\"")], "", "precondition-failed"),
        ("PUT /v1/pipelines/p", &[], "a = 1", "unsupported-media-type"),
        ("PUT /v1/pipelines/p", TOML, "wrong = 1", "invalid-pipeline"),
        ("PUT /v1/pipelines/p", &[TOML[0], ("if-match", "\"9\"")], "a = 2", "precondition-failed"),
        ("PUT /v1/pipelines/p?plan={x}", TOML, "a = 2", "plan-differs"),
        ("PUT /v1/pipelines/p?plan=latest", TOML, "a = 2", "invalid-request"),
        ("POST /v1/pipelines/none/verification", JSON, "{}", "pipeline-not-found"),
        ("POST /v1/pipelines/p/verification", &[], "{}", "unsupported-media-type"),
        ("POST /v1/pipelines/p/verification", JSON, r#"{"since": 1}"#, "invalid-body"),
        ("GET /v1/pipelines/p/verification", &[], "", "verification-not-found"),
        ("GET /v1/pipelines/none/dead-letters", &[], "", "pipeline-not-found"),
        ("GET /v1/pipelines/p/dead-letters?limit=0", &[], "", "invalid-request"),
        ("GET /v1/pipelines/p/dead-letters?limit=1001", &[], "", "invalid-request"),
        ("GET /v1/pipelines/p/dead-letters?limit=a", &[], "", "invalid-request"),
        ("GET /v1/pipelines/p/dead-letters?cursor=3", &[], "", "invalid-request"),
        ("GET /v1/pipelines/none/revisions", &[], "", "pipeline-not-found"),
        ("GET /v1/pipelines/p/revisions?limit=0", &[], "", "invalid-request"),
        ("POST /v1/pipelines/none/swap", JSON, r#"{"modules": {"a": "t"}}"#, "pipeline-not-found"),
        ("POST /v1/pipelines/p/swap", JSON, r#"{"modules": {}}"#, "invalid-body"),
        ("POST /v1/pipelines/p/swap", JSON, r#"{"modules": {"a": "t"}, "at": 0}"#, "invalid-body"),
        ("POST /v1/pipelines/p/swap", JSON, r#"{"modules": {"a": "t"}, "now": true}"#, "invalid-body"),
        ("POST /v1/pipelines/p/swap", JSON, r#"{"modules": {"a": "t"}, "at": 1}"#, "swap-passed"),
        (
            "POST /v1/pipelines/p/swap",
            &[JSON[0], ("if-match", "\"9\"")],
            r#"{"modules": {"a": "t"}}"#,
            "precondition-failed",
        ),
        ("POST /v1/pipelines/p/rollback", JSON, r#"{"revision": 77}"#, "revision-not-found"),
        ("POST /v1/pipelines/p/rollback", JSON, r#"{"to": 1}"#, "invalid-body"),
        ("GET /v1/pipelines/none/shadow", &[], "", "pipeline-not-found"),
        ("POST /v1/pipelines/none/shadow", JSON, r#"{"modules": {"a": "t"}}"#, "pipeline-not-found"),
        ("POST /v1/pipelines/p/shadow", JSON, r#"{"modules": {}}"#, "invalid-body"),
        ("POST /v1/pipelines/p/shadow", JSON, r#"{"modules": {"running": "t"}}"#, "shadow-running"),
        ("GET /v1/trace/output?stream=OUT", &[], "", "invalid-request"),
        ("GET /v1/trace/output?stream=a.b&sequence=1", &[], "", "invalid-request"),
        ("GET /v1/trace/output?stream=OUT&sequence=0", &[], "", "invalid-request"),
        ("GET /v1/trace/output?stream=OUT&sequence=2", &[], "", "entry-not-found"),
        ("GET /v1/trace/source?stream=IN&sequence=2", &[], "", "entry-not-found"),
        ("GET /v1/node", &[("host", "rebound.example.org")], "", "cross-origin"),
        ("POST /v1/modules", &[("host", "localhost"), ("origin", "https://example.org")], "", "cross-origin"),
    ];
    for (head, headers, body, code) in cases {
        send(&service, head, headers, body).await.assert_problem(code, head);
    }
}

#[tokio::test]
async fn problems_say_what_programs_need() {
    let service = service();
    let problem = send(&service, "PUT /v1/pipelines/p", TOML, "wrong = 1").await.json();
    assert_eq!((&problem["line"], &problem["key"]), (&json!(1), &json!("wrong")));

    let body = "{\n  \"limits\": {\"memory_bytes\": \"much\"}}";
    let problem = send(&service, "POST /v1/modules/{m}/try", JSON, body).await.json();
    assert_eq!((&problem["line"], &problem["key"]), (&json!(2), &json!("limits.memory_bytes")));

    let answer = send(&service, "PATCH /v1/modules", &[], "").await;
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");

    let answer = send(&service, "POST /v1/modules/{m}/try", JSON, r#"{"subject": "away"}"#).await;
    assert_eq!(answer.header("retry-after"), "5");

    let answer = send(&service, "POST /v1/modules/{m}/try", JSON, r#"{"subject": "fail"}"#).await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("cause"), "the cause stays in the log");

    // Not UTF-8, which the helper above cannot send.
    let answer = service.send("PUT /v1/pipelines/p", TOML, vec![0xff]).await;
    answer.assert_problem("invalid-body", "a file that is not UTF-8");
}

#[tokio::test]
async fn the_request_id_of_the_client_is_kept_where_it_is_one() {
    let service = service();
    for (given, kept) in [("abc-1", true), ("", false), ("a b", false), (&"a".repeat(129), false)] {
        let answer = service.send("GET /livez", &[("x-request-id", given)], "").await;
        let answered = answer.header("x-request-id");
        assert!(!answered.is_empty());
        assert_eq!(answered == given, kept, "{given:?} became {answered:?}");
    }
}

#[tokio::test]
async fn a_node_that_is_not_ready_says_which_latch_is_closed() {
    let node = FakeNode::holding(&[]);
    node.close_the_latch();
    let service = Service::new(node, options());
    for path in ["GET /readyz", "GET /readyz?verbose"] {
        let answer = service.send(path, &[], "").await;
        let problem = answer.assert_problem("not-ready", path);
        assert_eq!(problem["detail"], "broker: no connection; trying again");
        assert_eq!(problem["latches"][0], json!({"name": "store", "open": true, "detail": null}));
    }
    assert_eq!(service.send("GET /livez", &[], "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn following_the_cursor_lists_every_dead_letter_once() {
    let service = service();
    send(&service, "PUT /v1/pipelines/p", TOML, "a = 1").await;
    for limit in 1..=6 {
        let mut seen = vec![];
        let mut next = String::new();
        loop {
            let head = format!("GET /v1/pipelines/p/dead-letters?limit={limit}{next}");
            let page = service.send(&head, &[], "").await.json();
            let letters = page["dead_letters"].as_array().expect("a list");
            assert!(letters.len() <= limit);
            seen.extend(letters.iter().map(|dead| dead["sequence"].as_u64().expect("a number")));
            let Some(cursor) = page["next"].as_str() else { break };
            next = format!("&cursor={cursor}");
        }
        assert_eq!(seen, [1, 2, 3, 4, 5], "{limit} at a time");
    }
}

#[tokio::test]
async fn a_try_hands_the_event_on_and_the_outcome_back() {
    let service = service();
    let body = r#"{"payload": {"json": {"b": 1, "a": 2}}, "headers": [{"name": "X", "value": "1"}]}"#;
    let answer = send(&service, "POST /v1/modules/{m}/try", JSON, body).await.json();
    let message = &answer["outcome"]["messages"][0];
    assert_eq!(answer["outcome"]["kind"], "messages");
    assert_eq!(message["payload"]["json"], json!({"a": 2, "b": 1}));
    assert_eq!(message["headers"], json!([{"name": "X", "value": "1"}]));
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_a_timeout() {
    let mut options = options();
    options.timeouts.long_request = std::time::Duration::from_millis(20);
    let service = Service::new(FakeNode::holding(&[MODULE]), options);
    let answer = send(&service, "POST /v1/modules/{m}/try", JSON, r#"{"subject": "hang"}"#).await;
    answer.assert_problem("timeout", "a node that hangs");
}
