//! Structured mode: attributes and data are one JSON object, by the JSON event format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event_parts::{Field, Members, content, name};
use serde::de::IgnoredAny;
use weir_sdk::{Event, Message, Reject, Result};

use crate::cloud_event::{Attribute, CONTENT_TYPE, CloudEvent};

/// The media type of a CloudEvent as JSON.
const MEDIA_TYPE: &str = "application/cloudevents+json";

/// Whether a payload is a JSON object with a `specversion`.
pub(crate) fn names_version(payload: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(payload) else { return false };
    if !text.trim_start().starts_with('{') || !text.contains("specversion") {
        return false;
    }
    let field = Field::try_from("$.specversion".to_owned()).expect("it is a field");
    field.find(text).is_ok_and(|found| found.is_some())
}

/// Reads a CloudEvent in structured mode.
///
/// # Errors
/// When it is in another format than JSON, or not one of version 1.0.
pub(crate) fn read(event: Event) -> Result<CloudEvent> {
    let content_type = event.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE));
    if let Some((_, kind)) = content_type {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let is_known = [MEDIA_TYPE, "application/cloudevents", "application/json"];
        if !is_known.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
            return Err(Reject::new(format_args!("the event has the Content-Type {kind}, not {MEDIA_TYPE}")));
        }
    }
    let text = event.text()?;
    let not_json = |error| Reject::new(format_args!("the payload is not JSON: {error}"));
    if !text.trim_start().starts_with('{') {
        serde_json::from_str::<IgnoredAny>(text).map_err(not_json)?;
        return Err("the payload is no JSON object".into());
    }
    let Members(members) = serde_json::from_str(text).map_err(not_json)?;
    let mut read = CloudEvent::default();
    let (mut data, mut base64) = (None, None);
    for (written, value) in members {
        match (name(written).map_err(not_json)?.as_ref(), value.get()) {
            ("data", value) => data = Some(value),
            // As for attributes, null is the same as nothing.
            (_, "null") => {}
            ("data_base64", value) => base64 = Some(value),
            (name, value) => read.push(attribute(name, value)?)?,
        }
    }
    read.check()?;
    read.data = bytes(&mut read, data, base64)?;
    let is_other = |name: &str| !name.eq_ignore_ascii_case(CONTENT_TYPE);
    read.headers = event.headers.into_iter().filter(|(name, _)| is_other(name)).collect();
    Ok(read)
}

fn attribute(name: &str, value: &str) -> Result<Attribute> {
    let fault = |what| Reject::new(format_args!("the attribute '{name}': {what}"));
    let text = content(value).map_err(fault)?.unwrap_or_default().into_owned();
    Ok(Attribute { name: name.to_owned(), text, is_bare: !value.starts_with('"') })
}

/// The data as bytes.
fn bytes(event: &mut CloudEvent, data: Option<&str>, base64: Option<&str>) -> Result<Vec<u8>> {
    let fault = |what: &str| Reject::new(format_args!("the data cannot be read: {what}"));
    match (data, base64) {
        (None, None) => Ok(Vec::new()),
        (Some(_), Some(_)) => Err(fault("there are both 'data' and 'data_base64'")),
        (None, Some(encoded)) => {
            let encoded: String =
                serde_json::from_str(encoded).map_err(|_| fault("'data_base64' is no text"))?;
            STANDARD.decode(encoded).map_err(|error| fault(&format!("'data_base64': {error}")))
        }
        (Some(value), None) if event.is_json() => {
            // What was implied is said, since the other mode implies nothing.
            if event.attribute("datacontenttype").is_none() {
                event.set("datacontenttype", "application/json")?;
            }
            Ok(value.as_bytes().to_vec())
        }
        (Some(value), None) => {
            let text: String = serde_json::from_str(value)
                .map_err(|_| fault("'data' is no text, though 'datacontenttype' is not JSON"))?;
            Ok(text.into_bytes())
        }
    }
}

/// Writes a CloudEvent in structured mode.
///
/// # Errors
/// When data that are said to be JSON are not.
pub(crate) fn write(event: CloudEvent) -> Result<Message> {
    let mut object = String::with_capacity(event.data.len() + 256);
    for Attribute { name, text, is_bare } in &event.attributes {
        object.push(if object.is_empty() { '{' } else { ',' });
        object.push_str(&quoted(name));
        object.push(':');
        object.push_str(&if *is_bare { text.clone() } else { quoted(text) });
    }
    match str::from_utf8(&event.data) {
        _ if event.data.is_empty() => {}
        Ok(text) if event.is_json() => {
            serde_json::from_str::<IgnoredAny>(text)
                .map_err(|error| Reject::new(format_args!("the data are not JSON: {error}")))?;
            object.push_str(",\"data\":");
            object.push_str(text.trim());
        }
        Err(_) if event.is_json() => return Err("the data are not JSON: they are not UTF-8".into()),
        Ok(text) if event.is_text() => {
            object.push_str(",\"data\":");
            object.push_str(&quoted(text));
        }
        _ => {
            object.push_str(",\"data_base64\":");
            object.push_str(&quoted(&STANDARD.encode(&event.data)));
        }
    }
    object.push('}');
    let is_other = |name: &str| !name.eq_ignore_ascii_case(CONTENT_TYPE);
    let mut headers: Vec<_> = event.headers.into_iter().filter(|(name, _)| is_other(name)).collect();
    headers.push((CONTENT_TYPE.to_owned(), MEDIA_TYPE.to_owned()));
    Ok(Message { subject: None, payload: object.into_bytes(), headers })
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
