//! Binary mode: attributes are headers, by the rules of the NATS protocol binding; the payload is the data.

use std::fmt::Write as _;

use weir_sdk::{Event, Message, Result};

use crate::cloud_event::{Attribute, CONTENT_TYPE, CloudEvent};

/// What the names of attributes begin with as headers.
const PREFIX: &str = "ce-";

/// Reads a CloudEvent in binary mode.
///
/// # Errors
/// When it is not one of version 1.0.
pub(crate) fn read(event: Event) -> Result<CloudEvent> {
    let mut read = CloudEvent { data: event.payload, ..CloudEvent::default() };
    for (name, value) in event.headers {
        match name.get(..PREFIX.len()) {
            Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => {
                let name = name[PREFIX.len()..].to_ascii_lowercase();
                let text = decode(&value)
                    .ok_or_else(|| format!("the header '{PREFIX}{name}' is not UTF-8 when it is decoded"))?;
                read.push(Attribute { name, text, is_bare: false })?;
            }
            _ => read.headers.push((name, value)),
        }
    }
    read.check()?;
    // As over HTTP, which has this header in place of the attribute.
    let content_type = read.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE));
    if let (None, Some((_, value))) = (read.attribute("datacontenttype"), content_type.cloned()) {
        read.set("datacontenttype", &value)?;
    }
    Ok(read)
}

/// Writes a CloudEvent in binary mode.
pub(crate) fn write(event: CloudEvent) -> Message {
    let mut headers = event.headers;
    for Attribute { name, text, .. } in event.attributes {
        headers.push((format!("{PREFIX}{name}"), encode(&text)));
    }
    Message { subject: None, payload: event.data, headers }
}

/// A text as the value of a header: all that is no printable ASCII, and space, quote and percent, encoded.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' => write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail"),
            b'!'..=b'~' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    encoded
}

/// The text that a header's value stands for; none where it is not UTF-8.
fn decode(value: &str) -> Option<String> {
    let unquoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(unescape);
    let value = unquoted.as_deref().unwrap_or(value).as_bytes();
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let digits =
            after.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok()
}

/// What stands between quotes, its backslashes taken away.
fn unescape(quoted: &str) -> String {
    let mut text = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_as_the_binding_says() {
        // The binding's own example.
        let (text, value) = ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80");
        assert_eq!(encode(text), value);
        assert_eq!(decode(value).as_deref(), Some(text));
        assert_eq!(encode("a\"b%c~!\u{7f}"), "a%22b%25c~!%7F");
    }

    #[test]
    fn values_are_decoded_once_and_quotes_are_taken_away() {
        for (value, text) in [
            ("\"a \\\"b\\\" \\\\c\"", Some("a \"b\" \\c")),
            ("%e2%82%ac", Some("€")),
            ("%2525", Some("%25")),
            ("%41", Some("A")),
            ("100%", Some("100%")),
            ("%zz%4", Some("%zz%4")),
            ("%+1", Some("%+1")),
            ("%C0%A0", None),
            ("", Some("")),
        ] {
            assert_eq!(decode(value).as_deref(), text, "{value}");
        }
    }
}
