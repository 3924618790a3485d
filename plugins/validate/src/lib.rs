//! A transform that lets through, as they are, the JSON events that fit a JSON Schema, and refuses the others
//! with where and why they do not.
//!
//! The schema stands in the configuration, and nothing is fetched: a reference that leads out of it is a
//! mistake in it. The `jsonschema` crate checks; it is compiled once for each instance. Reasons name places
//! and rules, never values, for they go to logs and headers that more people read than the events.

mod settings;

use std::fmt::Write as _;

use jsonschema::ValidationError;
use jsonschema::paths::LocationSegment;
use serde_json::Value;
use weir_sdk::{Event, Message, Reject, Result, transform};

pub use settings::Settings;

/// The longest rule that a reason shows, in characters.
const RULE_CHARS_MAX: usize = 300;

transform!(validate, Settings);

/// Checks one event.
///
/// # Errors
/// When the payload is not JSON or does not fit the schema.
pub fn validate(event: Event, settings: &Settings) -> Result<Message> {
    let document: Value = event.json()?;
    let mut violations = settings.validator.iter_errors(&document);
    let Some(first) = violations.next() else {
        return Ok(Message { subject: None, payload: event.payload, headers: event.headers });
    };
    let mut reason = format!("the event does not fit the schema: {}", describe(&first));
    for violation in violations.by_ref().take(settings.violations - 1) {
        write!(reason, "; {}", describe(&violation)).expect("writing to a String cannot fail");
    }
    if violations.next().is_some() {
        reason.push_str("; and more");
    }
    Err(Reject::new(reason))
}

/// Where a violation is and which rule it breaks, without the value.
fn describe(violation: &ValidationError<'_>) -> String {
    let mut place = "$".to_owned();
    for segment in violation.instance_path() {
        match segment {
            LocationSegment::Index(index) => write!(place, "[{index}]"),
            LocationSegment::Property(name) if is_plain(&name) => write!(place, ".{name}"),
            LocationSegment::Property(name) => write!(place, "['{}']", name.escape_debug()),
        }
        .expect("writing to a String cannot fail");
    }
    let rule = violation.masked().to_string();
    let mut shown: String = rule.chars().take(RULE_CHARS_MAX).collect();
    if shown.len() < rule.len() {
        shown.push('…');
    }
    format!("{place}: {shown}")
}

/// Whether a name needs no quotes.
fn is_plain(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_numeric()) && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with an event, or nothing.
    fn reason(config: &Value, payload: &str) -> String {
        let settings: Settings = match serde_json::from_str(&config.to_string()) {
            Ok(settings) => settings,
            Err(error) => return error.to_string(),
        };
        let event = Event::new("orders", payload);
        match validate(event.clone(), &settings) {
            Ok(message) => {
                assert_eq!(message, event.message(event.payload.clone()));
                String::new()
            }
            Err(reject) => reject.into(),
        }
    }

    fn schema(schema: &Value) -> Value {
        serde_json::json!({ "schema": schema })
    }

    #[test]
    fn what_fits_goes_through_and_what_does_not_says_where() {
        let order = schema(&serde_json::json!({
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": {"type": "string", "pattern": "^[A-Z]-\\d+$"},
                "items": {"type": "array", "items": {"properties": {"unit price": {"minimum": 0}}}},
            },
        }));
        for (payload, expected) in [
            (r#"{"id":"A-7","items":[{"unit price":0}]}"#, ""),
            ("{}", "the event does not fit the schema: $: \"id\" is a required property"),
            ("[]", "the event does not fit the schema: $: value is not of type \"object\""),
            (
                r#"{"id":7,"items":[{},{"unit price":-1}]}"#,
                concat!(
                    "the event does not fit the schema: $.id: value is not of type \"string\"; ",
                    "$.items[1]['unit price']: value is less than the minimum of 0",
                ),
            ),
            ("{", "the payload is not JSON: EOF while parsing an object at line 1 column 1"),
        ] {
            assert_eq!(reason(&order, payload), expected, "{payload}");
        }
    }

    #[test]
    fn a_reason_is_bounded_and_shows_no_values() {
        let mut config = schema(&serde_json::json!({"items": {"type": "string", "const": "x".repeat(1000)}}));
        config["violations"] = 2.into();
        let found = reason(&config, r#"["secret", "secret", "secret"]"#);
        assert!(!found.contains("secret") && found.ends_with("; and more"), "{found}");
        assert!(found.len() < 1000 && found.contains("$[1]: ") && !found.contains("$[2]"), "{found}");
    }

    #[test]
    fn formats_are_checked_unless_they_are_only_notes() {
        let mut config = schema(&serde_json::json!({"format": "date-time"}));
        assert_eq!(reason(&config, "\"2026-01-01T00:00:00Z\""), "");
        assert!(reason(&config, "\"yesterday\"").contains("$: value is not a \"date-time\""));
        config["formats"] = false.into();
        assert_eq!(reason(&config, "\"yesterday\""), "");
    }

    #[test]
    fn references_stay_inside_the_schema() {
        let inside = serde_json::json!({"$defs": {"n": {"type": "number"}}, "$ref": "#/$defs/n"});
        assert_eq!(reason(&schema(&inside), "1"), "");
        for (reference, why) in [
            ("https://example.org/order.json", "nothing outside the schema is fetched: put https://"),
            ("file:///etc/passwd", "nothing outside the schema is fetched: put file:///etc/passwd under"),
            ("order.json", "Resource 'order.json' is not present"),
            ("#/$defs/m", "Pointer '/$defs/m' does not exist"),
        ] {
            let found = reason(&schema(&serde_json::json!({ "$ref": reference })), "1");
            assert!(found.contains("'schema' is no JSON Schema: ") && found.contains(why), "{found}");
        }
    }

    #[test]
    fn a_configuration_that_cannot_be_meant_is_refused_with_the_reason() {
        let violations = serde_json::json!({"schema": {}, "violations": 0});
        for (config, expected) in [
            (serde_json::json!({}), "missing field `schema`"),
            (serde_json::json!({"schema": {}, "draft": 7}), "unknown field `draft`"),
            (schema(&serde_json::json!({"type": "text"})), "'schema' is no JSON Schema: $.type: "),
            (schema(&serde_json::json!({"pattern": "("})), "'schema' is no JSON Schema: $.pattern: "),
            (violations, "'violations' is 0, not from 1 to 100"),
        ] {
            let found = reason(&config, "1");
            assert!(found.contains(expected), "{config}: {found}");
        }
    }

    #[test]
    fn the_readme_and_the_schema_tell_the_truth() {
        checks::readme(env!("CARGO_MANIFEST_DIR"));
        let update = std::env::var_os("UPDATE_GOLDEN");
        checks::schema::<settings::File>(env!("CARGO_MANIFEST_DIR"), update);
    }
}
