//! A transform that hashes, tokenises, redacts or drops chosen fields of JSON events.
//!
//! One JSON object or array comes in, the same one with the selected values replaced goes out; what no rule
//! selects keeps its text, byte for byte, so that large numbers and odd decimals come through unharmed. Which
//! fields these are is the configuration's matter ([`Settings`]; README.md has the table), and so is what a
//! missing field means. A payload that is not JSON is refused: nothing passes that was not looked at.

mod action;
mod rewrite;
mod selector;
mod settings;

use weir_sdk::{Event, Message, Reject, Result, transform};

pub use settings::Settings;

transform!(mask, Settings);

/// Masks one event.
///
/// # Errors
/// When the payload is not a JSON object or array, when a field is missing that must be there, or when a
/// value of a kind is selected with which the rule's action can do nothing.
pub fn mask(event: Event, settings: &Settings) -> Result<Message> {
    let masked = rewrite::rewrite(event.text()?, settings.rules()).map_err(Reject::new)?;
    Ok(Message { subject: None, payload: masked.into_bytes(), headers: event.headers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(config: &str, payload: &str) -> Result<String> {
        let settings: Settings = serde_json::from_str(config).expect("the configuration is valid");
        let message = mask(Event::new("people", payload), &settings)?;
        Ok(String::from_utf8(message.payload).expect("JSON is UTF-8"))
    }

    fn drop(field: &str) -> String {
        format!(r#"{{"rules":[{{"field":"{field}","action":"drop"}}]}}"#)
    }

    #[test]
    fn selectors_find_their_values_and_nothing_else() {
        for (field, payload, expected) in [
            ("$.a", r#"{"a":1,"b":{"a":2}}"#, r#"{"b":{"a":2}}"#),
            ("$.b.a", r#"{"a":1,"b":{"a":2}}"#, r#"{"a":1,"b":{}}"#),
            ("$..a", r#"{"a":1,"b":[{"a":2,"c":[[{"a":3}]]}]}"#, r#"{"b":[{"c":[[{}]]}]}"#),
            ("$[*].a", r#"[{"a":1},{"b":2},3]"#, r#"[{},{"b":2},3]"#),
            ("$.l[*]", r#"{"l":[1,[2]],"m":[1]}"#, r#"{"l":[],"m":[1]}"#),
            ("$.o.*", r#"{"o":{"x":1,"y":2}}"#, r#"{"o":{}}"#),
            ("$['a b'].c", r#"{"a b":{"c":1,"d":2}}"#, r#"{"a b":{"d":2}}"#),
            ("$.a", r#"{"\u0061":1,"A":2}"#, r#"{"A":2}"#),
            ("$.a", r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2}"#),
            ("$.a.b", r#"{"a":"b"}"#, r#"{"a":"b"}"#),
        ] {
            assert_eq!(masked(&drop(field), payload), Ok(expected.to_owned()), "{field} in {payload}");
        }
    }

    #[test]
    fn what_is_not_selected_keeps_its_text() {
        let kept = r#""n":12345678901234567890.10, "e":1E+2,"s":"\u00e9\/", "o": { "x" : [ 1.50 ] }"#;
        let payload = format!("{{{kept},\"a\":1}}");
        let expected = kept.replace(", \"", ",\"").replace("\"o\": ", "\"o\":");
        assert_eq!(masked(&drop("$.a"), &payload), Ok(format!("{{{expected}}}")));
    }

    #[test]
    fn white_space_around_the_document_goes() {
        let payload = " \r\n\t{\"a\":1,\"b\": [ 2 ]} \n";
        assert_eq!(masked(&drop("$.a"), payload), Ok(r#"{"b":[ 2 ]}"#.to_owned()));
        assert_eq!(masked(&drop("$[*]"), "\n[1, 2]\n"), Ok("[]".to_owned()));
    }

    #[test]
    fn each_action_does_its_own() {
        let config = r#"{"key":"0123456789abcdef","rules":[
            {"field":"$.card","action":"hash","salt":"pepper"},
            {"field":"$.user","action":"tokenise"},
            {"field":"$.friends[*]","action":"tokenise"},
            {"field":"$.name","action":"redact"},
            {"field":"$.note","action":"redact","text":""},
            {"field":"$.ip","action":"drop"}]}"#;
        let payload =
            r#"{"card":4111,"user":"ada","friends":["ada",null],"name":"Ada","note":{"x":1},"ip":[1]}"#;
        let expected = concat!(
            r#"{"card":"2f27ac2b3d1d531fee15d5e60981f38009d2d4ca48c176771556e187ad74c120","#,
            r#""user":"83eeb38e004a295359bde4b0760bb271","#,
            r#""friends":["83eeb38e004a295359bde4b0760bb271",null],"name":"[redacted]","note":""}"#,
        );
        assert_eq!(masked(config, payload), Ok(expected.to_owned()));
    }

    #[test]
    fn the_first_rule_that_selects_a_value_wins_and_the_outer_value_goes_first() {
        let config = r#"{"rules":[
            {"field":"$.a","action":"redact","text":"1"},
            {"field":"$..a","action":"redact","text":"2"},
            {"field":"$.b.c","action":"redact","text":"3"},
            {"field":"$.b","action":"redact","text":"4"}]}"#;
        let masked = masked(config, r#"{"a":0,"d":{"a":0},"b":{"c":0}}"#);
        assert_eq!(masked, Ok(r#"{"a":"1","d":{"a":"2"},"b":"4"}"#.to_owned()));
    }

    #[test]
    fn nothing_passes_that_was_not_looked_at() {
        let strict = r#"{"rules":[{"field":"$.a.b","action":"drop","missing":"reject"}]}"#;
        let hash = r#"{"rules":[{"field":"$.a","action":"hash"}]}"#;
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for (config, payload, reason) in [
            (strict, "", "the payload is not JSON: EOF"),
            (strict, r#"{"a":{"b":1}} {}"#, "the payload is not JSON: trailing characters"),
            (strict, r#"{"a":{"b":1,}}"#, "the payload is not JSON"),
            (strict, "\n\n {\"a\":x}", "the payload is not JSON: expected value at line 3 column 7"),
            (strict, " 1 ", "the payload is neither"),
            (strict, " 1x", "the payload is not JSON"),
            (strict, "\"a\"", "the payload is neither a JSON object nor an array"),
            (strict, r#"{"a":{"c":1}}"#, "the field $.a.b is missing"),
            (hash, r#"{"a":[1]}"#, "the field $.a: an object or array has no one text"),
            (drop("$..a").as_str(), &deep, "the payload is nested deeper than 128 levels"),
        ] {
            let reject = masked(config, payload).expect_err(payload);
            assert!(reject.reason().starts_with(reason), "{payload}: {reject:?}");
        }
        let settings: Settings = serde_json::from_str(hash).expect("the configuration is valid");
        let reject = mask(Event::new("s", [b'"', 0xff, b'"']), &settings).expect_err("it is not UTF-8");
        assert!(reject.reason().starts_with("the payload is not UTF-8"), "{reject:?}");
    }

    #[test]
    fn the_readme_and_the_schema_tell_the_truth() {
        checks::readme(env!("CARGO_MANIFEST_DIR"));
        let update = std::env::var_os("UPDATE_GOLDEN");
        checks::schema::<settings::File>(env!("CARGO_MANIFEST_DIR"), update);
    }

    #[test]
    fn headers_come_along() {
        let settings: Settings = serde_json::from_str(&drop("$.a")).expect("the configuration is valid");
        let mut event = Event::new("s", "{}");
        event.headers.push(("trace".to_owned(), "1".to_owned()));
        let message = mask(event, &settings).expect("there is nothing to refuse");
        assert_eq!(message.headers, [("trace".to_owned(), "1".to_owned())]);
    }
}
