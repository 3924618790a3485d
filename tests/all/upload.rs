//! Modules over HTTP: uploaded once, named by their digest, described, downloaded, deleted, tried; and what
//! is no module is refused and leaves nothing behind.

use std::process::Command;
use std::time::Duration;

use model::Digest;
use serde_json::{Value, json};
use weir_tests::{Node, Pipeline, guest, within};

use crate::world::World;

/// The compiler lets others go first, and tests keep a machine busy.
const COMPILING_PATIENCE: Duration = Duration::from_secs(300);

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * at) & 63) as usize] as char;
            text.push(if at <= chunk.len() { digit } else { '=' });
        }
    }
    text
}

fn module_count(world: &World) -> usize {
    world.api().get("/v1/modules").expect(200).json()["modules"].as_array().expect("a list").len()
}

#[test]
fn a_module_is_uploaded_once_and_named_by_its_bytes() {
    let world = World::new();
    let (api, module) = (world.api(), guest("upper"));
    let digest = Digest::of(&module);
    let first = api.upload("POST", "/v1/modules").send(&module).expect(201);
    assert_eq!(first.json()["digest"], digest.to_string());
    assert_eq!(first.header("location"), Some(format!("/v1/modules/{digest}").as_str()));
    api.upload("POST", "/v1/modules").send(&module).expect(200);
    api.upload("PUT", &format!("/v1/modules/{digest}")).send(&module).expect(200);

    let described = api.get(&format!("/v1/modules/{digest}")).expect(200).json();
    assert_eq!(described["kind"], "component");
    assert_eq!(described["size_bytes"], module.len());
    assert_eq!((&described["tags"], &described["used_by"]), (&json!([]), &json!([])));
    let content = api.get(&format!("/v1/modules/{digest}/content")).expect(200);
    assert_eq!(Digest::of(&content.body), digest);
    assert_eq!(module_count(&world), 1);
}

/// Who does not wait hears how it ended from the description: that the module can run, or why it cannot.
#[test]
fn a_module_is_compiled_while_nobody_waits() {
    let world = World::new();
    let describe = |digest: Digest| world.api().get(&format!("/v1/modules/{digest}")).expect(200).json();
    let upload = |bytes: &[u8]| {
        let request = world.api().request("POST", "/v1/modules").header("content-type", "application/wasm");
        let accepted = request.header("prefer", "respond-async").send(bytes).expect(202);
        assert_eq!(accepted.json()["state"], "compiling");
        let location = accepted.header("location").map(str::to_owned);
        assert_eq!(location, Some(format!("/v1/modules/{}", Digest::of(bytes))));
        within(COMPILING_PATIENCE, "it is compiled", || {
            let module = describe(Digest::of(bytes));
            if module["state"] == "compiling" { Err(module) } else { Ok(module) }
        })
    };
    let large = guest("mask_pii");
    let ready = upload(&large);
    assert_eq!(
        (&ready["state"], &ready["reason"], &ready["kind"]),
        (&json!("ready"), &json!(null), &json!("component"))
    );
    let refused = upload(&misfit(0));
    assert_eq!(refused["state"], "refused");
    let reason = refused["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("cannot be linked") && reason.contains("weir::log"), "{reason}");
    assert_eq!(module_count(&world), 1, "nothing is kept of what is refused");
}

/// A module whose shape is right and whose import's type is not: only linking finds that.
fn misfit(number: u32) -> Vec<u8> {
    let exports = r#"(memory (export "memory") 1)
        (func (export "weir_alloc") (param i32) (result i32) i32.const 0)
        (func (export "weir_process") (param i32 i32) (result i64) i64.const 0)"#;
    let text =
        format!(r#"(module (import "weir" "log" (func (param i64))) {exports} (func $f{number} nop))"#);
    wat::parse_str(text).expect("the text is WebAssembly")
}

/// Between its compilation and the word that it was refused, a module was once unknown for a moment.
#[test]
fn a_module_is_known_until_it_is_refused() {
    let world = World::new();
    for number in 0..100 {
        let module = misfit(number);
        let request = world.api().request("POST", "/v1/modules").header("content-type", "application/wasm");
        request.header("prefer", "respond-async").send(&module).expect(202);
        let path = format!("/v1/modules/{}", Digest::of(&module));
        while world.api().get(&path).expect(200).json()["state"] == "compiling" {}
    }
}

#[test]
fn a_core_module_is_told_from_a_component_by_its_bytes() {
    let world = World::new();
    for (name, kind) in [("multi-c", "core-module"), ("multi-zig", "core-module"), ("multi", "component")] {
        let digest = world.push(name);
        let described = world.api().get(&format!("/v1/modules/{digest}")).expect(200).json();
        assert_eq!(described["kind"], kind, "{name}");
        assert_eq!(described["exports"].as_array().map(Vec::is_empty), Some(false), "{name}");
    }
}

#[test]
fn bytes_that_are_not_those_announced_are_not_kept() {
    let world = World::new();
    let (api, module) = (world.api(), guest("upper"));
    let other = Digest::of(b"something else");
    let named = api.upload("PUT", &format!("/v1/modules/{other}")).send(&module).expect(422);
    assert_eq!(named.code(), "digest-mismatch");
    let wrong = format!("sha-256=:{}:", base64(other.as_raw()));
    let announced =
        api.upload("POST", "/v1/modules").header("content-digest", &wrong).send(&module).expect(422);
    assert_eq!(announced.code(), "digest-mismatch");
    for digest in [other, Digest::of(&module)] {
        assert_eq!(api.get(&format!("/v1/modules/{digest}")).expect(404).code(), "module-not-found");
    }
    let right = format!("sha-256=:{}:", base64(Digest::of(&module).as_raw()));
    api.upload("POST", "/v1/modules").header("content-digest", &right).send(&module).expect(201);
}

#[test]
fn what_is_no_module_is_refused_by_name() {
    let world = World::new();
    let whole = guest("upper");
    let wat = |text: &str| wat::parse_str(text).expect("the text is WebAssembly");
    let exports = r#"(memory (export "memory") 1)
        (func (export "weir_alloc") (param i32) (result i32) i32.const 0)"#;
    let process = r#"(func (export "weir_process") (param i32 i32) (result i64) i64.const 0)"#;
    for (what, bytes, says) in [
        ("nothing", vec![], ""),
        ("text", b"hello".to_vec(), ""),
        ("truncated", whole[..whole.len() / 2].to_vec(), ""),
        ("a component of another world", wat("(component)"), "process"),
        ("a core module of another kind", wat("(module)"), "memory"),
        ("half a core module", wat(&format!("(module {exports})")), "weir_process"),
        (
            "an unknown import",
            wat(&format!(r#"(module (import "env" "launch_missiles" (func)) {exports} {process})"#)),
            "launch_missiles",
        ),
        (
            "an export of another shape",
            wat(&format!(r#"(module {exports} (func (export "weir_process") (param i32)))"#)),
            "weir_process",
        ),
    ] {
        let reply = world.api().upload("POST", "/v1/modules").send(&bytes);
        assert_eq!((reply.status, reply.code().as_str()), (422, "module-refused"), "{what}");
        assert!(reply.detail().contains(says), "{what}: {}", reply.detail());
        let digest = Digest::of(&bytes);
        world.api().get(&format!("/v1/modules/{digest}")).expect(404);
    }
    assert_eq!(module_count(&world), 0);
    world.push("upper");
}

#[test]
fn a_module_over_the_limit_is_refused() {
    let world = World::new();
    let mut node = Node::stopped(&["--nats", &world.nats.url(), "--upload-bytes-max", "1 KiB"]);
    node.launch();
    node.wait_ready();
    let reply = node.api().upload("POST", "/v1/modules").send(&guest("upper")).expect(413);
    assert_eq!(reply.code(), "module-too-large");
    assert_eq!(module_count(&world), 0);
}

#[test]
fn a_module_is_deleted_only_when_nothing_needs_it() {
    let mut world = World::new();
    let (tagged, used) = (world.push("upper"), world.push("identity"));
    let delete = |world: &World, digest: Digest| world.api().delete(&format!("/v1/modules/{digest}"));
    world.api().put_json("/v1/tags/upper", &json!({"digest": tagged})).expect(201);
    world.apply(&Pipeline::new("p").step(used));
    let last = world.put(&["a"]);
    world.settle("p", last);
    for digest in [tagged, used] {
        let reply = delete(&world, digest).expect(409);
        assert_eq!(reply.code(), "module-in-use");
        world.api().get(&format!("/v1/modules/{digest}")).expect(200);
    }
    world.api().delete("/v1/tags/upper").expect(204);
    delete(&world, tagged).expect(204);
    assert_eq!(delete(&world, tagged).expect(404).code(), "module-not-found");
    let last = world.put(&["b"]);
    world.settle("p", last);
}

#[test]
fn one_event_can_be_tried_without_a_pipeline() {
    let world = World::new();
    let digest = world.push("multi");
    let attempt =
        |body: Value| world.api().post_json(&format!("/v1/modules/{digest}/try"), &body).expect(200).json();
    let request = json!({"payload": {"text": "ab"}, "sequence": 2, "headers": [{"name": "K", "value": "v"}]});
    let result = attempt(request.clone());
    let messages = result["outcome"]["messages"].as_array().expect("messages").clone();
    let payloads: Vec<_> = messages.iter().map(|message| message["payload"]["text"].clone()).collect();
    assert_eq!(payloads, ["ab#0", "ab#1", "ab#2"]);
    assert_eq!(messages[0]["headers"], json!([{"name": "K", "value": "v"}, {"name": "Part", "value": "0"}]));
    assert_eq!(attempt(request)["fuel_used"], result["fuel_used"], "fuel is deterministic");
    assert!(result["fuel_used"].as_u64().is_some_and(|fuel| fuel > 0));
    let refused = attempt(json!({"payload": {"text": "no"}}));
    assert_eq!(refused["outcome"], json!({"kind": "rejected", "reason": "the payload begins with no"}));
    let starved = attempt(json!({"payload": {"text": "ab"}, "limits": {"fuel_per_event": 1}}));
    assert_eq!(starved["outcome"]["code"], "out-of-fuel");
}

#[test]
fn modules_are_there_on_every_node_and_after_a_restart() {
    let mut world = World::new();
    let digest = world.push("upper");
    let other = Node::start(&world.nats);
    let content = other.api().get(&format!("/v1/modules/{digest}/content")).expect(200);
    assert_eq!(Digest::of(&content.body), digest);
    world.node.kill9();
    world.node.launch();
    world.node.wait_ready();
    world.api().get(&format!("/v1/modules/{digest}")).expect(200);
}

#[test]
fn the_command_line_pushes_the_same_bytes_under_the_same_name() {
    let world = World::new();
    let mut command = weir_tests::node::command();
    command.args(["push", "--node", &format!("http://127.0.0.1:{}", world.node.port()), "-o", "json"]);
    command.env("HOME", world.node.folder()).arg(weir_tests::guests::guest_path("upper"));
    let output = Command::output(&mut command).expect("weir can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "weir push: {said}");
    let printed: Value = serde_json::from_slice(&output.stdout).expect("with -o json, JSON is printed");
    let digest = Digest::of(&guest("upper")).to_string();
    assert!(printed.to_string().contains(&digest), "{printed}");
}
