//! What a pipeline file may say, and what it is told when it says something else.

use std::collections::BTreeMap;

use super::*;

/// A file in which every key stands, but those that exclude each other.
const FULL: &str = r#"
name = "flights"
block = 64
on_guest_fault = "stop"

[source]
stream = "FLIGHTS"
subjects = ["flights.>"]
start = { time = 2013-01-01T00:00:00Z }

[[steps]]
name = "pick"
module = "json-select:1.0"
config = { fields = ["a", "b"], deep = { since = 2013-01-01, ratio = 0.5 }, hex = 0xff }

[steps.limits]
memory_bytes = "128 MiB"
fuel_per_event = 5
messages_per_event = 6
bytes_per_event = 7
log_bytes_per_event = "1KiB"
deadline_ms = "2s"

[[steps]]
module = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

[sink]
stream = "FLIGHTS_CLEAN"
subject = "clean.{subject}"
allow = ["late.*"]
"#;

fn parse(text: &str) -> Result<PipelineSpec, SpecError> {
    PipelineSpec::parse(text, "p.toml")
}

fn minimal() -> String {
    "name = \"p\"\n[source]\nstream = \"IN\"\n[[steps]]\nmodule = \"mask\"\n[sink]\nstream = \"OUT\"\nsubject = \"out\"\n"
        .to_owned()
}

fn resolution(stream: &str) -> Resolution {
    Resolution {
        tags: BTreeMap::from([("json-select:1.0".parse().expect("a tag"), Digest::of(b"select"))]),
        source_stream: stream.parse().expect("a stream name"),
        source_subjects: vec![],
        record_bytes: 1 << 20,
    }
}

#[test]
fn a_full_file_becomes_the_plan_it_says() {
    let spec = parse(FULL).expect("the file is valid");
    assert!(matches!(spec.source.start, Start::Time(_)));
    assert_eq!(spec.tags().into_iter().map(TagName::as_str).collect::<Vec<_>>(), ["json-select:1.0"]);
    let plan = spec.resolve(&resolution("FLIGHTS")).expect("it resolves");
    assert_eq!(plan.block, 64);
    assert_eq!(plan.on_guest_fault, OnGuestFault::Stop);
    assert_eq!(plan.modules().collect::<Vec<_>>(), [Digest::of(b"select"), Digest::of(b"")]);
    assert_eq!(plan.steps[0].name, "pick");
    assert_eq!(plan.steps[1].name, "step-2");
    assert_eq!(
        String::from_utf8(plan.steps[0].config_bytes()).expect("JSON is text"),
        r#"{"deep":{"ratio":0.5,"since":"2013-01-01"},"fields":["a","b"],"hex":255}"#
    );
    let limits = plan.steps[0].limits;
    assert_eq!((limits.memory_bytes, limits.fuel_per_event, limits.messages_per_event), (128 << 20, 5, 6));
    assert_eq!((limits.bytes_per_event, limits.log_bytes_per_event, limits.deadline_ms), (7, 1024, 2000));
    assert_eq!(plan.steps[1].limits, Limits::DEFAULT);
    assert_eq!(plan.sink.patterns().len(), 2);
}

#[test]
fn what_is_left_out_has_its_default() {
    let spec = parse(&minimal()).expect("the file is valid");
    assert_eq!((spec.block, spec.on_guest_fault), (256, OnGuestFault::DeadLetter));
    assert_eq!(spec.source.start, Start::Beginning);
    assert_eq!(spec.steps[0].name, "mask");
    assert!(spec.steps[0].config.is_null());
}

#[test]
fn json_says_the_same_as_toml() {
    let text = r#"{"name": "p", "source": {"subject": "orders.>", "max_age": "7d", "start": "now"},
        "steps": [{"module": "mask"}, {"module": "mask:2"}], "sink": {"stream": "OUT", "subject": "out"}}"#;
    let spec = parse(text).expect("the file is valid");
    let max_age = Some(Duration::from_secs(7 * 86_400));
    let pattern = "orders.>".parse().expect("a pattern");
    assert_eq!(spec.source.origin, Origin::Subject { pattern, max_age });
    assert_eq!(spec.source.start, Start::Now);
    // Two steps of one tag's name cannot both have it.
    assert_eq!(spec.steps.iter().map(|step| step.name.as_str()).collect::<Vec<_>>(), ["mask", "step-2"]);
    assert_eq!(spec.text(), text);
}

/// A bad file: what replaces what in the full one, and the line, the key and a part of the message to expect.
struct Bad {
    old: &'static str,
    new: &'static str,
    line: usize,
    key: &'static str,
    says: &'static str,
}

#[rustfmt::skip]
const BAD: &[Bad] = &[
    Bad {
        old: "name = \"flights\"",
        new: "name = \"Flights\"",
        line: 2,
        key: "name",
        says: "not a pipeline name",
    },
    Bad { old: "name = \"flights\"", new: "", line: 1, key: "", says: "missing field `name`" },
    Bad { old: "block = 64", new: "blok = 64", line: 3, key: "blok", says: "did you mean 'block'?" },
    Bad { old: "block = 64", new: "block = 0", line: 3, key: "block", says: "1 to 65536" },
    Bad { old: "block = 64", new: "block = 65537", line: 3, key: "block", says: "1 to 65536" },
    Bad { old: "block = 64", new: "block = \"64\"", line: 3, key: "block", says: "expected u32" },
    Bad { old: "block = 64", new: "block = 99999999999999999999", line: 3, key: "block", says: "64 bits" },
    Bad { old: "block = 64", new: "block = = 64", line: 3, key: "", says: "" },
    Bad { old: "block = 64", new: "block = 64\nblock = 64", line: 4, key: "", says: "duplicate key" },
    Bad {
        old: "\"stop\"",
        new: "\"dead-letter\"",
        line: 4,
        key: "on_guest_fault",
        says: "did you mean 'dead_letter'?",
    },
    Bad {
        old: "stream = \"FLIGHTS\"",
        new: "stream = \"FLIGHTS.x\"",
        line: 7,
        key: "source.stream",
        says: "not a stream name",
    },
    Bad {
        old: "stream = \"FLIGHTS\"\n",
        new: "",
        line: 6,
        key: "source",
        says: "needs a 'stream' or a 'subject'",
    },
    Bad {
        old: "stream = \"FLIGHTS\"\n",
        new: "stream = \"FLIGHTS\"\nsubject = \"x\"\n",
        line: 8,
        key: "source.subject",
        says: "not both",
    },
    Bad {
        old: "stream = \"FLIGHTS\"\n",
        new: "subject = \"x\"\n",
        line: 8,
        key: "source.subjects",
        says: "only with 'stream'",
    },
    Bad {
        old: "stream = \"FLIGHTS\"\n",
        new: "stream = \"FLIGHTS\"\nmax_age = \"7d\"\n",
        line: 8,
        key: "source.max_age",
        says: "only for 'subject'",
    },
    Bad {
        old: "\"flights.>\"",
        new: "\"flights.>\", \"a..b\"",
        line: 8,
        key: "source.subjects[1]",
        says: "not a subject pattern",
    },
    Bad {
        old: "\"flights.>\"",
        new: "\"*.flights\"",
        line: 8,
        key: "source.subjects",
        says: "'*.flights' overlaps 'clean.>'",
    },
    Bad {
        old: "\"flights.>\"",
        new: "\"late.x\"",
        line: 8,
        key: "source.subjects",
        says: "'late.x' overlaps 'late.*'",
    },
    Bad {
        old: "\"flights.>\"",
        new: "\"weir.flights.dead\"",
        line: 8,
        key: "source.subjects",
        says: "overlaps 'weir.flights.>'",
    },
    Bad {
        old: "time = 2013-01-01T00:00:00Z",
        new: "time = 2013-01-01",
        line: 9,
        key: "source.start",
        says: "not a moment",
    },
    Bad {
        old: "time = 2013-01-01T00:00:00Z",
        new: "time = 1969-01-01T00:00:00Z",
        line: 9,
        key: "source.start",
        says: "1970",
    },
    Bad {
        old: "time = 2013-01-01T00:00:00Z",
        new: "sequence = 0",
        line: 9,
        key: "source.start",
        says: "begin at 1",
    },
    Bad {
        old: "{ time = 2013-01-01T00:00:00Z }",
        new: "\"begining\"",
        line: 9,
        key: "source.start",
        says: "did you mean 'beginning'?",
    },
    Bad { old: "\"pick\"", new: "\"Pick me\"", line: 12, key: "steps[0].name", says: "not a step name" },
    Bad {
        old: "[[steps]]\nmodule",
        new: "[[steps]]\nname = \"pick\"\nmodule",
        line: 25,
        key: "steps[1].name",
        says: "already named 'pick'",
    },
    Bad {
        old: "\"json-select:1.0\"",
        new: "\"sha256:12\"",
        line: 13,
        key: "steps[0].module",
        says: "not a digest",
    },
    Bad { old: "\"json-select:1.0\"", new: "\"Json\"", line: 13, key: "steps[0].module", says: "not a tag" },
    Bad { old: "ratio = 0.5", new: "ratio = nan", line: 14, key: "steps[0].config.deep.ratio", says: "nan" },
    Bad {
        old: "ratio = 0.5",
        new: "ratio = [1, -inf]",
        line: 14,
        key: "steps[0].config.deep.ratio[1]",
        says: "infinities",
    },
    Bad {
        old: "\"128 MiB\"",
        new: "\"2 GiB\"",
        line: 17,
        key: "steps[0].limits.memory_bytes",
        says: "1073741824",
    },
    Bad {
        old: "\"128 MiB\"",
        new: "\"lots\"",
        line: 17,
        key: "steps[0].limits.memory_bytes",
        says: "not a size",
    },
    Bad {
        old: "memory_bytes",
        new: "memory",
        line: 17,
        key: "steps[0].limits.memory",
        says: "known are memory_bytes",
    },
    Bad {
        old: "fuel_per_event = 5",
        new: "fuel_per_event = 0",
        line: 18,
        key: "steps[0].limits.fuel_per_event",
        says: "the least is 1",
    },
    Bad {
        old: "fuel_per_event = 5",
        new: "fuel_per_event = -5",
        line: 18,
        key: "steps[0].limits.fuel_per_event",
        says: "expected u64",
    },
    Bad {
        old: "\"2s\"",
        new: "\"soon\"",
        line: 22,
        key: "steps[0].limits.deadline_ms",
        says: "not a duration",
    },
    Bad { old: "\"2s\"", new: "\"1 day\"", line: 22, key: "steps[0].limits.deadline_ms", says: "600000" },
    Bad { old: "\"FLIGHTS_CLEAN\"", new: "\"FLIGHTS\"", line: 28, key: "sink.stream", says: "endless loop" },
    Bad {
        old: "\"clean.{subject}\"",
        new: "\"clean.{x}\"",
        line: 29,
        key: "sink.subject",
        says: "not a subject template",
    },
    Bad { old: "\"clean.{subject}\"", new: "\"{subject}\"", line: 29, key: "sink.subject", says: "weir.>" },
    Bad {
        old: "\"clean.{subject}\"",
        new: "\"$JS.{1}\"",
        line: 29,
        key: "sink.subject",
        says: "belongs to the server",
    },
    Bad {
        old: "\"late.*\"",
        new: "\"late.*\", \"weir.x\"",
        line: 30,
        key: "sink.allow[1]",
        says: "own records",
    },
    Bad { old: "allow = ", new: "alow = ", line: 30, key: "sink.alow", says: "did you mean 'allow'?" },
    Bad {
        old: "stream = \"FLIGHTS_CLEAN\"\n",
        new: "",
        line: 27,
        key: "sink",
        says: "missing field `stream`",
    },
];

#[test]
fn a_bad_file_is_told_its_line_its_key_and_its_fault() {
    for bad in BAD {
        assert_eq!(FULL.matches(bad.old).count(), 1, "'{}' is once in the full file", bad.old);
        let error = parse(&FULL.replace(bad.old, bad.new)).expect_err(bad.new);
        assert!(error.message.contains(bad.says), "{}: {error}", bad.new);
        assert_eq!((error.line, error.key.as_str()), (bad.line, bad.key), "{}: {error}", bad.new);
    }
}

#[test]
fn an_error_reads_as_compilers_write_it() {
    let error = parse(&FULL.replace("block = 64", "block = 0")).expect_err("a block has at least 1");
    assert_eq!(error.to_string(), "p.toml:3:9: block: 0 is not a number from 1 to 65536");
}

#[test]
fn json_errors_have_their_places_too() {
    let text = "{\"name\": \"p\",\n \"source\": {\"stream\": \"IN\"},\n \"steps\": [{\"module\": \"a\"},\n  {\"module\": \"B\"}],\n \"sink\": {\"stream\": \"OUT\", \"subject\": \"out\"}}";
    let error = parse(text).expect_err("a tag has no capitals");
    assert_eq!((error.line, error.column, error.key.as_str()), (4, 14, "steps[1].module"));
    let error = parse("{\"name\": \"p\",\n oops}").expect_err("not JSON");
    assert_eq!((error.line, error.key.as_str()), (2, ""));
}

#[test]
fn steps_are_at_least_one_and_at_most_sixteen() {
    let step = "[[steps]]\nmodule = \"mask\"\n";
    assert!(parse(&minimal().replace(step, &step.repeat(16))).is_ok());
    let error = parse(&minimal().replace(step, &step.repeat(17))).expect_err("too many");
    assert_eq!(error.key, "steps[16]");
    let error = parse(&minimal().replace(step, "").replace("name", "steps = []\nname")).expect_err("too few");
    assert!(error.message.contains("at least one step"), "{error}");
}

#[test]
fn what_only_the_broker_knows_is_judged_when_resolving() {
    let spec = parse(FULL).expect("the file is valid");
    let unknown = spec.resolve(&Resolution { tags: BTreeMap::new(), ..resolution("FLIGHTS") });
    let error = unknown.expect_err("the tag stands for nothing");
    assert_eq!((error.line, error.key.as_str()), (13, "steps[0].module"));
    assert!(spec.resolve(&resolution("FLIGHTS_CLEAN")).is_err());
    let source_subjects = vec!["clean.x".parse().expect("a pattern")];
    let error = spec.resolve(&Resolution { source_subjects, ..resolution("FLIGHTS") }).expect_err("a loop");
    assert!(error.message.contains("'clean.x' overlaps 'clean.>'"), "{error}");
}

#[test]
fn hostile_texts_end_in_errors() {
    for text in ["[".repeat(100_000), "{\"a\":".repeat(100_000), "a.".repeat(100_000), "x".repeat(2 << 20)] {
        assert!(parse(&text).is_err());
    }
}

#[test]
fn the_schema_is_the_published_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/pipeline.schema.json");
    crate::golden::check(path.as_ref(), &schema_text());
}
