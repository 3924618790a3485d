//! Who may do what: every route with every role, from the same table that the router uses.

use std::path::Path;

use model::Digest;

use super::{FakeNode, Service, options};
use crate::access::{Access, ROUTES};
use crate::auth::{Role, Tokens};

fn tokens() -> Tokens {
    let line =
        |role: Role| format!("{role} {role}-name {}\n", Digest::of(format!("{role}-token").as_bytes()));
    let text: String = [Role::Read, Role::Operate, Role::Admin].map(line).concat();
    Tokens::parse(&text, Path::new("tokens")).expect("the file is right")
}

fn service() -> Service {
    let mut options = options();
    options.tokens = Some(tokens());
    Service::new(FakeNode::holding(&[b"module"]), options)
}

fn head(route: &crate::access::Route) -> String {
    let digest = Digest::of(b"module").to_string();
    let path = route.path.replace("{digest}", &digest).replace("{name}", "name");
    format!("{} {path}", route.method)
}

#[tokio::test]
async fn each_route_is_open_to_the_roles_of_the_table_and_to_no_others() {
    let service = service();
    for route in ROUTES {
        for role in [None, Some(Role::Read), Some(Role::Operate), Some(Role::Admin)] {
            let authorization = role.map(|role| format!("Bearer {role}-token"));
            let headers: Vec<_> = authorization.iter().map(|value| ("authorization", &**value)).collect();
            let answer = service.send(&head(route), &headers, "").await;
            let what = format!("{} as {role:?}", head(route));
            match (route.access, role) {
                (Access::Open, _) => assert!(answer.status.is_success(), "{what}"),
                (Access::AtLeast(_), None) => {
                    answer.assert_problem("unauthenticated", &what);
                    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"weir\"", "{what}");
                }
                (Access::AtLeast(needed), Some(role)) if role < needed => {
                    let problem = answer.assert_problem("forbidden", &what);
                    assert_eq!(problem["required_role"], needed.as_str(), "{what}");
                }
                (Access::AtLeast(_), Some(_)) => {
                    assert!(![401, 403].contains(&answer.status.as_u16()), "{what}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn only_a_known_bearer_token_counts() {
    let service = service();
    for (authorization, status) in [
        ("Bearer read-token", 200),
        ("bearer read-token", 200),
        ("Bearer  read-token ", 200),
        ("Bearer read-token2", 401),
        ("Bearer read", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Basic read-token", 401),
        ("read-token", 401),
    ] {
        let answer = service.send("GET /v1/node", &[("authorization", authorization)], "").await;
        assert_eq!(answer.status.as_u16(), status, "{authorization}");
    }
    let hash = format!("Bearer {}", Digest::of(b"read-token"));
    let answer = service.send("GET /v1/node", &[("authorization", &hash)], "").await;
    assert_eq!(answer.status.as_u16(), 401, "what stands in the file opens nothing");
}

#[tokio::test]
async fn whoever_may_get_may_ask_for_the_headers_alone() {
    let service = service();
    for (token, status) in [("read-token", 200), ("other", 401)] {
        let authorization = format!("Bearer {token}");
        let answer = service.send("HEAD /v1/node", &[("authorization", &authorization)], "").await;
        assert_eq!(answer.status.as_u16(), status);
    }
}

#[tokio::test]
async fn the_table_has_each_documented_route_and_no_other() {
    let document: serde_json::Value =
        serde_json::from_str(&crate::openapi::document()).expect("the document is JSON");
    let mut documented: Vec<(String, String)> = vec![];
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        for method in item.as_object().expect("there are methods").keys() {
            documented.push((path.clone(), method.to_uppercase()));
        }
    }
    let mut listed: Vec<_> =
        ROUTES.iter().map(|route| (route.path.to_owned(), route.method.to_string())).collect();
    documented.sort();
    listed.sort();
    assert_eq!(documented, listed);
}

#[tokio::test]
async fn the_node_is_told_who_asks() {
    let with_tokens = service();
    let without = Service::new(FakeNode::holding(&[]), super::options());
    for (service, authorization, name) in
        [(with_tokens, "Bearer admin-token", "admin-name"), (without, "", "anonymous")]
    {
        let headers = [("authorization", authorization), ("content-type", "application/toml")];
        service.send("PUT /v1/pipelines/p", &headers, "a = 1").await;
        let headers = [("authorization", authorization), ("content-type", "application/json")];
        let answer = service.send("POST /v1/pipelines/p/rollback", &headers, "{}").await.json();
        assert_eq!(answer["changes"][0]["key"], name, "{answer}");
    }
}
