//! A transform that adds to JSON events what a table says about them.
//!
//! The table stands in the configuration, so it is pinned with the plan like code: a new table is a new plan,
//! in force from one exact event on. A part of the event is the key; the entry becomes a member of the event,
//! or its members become the event's. What is not set keeps its text, byte for byte, and its place.

mod settings;

use event_parts::{Members, name};
use weir_sdk::{Event, Message, Reject, Result, transform};

pub use settings::Settings;
use settings::{Entry, Missing};

transform!(enrich, Settings);

/// Enriches one event.
///
/// # Errors
/// When there is something to add and the payload is not a JSON object, or when there is no entry, if that is
/// not allowed.
pub fn enrich(event: Event, settings: &Settings) -> Result<Option<Message>> {
    let key = settings.key.text(&event)?;
    let entry = key.as_ref().and_then(|key| settings.table.get(key.as_ref()));
    let payload = match (entry.or(settings.default.as_ref()), settings.missing, &key) {
        (Some(entry), ..) => set(event.text()?, entry)?.into_bytes(),
        (None, Missing::Keep, _) => event.payload,
        (None, Missing::Drop, _) => return Ok(None),
        (None, Missing::Reject, None) => {
            return Err(Reject::new(format_args!("{} is missing", settings.key)));
        }
        (None, Missing::Reject, Some(text)) => {
            let text: String = text.chars().take(100).collect();
            return Err(Reject::new(format_args!("the table has no entry for {} '{text}'", settings.key)));
        }
    };
    Ok(Some(Message { subject: None, payload, headers: event.headers }))
}

/// The object with the entry's members in it: in the place of those that it has, else behind them.
fn set(document: &str, entry: &Entry) -> Result<String> {
    if !document.trim_start().starts_with('{') {
        serde_json::from_str::<serde::de::IgnoredAny>(document).map_err(not_json)?;
        return Err(Reject::new("the payload is no JSON object"));
    }
    let Members(members) = serde_json::from_str(document).map_err(not_json)?;
    let mut object = String::with_capacity(document.len() + 64);
    let mut is_set = vec![false; entry.len()];
    for (written, value) in members {
        let found = {
            let name = name(written).map_err(not_json)?;
            entry.iter().position(|member| member.name == name)
        };
        match found {
            None => push(&mut object, written.get(), value.get()),
            Some(at) if !is_set[at] => {
                push(&mut object, written.get(), entry[at].value.get());
                is_set[at] = true;
            }
            // A name that repeats would stand for the value that has just been replaced.
            Some(_) => {}
        }
    }
    for (member, _) in entry.iter().zip(is_set).filter(|(_, is_set)| !is_set) {
        push(&mut object, &serde_json::Value::from(member.name.as_str()).to_string(), member.value.get());
    }
    if object.is_empty() {
        object.push('{');
    }
    object.push('}');
    Ok(object)
}

/// Appends a member to an object that is begun with the first one.
fn push(object: &mut String, name: &str, value: &str) {
    object.push(if object.is_empty() { '{' } else { ',' });
    object.push_str(name);
    object.push(':');
    object.push_str(value);
}

fn not_json(error: serde_json::Error) -> Reject {
    Reject::new(format_args!("the payload is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enriched(config: &str, payload: &str) -> std::result::Result<Option<String>, String> {
        let settings: Settings = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let mut event = Event::new("orders.de", payload);
        event.headers.push(("Trace".to_owned(), "7".to_owned()));
        let message = enrich(event.clone(), &settings)?;
        assert!(message.iter().all(|message| message.headers == event.headers && message.subject.is_none()));
        Ok(message.map(|message| String::from_utf8(message.payload).expect("JSON is UTF-8")))
    }

    #[test]
    fn an_entry_becomes_a_member_or_its_members_do() {
        let into = r#"{"key":"$.c","into":"country","table":{"de":{"name":"Germany","vat":19},"7":null}}"#;
        let merged = r#"{"key":"$.c","table":{"de":{"b":[1.50],"a":1}}}"#;
        let token = r#"{"key":"2","into":"c","table":{"de":"Germany"}}"#;
        for (config, payload, expected) in [
            (into, r#"{"c":"de","n":1.50}"#, r#"{"c":"de","n":1.50,"country":{"name":"Germany","vat":19}}"#),
            (
                into,
                r#"{"c":"\u0064e","country":0,"n": [ ]}"#,
                r#"{"c":"\u0064e","country":{"name":"Germany","vat":19},"n":[ ]}"#,
            ),
            (into, r#"{"c":7}"#, r#"{"c":7,"country":null}"#),
            (into, r#"{"c":"at","n": 1}"#, r#"{"c":"at","n": 1}"#),
            (into, r#"{"c":null}"#, r#"{"c":null}"#),
            (merged, r#"{"a":0,"c":"de","a":2}"#, r#"{"a":1,"c":"de","b":[1.50]}"#),
            (token, "{}", r#"{"c":"Germany"}"#),
            (token, r#"{"c":"x"}"#, r#"{"c":"Germany"}"#),
            (r#"{"key":"2","table":{"de":{}}}"#, "{ }", "{}"),
        ] {
            assert_eq!(enriched(config, payload), Ok(Some(expected.to_owned())), "{payload}");
        }
    }

    #[test]
    fn what_has_no_entry_is_what_the_configuration_says() {
        let config = |more: &str| format!(r#"{{"key":"$.c","into":"x","table":{{"de":1}}{more}}}"#);
        for (more, payload, expected) in [
            (r#","default":0"#, r#"{"c":"at"}"#, Ok(Some(r#"{"c":"at","x":0}"#))),
            (r#","default":0,"missing":"reject""#, "{}", Ok(Some(r#"{"x":0}"#))),
            (r#","missing":"keep""#, "{}", Ok(Some("{}"))),
            (r#","missing":"drop""#, r#"{"c":"at"}"#, Ok(None)),
            (r#","missing":"reject""#, r#"{"c":"at"}"#, Err("the table has no entry for $.c 'at'")),
            (r#","missing":"reject""#, "{}", Err("$.c is missing")),
        ] {
            let expected = expected.map(|text| text.map(str::to_owned)).map_err(str::to_owned);
            assert_eq!(enriched(&config(more), payload), expected, "{payload}");
        }
    }

    #[test]
    fn a_payload_that_cannot_be_added_to_is_refused() {
        let token = r#"{"key":"2","into":"c","table":{"de":"Germany"}}"#;
        for (payload, reason) in [
            ("[]", "the payload is no JSON object"),
            ("", "the payload is not JSON: EOF"),
            ("{\"a\":1", "the payload is not JSON: EOF"),
            ("{} x", "the payload is not JSON: trailing characters"),
        ] {
            let error = enriched(token, payload).expect_err(payload);
            assert!(error.starts_with(reason), "{payload}: {error}");
        }
    }

    #[test]
    fn the_readme_and_the_schema_tell_the_truth() {
        checks::readme(env!("CARGO_MANIFEST_DIR"));
        let update = std::env::var_os("UPDATE_GOLDEN");
        checks::schema::<settings::File>(env!("CARGO_MANIFEST_DIR"), update);
    }
}
