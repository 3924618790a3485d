//! Commands: programs in three languages that know nothing of Weir (`examples/commands`), in a pipeline, over
//! files, by themselves, and verified.

use model::RecordKind;
use model::record::{DEAD_FAULT_HEADER, DEAD_REASON_HEADER};
use weir_tests::guests::guest_path;
use weir_tests::{Pipeline, guest, node};

use crate::verify::{assert_identical, verify_at};
use crate::world::{World, messages, of_kind};

const LOG: &str = "card=4111111111111111 who=\"Ada L\"\nshort=12\n";

#[test]
fn programs_in_three_languages_make_one_pipeline() {
    let mut world = World::new();
    let (redact, logfmt, wc) = (world.push("redact"), world.push("logfmt"), world.push("wc"));
    for digest in [redact, logfmt, wc] {
        let module = world.api().get(&format!("/v1/modules/{digest}")).expect(200).json();
        assert_eq!(module["kind"], "command");
    }
    let lines = Pipeline::new("p").step(redact).step_with(logfmt, "name = \"logfmt\"\noutput = \"lines\"");
    world.apply(&lines.step(wc));
    let other = Pipeline::new("q").step(redact).sink("RED", "red.{subject}");
    world.apply(&other);
    let last = world.put(&[LOG, "", "no equals", "a=b"]);
    world.settle("p", last);
    let records = world.records("p", "OUT");
    // What logfmt prints for the first event, a line each, and wc counts. Nothing printed is no message; wc
    // prints a line even for nothing, but is not asked.
    assert_eq!(messages(&records), ["0 2 41\n", "0 1 14\n", "0 1 9\n"]);
    let dead = of_kind(&records, RecordKind::Dead);
    let header = |name| dead[0].record.headers.get(name).unwrap_or_default();
    assert_eq!((dead.len(), dead[0].record.position.sequence), (1, 3));
    assert_eq!(header(DEAD_FAULT_HEADER), "rejected");
    assert_eq!(header(DEAD_REASON_HEADER), "exit code 1: line 1: NoEqualsSign");
    world.settle("q", last);
    let redacted = messages(&world.records("q", "RED"));
    assert_eq!(redacted[0], LOG.replace("4111111111111111", "****************"));
    assert_eq!(redacted[1..], ["no equals", "a=b"]);
    assert_identical(&verify_at(&world.nats.url(), "p", &[]), "0 receipts, 4 events, identical");
}

#[test]
fn only_a_command_has_lines() {
    let world = World::new();
    let (upper, wc) = (world.push("upper"), world.push("wc"));
    let reply = world.api().apply(&Pipeline::new("p").step(wc).step_with(upper, "output = \"lines\""));
    let problem = reply.expect(422).json();
    assert_eq!((&problem["code"], &problem["key"]), (&"invalid-pipeline".into(), &"steps[1].output".into()));
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("output = \"lines\" is for commands"), "{detail}");
    let tried =
        world.api().post_json(&format!("/v1/modules/{upper}/try"), &serde_json::json!({ "output": "lines" }));
    assert_eq!(tried.expect(400).json()["code"], "invalid-request");
}

/// Tried on a node, run over files, and checked by executing samples, like any other module.
#[test]
fn a_command_is_tried_run_and_checked() {
    let world = World::new();
    let wc = world.push("wc");
    let request = serde_json::json!({ "payload": { "text": "two words" }, "output": "lines" });
    let tried = world.api().post_json(&format!("/v1/modules/{wc}/try"), &request).expect(200).json();
    assert_eq!(tried["outcome"]["messages"][0]["payload"]["text"], "0 2 9", "{tried}");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = Pipeline::new("p").step_with("m", "output = \"lines\"").toml();
    std::fs::write(folder.path().join("p.toml"), file).expect("written");
    std::fs::write(folder.path().join("in"), "{\"a\":1}\n{\"b\": 2}\n").expect("written");
    let mut run = node::command();
    run.current_dir(folder.path()).env("HOME", folder.path());
    run.args(["run", "p.toml", "--subject", "in.a", "--input", "in", "--output", "out"]);
    let output = run.arg("--module").arg(format!("m={}", guest_path("wc").display())).output();
    let output = output.expect("weir can be started");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && talk.contains("2 events, 2 messages"), "{talk}");
    let printed = std::fs::read_to_string(folder.path().join("out")).expect("it is there");
    assert!(printed.contains("0 1 7") && printed.contains("0 2 8"), "{printed}");
    for name in ["redact", "wc", "logfmt"] {
        let checked = node::command().arg("check").arg(guest_path(name)).output().expect("it runs");
        let said = String::from_utf8_lossy(&checked.stdout);
        assert!(said.contains(": pure") && said.contains("accepted    command"), "{said}");
    }
    assert!(guest("redact").starts_with(b"\0asm\x0d\0\x01\0"), "one of them is a component");
}
