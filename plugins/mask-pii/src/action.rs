//! What is done with a selected value.

use std::borrow::Cow;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// The bytes of a token that are kept: 128 of its 256 bits, far more than chance makes equal.
const TOKEN_BYTES: usize = 16;

/// What becomes of a selected value.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// SHA-256, the salt already fed.
    Hash(Sha256),
    /// HMAC-SHA-256, the key already fed.
    Tokenise(Hmac<Sha256>),
    /// This JSON text stands in its place.
    Redact(String),
    /// It goes, with its name.
    Drop,
}

impl Action {
    pub(crate) fn hash(salt: &str) -> Self {
        Self::Hash(Sha256::new_with_prefix(salt))
    }

    pub(crate) fn tokenise(key: &str) -> Self {
        Self::Tokenise(Hmac::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length"))
    }

    pub(crate) fn redact(text: &str) -> Self {
        Self::Redact(serde_json::Value::from(text).to_string())
    }

    /// What stands in place of `value`, both as JSON text; none if it goes altogether.
    ///
    /// # Errors
    /// When the action needs a text and the value is an object or an array.
    pub(crate) fn apply(&self, value: &str) -> Result<Option<String>, &'static str> {
        Ok(match self {
            Self::Drop => None,
            Self::Redact(text) => Some(text.clone()),
            Self::Hash(salted) => Some(match text(value)? {
                Some(text) => hex(&salted.clone().chain_update(text.as_bytes()).finalize()),
                None => value.to_owned(),
            }),
            Self::Tokenise(keyed) => Some(match text(value)? {
                Some(text) => {
                    let token = keyed.clone().chain_update(text.as_bytes()).finalize().into_bytes();
                    hex(&token[..TOKEN_BYTES])
                }
                None => value.to_owned(),
            }),
        })
    }
}

/// What a value says; none for `null`, which stays.
fn text(value: &str) -> Result<Option<Cow<'_, str>>, &'static str> {
    if value.starts_with(['{', '[']) {
        return Err("an object or array has no one text: select what is in it, or redact or drop it");
    }
    event_parts::content(value)
}

/// The bytes as a JSON string of hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len() + 2);
    text.push('"');
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 15)].into());
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(action: &Action, value: &str) -> String {
        action.apply(value).expect("the value has a text").expect("the value stays")
    }

    #[test]
    fn hashes_and_tokens_are_the_standards_own() {
        // FIPS 180-4, "abc"; RFC 4231, test case 2.
        let abc = "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"";
        assert_eq!(applied(&Action::hash(""), "\"abc\""), abc);
        assert_eq!(applied(&Action::hash("a"), "\"bc\""), abc);
        let token = applied(&Action::tokenise("Jefe"), "\"what do ya want for nothing?\"");
        assert_eq!(token, "\"5bdcc146bf60754e6a042426089575c7\"");
    }

    #[test]
    fn a_value_is_what_it_says_not_how_it_is_written() {
        let hash = |value| applied(&Action::hash("s"), value);
        assert_eq!(hash(r#""\u0061bc""#), hash(r#""abc""#));
        assert_eq!(hash("12"), hash("\"12\""));
        assert_ne!(hash("1.0"), hash("1"));
        assert_eq!(hash("null"), "null");
    }

    #[test]
    fn what_has_no_text_can_only_be_redacted_or_dropped() {
        assert!(Action::hash("").apply("{}").is_err());
        assert!(Action::tokenise("k").apply(r#""\ud800""#).is_err());
        assert_eq!(applied(&Action::redact("\"x\""), "[1]"), r#""\"x\"""#);
        assert_eq!(Action::Drop.apply("{}"), Ok(None));
    }
}
