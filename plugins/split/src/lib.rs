//! A transform that makes one event into many: one message for each line, each JSON value of NDJSON, or each
//! element of a JSON array.
//!
//! What a message holds is a piece of the payload, byte for byte. An event is split whole or refused whole:
//! a line that is not JSON where JSON is asked for sends none of the others. How many messages an event may
//! give is the step's limit (`messages_per_event`), not this module's.

use event_parts::Field;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use weir_sdk::{Event, Message, Reject, Result, transform};

transform!(split, Settings);

/// How events are taken apart.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub enum Settings {
    /// At line breaks, whatever the lines hold.
    Lines {
        /// Whether empty lines become messages too.
        #[serde(default)]
        keep_empty: bool,
        /// A header with the message's place among those of its event, from 0.
        index_header: Option<String>,
    },
    /// At line breaks; every line that is not empty has to be one JSON value.
    Ndjson {
        /// A header with the message's place among those of its event, from 0.
        index_header: Option<String>,
    },
    /// Between the elements of a JSON array.
    Array {
        /// Where the array is, as in $.items; if not given, the whole payload is it.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        at: Option<Field>,
        /// A header with the message's place among those of its event, from 0.
        index_header: Option<String>,
    },
}

/// Splits one event.
///
/// # Errors
/// When JSON is asked for and not there.
pub fn split(event: Event, settings: &Settings) -> Result {
    let (pieces, index_header) = match settings {
        Settings::Lines { keep_empty, index_header } => (lines(&event.payload, *keep_empty), index_header),
        Settings::Ndjson { index_header } => (values(event.text()?)?, index_header),
        Settings::Array { at, index_header } => (elements(event.text()?, at.as_ref())?, index_header),
    };
    let message = |(index, piece): (usize, &[u8])| -> Message {
        let message = event.message(piece);
        match index_header {
            Some(name) => message.with_header(name, index.to_string()),
            None => message,
        }
    };
    Ok(pieces.into_iter().enumerate().map(message).collect())
}

/// The lines, without their ends; a line break at the end of the payload begins no line.
fn lines(payload: &[u8], keep_empty: bool) -> Vec<&[u8]> {
    let body = payload.strip_suffix(b"\n").unwrap_or(payload);
    if payload.is_empty() {
        return Vec::new();
    }
    let lines = body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| keep_empty || !line.is_empty()).collect()
}

fn values(text: &str) -> Result<Vec<&[u8]>> {
    let mut values = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let value = line.trim_matches([' ', '\t']);
        if value.is_empty() {
            continue;
        }
        // The error's own place is always in line 1.
        serde_json::from_str::<IgnoredAny>(value)
            .map_err(|error| Reject::new(format_args!("line {} is not JSON: {error}", at + 1)))?;
        values.push(value.as_bytes());
    }
    Ok(values)
}

fn elements<'a>(text: &'a str, at: Option<&Field>) -> Result<Vec<&'a [u8]>> {
    let place = at.map_or_else(|| "the payload".to_owned(), |field| format!("the field {field}"));
    let list = match at {
        Some(field) => field.find(text)?.ok_or_else(|| format!("{place} is missing"))?,
        None => text.trim_start(),
    };
    if !list.starts_with('[') {
        // What is not JSON at all is told as such.
        serde_json::from_str::<IgnoredAny>(list).map_err(|e| format!("the payload is not JSON: {e}"))?;
        return Err(Reject::new(format_args!("{place} is no array")));
    }
    let elements: Vec<&RawValue> =
        serde_json::from_str(list).map_err(|error| format!("the payload is not JSON: {error}"))?;
    Ok(elements.into_iter().map(|element| element.get().as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(config: &str, payload: impl Into<Vec<u8>>) -> std::result::Result<Vec<String>, String> {
        let settings: Settings = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let messages = split(Event::new("s", payload), &settings)?;
        Ok(messages.into_iter().map(|m| String::from_utf8_lossy(&m.payload).into_owned()).collect())
    }

    #[test]
    fn each_piece_is_a_message_as_it_was_written() {
        let (array, ndjson, lines) = (r#"{"by":"array"}"#, r#"{"by":"ndjson"}"#, r#"{"by":"lines"}"#);
        let (at, empty) = (r#"{"by":"array","at":"$.o[1]"}"#, r#"{"by":"lines","keep_empty":true}"#);
        for (config, payload, expected) in [
            (
                array,
                " [1.50, \"a,b\", {\"x\": [1, 2]},null] ",
                vec!["1.50", "\"a,b\"", "{\"x\": [1, 2]}", "null"],
            ),
            (array, "[]", vec![]),
            (at, r#"{"n":1,"o":[[0],[1e999,2]]}"#, vec!["1e999", "2"]),
            (ndjson, "{\"a\": 1}\n\n [2] \r\n\"3\"", vec!["{\"a\": 1}", "[2]", "\"3\""]),
            (ndjson, "", vec![]),
            (lines, "a\r\n\n b \nc\n", vec!["a", " b ", "c"]),
            (lines, "", vec![]),
            (empty, "a\n\nb\n\n", vec!["a", "", "b", ""]),
            (empty, "\n", vec![""]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(pieces(config, payload), Ok(expected), "{payload:?}");
        }
        assert_eq!(pieces(lines, [0xff, b'\n', b'a']), Ok(vec!["\u{fffd}".to_owned(), "a".to_owned()]));
    }

    #[test]
    fn an_event_is_split_whole_or_refused_whole() {
        let (array, ndjson) = (r#"{"by":"array"}"#, r#"{"by":"ndjson"}"#);
        let at = r#"{"by":"array","at":"$.list"}"#;
        for (config, payload, reason) in [
            (array, "", "the payload is not JSON: EOF"),
            (array, "[1,]", "the payload is not JSON: trailing comma"),
            (array, "[1] [2]", "the payload is not JSON: trailing characters"),
            (array, "{}", "the payload is no array"),
            (at, "{}", "the field $.list is missing"),
            (at, r#"{"list":{}}"#, "the field $.list is no array"),
            (at, r#"{"list":[1]"#, "the payload is not JSON: EOF"),
            (ndjson, "1\n\n{\"a\":\n1}", "line 3 is not JSON: EOF"),
            (ndjson, "1 2", "line 1 is not JSON: trailing characters"),
            (r#"{"by":"lines","at":"$.a"}"#, "a", "unknown field `at`"),
            (r#"{"by":"array","keep_empty":true}"#, "[]", "unknown field `keep_empty`"),
            (r#"{"by":"array","at":"items"}"#, "[]", "the field 'items' cannot be read"),
            (r#"{"by":"words"}"#, "a", "unknown variant `words`"),
            ("{}", "a", "missing field `by`"),
        ] {
            let error = pieces(config, payload).expect_err(payload);
            assert!(error.starts_with(reason), "{payload}: {error}");
        }
    }

    #[test]
    fn headers_come_along_and_may_count() {
        let settings = serde_json::from_str(r#"{"by":"lines","index_header":"Part"}"#).expect("it is valid");
        let mut event = Event::new("s", "a\nb");
        event.headers.push(("Trace".to_owned(), "7".to_owned()));
        let messages = split(event, &settings).expect("lines can always be split");
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(messages[0].headers, [header("Trace", "7"), header("Part", "0")]);
        assert_eq!(messages[1].headers, [header("Trace", "7"), header("Part", "1")]);
    }

    #[test]
    fn the_readme_and_the_schema_tell_the_truth() {
        checks::readme(env!("CARGO_MANIFEST_DIR"));
        checks::schema::<Settings>(env!("CARGO_MANIFEST_DIR"), std::env::var_os("UPDATE_GOLDEN"));
    }
}
