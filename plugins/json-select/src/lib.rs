//! A transform that filters, splits and reshapes JSON events by a jq program, with jaq compiled in.
//!
//! Each output of the program is one message: none drops the event, several make several, an error refuses
//! the event. A second program may name each message's subject. The programs are compiled once for each
//! instance; one that does not compile refuses every event, with the reason. What jq could know beside its
//! input (time, environment, files, further inputs) is not there, so the answer is a function of the event.

mod definitions;
mod json;
mod program;

use jaq_json::{Map, Val};
use serde::Deserialize;
use weir_sdk::{Event, Message, Reject, Result, transform};

use program::Program;

transform!(select, Settings);

/// Values are many small pieces: with this allocator an event takes some 15 % less time than with Rust's own.
#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// What becomes of events: programs of jq.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The program whose outputs become the messages.
    #[cfg_attr(test, schemars(with = "String"))]
    filter: Program,
    /// The program that gives the subject of an output: one string, or null to leave it to the pipeline.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    subject: Option<Program>,
}

/// Runs the program on one event.
///
/// # Errors
/// When the payload is not JSON, when a program ends in an error, or when what it makes is not JSON.
pub fn select(mut event: Event, settings: &Settings) -> Result {
    event.text()?;
    let input = json::read(&std::mem::take(&mut event.payload).into())?;
    let needed = [Some(&settings.filter), settings.subject.as_ref()];
    let variable = match needed.iter().flatten().any(|program| program.names_event()) {
        true => describe(&event),
        false => Val::Null,
    };
    let outputs = settings.filter.run(input, variable.clone())?;
    let message = |output: Val| {
        let payload = json::write(&output)?;
        let subject = match &settings.subject {
            Some(program) => subject(program.run(output, variable.clone())?)?,
            None => None,
        };
        Ok(Message { subject, payload, headers: event.headers.clone() })
    };
    outputs.into_iter().map(message).collect()
}

/// What the programs see as `$event`. Of a header that repeats, the first value.
fn describe(event: &Event) -> Val {
    let text = |text: &str| Val::utf8_str(text.to_owned());
    let number = |number: u64| Val::Num(jaq_json::Num::from_integral(number));
    let mut headers = Map::default();
    for (name, value) in &event.headers {
        headers.entry(text(name)).or_insert_with(|| text(value));
    }
    let members = [
        ("subject", text(&event.subject)),
        ("headers", Val::obj(headers)),
        ("sequence", number(event.sequence)),
        ("timestamp_ns", number(event.timestamp_ns)),
    ];
    Val::obj(members.into_iter().map(|(name, value)| (text(name), value)).collect())
}

/// The one subject among the outputs of the subject's program.
fn subject(outputs: Vec<Val>) -> Result<Option<String>> {
    match <[Val; 1]>::try_from(outputs) {
        Ok([Val::Null]) => Ok(None),
        Ok([Val::TStr(subject)]) => Ok(Some(String::from_utf8(subject.to_vec())?)),
        Ok([other]) => Err(Reject::new(format_args!("the subject is no string, but {other}"))),
        Err(outputs) => {
            Err(Reject::new(format_args!("the subject's program gave {} outputs, not one", outputs.len())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: &serde_json::Value) -> std::result::Result<Settings, String> {
        serde_json::from_str(&config.to_string()).map_err(|error| error.to_string())
    }

    fn event(payload: &str) -> Event {
        let mut event = Event::new("orders.eu", payload);
        (event.sequence, event.timestamp_ns) = (7, 1_357_034_400_000_000_000);
        event.headers = [("a", "1"), ("a", "2"), ("b", "3")].map(|(n, v)| (n.into(), v.into())).into();
        event
    }

    /// The payloads that `filter` makes of `payload`, or the reason why it is refused.
    fn outputs(filter: &str, payload: &str) -> std::result::Result<Vec<String>, String> {
        let settings = settings(&serde_json::json!({ "filter": filter }))?;
        let messages = select(event(payload), &settings)?;
        Ok(messages.into_iter().map(|m| String::from_utf8(m.payload).expect("JSON is UTF-8")).collect())
    }

    #[test]
    fn each_output_is_a_message() {
        for (filter, payload, expected) in [
            (".", r#"{"b":1.50,"a":[]}"#, vec![r#"{"b":1.50,"a":[]}"#]),
            ("{id, total: (.price * .n)}", r#"{"id":"x","price":3,"n":2}"#, vec![r#"{"id":"x","total":6}"#]),
            (".items[]", r#"{"items":[1,"two",null]}"#, vec!["1", "\"two\"", "null"]),
            ("select(.ok)", r#"{"ok":false}"#, vec![]),
            ("empty", "1", vec![]),
            ("try error(\"x\") catch .", "1", vec!["\"x\""]),
            ("debug | .a // 2", "{}", vec!["2"]),
            ("[.[] | ascii_downcase | gsub(\"[^a-z]\"; \"\")]", r#"["A b","C-d"]"#, vec![r#"["ab","cd"]"#]),
            ("todate", "1357034400", vec!["\"2013-01-01T10:00:00Z\""]),
            (
                "fromdate, (.[:10] | strptime(\"%Y-%m-%d\") | mktime)",
                "\"2038-02-01T00:00:00Z\"",
                vec!["2148595200", "2148595200"],
            ),
            (
                "@base64 \"\\(.)\", @uri \"\\(.)\", tojson",
                "[\"é\"]",
                vec!["\"WyLDqSJd\"", "\"%5B%22%C3%A9%22%5D\"", r#""[\"é\"]""#],
            ),
            ("pow(.; 2), (. / 2), sqrt", "16", vec!["256.0", "8.0", "4.0"]),
            (
                "$event.subject, $event.headers, $event.sequence, $event.timestamp_ns",
                "0",
                vec!["\"orders.eu\"", r#"{"a":"1","b":"3"}"#, "7", "1357034400000000000"],
            ),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(outputs(filter, payload), Ok(expected), "{filter}");
        }
    }

    #[test]
    fn an_error_refuses_the_event_with_its_own_words() {
        for (filter, payload, reason) in [
            ("error(\"cancelled: no departure\")", "1", "cancelled: no departure"),
            ("1, error({code: 3})", "1", r#"{"code":3}"#),
            (".a + 1", r#"{"a":"x"}"#, "cannot calculate \"x\" + 1"),
            (".", "not json", "the payload is not JSON: expected ident at line 1 column 2"),
            ("nan", "1", "an output has no JSON form: it holds a NaN"),
            ("{(tostring): infinite}", "1", "an output has no JSON form"),
            ("tobytes", "1", "an output has no JSON form"),
            ("@base64d", "\"/w==\"", "an output has no JSON form: a string in it is not UTF-8"),
        ] {
            let error = outputs(filter, payload).expect_err(filter);
            assert!(error.starts_with(reason), "{filter}: {error}");
        }
    }

    #[test]
    fn a_program_that_does_not_compile_says_where_and_why() {
        for (filter, reason) in [
            (".a |", "line 1, column 5: expected"),
            (".\n| [1, 2", "line 2, column"),
            ("nosuch(1)", "line 1, column 1: there is no filter nosuch/1"),
            (". as $x | $y", "line 1, column 11: there is no variable $y"),
            ("1 | now", "there is no filter now/0 (an output can depend on nothing but the event)"),
            ("env", "there is no filter env/0"),
            ("$ENV", "there is no variable $ENV"),
            ("input", "there is no filter input/0"),
            ("localtime", "there is no filter localtime/0"),
            ("halt", "there is no filter halt/0"),
            ("import \"a\" as a; 1", "there are no files to include"),
        ] {
            let error = outputs(filter, "1").expect_err(filter);
            assert!(error.starts_with("the jq program does not compile: line"), "{filter}: {error}");
            assert!(error.contains(reason), "{filter}: {error}");
        }
        let error = settings(&serde_json::json!({"filter": ".", "sort": 1})).err();
        assert!(error.is_some_and(|error| error.contains("unknown field `sort`")));
    }

    #[test]
    fn a_subject_is_one_string_or_left_to_the_pipeline() {
        let subjects = |program: &str| {
            let settings = settings(&serde_json::json!({"filter": ".[]", "subject": program}))?;
            let messages = select(event(r#"[{"to":"x"},{"to":null}]"#), &settings)?;
            Ok::<_, String>(messages.into_iter().map(|m| m.subject).collect::<Vec<_>>())
        };
        assert_eq!(subjects(".to"), Ok(vec![Some("x".to_owned()), None]));
        let subject = "orders.eu.b3".to_owned();
        let program = r#""\($event.subject).b\($event.headers.b)""#;
        assert_eq!(subjects(program), Ok(vec![Some(subject.clone()), Some(subject)]));
        assert_eq!(subjects("1"), Err("the subject is no string, but 1".to_owned()));
        assert_eq!(subjects("empty"), Err("the subject's program gave 0 outputs, not one".to_owned()));
    }

    #[test]
    fn the_flights_example_does_what_its_readme_says() {
        let file = include_str!("../../../examples/flights/flights.toml");
        let filter = file.split("'''").nth(1).expect("the filter stands in three quotes");
        let flights = include_str!("../../../examples/flights/flights-sample.ndjson");
        let settings = settings(&serde_json::json!({ "filter": filter })).expect("it compiles");
        let answers: Vec<_> = flights.lines().map(|line| select(event(line), &settings)).collect();
        let refused = |reason| {
            answers
                .iter()
                .filter(|a| a.as_ref().is_err_and(|reject| reject.reason().starts_with(reason)))
                .count()
        };
        assert_eq!(answers.iter().flatten().map(Vec::len).sum::<usize>(), 1671);
        assert_eq!((refused("cancelled"), refused("diverted")), (869, 6));
        let first = answers[0].as_ref().expect("the first flight landed");
        let expected = concat!(
            r#"{"flight":"EV4322","route":"EWR-PWM","scheduled":"2013-02-08T02:00:00Z","#,
            r#""departure_delay":148,"arrival_delay":137,"caught_up":11,"tailnum":"N16961"}"#
        );
        assert_eq!(String::from_utf8_lossy(&first[0].payload), expected);
    }

    #[test]
    fn the_readme_and_the_schema_tell_the_truth() {
        checks::readme(env!("CARGO_MANIFEST_DIR"));
        checks::schema::<Settings>(env!("CARGO_MANIFEST_DIR"), std::env::var_os("UPDATE_GOLDEN"));
    }

    #[test]
    fn headers_come_along() {
        let settings = settings(&serde_json::json!({"filter": "., ."})).expect("it compiles");
        let messages = select(event("1"), &settings).expect("there is nothing to refuse");
        assert!(messages.len() == 2 && messages.iter().all(|m| m.headers == event("1").headers));
    }
}
