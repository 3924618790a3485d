//! `weir verify`: a live chain, swaps and all, is found identical by somebody who has nothing but the address
//! of the NATS server; an altered record is found, with its place and the likely cause.

use std::process::Output;

use weir_tests::node::command;
use weir_tests::{Message, Pipeline, stream};

use crate::world::World;

fn verify(world: &World, pipeline: &str, arguments: &[&str]) -> Output {
    verify_at(&world.nats.url(), pipeline, arguments)
}

/// Verifies a pipeline's chain from the address of its NATS server alone.
pub(crate) fn verify_at(url: &str, pipeline: &str, arguments: &[&str]) -> Output {
    // Another machine: a home of its own, and no cache of the node's.
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut command = command();
    command.env("HOME", folder.path()).args(["verify", pipeline, "--nats", url]);
    command.args(arguments).output().expect("weir can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

pub(crate) fn assert_identical(output: &Output, line: &str) {
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(0), line),
        "{}",
        text(&output.stderr)
    );
}

/// A chain of 599 events with two swaps: of a module that leaks state, one that reads the clock and asks for
/// chance, and one that gives many messages and faults.
fn story() -> World {
    let mut world = World::new();
    let payload = |at: usize| if at % 41 == 40 { format!("no {at}") } else { format!("event {at}") };
    let mut sequence = 0;
    for (name, events) in [("leaky", 250), ("clock_random", 120), ("multi", 229)] {
        let module = world.push(name);
        world.put_in_force(&Pipeline::new("p").line("block = 64").step(module), "p");
        let payloads: Vec<String> = (0..events).map(payload).collect();
        sequence = world.put(&payloads);
        world.settle("p", sequence);
    }
    assert_eq!(sequence, 599);
    world
}

#[test]
fn a_chain_with_swaps_is_identical_on_another_machine() {
    let mut world = story();
    let records = world.records("p", "OUT").len();
    let whole = verify(&world, "p", &[]);
    let revisions = 3;
    assert_identical(&whole, "11 receipts, 599 events, identical");
    assert!(text(&whole.stderr).contains(&format!("{records} records in")), "{}", text(&whole.stderr));
    assert!(revisions < records);

    // Parts of it; each is rounded to whole units.
    assert_identical(
        &verify(&world, "p", &["--from", "100", "--to", "190"]),
        "2 receipts, 128 events, identical",
    );
    assert_identical(
        &verify(&world, "p", &["--from", "251", "--to", "251"]),
        "1 receipts, 6 events, identical",
    );

    // The pipeline is removed, and its chain still verifies.
    world.api().delete("/v1/pipelines/p").expect(204);
    let gone = verify(&world, "p", &[]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("--stream"), "{}", text(&gone.stderr));
    assert_identical(&verify(&world, "p", &["--stream", "OUT"]), "11 receipts, 599 events, identical");
}

/// The chain again, in another stream, with one message altered by `alter`.
fn altered_copy(world: &mut World, alter: impl Fn(&mut Message)) {
    let mut messages = world.client.read_stream("OUT").expect("the output can be read");
    messages.iter_mut().for_each(alter);
    world.api().delete("/v1/pipelines/p?output=delete").expect(204);
    stream::create(&mut world.client, "OUT", &["out.>", "weir.p.>"]);
    // The headers that bind records to their places are checked by the server again.
    world.client.store(messages).expect("the copy is stored");
}

#[test]
fn an_altered_record_is_found_with_its_place_and_cause() {
    let mut world = story();
    altered_copy(&mut world, |message| {
        if message.sequence == 70 {
            message.payload = b"altered".as_slice().into();
        }
    });
    let output = verify(&world, "p", &["--stream", "OUT"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    let said = text(&output.stderr);
    for part in [
        "record 70, of event ",
        "under receipt ",
        "its payload differs",
        "found    \"altered\"",
        "altered after it was written",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    // What lies before it is still as it was.
    let before = verify(&world, "p", &["--stream", "OUT", "--to", "60"]);
    assert_identical(&before, "1 receipts, 64 events, identical");
}

#[test]
fn input_that_is_gone_is_told() {
    let mut world = story();
    world.client.api("STREAM.PURGE.IN", r#"{"seq": 101}"#).expect("the source can be purged");
    let output = verify(&world, "p", &[]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    assert!(
        text(&output.stderr).contains("source events that were read then are gone"),
        "{}",
        text(&output.stderr)
    );
    // What is still there verifies.
    assert_identical(&verify(&world, "p", &["--from", "251"]), "7 receipts, 349 events, identical");
}

#[test]
fn an_altered_byte_in_a_module_is_told() {
    let mut world = World::new();
    let module = world.push("upper");
    world.put_in_force(&Pipeline::new("p").step(module), "p");
    let sequence = world.put(&["a", "b"]);
    world.settle("p", sequence);
    let identical = verify(&world, "p", &["-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&identical.stdout).expect("a report in JSON");
    assert_eq!((&report["state"], &report["events"]), (&"identical".into(), &2.into()), "{report}");

    let bucket = world.client.read_stream("OBJ_weir-modules").expect("the bucket can be read");
    let chunk = bucket.into_iter().find(|message| message.subject.starts_with("$O.weir-modules.C."));
    let mut chunk = chunk.expect("the module has a chunk");
    let delete = serde_json::json!({"seq": chunk.sequence}).to_string();
    world.client.api("STREAM.MSG.DELETE.OBJ_weir-modules", delete).expect("the chunk can be deleted");
    let mut bytes = chunk.payload.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    chunk.payload = bytes.into();
    world.client.store([chunk]).expect("the altered chunk is stored");

    let output = verify(&world, "p", &["-o", "json"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report in JSON");
    let found = &report["difference"];
    assert_eq!((&found["cause"], &found["record"]), (&"module-unavailable".into(), &1.into()), "{report}");
    let said = text(&output.stderr);
    let digest = module.to_string();
    for part in ["its plan differs", digest.as_str(), "are not that module"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}
