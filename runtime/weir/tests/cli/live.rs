//! The verbs that change and question a pipeline which runs: what they ask a node, and what they print.

use serde_json::{Value, json};

use super::node::Node;
use super::{DIGEST, STATUS, tag, text, weir};

fn changes() -> Value {
    let other = DIGEST.replace("e3b0", "0000");
    json!([{"key": "steps.mask.module", "before": DIGEST, "after": other}])
}

fn result(outcome: &str, at: Option<u64>, revision: Option<u64>) -> String {
    json!({"name": "p", "plan": DIGEST, "generation": 4, "outcome": outcome, "at": at, "position": 70,
        "revision": revision, "changes": changes()})
    .to_string()
}

fn body(node: &Node, at: usize) -> Value {
    serde_json::from_slice(&node.asked()[at].body).expect("JSON")
}

const TABLE: &str = "KEY                BEFORE               AFTER\n\
    steps.mask.module  sha256:e3b0c44298fc  sha256:0000c44298fc\n";

#[test]
fn a_swap_says_what_changes_and_where() {
    let waiting = result("changed", Some(90), None);
    let node = Node::answering(&[
        ("POST /v1/pipelines/p/swap", 200, &waiting),
        ("GET /v1/tags/m:2", 200, &tag("m:2")),
    ]);
    let output = weir(&node.url, "swap p mask=m:2 --at 90");
    assert_eq!(text(&output.stdout), TABLE, "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("takes over pipeline p at source sequence 90; it is at 70 now"));
    assert_eq!(body(&node, 1), json!({"modules": {"mask": DIGEST}, "at": 90, "dry_run": false}));

    let planned = result("planned", None, None);
    let node = Node::answering(&[("POST /v1/pipelines/p/swap", 200, &planned)]);
    let output = weir(&node.url, &format!("swap p mask={DIGEST} --plan"));
    assert!(text(&output.stderr).contains("nothing was done"), "{}", text(&output.stderr));
    assert_eq!(body(&node, 0), json!({"modules": {"mask": DIGEST}, "at": null, "dry_run": true}));

    // What takes over at once is watched for a moment; a pipeline that stopped is not.
    let (now, in_force) = (result("changed", None, None), STATUS.replace(r#""error": {"#, r#""ignored": {"#));
    for (status, says) in
        [(in_force.as_str(), "is in force in pipeline p, as revision 1"), ("{}", "as soon as it can")]
    {
        let node = Node::answering(&[
            ("POST /v1/pipelines/p/swap", 200, &now),
            ("GET /v1/pipelines/p/status", 200, status),
        ]);
        let output = weir(&node.url, &format!("swap p mask={DIGEST}"));
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
    for line in ["swap p", "swap p mask", "swap p mask=m --at 0", "swap p mask=m --at soon", "rollback p 0"] {
        assert_eq!(weir(&node.url, line).status.code(), Some(64), "{line}");
    }
}

#[test]
fn a_rollback_applies_what_it_has_shown() {
    let answer = result("changed", None, Some(2));
    let node = Node::answering(&[("POST /v1/pipelines/p/rollback", 200, &answer)]);
    let output = weir(&node.url, "rollback p 2");
    assert!(!text(&output.stderr).contains("nothing was done"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with(TABLE), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("(as in revision 2)"), "{}", text(&output.stderr));
    assert_eq!(body(&node, 0), json!({"revision": 2, "dry_run": true}));
    let asked = node.asked();
    let applied = asked.iter().filter(|asked| asked.line.starts_with("POST ")).nth(1).expect("a second one");
    assert_eq!(applied.headers["if-match"], "\"4\"");
    assert_eq!(serde_json::from_slice::<Value>(&applied.body).expect("JSON")["dry_run"], false);

    let planned = result("planned", None, Some(2));
    let node = Node::answering(&[("POST /v1/pipelines/p/rollback", 200, &planned)]);
    let output = weir(&node.url, "rollback p --plan");
    assert!(text(&output.stderr).contains("nothing was done"), "{}", text(&output.stderr));
    assert_eq!(node.asked().len(), 1, "with --plan nothing is applied");
}

#[test]
fn revisions_are_listed_with_who_and_what() {
    let list = json!({"revisions": [{"number": 2, "generation": 3, "from_sequence": 30, "record": 44,
        "plan": DIGEST, "time": "2026-01-01T00:00:00Z", "changes": changes(),
        "applied": {"how": "swap", "by": "ci", "time": "2026-01-01T00:00:00Z"}}], "next": "abc"});
    let path = "GET /v1/pipelines/p/revisions?limit=100";
    let node = Node::answering(&[(path, 200, &list.to_string())]);
    let output = weir(&node.url, "revisions p");
    let printed = text(&output.stdout);
    for part in ["REVISION", "30", "44", "ci", "swap", "steps.mask.module: sha256:e3b0c44298fc -> sha256:"] {
        assert!(printed.contains(part), "{part}: {printed}{}", text(&output.stderr));
    }
    assert!(text(&output.stderr).contains("weir revisions p --limit 100 --cursor abc"));
    assert_eq!(text(&weir(&node.url, "revisions p -o name").stdout), "2\n");
}

#[test]
fn a_trace_prints_each_step() {
    let time = "2026-01-01T00:00:00Z";
    let record = json!({"stream": "OUT", "sequence": 9, "kind": "message", "subject": "out.a",
        "source_sequence": 7, "index": 0, "plan": DIGEST, "time": time,
        "headers": [{"name": "Part", "value": "1"}], "payload": {"text": "grass\u{1b}[31m"}});
    let revision = json!({"number": 2, "record": 4, "from_sequence": 5, "plan": DIGEST, "time": time,
        "applied": {"how": "swap", "by": "ci", "time": time}});
    let event = json!({"stream": "IN", "sequence": 7, "subject": "in.a", "time": time, "headers": [],
        "payload": {"text": "hay"}});
    let step =
        json!({"name": "mask", "module": DIGEST, "kind": "component", "size_bytes": 2048, "tags": ["m:1"]});
    let plan = json!({"version": 1, "pipeline": "p", "source": {"stream": "IN", "subjects": []}, "steps": [],
        "sink": {"stream": "OUT", "subject": "out", "allow": [], "record_bytes": 1000}, "block": 256,
        "on_guest_fault": "dead_letter"});
    let output = json!({"pipeline": "p", "record": record, "receipt": null, "revision": revision,
        "plan": plan, "steps": [step], "event": event});
    let fate = json!({"pipeline": "p", "sink": "OUT", "outcome": "messages", "revision": revision,
        "records": [record], "receipt": null});
    let source = json!({"event": event, "pipelines": [fate]});
    let node = Node::answering(&[
        ("GET /v1/trace/output?stream=OUT&sequence=9", 200, &output.to_string()),
        ("GET /v1/trace/source?stream=IN&sequence=7", 200, &source.to_string()),
    ]);
    for (line, parts) in [
        ("trace OUT 9", ["output\n", "receipt\n", "plan\n", "module\n", "event\n"].as_slice()),
        ("trace --source IN 7", ["event\n", "pipeline\n", "plan\n", "output\n", "receipt\n"].as_slice()),
    ] {
        let printed = weir(&node.url, line);
        let (printed, said) = (text(&printed.stdout), text(&printed.stderr));
        let places: Vec<_> = parts.iter().map(|part| printed.find(part)).collect();
        assert!(places.is_sorted() && places.iter().all(Option::is_some), "{line}: {printed}{said}");
        assert!(printed.contains("by ci (swap)") && printed.contains("hay"), "{printed}");
        assert!(!printed.contains('\u{1b}'), "nothing in it can do anything to a terminal: {printed}");
    }
    assert_eq!(text(&weir(&node.url, "-o name trace OUT 9").stdout), "IN 7\n");
    assert_eq!(text(&weir(&node.url, "-o name trace --source IN 7").stdout), "OUT 9\n");
}

#[test]
fn a_shadow_is_started_shown_promoted_and_stopped() {
    let sides = json!({"live": 100, "candidate": 250});
    let sample = json!({"sequence": 7, "what": "payload", "live": "a", "candidate": "b"});
    let report = json!({"events": 10, "differences": 3, "skipped": 4, "new_faults": 1, "faults": sides,
        "messages": sides, "fuel": sides, "time_us": sides, "through": 99, "samples": [sample]});
    let gate = json!({"max_differences": 2, "max_faults": null, "for_events": 50});
    let shadow = json!({"pipeline": "p", "state": "dropped", "why": "3 differences", "live": DIGEST,
        "candidate": DIGEST, "modules": {"mask": DIGEST}, "gate": gate, "by": "ci", "ended": null,
        "started": "2026-01-01T00:00:00Z", "report": report});
    let (shadow, promoted) = (shadow.to_string(), result("changed", Some(90), None));
    let node = Node::answering(&[
        ("POST /v1/pipelines/p/shadow", 201, &shadow),
        ("GET /v1/pipelines/p/shadow", 200, &shadow),
        ("DELETE /v1/pipelines/p/shadow", 200, &shadow),
        ("POST /v1/pipelines/p/shadow/promote", 200, &promoted),
    ]);
    for line in [
        format!("shadow p mask={DIGEST} --max-differences 2 --for-events 50"),
        "shadow p".to_owned(),
        "shadow p --stop".to_owned(),
    ] {
        let output = weir(&node.url, &line);
        let printed = text(&output.stdout);
        for part in [
            "dropped: 3 differences",
            "10 events, through 99; 4 skipped",
            "10.0 us an event in force, 25.0 us tried",
            "EVENT  WHAT     IN FORCE  TRIED\n7      payload  a         b\n",
        ] {
            assert!(printed.contains(part), "{line}: {part}: {printed}{}", text(&output.stderr));
        }
    }
    assert_eq!(body(&node, 0), json!({"modules": {"mask": DIGEST}, "gate": gate}));
    let output = weir(&node.url, "promote p");
    assert!(text(&output.stderr).contains("takes over pipeline p"), "{}", text(&output.stderr));
    for line in ["shadow p --max-faults 1", "shadow p mask=m --stop", "shadow p mask=m --for-events 0"] {
        assert_eq!(weir(&node.url, line).status.code(), Some(64), "{line}");
    }
}

#[test]
fn a_dead_letter_says_how_to_run_it_again() {
    let letter = json!({"sequence": 9, "position": 7, "subject": "in.a", "step": "mask", "module": DIGEST,
        "code": "trap", "reason": "panicked at src/lib.rs:3:5", "payload": null, "payload_omitted": null,
        "headers": [], "plan": DIGEST, "time": "2026-01-01T00:00:00Z"});
    let list = json!({"dead_letters": [letter], "next": null});
    let last = json!({"record": 9, "position": 7, "step": "mask", "module": DIGEST, "code": "trap",
        "reason": "panicked at src/lib.rs:3:5"});
    let status = STATUS.replace(r#""last_receipt": null"#, &format!(r#""last_dead_letter": {last}"#));
    let node = Node::answering(&[
        ("GET /v1/pipelines/p/dead-letters?limit=20", 200, &list.to_string()),
        ("GET /v1/pipelines/p/status", 200, &status),
    ]);
    for line in ["dead p", "status p"] {
        let output = weir(&node.url, line);
        let said = text(&output.stdout) + &text(&output.stderr);
        for part in [DIGEST, "event 7", "src/lib.rs:3:5", "weir try --from-dead-letter p@9"] {
            assert!(said.contains(part), "{line}: {part}: {said}");
        }
    }
}
