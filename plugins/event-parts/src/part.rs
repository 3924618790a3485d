//! One text of an event, by name.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use weir_sdk::{Event, Reject, Result};

use crate::field::{Field, content};

/// One text of an event. Its names are `subject`, `1`, `2` … for the subject's tokens, `sequence`,
/// `header:Name`, `payload`, and `$.name` and so on for a field of a JSON payload.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Part {
    /// The whole subject.
    Subject,
    /// One token of the subject, counted from 1.
    Token(usize),
    /// The sequence in the source stream.
    Sequence,
    /// The first value of the header with this name, which is compared exactly.
    Header(String),
    /// The whole payload.
    Payload,
    /// What a field of the payload says.
    Field(Field),
}

impl Part {
    /// The text; none where the event has no such part, or the field is `null`.
    ///
    /// # Errors
    /// When the payload has to be read and is not UTF-8, or not JSON, or when the field is an object or an
    /// array.
    pub fn text<'a>(&self, event: &'a Event) -> Result<Option<Cow<'a, str>>> {
        Ok(match self {
            Self::Subject => Some(event.subject.as_str().into()),
            Self::Token(place) => event.subject.split('.').nth(place - 1).map(Cow::from),
            Self::Sequence => Some(event.sequence.to_string().into()),
            Self::Header(name) => event.header(name).map(Cow::from),
            Self::Payload => Some(event.text()?.into()),
            Self::Field(field) => match field.find(event.text()?)? {
                Some(value) => {
                    content(value).map_err(|what| Reject::new(format_args!("the field {field}: {what}")))?
                }
                None => None,
            },
        })
    }

    /// The bytes: for the payload all of them, whatever they are, for all else those of [`text`](Self::text).
    ///
    /// # Errors
    /// As for [`text`](Self::text).
    pub fn bytes<'a>(&self, event: &'a Event) -> Result<Option<Cow<'a, [u8]>>> {
        if *self == Self::Payload {
            return Ok(Some(event.payload.as_slice().into()));
        }
        Ok(self.text(event)?.map(|text| match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }))
    }
}

impl TryFrom<String> for Part {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with('$') {
            return Field::try_from(text).map(Self::Field);
        }
        if let Some(name) = text.strip_prefix("header:") {
            return match name.is_empty() || name.contains(|c: char| !c.is_ascii_graphic() || c == ':') {
                true => Err(format!("'{name}' is no name of a header")),
                false => Ok(Self::Header(name.to_owned())),
            };
        }
        match (text.as_str(), text.parse::<usize>()) {
            ("subject", _) => Ok(Self::Subject),
            ("sequence", _) => Ok(Self::Sequence),
            ("payload", _) => Ok(Self::Payload),
            (_, Ok(place)) if place > 0 => Ok(Self::Token(place)),
            _ => Err(format!(
                "'{text}' is no part of an event: there are subject, 1, 2 …, sequence, header:Name, payload \
                 and $.name"
            )),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject => f.write_str("subject"),
            Self::Token(place) => place.fmt(f),
            Self::Sequence => f.write_str("sequence"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Payload => f.write_str("payload"),
            Self::Field(field) => field.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> Part {
        Part::try_from(text.to_owned()).expect(text)
    }

    #[test]
    fn every_part_is_read_by_its_name() {
        let mut event = Event::new("orders.eu", r#"{"id":"x","n":1.0,"none":null,"list":[]}"#);
        event.sequence = 7;
        event.headers = [("Trace", "t"), ("Trace", "u")].map(|(n, v)| (n.into(), v.into())).into();
        for (name, text) in [
            ("subject", Some("orders.eu")),
            ("1", Some("orders")),
            ("2", Some("eu")),
            ("3", None),
            ("sequence", Some("7")),
            ("header:Trace", Some("t")),
            ("header:trace", None),
            ("$.id", Some("x")),
            ("$.n", Some("1.0")),
            ("$.none", None),
            ("$.more", None),
        ] {
            assert_eq!(part(name).text(&event).expect(name).as_deref(), text, "{name}");
            assert_eq!(part(name).to_string(), name);
        }
        let error = part("$.list").text(&event).expect_err("a list has no text");
        assert_eq!(error.reason(), "the field $.list: an object or array has no one text");
    }

    #[test]
    fn a_payload_has_bytes_where_it_has_no_text() {
        let event = Event::new("s", [0xff]);
        assert_eq!(part("payload").bytes(&event).expect("bytes are bytes").as_deref(), Some(&[0xff][..]));
        assert!(part("payload").text(&event).is_err() && part("$.a").bytes(&event).is_err());
        assert_eq!(part("1").bytes(&event).expect("there is a subject").as_deref(), Some(&b"s"[..]));
    }

    #[test]
    fn a_name_that_is_no_part_is_refused() {
        for (name, reason) in [
            ("", "'' is no part of an event"),
            ("0", "'0' is no part of an event"),
            ("Subject", "'Subject' is no part of an event"),
            ("header:", "'' is no name of a header"),
            ("header:a b", "'a b' is no name of a header"),
            ("$x", "the field '$x' cannot be read"),
        ] {
            let error = Part::try_from(name.to_owned()).expect_err(name);
            assert!(error.starts_with(reason), "{name}: {error}");
        }
    }
}
