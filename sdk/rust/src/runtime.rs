//! What `transform!` expands to calls. Not for use by hand; it may change with any version.

use std::cell::OnceCell;

use serde::de::DeserializeOwned;

use crate::{Event, IntoMessages, Message, Reject, Result};

/// An answer in the contract's types.
pub type Answer = Result<Vec<Message>, String>;

/// What is exported.
pub trait Transform {
    /// Called once for each event.
    fn process(event: Event) -> Answer;
}

/// What a transform returned, in the contract's types.
pub fn answer<M: IntoMessages, E: Into<Reject>>(result: Result<M, E>) -> Answer {
    match result {
        Ok(messages) => Ok(messages.into_messages()),
        Err(error) => Err(error.into().into()),
    }
}

/// A configuration that is read when it is first asked for, and then kept, be it good or bad.
pub struct Settings<T>(OnceCell<Result<T, String>>);

impl<T: DeserializeOwned> Settings<T> {
    /// Nothing read yet.
    pub const fn new() -> Self {
        Self(OnceCell::new())
    }

    /// The configuration.
    pub fn get(&self) -> Result<&T, String> {
        self.0.get_or_init(|| parse(&crate::config_text())).as_ref().map_err(Clone::clone)
    }
}

impl<T: DeserializeOwned> Default for Settings<T> {
    fn default() -> Self {
        Self::new()
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let text = if text.is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| {
        // Where it is in this JSON text says nothing to those who wrote it as TOML.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = error.to_string();
        format!("the step's configuration is not valid: {}", what.strip_suffix(&place).unwrap_or(&what))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        #[serde(default)]
        most: u8,
    }

    #[test]
    fn a_configuration_is_read_or_refused_with_the_reason() {
        assert_eq!(parse(r#"{"most":3}"#), Ok(Limits { most: 3 }));
        assert_eq!(parse(""), Ok(Limits { most: 0 }));
        let reason = parse::<Limits>(r#"{"least":3}"#).expect_err("there is no such field");
        assert!(
            reason.starts_with("the step's configuration is not valid: unknown field `least`"),
            "{reason}"
        );
    }

    #[test]
    fn every_kind_of_result_is_an_answer() {
        let message = Message::new("x");
        assert_eq!(answer::<_, Reject>(Ok(message.clone())), Ok(vec![message.clone()]));
        assert_eq!(answer::<_, String>(Ok(vec![message.clone(), message.clone()])), Ok(vec![message; 2]));
        assert_eq!(answer::<_, String>(Ok(None)), Ok(vec![]));
        assert_eq!(answer::<Message, _>(Err("no")), Err("no".to_owned()));
    }
}
