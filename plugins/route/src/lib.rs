//! A transform that chooses a message's subject by what is in the event, and leaves the rest as it is.
//!
//! Routes are tried in order; the first that takes the event gives the subject, made of a template. A text
//! that is no token of a subject (white space, a dot, a wildcard) takes no route, so that no event can choose
//! a subject that its template does not allow. What no route takes goes to the default, or is refused with
//! the reason of each route. That the subject is one of the pipeline's own (`sink.allow`) is checked by Weir.

mod settings;

use std::fmt::Write as _;

use event_parts::{Filled, Part};
use weir_sdk::{Event, Message, Reject, Result, transform};

use settings::Route;
pub use settings::Settings;

transform!(route, Settings);

/// Gives one event its subject.
///
/// # Errors
/// When no route takes the event and there is no default, or when a route has to read the payload and it is
/// not JSON.
pub fn route(event: Event, settings: &Settings) -> Result<Message> {
    let mut reasons = String::new();
    for (at, route) in settings.routes().enumerate() {
        match subject(route, &event)? {
            Ok(subject) => {
                return Ok(Message {
                    subject: Some(subject),
                    payload: event.payload,
                    headers: event.headers,
                });
            }
            Err(reason) => {
                write!(reasons, "; route {}: {reason}", at + 1).expect("writing to a String cannot fail");
            }
        }
    }
    Err(Reject::new(format_args!("no route takes the event{reasons}")))
}

/// The subject that a route gives, or why it does not take the event.
fn subject(route: &Route, event: &Event) -> Result<Result<String, String>> {
    if let Some(condition) = &route.condition {
        match condition.part.text(event)? {
            None => return Ok(Err(format!("{} is missing", condition.part))),
            Some(text) if !condition.takes(&text) => {
                return Ok(Err(format!("{} is {}", condition.part, shown(&text))));
            }
            Some(_) => {}
        }
    }
    // The subject of an event is one already, dots and all.
    let fits = |part: &Part, text: &str| *part == Part::Subject || is_token(text);
    Ok(match route.subject.fill(event, fits)? {
        Filled::Text(subject) => Ok(subject),
        Filled::Missing(part) => Err(format!("{part} is missing")),
        Filled::Unfit(part, text) => {
            Err(format!("{part} is {}, which is no token of a subject", shown(&text)))
        }
    })
}

/// Whether a text can stand between two dots of a subject.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && !text.contains(|c: char| matches!(c, '.' | '*' | '>') || c.is_whitespace() || c.is_control())
}

/// A text as a reason shows it: not all of a long one.
fn shown(text: &str) -> String {
    let few: String = text.chars().take(60).collect();
    format!("'{}{}'", few.escape_debug(), if few.len() < text.len() { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(config: &str, payload: &str) -> std::result::Result<String, String> {
        let settings: Settings = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let mut event = Event::new("orders.new", payload);
        event.headers.push(("Kind".to_owned(), "gift".to_owned()));
        let message = route(event.clone(), &settings)?;
        assert_eq!((message.payload, message.headers), (event.payload, event.headers));
        Ok(message.subject.expect("a routed message has a subject"))
    }

    #[test]
    fn the_first_route_that_takes_the_event_gives_the_subject() {
        let config = r#"{"routes":[
            {"when":"$.priority","is":["high",1,true],"subject":"urgent.{$.country}"},
            {"when":"header:Kind","is":["parcel"],"subject":"never"},
            {"when":"$.vip","subject":"vip.{2}"},
            {"subject":"by.{$.country}.{header:Kind}"}],
            "default":"other.{subject}"}"#;
        for (payload, subject) in [
            (r#"{"priority":"high","country":"de"}"#, "urgent.de"),
            (r#"{"priority":1,"country":"de"}"#, "urgent.de"),
            (r#"{"priority":"true","country":"de"}"#, "urgent.de"),
            (r#"{"priority":"low","country":"de"}"#, "by.de.gift"),
            (r#"{"priority":"high","vip":false}"#, "vip.new"),
            (r#"{"vip":null,"country":"de"}"#, "by.de.gift"),
            (r#"{"country":49}"#, "by.49.gift"),
            (r#"{"country":"d.e"}"#, "other.orders.new"),
            (r#"{"country":">"}"#, "other.orders.new"),
            (r#"{"country":""}"#, "other.orders.new"),
            (r#"{"country":"U S"}"#, "other.orders.new"),
            ("{}", "other.orders.new"),
        ] {
            assert_eq!(routed(config, payload), Ok(subject.to_owned()), "{payload}");
        }
    }

    #[test]
    fn what_no_route_takes_is_refused_with_the_reasons() {
        let config = r#"{"routes":[{"when":"$.a","is":["x"],"subject":"a"},{"subject":"b.{$.b}"}]}"#;
        let long = format!(r#"{{"a":"{}","b":1}}"#, "é".repeat(100));
        for (payload, reason) in [
            ("{}", "no route takes the event; route 1: $.a is missing; route 2: $.b is missing"),
            (
                r#"{"a":"y\n","b":"x.y"}"#,
                "no route takes the event; route 1: $.a is 'y\\n'; route 2: $.b is 'x.y', which is no token of a subject",
            ),
            (
                r#"{"a":"x","b":[]"#,
                "the payload is not JSON: EOF while parsing an object at line 1 column 15",
            ),
            (r#"{"a":[]}"#, "the field $.a: an object or array has no one text"),
        ] {
            assert_eq!(routed(config, payload), Err(reason.to_owned()), "{payload}");
        }
        assert_eq!(routed(config, &long), Ok("b.1".to_owned()));
        assert_eq!(shown(&"é".repeat(100)), format!("'{}…'", "é".repeat(60)));
    }

    #[test]
    fn a_payload_that_no_route_reads_may_be_anything() {
        let by_header = r#"{"routes":[{"subject":"{1}.{header:Kind}"}]}"#;
        assert_eq!(routed(by_header, "not json"), Ok("orders.gift".to_owned()));
    }

    #[test]
    fn the_readme_and_the_schema_tell_the_truth() {
        checks::readme(env!("CARGO_MANIFEST_DIR"));
        let update = std::env::var_os("UPDATE_GOLDEN");
        checks::schema::<settings::File>(env!("CARGO_MANIFEST_DIR"), update);
    }
}
