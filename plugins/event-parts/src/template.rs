//! A text with parts of the event in it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use weir_sdk::{Event, Result};

use crate::part::Part;

/// A text in which a part's name in braces stands for the part: `orders.{$.country}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Part(Part),
}

/// What a template comes to for one event.
#[derive(Debug, PartialEq, Eq)]
pub enum Filled<'a> {
    /// The whole text.
    Text(String),
    /// The event has no such part.
    Missing(&'a Part),
    /// The part's text was not taken.
    Unfit(&'a Part, String),
}

impl Template {
    /// The text for `event`, of parts whose texts `fits` takes.
    ///
    /// # Errors
    /// As for [`Part::text`].
    pub fn fill(&self, event: &Event, fits: impl Fn(&Part, &str) -> bool) -> Result<Filled<'_>> {
        let mut filled = String::with_capacity(self.text.len());
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Part(part) => match part.text(event)? {
                    Some(text) if fits(part, &text) => filled.push_str(&text),
                    Some(text) => return Ok(Filled::Unfit(part, Cow::into_owned(text))),
                    None => return Ok(Filled::Missing(part)),
                },
            }
        }
        Ok(Filled::Text(filled))
    }

    /// The parts, in their order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Part(part) => Some(part),
            Piece::Text(_) => None,
        })
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fault = |what: &str| format!("the template '{text}' cannot be read: {what}");
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, inside)) = rest.split_once('{') {
            let (name, after) = inside.split_once('}').ok_or_else(|| fault("a '{' has no '}'"))?;
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Part(Part::try_from(name.to_owned()).map_err(|error| fault(&error))?));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        if pieces.iter().any(|piece| matches!(piece, Piece::Text(text) if text.contains('}'))) {
            return Err(fault("a '}' has no '{'"));
        }
        Ok(Self { text, pieces })
    }
}

/// A template that is nothing but this part.
impl From<Part> for Template {
    fn from(part: Part) -> Self {
        Self { text: format!("{{{part}}}"), pieces: vec![Piece::Part(part)] }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::try_from(text.to_owned()).expect(text)
    }

    #[test]
    fn parts_are_put_in() {
        let event = Event::new("orders.eu", r#"{"id":"x.y"}"#);
        for (text, filled) in
            [("", ""), ("a", "a"), ("{2}.{$.id}-{sequence}", "eu.x.y-1"), ("{1}{1}", "ordersorders")]
        {
            let expected = Filled::Text(filled.to_owned());
            assert_eq!(template(text).fill(&event, |_, _| true), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_does_not_fit_is_named() {
        let event = Event::new("orders.eu", r#"{"id":"x.y"}"#);
        let (missing, unfit) = (template("a.{3}"), template("a.{$.id}"));
        let fill = |template: &Template| {
            template.fill(&event, |_, text| !text.contains('.')).map(|filled| format!("{filled:?}"))
        };
        assert_eq!(fill(&missing), Ok("Missing(Token(3))".to_owned()));
        assert!(fill(&unfit).expect("the payload is JSON").ends_with("\"x.y\")"));
        assert_eq!(unfit.parts().map(ToString::to_string).collect::<Vec<_>>(), ["$.id"]);
    }

    #[test]
    fn a_template_that_is_not_understood_is_refused() {
        for (text, reason) in [
            ("a.{", "a '{' has no '}'"),
            ("a.}", "a '}' has no '{'"),
            ("{}", "'' is no part of an event"),
            ("{$.}", "the field '$.' cannot be read"),
            ("{1}}", "a '}' has no '{'"),
        ] {
            let error = Template::try_from(text.to_owned()).expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
