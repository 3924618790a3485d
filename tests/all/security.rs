//! Who may do what: an API that is open to the network needs tokens and TLS, and each role may do its part.

use model::Digest;
use serde_json::json;
use weir_tests::process::free_port;
use weir_tests::{Api, NatsServer, Node, guest};

use crate::world::World;

/// Starts a node that must not start; returns what it said.
fn refused(arguments: &[&str]) -> String {
    let mut node = Node::stopped(arguments);
    node.launch();
    let (status, log) = node.ended();
    assert!(!status.success(), "it started:\n{log}");
    log
}

/// A tokens file with one token of each role, called by the role's own name.
fn tokens_file(folder: &std::path::Path) -> String {
    let line = |role: &str| format!("{role} {role}-user {}\n", Digest::of(role.as_bytes()));
    let path = folder.join("tokens");
    std::fs::write(&path, ["read", "operate", "admin"].map(line).concat()).expect("it can be written");
    path.to_str().expect("the path is UTF-8").to_owned()
}

#[test]
fn an_api_open_to_the_network_needs_tokens_and_tls() {
    let nats = NatsServer::start();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let tokens = tokens_file(folder.path());
    let listen = format!("0.0.0.0:{}", free_port());
    let open = ["--nats", &nats.url(), "--listen", &listen].map(str::to_owned);
    let with = |more: &[&str]| {
        open.iter().map(String::as_str).chain(more.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
    };
    let refuse = |more: &[&str]| refused(&with(more).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(refuse(&[]).contains("--tokens-file"));
    assert!(refuse(&["--insecure-http"]).contains("--tokens-file"));
    assert!(refuse(&["--tokens-file", &tokens]).contains("--tls-certificate"));
    assert!(refuse(&["--tokens-file", "nowhere", "--insecure-http"]).contains("nowhere"));
}

#[test]
fn each_role_may_do_its_part_and_no_more() {
    let world = World::new();
    let tokens = tokens_file(world.node.folder());
    let mut node = Node::stopped(&["--nats", &world.nats.url(), "--tokens-file", &tokens]);
    node.launch();
    node.wait_ready();
    let (nobody, module) = (node.api(), guest("upper"));
    let [read, operate, admin] = ["read", "operate", "admin"].map(|role| nobody.with_token(role));
    nobody.get("/livez").expect(200);
    assert_eq!(nobody.get("/v1/modules").expect(401).code(), "unauthenticated");
    assert_eq!(nobody.with_token("guess").get("/v1/modules").expect(401).code(), "unauthenticated");
    read.get("/v1/modules").expect(200);
    let push = |api: &Api| api.upload("POST", "/v1/modules").send(&module);
    assert_eq!(push(&read).expect(403).code(), "forbidden");
    push(&operate).expect(201);
    let path = format!("/v1/modules/{}", Digest::of(&module));
    assert_eq!(operate.delete(&path).expect(403).code(), "forbidden");
    operate.put_json("/v1/tags/t", &json!({"digest": Digest::of(&module)})).expect(201);
    operate.delete("/v1/tags/t").expect(204);
    admin.delete(&path).expect(204);
    assert!(!node.log().contains(&Digest::of(b"admin").hex()), "no hash of a token is in the log");
}

#[test]
fn a_web_page_elsewhere_cannot_use_the_api_through_a_browser() {
    let world = World::new();
    let request = world.api().request("PUT", "/v1/tags/t").header("origin", "https://elsewhere.example");
    let reply = request.header("content-type", "application/json").send(br#"{"digest":"x"}"#).expect(403);
    assert_eq!(reply.code(), "cross-origin");
}
