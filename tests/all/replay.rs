//! `weir replay`, `weir diff`, `weir export` and `weir attest`: outputs made again beside the live ones, held
//! against them, and proven to somebody who has neither node nor broker.

use std::path::Path;
use std::process::Output;

use weir_tests::guests::guest_path;
use weir_tests::node::command;
use weir_tests::process::Process;
use weir_tests::{Pipeline, eventually, stream};

use crate::world::World;

/// The first key pair of RFC 8032, section 7.1, as openssl writes it.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

fn weir(folder: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = command();
    command.current_dir(folder).env("HOME", folder).args(arguments);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[track_caller]
fn assert_says(output: &Output, code: i32, parts: &[&str]) {
    let all = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{all}");
    for part in parts {
        assert!(all.contains(part), "'{part}' in {all}");
    }
}

/// 300 events through `leaky`, and then 100 more through `upper`.
fn two_revisions() -> World {
    let mut world = World::new();
    for (name, events) in [("leaky", 300), ("upper", 100)] {
        let module = world.push(name);
        world.put_in_force(&Pipeline::new("p").line("block = 64").step(module), "p");
        let payloads: Vec<String> = (0..events).map(|at| format!("event {at}")).collect();
        let last = world.put(&payloads);
        world.settle("p", last);
    }
    world
}

#[test]
fn a_replay_stands_beside_the_live_outputs_and_is_compared_with_them() {
    let world = two_revisions();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let run = |arguments: &[&str]| {
        let mut command = weir(folder.path(), arguments);
        command.args(["--nats", &world.nats.url()]).output().expect("weir can be started")
    };
    // The plan of then over its own events gives what is there.
    let replayed = run(&["replay", "p", "--plan", "1", "--to", "300", "--into", "SAME"]);
    assert_says(&replayed, 0, &["events 1 to 300 are replayed into SAME"]);
    assert_says(&run(&["diff", "OUT", "SAME", "--to", "300"]), 0, &["300 outputs are the same"]);
    assert_says(&run(&["verify", "p", "--stream", "SAME"]), 0, &["4 receipts, 300 events, identical"]);

    // The plan in force over all events gives other outputs for those of the first plan.
    assert_says(&run(&["replay", "p", "--into", "NEW"]), 0, &["events 1 to 400 are replayed into NEW"]);
    let differs = run(&["diff", "OUT", "NEW", "--examples", "1"]);
    assert_says(&differs, 2, &["100 outputs are the same", "300 have another payload", "event 1 output 0:"]);
    assert_says(&run(&["verify", "p", "--stream", "NEW"]), 0, &["6 receipts, 400 events, identical"]);

    // Once more changes nothing; another plan or range does not go into the same stream.
    let again = run(&["replay", "p", "--into", "NEW"]);
    assert_says(&again, 0, &["events 1 to 400 are replayed into NEW"]);
    assert_says(&run(&["verify", "p", "--stream", "NEW"]), 0, &["6 receipts, 400 events, identical"]);
    assert_says(&run(&["replay", "p", "--plan", "1", "--into", "NEW"]), 1, &["name another stream"]);
    assert_says(&run(&["replay", "p", "--into", "OUT"]), 1, &["is not this pipeline's"]);
    assert_says(
        &run(&["replay", "p", "--plan", "9", "--into", "X"]),
        1,
        &["no revision of pipeline 'p' is it"],
    );
    assert_says(&run(&["diff", "OUT", "IN"]), 1, &["no output stream of a pipeline"]);
}

#[test]
fn a_replay_that_is_killed_goes_on_exactly_once() {
    let mut world = World::new();
    let module = world.push("upper");
    world.apply(&Pipeline::new("p").step(module));
    let payloads: Vec<String> = (0..20_000).map(|at| format!("event {at}")).collect();
    let last = world.put(&payloads);
    world.settle("p", last);
    let folder = tempfile::tempdir().expect("a folder can be made");
    let url = world.nats.url();
    let replay = || weir(folder.path(), &["replay", "p", "--into", "AGAIN", "--nats", &url]);
    let mut process = Process::start("weir", replay(), &folder.path().join("log"));
    eventually("the replay has begun", || match stream::state(&mut world.client, "AGAIN") {
        Ok((records, _)) if records > 500 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    process.kill9();
    assert_says(&replay().output().expect("weir can be started"), 0, &["events 1 to 20000 are replayed"]);
    let verify = ["verify", "p", "--stream", "AGAIN", "--nats", &url];
    let verified = weir(folder.path(), &verify).output().expect("weir can be started");
    assert_says(&verified, 0, &["78 receipts, 20000 events, identical"]);
    let diff = ["diff", "OUT", "AGAIN", "--nats", &url];
    let compared = weir(folder.path(), &diff).output().expect("weir can be started");
    assert_says(&compared, 0, &["20000 outputs are the same"]);
}

#[test]
fn what_is_attested_is_checked_without_node_and_broker() {
    let world = two_revisions();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let write =
        |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).expect("written");
    write("key.pem", PRIVATE.as_bytes());
    write("key.pub.pem", PUBLIC.as_bytes());
    let url = world.nats.url();
    let run = |arguments: &[&str]| weir(folder.path(), arguments).output().expect("weir can be started");
    let attested = ["attest", "p", "--from", "100", "--key", "key.pem", "--out", "a.json", "--nats", &url];
    assert_says(&run(&attested), 0, &["336 events, attested"]);
    let export = ["export", "IN", "--from", "65", "--output", "events", "--nats", &url];
    assert_says(&run(&export), 0, &["336 events of stream IN"]);
    drop(world);

    let modules = ["leaky", "upper"].map(|name| guest_path(name).display().to_string());
    let check = |attestation: &str, input: &str| {
        let mut command = weir(folder.path(), &["verify", "--attestation", attestation, "--public-key"]);
        command.args(["key.pub.pem", "--input", input]);
        for module in &modules {
            command.args(["--module", module]);
        }
        command.output().expect("weir can be started")
    };
    assert_says(&check("a.json", "events"), 0, &["336 events, identical"]);

    // One byte of an input, or of the attestation.
    let mut events = std::fs::read(folder.path().join("events")).expect("the events are there");
    let at = events.windows(5).position(|bytes| bytes == b"event").expect("a payload");
    events[at] = b'E';
    write("altered", &events);
    assert_says(&check("a.json", "altered"), 2, &["the inputs differ", "not the attested one"]);
    let attestation =
        std::fs::read_to_string(folder.path().join("a.json")).expect("the attestation is there");
    write("b.json", attestation.replacen("eyJ", "eyK", 1).as_bytes());
    assert_says(&check("b.json", "events"), 2, &["no signature is of this key"]);
}

#[test]
fn a_node_verifies_when_it_is_asked() {
    let mut world = two_revisions();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let node = format!("http://127.0.0.1:{}", world.node.port());
    let verify = ["verify", "p", "--node", &node];
    let verified = weir(folder.path(), &verify).output().expect("weir can be started");
    assert_says(&verified, 0, &["7 receipts, 400 events, identical"]);
    let report = world.api().get("/v1/pipelines/p/verification").expect(200).json();
    assert_eq!((&report["state"], &report["events"]), (&"identical".into(), &400.into()), "{report}");
    assert_eq!(world.api().get("/v1/pipelines/q/verification").expect(404).code(), "verification-not-found");

    world.client.api("STREAM.PURGE.IN", r#"{"seq": 10}"#).expect("the source can be purged");
    let verified = weir(folder.path(), &verify).output().expect("weir can be started");
    assert_says(&verified, 2, &["source events that were read then are gone"]);
    let report = world.api().get("/v1/pipelines/p/verification").expect(200).json();
    assert_eq!(report["difference"]["cause"], "input-gone", "{report}");
}
