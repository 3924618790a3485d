//! The subjects of events that come without one: a text, in which `{name}` stands for a field of the event.

use std::fmt;
use std::str::FromStr;

use model::Subject;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// How the subject of an event is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventSubject {
    parts: Vec<Part>,
    /// The names of the fields, each once.
    fields: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The field with this place in `fields`.
    Field(usize),
}

impl EventSubject {
    /// The names of the fields that are needed, each once.
    pub(super) fn fields(&self) -> &[String] {
        &self.fields
    }

    /// The subject of all events, if it does not depend on them.
    pub(crate) fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The subject of the event that is this JSON object.
    pub(super) fn of_json(&self, json: &[u8]) -> Result<String, String> {
        if let Some(text) = self.constant() {
            return Ok(text.to_owned());
        }
        let mut reader = serde_json::Deserializer::from_slice(json);
        let values = Fields(&self.fields).deserialize(&mut reader).map_err(|error| {
            let text = error.to_string();
            let why = text.split(" at line ").next().unwrap_or(&text);
            format!("--subject needs a JSON object with its fields: {why}")
        })?;
        self.of_values(|field| values[field].as_deref())
    }

    /// The subject of the event whose fields have these values, by their places in [`fields`](Self::fields).
    pub(super) fn of_values<'a>(&self, value: impl Fn(usize) -> Option<&'a str>) -> Result<String, String> {
        let mut subject = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => subject.push_str(text),
                Part::Field(field) => match value(*field) {
                    Some(value) => subject.push_str(value),
                    None => {
                        return Err(format!(
                            "there is no field '{}', which --subject names",
                            self.fields[*field]
                        ));
                    }
                },
            }
        }
        Subject::try_from(subject).map(Subject::into_string).map_err(|error| error.to_string())
    }
}

impl FromStr for EventSubject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut parts, mut fields) = (Vec::new(), Vec::<String>::new());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("a '{' has no '}' after it")?;
            if name.is_empty() {
                return Err("'{}' names no field".into());
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let place = fields.iter().position(|field| field == name).unwrap_or_else(|| {
                fields.push(name.to_owned());
                fields.len() - 1
            });
            parts.push(Part::Field(place));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let subject = Self { parts, fields };
        // With some value in each field it has to be a subject.
        subject.of_values(|_| Some("x"))?;
        Ok(subject)
    }
}

/// Reads the values of some fields of a JSON object, and passes over the others.
struct Fields<'a>(&'a [String]);
struct Key<'a>(&'a [String]);
struct Token;

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Vec<Option<String>>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Vec<Option<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.0.len()];
        while let Some(key) = map.next_key_seed(Key(self.0))? {
            match key {
                Some(field) => values[field] = map.next_value_seed(Token)?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|field| field == name))
    }
}

impl<'de> DeserializeSeed<'de> for Token {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl Visitor<'_> for Token {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a truth value where --subject names a field")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Some(flag.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_made_of_the_events_fields() {
        let subject: EventSubject = "flights.{carrier}.{origin}.{n}".parse().expect("a template");
        let of = |json: &str| subject.of_json(json.as_bytes());
        let event = r#"{"x":{"carrier":"no"},"n":7,"origin":"E\u0057R","carrier":"UA","y":[1,{"n":2}]}"#;
        assert_eq!(of(event).as_deref(), Ok("flights.UA.EWR.7"));
        for (event, says) in [
            (r#"{"carrier":"UA","n":1}"#, "no field 'origin'"),
            (r#"{"carrier":"UA","n":null,"origin":"a"}"#, "no field 'n'"),
            (r#"{"carrier":"U A","n":1,"origin":"a"}"#, "U A"),
            (r#"{"carrier":[],"n":1,"origin":"a"}"#, "expected a text, a number"),
            ("[1]", "a JSON object"),
            (r#"{"carrier":"#, "EOF"),
        ] {
            let error = of(event).expect_err(event);
            assert!(error.contains(says), "{event}: {error}");
        }
        assert_eq!("a.b".parse::<EventSubject>().expect("a subject").constant(), Some("a.b"));
        for bad in ["", "a..b", "a b", "{", "a.{}", "{x}.", "*"] {
            assert!(bad.parse::<EventSubject>().is_err(), "{bad}");
        }
    }
}
