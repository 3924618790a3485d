//! The step's configuration: read once, checked as a whole. README.md has it as a table.

use event_parts::{Part, Template};
use serde::Deserialize;

/// The routes, ready to use.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "File")]
pub struct Settings {
    /// The default, if there is one, is the last of them.
    routes: Vec<Route>,
}

/// A subject, and the events to which it is given.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) condition: Option<Condition>,
    pub(crate) subject: Template,
}

/// A part that has to be there, and what it may say.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) part: Part,
    texts: Option<Vec<String>>,
}

/// The routes, as they are written.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The routes, in the order in which they are tried.
    routes: Vec<FileRoute>,
    /// The subject of what no route takes; without it such an event is refused.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    default: Option<Template>,
}

/// A route: takes the events that have all parts that it names, and gives them its subject.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct FileRoute {
    /// A part that the event has to have.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    when: Option<Part>,
    /// What that part has to be: one of these.
    is: Option<Vec<Text>>,
    /// The subject, in which a part's name in braces stands for the part.
    #[cfg_attr(test, schemars(with = "String"))]
    subject: Template,
}

/// A text, or a number or boolean that stands for its text.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Text {
    Words(String),
    Integer(i64),
    Boolean(bool),
}

impl Settings {
    /// The routes, in their order, and the default behind them.
    pub(crate) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }
}

impl Condition {
    /// Whether the part may say this.
    pub(crate) fn takes(&self, text: &str) -> bool {
        self.texts.as_ref().is_none_or(|texts| texts.iter().any(|wanted| wanted == text))
    }
}

impl TryFrom<File> for Settings {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        if file.routes.is_empty() {
            return Err("'routes' is empty: name at least one".to_owned());
        }
        let mut routes = file.routes.into_iter().map(FileRoute::check).collect::<Result<Vec<_>, _>>()?;
        if let Some(subject) = file.default {
            if subject.parts().any(|part| !matches!(part, Part::Subject)) {
                return Err(format!("the default '{subject}' names a part that an event may not have"));
            }
            routes.push(Route { condition: None, subject });
        }
        Ok(Self { routes })
    }
}

impl FileRoute {
    fn check(self) -> Result<Route, String> {
        let condition = match (self.when, self.is) {
            (Some(part), texts) => {
                let texts = texts.map(|texts| texts.into_iter().map(Text::into_string).collect());
                Some(Condition { part, texts })
            }
            (None, None) => None,
            (None, Some(_)) => return Err(format!("the route to '{}' has 'is' but no 'when'", self.subject)),
        };
        Ok(Route { condition, subject: self.subject })
    }
}

impl Text {
    fn into_string(self) -> String {
        match self {
            Self::Words(text) => text,
            Self::Integer(number) => number.to_string(),
            Self::Boolean(flag) => flag.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_be_meant_is_refused_with_the_reason() {
        for (text, reason) in [
            ("{}", "missing field `routes`"),
            (r#"{"routes":[]}"#, "'routes' is empty"),
            (r#"{"routes":[{"when":"$.a"}]}"#, "missing field `subject`"),
            (r#"{"routes":[{"subject":"a","is":["x"]}]}"#, "the route to 'a' has 'is' but no 'when'"),
            (r#"{"routes":[{"subject":"a.{b}"}]}"#, "'b' is no part of an event"),
            (r#"{"routes":[{"subject":"a","when":"$.a[x]"}]}"#, "the field '$.a[x]' cannot be read"),
            (r#"{"routes":[{"subject":"a","if":"$.a"}]}"#, "unknown field `if`"),
            (r#"{"routes":[{"subject":"a"}],"default":"b.{$.c}"}"#, "a part that an event may not have"),
        ] {
            let error = serde_json::from_str::<Settings>(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
