//! A field: the way to one value in a JSON document. A singular query of JSONPath (RFC 9535): `$`, then
//! `.name`, `['name']` or `[0]` for each step inwards.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use weir_sdk::{Reject, Result};

/// One step from a value to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The member of an object with this name.
    Member(String),
    /// The element of an array at this place, counted from 0.
    Element(usize),
}

/// The way to one value in a JSON document; `$` alone is the whole document.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Field {
    text: String,
    steps: Vec<Step>,
}

impl Field {
    /// The value in `document`, as it is written there; none where there is no such field. Where a name
    /// repeats in an object, the last one counts, as for most readers of JSON.
    ///
    /// # Errors
    /// When the document is not JSON.
    pub fn find<'a>(&self, document: &'a str) -> Result<Option<&'a str>> {
        let not_json = |error| Reject::new(format_args!("the payload is not JSON: {error}"));
        let Some((first, rest)) = self.steps.split_first() else {
            let whole: &RawValue = serde_json::from_str(document).map_err(not_json)?;
            return Ok(Some(whole.get()));
        };
        let mut found = child(document, first).map_err(not_json)?;
        for step in rest {
            let Some(value) = found else { break };
            found = child(value, step).map_err(not_json)?;
        }
        Ok(found)
    }
}

impl TryFrom<String> for Field {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fault = |what: &str| format!("the field '{text}' cannot be read: {what}");
        let mut rest =
            text.strip_prefix('$').ok_or_else(|| fault("it has to begin with '$', as in '$.name'"))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = next_step(rest).map_err(fault)?;
            steps.push(step);
            rest = after;
        }
        Ok(Self { text, steps })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a value says: a string's characters, a number or a boolean as it is written, none for `null`.
///
/// # Errors
/// When the value is an object or an array, or a string with an escape that is no character.
pub fn content(value: &str) -> Result<Option<Cow<'_, str>>, &'static str> {
    match value.as_bytes().first() {
        Some(b'{' | b'[') => Err("an object or array has no one text"),
        Some(b'"') => {
            let plain = value.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            match plain {
                Some(plain) if !plain.contains('\\') => Ok(Some(Cow::Borrowed(plain))),
                _ => serde_json::from_str(value)
                    .map(|text: String| Some(Cow::Owned(text)))
                    .map_err(|_| "the string has an escape that is no character"),
            }
        }
        _ if value == "null" => Ok(None),
        _ => Ok(Some(Cow::Borrowed(value))),
    }
}

/// Reads one step off the front.
fn next_step(text: &str) -> Result<(Step, &str), &'static str> {
    if let Some(rest) = text.strip_prefix("['") {
        let (name, rest) = rest.split_once("']").ok_or("a name in brackets ends with \"']\"")?;
        if name.contains(['\'', '\\', '{', '}']) {
            return Err("a name in brackets has no quotes, backslashes and braces");
        }
        return Ok((Step::Member(name.to_owned()), rest));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (place, rest) = rest.split_once(']').ok_or("a place in brackets ends with ']'")?;
        let place = place.parse().map_err(|_| "in brackets stands a number from 0, or a name in quotes")?;
        return Ok((Step::Element(place), rest));
    }
    let rest = text.strip_prefix('.').ok_or("a step is .name, ['name'] or [0]")?;
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_numeric()) {
        return Err("a name is letters, digits and '_', not beginning with a digit; others stand in ['…']");
    }
    Ok((Step::Member(name.to_owned()), rest))
}

/// The value one step inside `text`, all of which is read.
fn child<'a>(text: &'a str, step: &Step) -> Result<Option<&'a str>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = match (text.trim_start().as_bytes().first(), step) {
        (Some(b'{'), Step::Member(name)) => reader.deserialize_map(InObject(name))?,
        (Some(b'['), Step::Element(place)) => reader.deserialize_seq(InArray(*place))?,
        _ => IgnoredAny::deserialize(&mut reader).map(|_| None)?,
    };
    reader.end()?;
    Ok(found.map(RawValue::get))
}

/// Finds the last member with this name.
struct InObject<'n>(&'n str);

impl<'de> Visitor<'de> for InObject<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_wanted) = map.next_key_seed(Is(self.0))? {
            if is_wanted {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Finds the element at this place.
struct InArray(usize);

impl<'de> Visitor<'de> for InArray {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.0 {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = list.next_element()?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

/// Whether a name is this one; reading it so takes no memory.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(text: &str) -> Field {
        Field::try_from(text.to_owned()).expect(text)
    }

    #[test]
    fn a_field_is_found_as_it_is_written() {
        for (text, document, found) in [
            ("$", " [1, 2] ", Some("[1, 2]")),
            ("$.a", r#"{"b":[{"a":2}],"a":1.50}"#, Some("1.50")),
            ("$.a.b", r#"{"a":{"b":"x"},"b":2}"#, Some("\"x\"")),
            ("$['a b'][1].c", r#"{"a b":[{"c":1},{"c": {"d":2} }]}"#, Some(r#"{"d":2}"#)),
            ("$.straße", r#"{"stra\u00dfe":true}"#, Some("true")),
            ("$.a", r#"{"a":1,"a":null}"#, Some("null")),
            ("$[0]", "[1e999,1]", Some("1e999")),
            ("$.a", "{}", None),
            ("$[2]", "[1,2]", None),
            ("$.a", "[1]", None),
            ("$[0]", r#"{"0":1}"#, None),
            ("$.a.b", r#"{"a":"b"}"#, None),
            ("$.a.b", r#"{"a":1e999}"#, None),
        ] {
            assert_eq!(field(text).find(document), Ok(found), "{text} in {document}");
        }
    }

    #[test]
    fn all_of_a_document_has_to_be_json() {
        for document in ["", "{", r#"{"a":1"#, r#"{"a":1} x"#, r#"{"a":1,"b":x}"#, r#"[{"a":1},]"#, "{'a':1}"]
        {
            for text in ["$", "$.a", "$[0]", "$.b.c"] {
                let error = field(text).find(document).expect_err(document);
                assert!(error.reason().starts_with("the payload is not JSON: "), "{document}: {error:?}");
            }
        }
    }

    #[test]
    fn a_field_that_is_not_understood_is_refused() {
        for text in ["", "a", "$a", "$.", "$..a", "$.a-b", "$.1", "$[-1]", "$[x]", "$['a", "$['a'b']", "$[*]"]
        {
            let error = Field::try_from(text.to_owned()).expect_err(text);
            assert!(error.starts_with(&format!("the field '{text}' cannot be read: ")), "{error}");
        }
    }

    #[test]
    fn a_value_says_what_it_is_not_how_it_is_written() {
        for (value, says) in [
            (r#""x y""#, Some("x y")),
            (r#""\u0078\ny""#, Some("x\ny")),
            ("-1.50", Some("-1.50")),
            ("true", Some("true")),
            ("null", None),
            ("\"null\"", Some("null")),
        ] {
            assert_eq!(content(value).expect(value).as_deref(), says, "{value}");
        }
        assert!(content("{}").is_err() && content("[]").is_err() && content(r#""\ud800""#).is_err());
    }
}
