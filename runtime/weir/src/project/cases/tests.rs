//! From text to cases, from outcomes to differences, and back into the text.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use model::{Answer, Fault, GuestFault, GuestFaultCode, Headers, HostFault, Message};

use super::compare::{differences, is_host_fault};
use super::content::Missing;
use super::read::{CasesError, parse, read};
use super::rewrite::rewrite;
use super::run::Ran;
use super::*;

fn cases(text: &str) -> CaseFile {
    parse(text, Path::new("t.yaml"), "t.yaml", Missing::IsAnError).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    let parsed = parse(text, Path::new("t.yaml"), "t.yaml", Missing::IsAnError);
    parsed.expect_err("it makes no sense").to_string()
}

fn ran(outcome: Result<Answer, Fault>) -> Ran {
    Ran { outcome, log: vec!["a line".into()], fuel_used: 1, time: Duration::ZERO }
}

fn message(payload: &str) -> Message {
    Message { subject: None, payload: Bytes::from(payload.to_owned()), headers: Headers::new() }
}

fn messages(payloads: &[&str]) -> Ran {
    ran(Ok(Answer::Messages(payloads.iter().map(|payload| message(payload)).collect())))
}

fn fault(code: GuestFaultCode, reason: &str) -> Ran {
    ran(Err(GuestFault::new(code, reason).into()))
}

/// In what the only case of a text differs, as lines.
fn told(text: &str, ran: &Ran) -> Vec<String> {
    let file = cases(text);
    let found = differences(&file.cases[0], ran);
    found.into_iter().flat_map(|found| std::iter::once(found.what).chain(found.lines)).collect()
}

#[test]
fn a_case_has_its_defaults_and_its_files_configuration() {
    let file = cases(
        "config: {b: 1, a: [x]}\nlimits: {memory_bytes: 1 MiB}\ncases:\n\
         - name: one\n  count: 0\n\
         - name: two\n  config: null\n  event:\n    subject: a.b\n    payload: {repeat: {text: xy, times: 3}}\n\
         \x20   headers: [[B, '1'], [A, '2'], [Nats-Own, x]]\n    sequence: 7\n    timestamp: 1970-01-01T00:00:01Z\n\
         \x20 fault: {code: trap, contains: why}\n  log: said\n",
    );
    let [one, two] = file.cases.as_slice() else { panic!("two cases") };
    assert_eq!([one, two].map(|case| case.limits.memory_bytes), [1 << 20; 2]);
    assert_eq!((one.config.as_str(), two.config.as_str()), (r#"{"a":["x"],"b":1}"#, ""));
    assert_eq!((one.event.subject.as_str(), one.event.sequence), ("test", 1));
    assert_eq!(one.event.timestamp_ns, 1_767_225_600_000_000_000);
    assert_eq!(&two.event.payload[..], b"xyxyxy");
    let headers = [("B", "1"), ("A", "2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(two.event.headers, Headers::canonical(headers));
    assert_eq!((two.event.sequence, two.event.timestamp_ns), (7, 1_000_000_000));
    let trap = Expectation::Fault { code: GuestFaultCode::Trap, contains: Some("why".into()) };
    assert_eq!((&two.expectation, two.log.as_deref()), (&Some(trap), Some("said")));
}

/// Limit by limit: what a case does not give stays as the file has it, and then as a step has it.
#[test]
fn a_cases_limits_and_output_stand_in_place_of_its_files() {
    let file = cases(
        "limits: {memory_bytes: 1 MiB, fuel_per_event: 7, deadline_ms: 5s}\noutput: lines\ncases:\n\
         - {name: as the file, count: 0}\n\
         - name: own\n  limits: {fuel_per_event: 9, messages_per_event: 2, bytes_per_event: 3, \
         log_bytes_per_event: 4}\n  output: whole\n  count: 0\n\
         - {name: others, limits: {memory_bytes: 2 MiB, deadline_ms: 6s}, count: 0}\n",
    );
    let usual = Limits { memory_bytes: 1 << 20, fuel_per_event: 7, deadline_ms: 5_000, ..Limits::DEFAULT };
    let own = Limits {
        fuel_per_event: 9,
        messages_per_event: 2,
        bytes_per_event: 3,
        log_bytes_per_event: 4,
        ..usual
    };
    let others = Limits { memory_bytes: 2 << 20, deadline_ms: 6_000, ..usual };
    let found: Vec<_> = file.cases.iter().map(|case| (case.limits, case.output)).collect();
    let (whole, lines) = (CommandOutput::Whole, CommandOutput::Lines);
    assert_eq!(found, [(usual, lines), (own, whole), (others, lines)]);
}

#[test]
fn what_makes_no_sense_is_refused_with_file_case_and_key() {
    for (text, says) in [
        ("cases: []", "t.yaml:1:1: cases: there is no case"),
        (
            "cases:\n- name: a\n  expcet: []",
            "t.yaml:3:3: cases[0].expcet: unknown key 'expcet'; did you mean 'expect'?",
        ),
        (
            "cases:\n- name: a\n  count: 1\n  reject: x",
            "t.yaml:4:11: cases[0].reject: case 'a': a case has only one of",
        ),
        ("cases:\n- name: a", "cases[0]: case 'a': nothing is expected: add one of expect, count"),
        (
            "cases:\n- name: a\n  fault: trep",
            "cases[0].fault: case 'a': there is no fault 'trep'; did you mean 'trap'?",
        ),
        ("cases:\n- name: a\n  fault: rejected", "write 'reject: a part of the reason'"),
        (
            "cases:\n- {name: a, count: 1}\n- {name: a, count: 1}",
            "cases[1].name: another case is already called 'a'",
        ),
        (
            "cases:\n- name: a\n  event: {payload: 5}\n  count: 1",
            "cases[0].event.payload: invalid type: integer `5`, expected a text in quotes",
        ),
        (
            "cases:\n- name: a\n  event: {payload: {jsn: 5}}\n  count: 1",
            "unknown key 'jsn'; did you mean 'json'?",
        ),
        (
            "cases:\n- name: a\n  event: {payload: {json: 5, file: x}}\n  count: 1",
            "exactly one of json, base64",
        ),
        (
            "cases:\n- name: a\n  event: {payload: {contains: x}}\n  count: 1",
            "'contains' is for what comes out",
        ),
        ("cases:\n- name: a\n  event: {payload: {base64: '?'}}\n  count: 1", "case 'a': this is not base64"),
        (
            "cases:\n- name: a\n  event: {payload: {file: none.bin}}\n  count: 1",
            "case 'a': cannot read none.bin",
        ),
        (
            "cases:\n- name: a\n  event: {subject: a.*}\n  count: 1",
            "cases[0].event.subject: case 'a': 'a.*' is no subject",
        ),
        ("cases:\n- name: a\n  event: {sequence: 0}\n  count: 1", "sequences begin at 1"),
        (
            "limits: {memory_bytes: 2 GiB}\ncases:\n- {name: a, count: 1}",
            "limits.memory_bytes: 2147483648 is more",
        ),
        (
            "limits: {fuel_per_event: 0}\ncases:\n- {name: a, limits: {fuel_per_event: 1}, count: 1}",
            "t.yaml:1:26: limits.fuel_per_event: 0 leaves the module nothing",
        ),
        (
            "cases:\n- name: a\n  limits: {memory_bytes: 2 GiB}\n  count: 1",
            "t.yaml:3:26: cases[0].limits.memory_bytes: case 'a': 2147483648 is more",
        ),
        ("cases:\n- name: a\n  limits: {fuel: 2}\n  count: 1", "cases[0].limits.fuel: unknown key 'fuel'"),
        ("cases:\n- name: a\n  output: words\n  count: 1", "cases[0].output: unknown"),
        ("cases:\n- {name: a, output: null, count: 1}", "cases[0].output: "),
        ("config: 5\ncases:\n- {name: a, count: 1}", "t.yaml:1:9: config: a configuration is a table"),
        ("cases: [\n", "t.yaml:"),
    ] {
        let error = refused(text);
        assert!(error.contains(says), "{text}\n{error}");
    }
}

#[test]
fn what_is_as_expected_passes() {
    let mut with_all = message("HELLO");
    with_all.subject = Some("a.b".into());
    with_all.headers = Headers::canonical([("N".to_owned(), "1".to_owned())]);
    for (text, ran) in [
        ("expect: [{payload: x}, {payload: {contains: l}}, {}]", messages(&["x", "hello", "any"])),
        ("expect: [{payload: {json: {a: 1}}}]", messages(&["{ \"a\": 1.0 }"])),
        ("expect: []", messages(&[])),
        ("expect: [{payload: HELLO}]", ran(Ok(Answer::Messages(vec![with_all.clone()])))),
        ("expect: [{subject: a.b, headers: [[N, '1']]}]", ran(Ok(Answer::Messages(vec![with_all])))),
        ("expect: [{subject: null, headers: []}]", messages(&["x"])),
        ("count: 2", messages(&["x", "y"])),
        ("reject: no\n  log: a li", ran(Ok(Answer::Reject("why not".into())))),
        ("fault: trap", fault(GuestFaultCode::Trap, "x")),
        ("fault: {code: trap, contains: x}", fault(GuestFaultCode::Trap, "axa")),
    ] {
        assert_eq!(told(&format!("cases:\n- name: a\n  {text}\n"), &ran), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_is_not_is_told_as_somebody_reads_it() {
    let rejected = ran(Ok(Answer::Reject("no".into())));
    let mut elsewhere = message("x");
    elsewhere.subject = Some("b".into());
    for (text, ran, lines) in [
        (
            "expect: [{payload: \"a\\nb\\nc\"}]",
            messages(&["a\nB\nc"]),
            vec!["message 1, payload", "  a", "- b", "+ B", "  c"],
        ),
        (
            "expect: [{payload: a}]",
            messages(&["a\n"]),
            vec!["message 1, payload", "- a", "- (without a line end)", "+ a"],
        ),
        (
            "expect: [{payload: {json: {a: 1}}}]",
            messages(&["{\"a\":2}"]),
            vec!["message 1, payload", "  {", "-   \"a\": 1", "+   \"a\": 2", "  }"],
        ),
        (
            "expect: []",
            messages(&["x"]),
            vec!["messages", "- no message", "+ 1 message", "message 1, payload", "+ x"],
        ),
        (
            "expect: [{subject: null}]",
            ran(Ok(Answer::Messages(vec![elsewhere]))),
            vec!["message 1, subject", "- (none of its own)", "+ b"],
        ),
        ("expect: [{headers: [[A, b]]}]", messages(&["x"]), vec!["message 1, headers", "- A: b", "+ (none)"]),
        ("count: 2", rejected.clone(), vec!["outcome", "- 2 messages", "+ rejected: no"]),
        ("reject: yes", rejected.clone(), vec!["reason of the rejection", "- … yes …", "+ no"]),
        (
            "fault: trap",
            fault(GuestFaultCode::OutOfFuel, "r"),
            vec!["outcome", "- fault trap", "+ fault out-of-fuel: r"],
        ),
        ("reject: no\n  log: other", rejected, vec!["log", "  no line holds \"other\""]),
    ] {
        assert_eq!(told(&format!("cases:\n- name: a\n  {text}\n"), &ran), lines, "{text}");
    }
    let away = ran(Err(HostFault::new("no room").into()));
    assert!(is_host_fault(&away));
    assert_eq!(told("cases: [{name: a, count: 0}]", &away), ["the machine", "  host fault: no room"]);
}

#[test]
fn long_payloads_are_told_in_short() {
    let large = "x".repeat(1 << 20);
    let lines = told(
        "cases:\n- name: a\n  expect: [{payload: {repeat: {text: x, times: 1048575}}}]",
        &messages(&[&large]),
    );
    assert!(lines.concat().contains("1048575 bytes were expected, 1048576 came"), "{lines:?}");
    let many: Vec<String> = (0..10_000).map(|line| line.to_string()).collect();
    let lines = told("cases:\n- name: a\n  expect: [{payload: y}]", &messages(&[&many[..5000].join("\n")]));
    assert!(lines.len() < 100 && lines.iter().all(|line| line.len() < 2000), "{} lines", lines.len());
}

const FILE: &str = "\
# What it has to do.
config: {field: a}   # for all
cases:
  - name: passes
    expect:
      - payload: same
  - name: differs   # see below
    expect:         # gone with it
    - payload: old
      headers: []
    event: {payload: x}

  # Between two cases.
  - {name: flow, count: 1, event: {subject: a}}
  - name: other outcome
    reject: no
  - name: text
    expect:
      - payload: {json: {a: 1}}
";

#[test]
fn an_update_replaces_what_differs_and_nothing_else() {
    let file = cases(FILE);
    let came = [
        messages(&["same"]),
        messages(&["first: \"line\"\nsecond\n", "\u{1}", "true"]),
        messages(&[]),
        fault(GuestFaultCode::OutOfFuel, "r"),
        messages(&["{\"b\": [1, 2]}"]),
    ];
    let new = rewrite(&file, &came).expect("it can be rewritten").expect("something differs");
    assert_eq!(new.count, 4);
    let again = cases(&new.text);
    for (case, ran) in again.cases.iter().zip(&came) {
        assert_eq!(differences(case, ran), [], "{}\n{}", case.name, new.text);
    }
    for kept in [
        "# What it has to do.",
        "{field: a}   # for all",
        "differs   # see below",
        "    event: {payload: x}\n\n  # Between two cases.\n",
        "- payload: same\n",
    ] {
        assert!(new.text.contains(kept), "{kept} is gone:\n{}", new.text);
    }
    assert!(rewrite(&again, &came).expect("fine").is_none(), "a second time there is nothing to do");
}

#[test]
fn an_update_adds_what_is_missing_and_keeps_json_json() {
    for text in [
        "cases:\n- name: a # said\n  event: {payload: x} # too\n- name: b\n  count: 1\n",
        "{\"cases\": [{\"name\": \"a\", \"event\": {\"payload\": \"x\"}}, {\"name\": \"b\", \"count\": 1}]}",
        "{\n  \"cases\": [\n    {\n      \"name\": \"a\"\n    },\n    {\n      \"count\": 3,\n      \"name\": \"b\"\n    }\n  ]\n}\n",
    ] {
        let parsed =
            parse(text, Path::new("t.yaml"), "t.yaml", Missing::WillBeWritten).expect("it makes sense");
        let came = [messages(&["one", "two"]), messages(&["x"])];
        let new = rewrite(&parsed, &came).expect("it can be rewritten").expect("one is missing");
        let again = cases(&new.text);
        assert_eq!(differences(&again.cases[0], &came[0]), [], "{}", new.text);
        if text.starts_with('{') {
            serde_json::from_str::<serde_json::Value>(&new.text).expect("JSON stays JSON");
        }
    }
}

#[test]
fn an_update_writes_files_and_refuses_what_it_cannot_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.yaml");
    let text = "cases:\n- name: a\n  expect: [{payload: {file: out.bin}}]\n";
    let file = parse(text, &path, "t", Missing::WillBeWritten).expect("the file is yet to come");
    let new = rewrite(&file, &[messages(&["big"])]).expect("fine").expect("it differs");
    assert_eq!(new.payloads, [(folder.path().join("out.bin"), Bytes::from("big"))]);
    assert!(
        parse(text, &path, "t", Missing::IsAnError)
            .expect_err("no such file")
            .to_string()
            .contains("out.bin")
    );

    let inline = cases("cases:\n- name: a\n  expect: [{payload: x}]\n");
    let error = rewrite(&inline, &[messages(&[&"y".repeat(100_000)])]).expect_err("too large");
    assert!(error.contains("case 'a'") && error.contains("{file: NAME}"), "{error}");
    let shared = cases("cases:\n- name: a\n  expect: &e [{payload: x}]\n- name: b\n  expect: *e\n");
    let error = rewrite(&shared, &[messages(&["y"]), messages(&["x"])]).expect_err("b hangs on it");
    assert!(error.contains("edit it by hand"), "{error}");
    let away = ran(Err(HostFault::new("no room").into()));
    assert!(rewrite(&inline, &[away]).expect_err("a host fault").contains("the machine failed"));
}

#[test]
fn files_are_found_by_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let deeper = folder.path().join("b");
    std::fs::create_dir(&deeper).expect("made");
    let none = read(folder.path(), Missing::IsAnError).expect_err("there is none");
    assert!(matches!(none, CasesError::None(_)));
    for name in ["z.yaml", "b/case.json", "b/data.json", "a.cases.json", "x.yml", ".hidden.yaml"] {
        let text = if name.contains("data") { "[]" } else { "{cases: [{name: a, count: 0}]}" };
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let suite = read(folder.path(), Missing::IsAnError).expect("all make sense");
    let names: Vec<&str> = suite.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["a.cases.json", "b/case.json", "x.yml", "z.yaml"]);
    let one = read(&folder.path().join("z.yaml"), Missing::IsAnError).expect("it makes sense");
    assert_eq!((one.files.len(), one.files[0].name.as_str()), (1, "z.yaml"));
}

#[test]
fn the_digest_is_of_what_is_said_and_not_of_how() {
    let digest = |text: &str| Suite { files: vec![cases(text)] }.digest();
    let plain =
        "cases:\n- name: a\n  event: {payload: {json: {a: 1}}}\n  expect: [{payload: xx, subject: null}]\n";
    let same = "# the same\n{cases: [{expect: [{subject: null, payload: {repeat: {text: x, times: 2}}}], name: a, \
                event: {payload: '{\"a\":1}', subject: test}}]}";
    assert_eq!(digest(plain), digest(same));
    let bounded = |file: &str, case: &str| digest(&format!("{file}cases:\n- {{name: a{case}, count: 0}}\n"));
    let of_the_case = bounded("", ", limits: {deadline_ms: 1s}, output: lines");
    assert_eq!(bounded("limits: {deadline_ms: 1s}\noutput: lines\n", ""), of_the_case);
    assert_ne!(bounded("limits: {deadline_ms: 1s}\n", ""), of_the_case);
    assert_ne!(bounded("output: lines\n", ""), of_the_case);
    for (from, to) in [("xx", "xy"), (", subject: null", ""), ("a: 1", "a: 2"), ("name: a", "name: b")] {
        assert_ne!(digest(plain), digest(&plain.replace(from, to)), "{from}");
    }
}
