//! One field as a JSON value.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// What a column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Text.
    #[default]
    Text,
    /// A number as JSON writes it; its digits are kept.
    Number,
    /// A number without fraction and exponent.
    Integer,
    /// true or false.
    Boolean,
}

/// What an empty field becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Empty {
    /// null, in all columns.
    #[default]
    Null,
    /// Nothing: the member is left out.
    Omit,
    /// An empty text, in columns of text; null in the others.
    Text,
}

/// Appends a field's value to `out`; false if there is none.
///
/// # Errors
/// When the field is not of its kind: what it is instead.
pub(crate) fn write(field: &str, kind: Kind, empty: Empty, out: &mut Vec<u8>) -> Result<bool, String> {
    if field.is_empty() && (empty, kind) != (Empty::Text, Kind::Text) {
        out.extend_from_slice(b"null");
        return Ok(empty != Empty::Omit);
    }
    let fault = |what: &str| Err(format!("'{}' is {what}", field.chars().take(100).collect::<String>()));
    match kind {
        Kind::Text => {
            serde_json::to_writer(out, field).expect("a text can be written to memory as JSON");
            return Ok(true);
        }
        Kind::Number if !is_number(field) => return fault("not a number"),
        Kind::Integer if !is_number(field) || field.contains(['.', 'e', 'E']) => {
            return fault("not an integer");
        }
        Kind::Boolean if field != "true" && field != "false" => return fault("neither true nor false"),
        Kind::Number | Kind::Integer | Kind::Boolean => out.extend_from_slice(field.as_bytes()),
    }
    Ok(true)
}

/// Whether a text is a number of JSON.
fn is_number(text: &str) -> bool {
    let is_inside = |end: Option<u8>| end.is_some_and(|byte| byte.is_ascii_digit() || byte == b'-');
    is_inside(text.bytes().next())
        && is_inside(text.bytes().next_back())
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}
