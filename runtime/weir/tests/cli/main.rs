//! The command line as a process: what it asks a node, what it prints where, and how it ends.

mod live;
mod node;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use node::{Node, problem};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Runs a line. `NODE` in it stands for the node's address.
fn weir(node: &str, line: &str) -> Output {
    let words = line.split(' ').filter(|word| !word.is_empty());
    command(node).args(words).output().expect("the program runs")
}

/// The program with an environment that holds nothing but the node's address.
fn command(node: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.env_clear().env("WEIR_NODE", node).env("HOME", "/nowhere").stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("we write UTF-8")
}

fn module(tags: &str) -> String {
    format!(
        r#"{{"digest": "{DIGEST}", "kind": "core-module", "size_bytes": 2048, "imports": [], "exports": ["memory"],
        "tags": {tags}, "used_by": ["flights"], "new_key": 1}}"#
    )
}

fn tag(name: &str) -> String {
    format!(r#"{{"name": "{name}", "digest": "{DIGEST}", "revision": 3}}"#)
}

const STATUS: &str = r#"{"name": "p", "state": "stopped", "plan": null, "generation": 2, "revision": 1,
    "source": {"stream": "IN", "first_sequence": 1, "last_sequence": 90}, "sink": "OUT", "position": 80,
    "records": 70, "lag": 10, "counts": {"events": 1, "messages": 2, "dead_letters": 3, "faults": 4,
    "conflicts": 5}, "last_receipt": null, "error": {"code": "output-differs", "detail": "record 70 differs"},
    "steps": []}"#;

const PIPELINE: &str = "name = \"p\"\n[source]\nstream = \"IN\"\n[[steps]]\nmodule = \"mask\"\n\
    [sink]\nstream = \"OUT\"\nsubject = \"out\"\n";

fn write(directory: &Path, name: &str, content: &[u8]) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).expect("written");
    path.display().to_string()
}

#[test]
fn the_exit_code_says_how_it_went() {
    let refused = problem(409, "module-in-use", "pipeline flights needs it");
    let answers = [(format!("DELETE /v1/modules/{DIGEST}"), 409, refused)];
    let answers: Vec<_> =
        answers.iter().map(|(line, status, body)| (line.as_str(), *status, body.as_str())).collect();
    let node = Node::answering(&answers);
    let directory = tempfile::tempdir().expect("a directory");
    let good = write(directory.path(), "good.toml", PIPELINE.as_bytes());
    let bad = write(directory.path(), "bad.toml", PIPELINE.replace("[sink]", "[sync]").as_bytes());
    let case = "cases:\n- name: a\n  fault: out-of-fuel\n";
    let cases = write(directory.path(), "good.yaml", case.as_bytes());
    let bad_cases = write(directory.path(), "cases.yaml", case.replace("fuel", "fule").as_bytes());
    for (line, code, says) in [
        ("--help".to_owned(), 0, ""),
        ("--version".to_owned(), 0, ""),
        (format!("check {good}"), 0, ""),
        (String::new(), 64, "Usage"),
        ("stauts".to_owned(), 64, "status"),
        ("--node x schema".to_owned(), 64, "talks to no node"),
        (format!("rm module {DIGEST}"), 1, "pipeline flights needs it (module-in-use)"),
        ("status none".to_owned(), 1, "there is no such thing (not-found)"),
        (format!("check {good} {bad}"), 78, "bad.toml:6:2: sync: unknown key 'sync'"),
        (format!("apply {bad}"), 78, "bad.toml:6:2"),
        ("apply none.toml".to_owned(), 78, "cannot read none.toml"),
        ("push none.wasm".to_owned(), 78, "none.wasm"),
        ("modules --node localhost".to_owned(), 78, "--node: 'localhost' is not the address of a node"),
        ("modules --node http://127.0.0.1:1".to_owned(), 69, "is `weir up` running?"),
        ("up --listen 0.0.0.0:7676".to_owned(), 78, "--tokens-file"),
        ("up --nats http://x".to_owned(), 78, "is not an address of NATS"),
        ("-o json up".to_owned(), 64, "talks to no node"),
        ("run".to_owned(), 64, "<FILE>"),
        ("run --locked none.lock".to_owned(), 78, "cannot read none.lock"),
        (format!("run --locked {good}"), 78, "this is a pipeline file, not a lock"),
        (format!("lock {good} --node http://127.0.0.1:1"), 69, "is `weir up` running?"),
        ("verify p".to_owned(), 78, "--nats: name the NATS server"),
        ("verify p --nats nats://127.0.0.1:1".to_owned(), 69, "127.0.0.1:1"),
        ("verify --attestation a.json".to_owned(), 64, "--public-key"),
        (
            "verify --attestation a.json --public-key none.pem".to_owned(),
            78,
            "--public-key: cannot read none.pem",
        ),
        ("replay p --nats nats://127.0.0.1:1".to_owned(), 64, "--into"),
        ("replay p --into X --from 0 --nats nats://127.0.0.1:1".to_owned(), 64, "sequences begin at 1"),
        ("diff A B --nats nats://127.0.0.1:1".to_owned(), 69, "127.0.0.1:1"),
        (format!("attest p --key {good} --nats nats://127.0.0.1:1"), 1, "openssl genpkey"),
        ("export A --nats nats://127.0.0.1:1".to_owned(), 69, "127.0.0.1:1"),
        ("test".to_owned(), 78, "there is no weir.toml in ."),
        ("test none --module none.wasm".to_owned(), 78, "cannot read none"),
        (format!("test {cases} --module none.wasm"), 78, "cannot read none.wasm"),
        (
            format!("test {bad_cases} --module none.wasm"),
            78,
            "cases.yaml:3:10: cases[0].fault: case 'a': there is",
        ),
        ("-o json test".to_owned(), 64, "talks to no node"),
        ("build".to_owned(), 78, "`weir new NAME --lang LANGUAGE` begins a project"),
        ("push".to_owned(), 78, "there is no weir.toml in ."),
        ("push --no-test none.wasm".to_owned(), 64, "--no-test"),
        ("dev".to_owned(), 78, "there is no weir.toml in ."),
        ("new Mask --lang rust".to_owned(), 64, "is not the name of a project"),
    ] {
        let output = weir(&node.url, &line);
        let talk = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "weir {line}: {talk}");
        assert!(talk.contains(says), "weir {line}: {talk}");
        assert!(
            code == 64 || talk.lines().count() <= 3,
            "weir {line}: an error has at most three lines: {talk}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child =
        command("").arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn a_push_sends_the_bytes_under_their_digest() {
    let (first, second) = (format!("PUT /v1/modules/{DIGEST}"), module("[]"));
    for (status, says) in [(201, "empty.wasm pushed (0 B)"), (200, "was there already")] {
        let node = Node::answering(&[(&first, status, &second), ("PUT /v1/tags/m:1", 201, &tag("m:1"))]);
        let directory = tempfile::tempdir().expect("a directory");
        let file = write(directory.path(), "empty.wasm", b"");
        let output = weir(&node.url, &format!("push {file} --tag m:1"));
        assert_eq!(text(&output.stdout), format!("{DIGEST}\n"), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
        let asked = node.asked();
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[0].headers["content-type"], "application/wasm");
        assert_eq!(text(&asked[1].body), format!("{{\"digest\":\"{DIGEST}\"}}"));
    }
}

#[test]
fn a_large_file_arrives_whole() {
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let directory = tempfile::tempdir().expect("a directory");
    let file = write(directory.path(), "m.wasm", &bytes);
    let node = Node::answering(&[]);
    weir(&node.url, &format!("push {file}"));
    let asked = node.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].body == bytes, "the body is the file");
    assert!(asked[0].line.starts_with("PUT /v1/modules/sha256:"));
}

#[test]
fn an_answer_is_a_table_json_or_names() {
    let list = format!(r#"{{"modules": [{}]}}"#, module(r#"["m:1", "m"]"#));
    let node = Node::answering(&[("GET /v1/modules", 200, &list)]);
    let short = &DIGEST[..19];
    let table = format!(
        "DIGEST               KIND         SIZE     TESTS  TAGS    USED BY\n\
         {short}  core-module  2.0 KiB  -      m:1, m  flights\n"
    );
    for (line, expected) in [
        ("modules", table),
        ("modules -o json", format!("{list}\n")),
        ("-o name modules", format!("{DIGEST}\n")),
    ] {
        let output = weir(&node.url, line);
        assert_eq!(text(&output.stdout), expected, "{line}: {}", text(&output.stderr));
    }
}

#[test]
fn a_module_is_found_by_tag_or_by_the_beginning_of_its_digest() {
    let list = format!(r#"{{"modules": [{}]}}"#, module("[]"));
    let (one, content) = (format!("GET /v1/modules/{DIGEST}"), format!("GET /v1/modules/{DIGEST}/content"));
    let node = Node::answering(&[
        ("GET /v1/modules", 200, &list),
        ("GET /v1/tags/m:1", 200, &tag("m:1")),
        (&one, 200, &module("[]")),
        (&content, 200, ""),
    ]);
    for name in [DIGEST, &DIGEST[..19], "m:1"] {
        let output = weir(&node.url, &format!("inspect {name}"));
        let printed = text(&output.stdout);
        assert!(printed.contains(DIGEST) && printed.contains("flights"), "{name}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains("not-wasm"), "the module of no bytes is none");
    }
    let output = weir(&node.url, "inspect sha256:ffffff");
    assert!(text(&output.stderr).contains("no module begins with sha256:ffffff"));
    assert_eq!(output.status.code(), Some(1));
}

/// Not the first reason alone: an author mends all of them at once.
#[test]
fn inspecting_a_file_tells_every_reason_to_refuse_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let module = r#"(module $odd (import "env" "now" (func)) (import "wasi_snapshot_preview1" "fd_sing" (func))
        (memory 1 3) (func (export "weir_process") (param i32))
        (@custom "version" "1.2.3") (@producers (language "Fortran" "77") (processed-by "f77" "9")))"#;
    let bytes = wat::parse_str(module).expect("it is WebAssembly");
    let file = write(directory.path(), "odd.wasm", &bytes);
    let output = weir("", &format!("inspect {file}"));
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["core-module", "Fortran", "f77 9", "1 to 3 pages", "odd", "1.2.3", "env.now"] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    for part in
        ["'memory' is missing", "'weir_alloc' is missing", "found func(i32) -> ()", "env.now", "fd_sing"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let json = text(&weir("", &format!("inspect {file} -o json")).stdout);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["memories"][0]["maximum_pages"], 3);
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(5), "{json}");
}

/// The WIT comes last, below a title; where there is none, a line says why and the rest is told.
#[test]
fn inspecting_a_component_shows_its_wit() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, module: &str| {
        write(directory.path(), name, &wat::parse_str(module).expect("it is WebAssembly"))
    };
    let adder = file("adder.wasm", r#"(component (import "add" (func (param "a" u8) (result u16))))"#);
    let printed = text(&weir("", &format!("inspect {adder}")).stdout);
    let wit = "package root:component;\n\nworld root {\n  import add: func(a: u8) -> u16;\n}\n";
    let section =
        "\nwit\n  package root:component;\n\n  world root {\n    import add: func(a: u8) -> u16;\n  }\n";
    assert!(printed.starts_with("digest") && printed.ends_with(section), "{printed}");
    let json = |file: &str| -> serde_json::Value {
        serde_json::from_str(&text(&weir("", &format!("inspect {file} -o json")).stdout)).expect("JSON")
    };
    assert_eq!((&json(&adder)["wit"], &json(&adder)["wit_error"]), (&wit.into(), &serde_json::Value::Null));

    let odd = file("odd.wasm", r#"(component (core module $m) (export "m" (core module $m)))"#);
    let printed = text(&weir("", &format!("inspect {odd}")).stdout);
    let last = printed.lines().last().expect("lines");
    assert!(
        last.starts_with("wit ") && last.contains("cannot be decoded: component export `m`"),
        "{printed}"
    );
    assert!(json(&odd)["wit"].is_null() && json(&odd)["wit_error"].is_string());

    let core = file("core.wasm", "(module)");
    assert!(!text(&weir("", &format!("inspect {core}")).stdout).contains("wit"), "a core module has none");
}

/// The module is run as the case says, not as its file does.
#[test]
fn a_case_may_have_its_own_output_and_limits() {
    let directory = tempfile::tempdir().expect("a directory");
    // Writes two lines, whatever it reads.
    let module = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\08\00\00\00") (data (i32.const 16) "one\ntwo\n")
        (func (export "_start")
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    let bytes = wat::parse_str(module).expect("it is WebAssembly");
    let file = write(directory.path(), "two.wasm", &bytes);
    let cases = "output: lines\nlimits: {deadline_ms: 1min}\ncases:\n\
        - {name: as the file says, expect: [{payload: one}, {payload: two}]}\n\
        - {name: own output, output: whole, expect: [{payload: \"one\\ntwo\\n\"}]}\n\
        - {name: own limit, limits: {fuel_per_event: 1}, fault: out-of-fuel}\n\
        - {name: another, limits: {messages_per_event: 1}, fault: too-many-messages}\n";
    let cases = write(directory.path(), "two.yaml", cases.as_bytes());
    let cache = directory.path().join("cache").display().to_string();
    let output = weir("", &format!("test {cases} --module {file} --cache-dir {cache}"));
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// Who pushes is told that the node compiles, and waits until it has.
#[test]
fn a_push_waits_until_the_module_is_compiled() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = write(directory.path(), "empty.wasm", b"");
    let (put, get) = (format!("PUT /v1/modules/{DIGEST}"), format!("GET /v1/modules/{DIGEST}"));
    let described = |state: &str| module("[]").replacen("{", &format!(r#"{{"state": "{state}", "#), 1);
    let ready = Node::answering(&[(&put, 202, &described("compiling")), (&get, 200, &described("ready"))]);
    let output = weir(&ready.url, &format!("push {file}"));
    assert_eq!(text(&output.stdout), format!("{DIGEST}\n"), "{}", text(&output.stderr));
    for part in ["the node compiles it", "empty.wasm pushed"] {
        assert!(text(&output.stderr).contains(part), "{part}: {}", text(&output.stderr));
    }
    let refused = described("refused").replacen("{", r#"{"reason": "it cannot be linked", "#, 1);
    let refusing = Node::answering(&[(&put, 202, &described("compiling")), (&get, 200, &refused)]);
    let output = weir(&refusing.url, &format!("push {file}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("it cannot be linked"), "{}", text(&output.stderr));
}

#[test]
fn a_pipeline_file_is_sent_as_it_is() {
    let result = format!(r#"{{"name": "p", "plan": "{DIGEST}", "generation": 4, "outcome": "changed"}}"#);
    let node = Node::answering(&[("PUT /v1/pipelines/p", 200, &result)]);
    let directory = tempfile::tempdir().expect("a directory");
    let file = write(directory.path(), "p.toml", PIPELINE.as_bytes());
    let output = weir(&node.url, &format!("apply {file}"));
    assert!(text(&output.stdout).contains("changed"), "{}", text(&output.stderr));
    let asked = node.asked();
    assert_eq!(text(&asked[0].body), PIPELINE);
    assert_eq!(asked[0].headers["content-type"], "application/toml");
}

/// A plan of [`PIPELINE`], in its canonical form.
fn plan_text(module: &str, block: u32) -> String {
    format!(
        r#"{{"version":1,"pipeline":"p","source":{{"stream":"IN","subjects":[]}},"steps":[{{"name":"mask","module":"{module}","config":null,"limits":{{"memory_bytes":67108864,"fuel_per_event":200000000,"messages_per_event":1000,"bytes_per_event":8388608,"log_bytes_per_event":4096,"deadline_ms":10000}}}}],"sink":{{"stream":"OUT","subject":"out","allow":[],"record_bytes":1000}},"block":{block},"on_guest_fault":"dead_letter"}}"#
    )
}

const NODE: &str = r#"{"version": "0.1.0", "api": "v1", "engine": "engine-1", "name": "n", "workers": 1,
    "nats_server_version": "2.15.1", "record_bytes": 1000, "nats_url": "n", "started": "s"}"#;

#[test]
fn a_plan_and_a_dry_run_say_what_would_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = write(directory.path(), "p.toml", PIPELINE.as_bytes());
    let other = DIGEST.replace("e3b0", "0000");
    let module_changes = format!("~ steps.mask.module: {other} -> {DIGEST}");
    let known = [("GET /v1/tags/mask", 200, tag("mask")), ("GET /v1/node", 200, NODE.to_owned())];
    let known: Vec<_> = known.iter().map(|(line, status, body)| (*line, *status, body.as_str())).collect();
    for (plan, code, says) in [
        (plan_text(DIGEST, 256), 0, vec!["no change"]),
        (plan_text(&other, 1), 2, vec!["would change: plan", "~ block: 1 -> 256", &module_changes]),
    ] {
        let digest = model::Digest::of(plan.as_bytes());
        let description = format!(
            r#"{{"name": "p", "spec": "", "plan": {plan}, "plan_digest": "{digest}", "generation": 1,
            "applied": "2026-01-01T00:00:00Z", "status": {STATUS}}}"#
        );
        let node = Node::answering(
            &[known.as_slice(), &[("GET /v1/pipelines/p", 200, description.as_str())]].concat(),
        );
        for (line, code) in [(format!("apply --dry-run {file}"), code), (format!("plan {file}"), 0)] {
            let output = weir(&node.url, &line);
            let all = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{line}: {all}");
            assert!(says.iter().all(|says| all.contains(says)), "{line}: {all}");
        }
        assert!(node.asked().iter().all(|asked| asked.line.starts_with("GET ")), "nothing is changed");
    }
    let output = weir(&Node::answering(&known).url, &format!("apply --dry-run {file}"));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("would be created"));
}

/// A lock of [`PIPELINE`], made with the node's help, and its text.
fn lock_in(directory: &Path) -> (String, String) {
    let file = write(directory, "p.toml", PIPELINE.as_bytes());
    let place = directory.join("weir.lock").display().to_string();
    let one = format!("GET /v1/modules/{DIGEST}");
    let node = Node::answering(&[
        ("GET /v1/tags/mask", 200, &tag("mask")),
        ("GET /v1/node", 200, NODE),
        (&one, 200, &module("[]")),
    ]);
    let output = weir(&node.url, &format!("lock {file} --out {place}"));
    let expected = model::Digest::of(plan_text(DIGEST, 256).as_bytes());
    assert_eq!(text(&output.stdout), format!("{expected}\n"), "{}", text(&output.stderr));
    let lock = std::fs::read_to_string(&place).expect("the lock is there");
    let again = weir(&node.url, &format!("lock {file} --out -"));
    assert_eq!(text(&again.stdout), lock, "locking again gives the same text");
    (place, lock)
}

#[test]
fn a_lock_says_all_of_a_plan_and_is_the_same_each_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, lock) = lock_in(directory.path());
    for line in [
        "engine = \"engine-1\"",
        "tag = \"mask\"",
        "size_bytes = 2048",
        "record_bytes = 1000",
        "start = \"beginning\"",
    ] {
        assert!(lock.contains(line), "{line} in {lock}");
    }
    // With the module at hand no node is asked, and the digest is that of its bytes.
    let (file, empty) =
        (directory.path().join("p.toml").display().to_string(), write(directory.path(), "e.wasm", b""));
    let line = format!("lock {file} --module mask={empty} --record-bytes 4096 --out -");
    let output = weir("http://127.0.0.1:1", &line);
    assert!(text(&output.stdout).contains(&format!("module = \"{DIGEST}\"")), "{}", text(&output.stderr));
}

#[test]
fn a_lock_is_applied_as_it_is_or_not_at_all() {
    let directory = tempfile::tempdir().expect("a directory");
    let (place, lock) = lock_in(directory.path());
    let plan = model::Digest::of(plan_text(DIGEST, 256).as_bytes());
    let put = format!("PUT /v1/pipelines/p?plan={plan}");
    let result = format!(r#"{{"name": "p", "plan": "{plan}", "generation": 1, "outcome": "created"}}"#);
    let node = Node::answering(&[("GET /v1/node", 200, NODE), (&put, 201, &result)]);
    let output = weir(&node.url, &format!("apply --locked {place}"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let sent = text(&node.asked()[1].body);
    assert!(sent.contains(DIGEST) && !sent.contains("\"mask\":"), "modules are pinned: {sent}");

    // The node makes another plan of it: what differs is told.
    let made = plan_text(DIGEST, 256).replace(":1000}", ":2000}");
    let refused = format!(
        r#"{{"type": "t", "title": "t", "status": 409, "code": "plan-differs", "detail": "d",
        "request_id": "r", "plan": {made}}}"#
    );
    let node = Node::answering(&[("GET /v1/node", 200, NODE), (&put, 409, &refused)]);
    let output = weir(&node.url, &format!("apply --locked {place}"));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains("~ sink.record_bytes: 1000 -> 2000"), "{said}");

    // The file and the lock have gone apart.
    let file = write(directory.path(), "other.toml", format!("block = 16\n{PIPELINE}").as_bytes());
    let output = weir(&node.url, &format!("apply {file} --locked {place}"));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("~ block: 256 -> 16"), "{}", text(&output.stderr));

    // A lock that somebody changed is none.
    let edited = write(directory.path(), "edited.lock", lock.replace("block = 256", "block = 8").as_bytes());
    let output = weir(&node.url, &format!("apply --locked {edited}"));
    assert_eq!(output.status.code(), Some(78));
    assert!(text(&output.stderr).contains("the lock was edited"), "{}", text(&output.stderr));
}

#[test]
fn the_token_is_shown_to_the_node_and_to_nobody_else() {
    let node = Node::answering(&[("GET /v1/pipelines/p/status", 200, STATUS)]);
    let output =
        command(&node.url).env("WEIR_TOKEN", "s3cret").args(["status", "p"]).output().expect("it runs");
    assert_eq!(node.asked()[0].headers["authorization"], "Bearer s3cret");
    let all = text(&output.stdout) + &text(&output.stderr);
    assert!(!all.contains("s3cret"));
    assert!(all.contains("record 70 differs (output-differs)"), "{all}");
}

#[test]
fn a_try_that_fails_is_told_and_has_its_code() {
    let try_line = format!("POST /v1/modules/{DIGEST}/try");
    let result = |outcome: &str| {
        format!(
            r#"{{"module": "{DIGEST}", "outcome": {outcome}, "logs": ["hello\u001b[31m"], "fuel_used": 9,
            "memory_bytes": 65536, "time_us": 3, "engine": "wasmtime"}}"#
        )
    };
    let sent = r#"{"kind": "messages", "messages": [{"subject": "a.b", "payload": {"text": "grass"}, "headers":
        [{"name": "X", "value": "1"}]}]}"#;
    let fault = r#"{"kind": "fault", "code": "trap", "reason": "unreachable"}"#;
    for (outcome, code, out, talk) in
        [(sent, 0, "a.b\nX: 1\n\ngrass\n", "9 fuel, 64.0 KiB memory"), (fault, 1, "", "trap: unreachable")]
    {
        let node = Node::answering(&[(&try_line, 200, &result(outcome))]);
        let output =
            weir(&node.url, &format!("try {DIGEST} --payload hay --header X:1 --config {{\"a\":1}}"));
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(text(&output.stdout).trim_end(), out.trim_end());
        assert!(said.contains(talk) && !said.contains('\u{1b}'), "{said}");
        let body: serde_json::Value = serde_json::from_slice(&node.asked()[0].body).expect("JSON");
        assert_eq!(body["payload"], serde_json::json!({"text": "hay"}));
        assert_eq!(body["config"], serde_json::json!({"a": 1}));
    }
}

#[test]
fn who_is_no_node_is_told_apart() {
    let node = Node::answering(&[("GET /v1/modules", 200, "<html>"), ("GET /v1/tags", 502, "Bad Gateway")]);
    for line in ["modules", "tag"] {
        let output = weir(&node.url, line);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("does not answer as a node of Weir does"), "{line}");
    }
}

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let output = weir("", &format!("completions {shell}"));
        assert!(text(&output.stdout).contains("weir"), "{shell}");
    }
}
