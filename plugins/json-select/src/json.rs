//! Payloads to values and back. jaq reads and writes more than JSON (comments, NaN, byte strings); events
//! stay JSON at both ends. Numbers that the program does not calculate with keep their text.

use jaq_json::{Num, Val};
use serde::de::IgnoredAny;
use weir_sdk::{Reject, Result};

/// How deep a payload may be nested. Reading one takes stack for each level.
const DEPTH_MAX: usize = 128;

/// Reads a payload.
///
/// # Errors
/// When it is not JSON, or nested too deeply.
pub(crate) fn read(payload: &str) -> Result<Val> {
    let fault = |error: &dyn std::fmt::Display| Reject::new(format_args!("the payload is not JSON: {error}"));
    serde_json::from_str::<IgnoredAny>(payload).map_err(|error| fault(&error))?;
    if depth(payload) > DEPTH_MAX {
        return Err(Reject::new(format_args!("the payload is nested deeper than {DEPTH_MAX} levels")));
    }
    jaq_json::read::parse_single(payload.as_bytes()).map_err(|error| fault(&error))
}

/// Writes a value as compact JSON.
///
/// # Errors
/// When the value has no JSON form.
pub(crate) fn write(value: &Val) -> Result<Vec<u8>> {
    if !is_json(value) {
        let what = "it holds a NaN, an infinity, a byte string or a name that is no string";
        return Err(Reject::new(format_args!("an output has no JSON form: {what}")));
    }
    let mut payload = Vec::new();
    jaq_json::write::write(&mut payload, &jaq_json::write::Pp::default(), 0, value)?;
    if str::from_utf8(&payload).is_err() {
        return Err(Reject::new("an output has no JSON form: a string in it is not UTF-8"));
    }
    Ok(payload)
}

fn is_json(value: &Val) -> bool {
    match value {
        Val::Null | Val::Bool(_) | Val::TStr(_) => true,
        Val::Num(Num::Float(number)) => number.is_finite(),
        Val::Num(_) => true,
        Val::BStr(_) => false,
        Val::Arr(elements) => elements.iter().all(is_json),
        Val::Obj(members) => {
            members.iter().all(|(name, value)| matches!(name, Val::TStr(_)) && is_json(value))
        }
    }
}

/// How deep a valid JSON text is nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_back_as_it_was() {
        for text in [
            r#"{"z":1,"a":[null,true,-0.10,1E400,123456789012345678901234567890]}"#,
            r#""é\"\\\n""#,
            r#"{"brackets":"[[[[{{{{\"[[[["}"#,
            &format!("{}{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX)),
        ] {
            let value = read(text).expect("it is JSON");
            assert_eq!(write(&value).map(String::from_utf8), Ok(Ok(text.to_owned())));
        }
    }

    #[test]
    fn what_only_jaq_would_read_is_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in ["", "NaN", "{a:1}", "[1,]", "1 2", "# one\n1", "b\"x\"", "{1:2}", "\u{feff}1", &deep] {
            assert!(read(text).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }
}
