//! `weir run`: the same pipeline over files. The same input gives the same outputs as on NATS; a run that is
//! killed goes on and ends with the same files; what cannot be run says why.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use model::{Receipt, RecordKind};
use serde_json::{Value, json};
use weir_tests::guests::guest_path;
use weir_tests::node::command;
use weir_tests::process::{Process, root};
use weir_tests::{Message, Pipeline, eventually, stream};

use crate::world::{World, of_kind};

/// A folder with a pipeline file of one step in it.
struct Batch {
    folder: tempfile::TempDir,
}

impl Batch {
    /// With the module `guest` as the tag `m`, and `lines` before the tables.
    fn new(lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let pipeline = Pipeline::new("p").line(lines).step("m");
        std::fs::write(folder.path().join("p.toml"), pipeline.toml()).expect("the file can be written");
        Self { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn command(&self, guest: &str, arguments: &[&str]) -> std::process::Command {
        let mut command = weir(self.folder.path());
        command.args(["run", "p.toml", "--subject", "in.a"]);
        command.arg("--module").arg(format!("m={}", guest_path(guest).display()));
        command.args(arguments);
        command
    }

    /// Runs to the end, with this standard input.
    fn run(&self, guest: &str, input: &[u8], arguments: &[&str]) -> Output {
        let mut command = self.command(guest, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("weir can be started");
        let mut stdin = child.stdin.take().expect("it was asked for");
        // A run that refuses does not read, and that is seen in what it says.
        let _ = stdin.write_all(input);
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }
}

/// `weir` in a folder, with its cache shared by all tests of this file.
fn weir(folder: &Path) -> std::process::Command {
    let mut command = command();
    command.current_dir(folder).env("HOME", folder).env("XDG_CACHE_HOME", root().join("target/test-cache"));
    command
}

fn talk(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What stands behind a word in what a verb says, such as `outputs`.
fn said<'a>(talk: &'a str, word: &str) -> &'a str {
    let line = talk.lines().find_map(|line| line.strip_prefix(word));
    line.unwrap_or_else(|| panic!("no '{word}' in {talk}")).trim()
}

#[test]
fn the_flights_give_the_same_outputs_from_a_file_and_on_nats() {
    let flights = root().join("examples/flights");
    let sample = std::fs::read_to_string(flights.join("flights-sample.ndjson")).expect("the sample is there");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut command = weir(folder.path());
    command.arg("run").arg(flights.join("flights.toml"));
    for (tag, guest) in [("json-select", "json_select"), ("mask-pii", "mask_pii")] {
        command.arg("--module").arg(format!("{tag}={}", guest_path(guest).display()));
    }
    command.args(["--subject", "flights.{carrier}.{origin}", "--receipts", "r.ndjson", "--dead", "d.ndjson"]);
    command.args(["--output", "out.ndjson", "--input"]).arg(flights.join("flights-sample.ndjson"));
    let output = command.output().expect("weir can be started");
    assert!(output.status.success(), "{}", talk(&output));
    let talk = talk(&output);
    assert!(talk.contains("2546 events, 1671 messages, 875 dead letters, 10 receipts"), "{talk}");

    let mut world = World::new();
    stream::create(&mut world.client, "FLIGHTS", &["flights.>"]);
    for (tag, guest) in [("json-select", "json_select"), ("mask-pii", "mask_pii")] {
        let digest = world.push(guest);
        world.api().put_json(&format!("/v1/tags/{tag}"), &json!({ "digest": digest })).expect(201);
    }
    let file = std::fs::read_to_string(flights.join("flights.toml")).expect("the file is there");
    let apply =
        world.api().request("PUT", "/v1/pipelines/flights").header("content-type", "application/toml");
    apply.send(file.as_bytes()).expect(201);
    let message = |line: &str| {
        let flight: Value = serde_json::from_str(line).expect("a line is JSON");
        let token = |name: &str| flight[name].as_str().expect("every flight has it").to_owned();
        let subject = format!("flights.{}.{}", token("carrier"), token("origin"));
        Message::new(&subject, line.as_bytes().to_vec())
    };
    let last = world.client.store(sample.lines().map(message)).expect("the events are stored");
    world.settle("flights", last);
    let records = world.records("flights", "FLIGHTS_CLEAN");

    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("the run wrote it");
    let lines: Vec<String> = read("out.ndjson").lines().map(str::to_owned).collect();
    assert_eq!(lines, crate::world::messages(&records));
    let dead = read("d.ndjson");
    assert_eq!(dead.lines().count(), of_kind(&records, RecordKind::Dead).len());
    let receipt = |text: &[u8]| serde_json::from_slice::<Receipt>(text).expect("a receipt");
    let live: Vec<Receipt> =
        of_kind(&records, RecordKind::Receipt).iter().map(|placed| receipt(&placed.record.payload)).collect();
    let here: Vec<Receipt> = read("r.ndjson").lines().map(|line| receipt(line.as_bytes())).collect();
    // The last block is not over on a stream, which may go on, and is over in a file.
    assert_eq!((live.len(), here.len()), (9, 10));
    for (live, here) in live.iter().zip(&here) {
        assert_eq!((live.outputs, live.plan, live.events), (here.outputs, here.plan, here.events));
    }

    // The verification of the stream says the same digest of all outputs.
    let mut command = weir(folder.path());
    command.args(["verify", "flights", "--nats", &world.nats.url()]);
    let verified = command.output().expect("weir can be started");
    let verified_talk = self::talk(&verified);
    assert!(verified.status.success(), "{verified_talk}");
    assert_eq!(String::from_utf8_lossy(&verified.stdout).trim(), "9 receipts, 2546 events, identical");
    assert_eq!(said(&verified_talk, "outputs"), said(&talk, "outputs"));
}

#[test]
fn standard_input_becomes_standard_output() {
    let batch = Batch::new("block = 16");
    let input: String = (0..100).map(|n| format!("event {n}\n")).collect();
    let output = batch.run("upper", input.as_bytes(), &["--receipts", "r.ndjson"]);
    assert!(output.status.success(), "{}", talk(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), input.to_uppercase());
    assert_eq!(batch.text("r.ndjson").lines().count(), 7);
    assert!(
        talk(&output).contains("100 events, 100 messages, 0 dead letters, 7 receipts"),
        "{}",
        talk(&output)
    );

    // At any parallelism, and out of a lock alone, it is the same.
    let lock = weir(batch.folder.path())
        .args(["lock", "p.toml", "--module"])
        .arg(format!("m={}", guest_path("upper").display()))
        .output()
        .expect("weir can be started");
    assert!(lock.status.success(), "{}", talk(&lock));
    let mut locked = weir(batch.folder.path());
    locked.args([
        "run",
        "--locked",
        "--subject",
        "in.a",
        "--workers",
        "7",
        "--input",
        "in",
        "--receipts",
        "s",
    ]);
    locked.arg("--module").arg(guest_path("upper"));
    std::fs::write(batch.path("in"), &input).expect("the file can be written");
    let again = locked.output().expect("weir can be started");
    assert!(again.status.success(), "{}", talk(&again));
    assert_eq!((&again.stdout, batch.text("s")), (&output.stdout, batch.text("r.ndjson")));
    assert_eq!(said(&talk(&again), "outputs"), said(&talk(&output), "outputs"));
}

#[test]
fn a_killed_run_goes_on_and_ends_with_the_same_files() {
    let batch = Batch::new("block = 64");
    let input: String = (0..400_000).map(|n| format!("event {n} of a run that is killed\n")).collect();
    std::fs::write(batch.path("in"), &input).expect("the file can be written");
    let files = |name: &str| ["out", "r", "d"].map(|kind| format!("{name}.{kind}"));
    let arguments = |names: &[String; 3]| {
        let [out, receipts, dead] = names.clone();
        [
            "--input".into(),
            "in".into(),
            "--output".into(),
            out,
            "--receipts".into(),
            receipts,
            "--dead".into(),
            dead,
        ]
    };
    let killed = files("killed");
    let start = || {
        let arguments = arguments(&killed);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        batch.command("leaky", &arguments)
    };
    let mut process = Process::start("weir", start(), &batch.path("log"));
    let checkpoint = batch.path("killed.out.checkpoint");
    eventually("the run has a checkpoint", || match process.exited() {
        Some(status) => Err(format!("it ended, {status}: {}", process.log())),
        None if checkpoint.exists() => Ok(()),
        None => Err("not yet".into()),
    });
    process.kill9();
    assert!(!batch.path("killed.out").exists(), "a file that is not whole has not its name");
    // With another input it does not go on.
    let short: String = input.lines().take(10).map(|line| format!("{line}\n")).collect();
    let other = input.replace("killed", "altered");
    for (wrong, says) in [(short, "the input ends before event"), (other, "record-differs")] {
        std::fs::write(batch.path("in"), wrong).expect("the file can be written");
        let output = start().output().expect("weir can be started");
        assert_eq!(output.status.code(), Some(1), "{}", talk(&output));
        assert!(talk(&output).contains(says), "{}", talk(&output));
        assert!(talk(&output).contains("remove killed.out.checkpoint"), "{}", talk(&output));
    }
    std::fs::write(batch.path("in"), &input).expect("the file can be written");
    let output = start().output().expect("weir can be started");
    assert!(output.status.success(), "{}", talk(&output));
    assert!(talk(&output).contains("of an earlier run"), "{}", talk(&output));

    let whole = files("whole");
    let arguments = arguments(&whole);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let undisturbed = batch.command("leaky", &arguments).output().expect("weir can be started");
    assert!(undisturbed.status.success(), "{}", talk(&undisturbed));
    for (killed, whole) in killed.iter().zip(&whole) {
        assert!(batch.text(killed) == batch.text(whole), "{killed} and {whole} are not the same");
    }
    assert_eq!(said(&talk(&output), "outputs"), said(&talk(&undisturbed), "outputs"));
    let left: Vec<_> = std::fs::read_dir(batch.folder.path())
        .expect("the folder can be read")
        .map(|entry| entry.expect("and its entries").file_name().into_string().expect("text"))
        .filter(|name| name.contains("partial") || name.contains("checkpoint"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn tables_are_run_row_by_row() {
    let batch = Batch::new("");
    let output = batch.run("upper", b"id,name\n1,\"a \"\"b\"\"\"\n2,c\n", &["--format", "csv"]);
    assert!(output.status.success(), "{}", talk(&output));
    let expected = "{\"ID\":\"1\",\"NAME\":\"A \\\"B\\\"\"}\n{\"ID\":\"2\",\"NAME\":\"C\"}\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn what_cannot_be_run_says_why_and_leaves_no_file() {
    let batch = Batch::new("");
    for (arguments, input, code, says) in [
        (vec!["--format", "csv"], "a,b\n1,2\n3\n", 1, "row 2 of the input: it has 1 fields"),
        (vec!["--input", "none"], "", 1, "cannot read none"),
        (vec!["--output", "o", "--input", "o"], "", 64, "named twice"),
        (vec!["--format", "msgpack"], "\0\0\0\u{1}\u{1}", 1, "event 1 of the input"),
        (vec!["--module", "none.wasm"], "", 78, "--module none.wasm"),
        (vec!["--subject", "a..b"], "", 64, "--subject"),
    ] {
        let mut all = vec!["--receipts", "r.ndjson"];
        all.extend(arguments.iter().filter(|argument| **argument != "--subject"));
        let output = if arguments[0] == "--subject" {
            let mut command = weir(batch.folder.path());
            command.args(["run", "p.toml"]).args(&arguments).output().expect("weir can be started")
        } else {
            batch.run("upper", input.as_bytes(), &all)
        };
        let talk = talk(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {talk}");
        assert!(talk.contains(says), "{arguments:?}: {talk}");
        assert!(!batch.path("r.ndjson").exists(), "{arguments:?}");
    }
    // Without the module, and without a node that has it.
    let mut command = weir(batch.folder.path());
    let output = command.args(["run", "p.toml", "--node", "http://127.0.0.1:1"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(69), "{}", talk(&output));
}
