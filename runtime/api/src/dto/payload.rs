//! Payloads and headers in JSON. A payload is text where it can be, base64 where it cannot.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The bytes of an event or a message: exactly one of `text`, `base64` and `json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// The bytes as UTF-8 text.
    Text(String),
    /// The bytes in standard base64, with padding.
    #[schema(value_type = String)]
    Base64(Base64),
    /// In requests only: a JSON value, which stands for its compact text with sorted keys.
    Json(serde_json::Value),
}

impl Payload {
    /// Text where `bytes` are UTF-8, base64 otherwise.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(Base64(bytes.to_vec())),
        }
    }

    /// The bytes that this stands for.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Base64(Base64(bytes)) => bytes,
            Self::Json(value) => {
                serde_json::to_vec(&value).expect("a JSON value can always be written as JSON")
            }
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// Bytes that are written as standard base64, with padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Base64(pub Vec<u8>);

impl From<Base64> for String {
    fn from(bytes: Base64) -> Self {
        STANDARD.encode(bytes.0)
    }
}

impl TryFrom<String> for Base64 {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(&text).map(Self).map_err(|error| format!("not standard base64 with padding: {error}"))
    }
}

/// One header of an event or a message. Names may repeat; the order counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The name, case-sensitive.
    pub name: String,
    /// The value.
    pub value: String,
}

impl From<(&str, &str)> for Header {
    fn from((name, value): (&str, &str)) -> Self {
        Self { name: name.to_owned(), value: value.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_text_where_it_can_be_and_comes_back_as_it_was() {
        for (bytes, json) in [
            (&b"grass"[..], r#"{"text":"grass"}"#),
            (&[0xff, 0x00], r#"{"base64":"/wA="}"#),
            (&[], r#"{"text":""}"#),
        ] {
            let payload = Payload::from_bytes(bytes);
            assert_eq!(serde_json::to_string(&payload).expect("it is JSON"), json);
            let again: Payload = serde_json::from_str(json).expect("what was written can be read");
            assert_eq!(again.into_bytes(), bytes);
        }
    }

    #[test]
    fn json_stands_for_its_compact_text() {
        let payload: Payload = serde_json::from_str(r#"{"json": {"b": 1, "a": [null]}}"#).expect("valid");
        assert_eq!(payload.into_bytes(), br#"{"a":[null],"b":1}"#);
    }

    #[test]
    fn what_is_not_exactly_one_payload_is_refused() {
        for text in [r#"{"text":"a","base64":""}"#, r#"{"base64":"*"}"#, r#"{"hex":"00"}"#, "{}"] {
            assert!(serde_json::from_str::<Payload>(text).is_err(), "{text}");
        }
    }
}
