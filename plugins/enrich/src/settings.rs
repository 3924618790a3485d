//! The step's configuration: read once, checked as a whole. README.md has it as a table.

use std::collections::BTreeMap;

use event_parts::{Members, Part, name};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The members that an entry sets.
pub(crate) type Entry = Vec<Member>;

/// The table, ready to use.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "File")]
pub struct Settings {
    pub(crate) key: Part,
    pub(crate) table: BTreeMap<String, Entry>,
    pub(crate) default: Option<Entry>,
    pub(crate) missing: Missing,
}

/// One member of an object.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) value: Box<RawValue>,
}

/// What becomes of an event for which there is no entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Missing {
    /// It goes on as it is.
    #[default]
    Keep,
    /// It is refused.
    Reject,
    /// It is dropped.
    Drop,
}

/// The table and where its entries go, as it is written.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The part of an event by which its entry is found.
    #[cfg_attr(test, schemars(with = "String"))]
    key: Part,
    /// The entries, by key: any JSON values with 'into', objects without it.
    #[cfg_attr(test, schemars(with = "BTreeMap<String, serde_json::Value>"))]
    table: BTreeMap<String, Box<RawValue>>,
    /// The member that the entry becomes; without it the entry's own members become the event's.
    into: Option<String>,
    /// The entry of events that have none in the table.
    #[cfg_attr(test, schemars(with = "Option<serde_json::Value>"))]
    default: Option<Box<RawValue>>,
    /// What becomes of an event that has no entry, if there is no 'default'.
    #[serde(default)]
    missing: Missing,
}

impl TryFrom<File> for Settings {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        if file.table.is_empty() {
            return Err("'table' is empty".to_owned());
        }
        let into = file.into.as_deref();
        let table = file.table.into_iter().map(|(key, value)| {
            let entry = entry(value, into).map_err(|what| format!("the entry '{key}' {what}"))?;
            Ok::<_, String>((key, entry))
        });
        let default = file.default.map(|value| entry(value, into)).transpose();
        Ok(Self {
            key: file.key,
            table: table.collect::<Result<_, _>>()?,
            default: default.map_err(|what| format!("'default' {what}"))?,
            missing: file.missing,
        })
    }
}

fn entry(value: Box<RawValue>, into: Option<&str>) -> Result<Entry, &'static str> {
    if let Some(into) = into {
        return Ok(vec![Member { name: into.to_owned(), value }]);
    }
    let fault = "is no object: say with 'into' which member it becomes";
    let Members(members) = serde_json::from_str(value.get()).map_err(|_| fault)?;
    let member = |(written, value): (&RawValue, &RawValue)| {
        let name = name(written).map_err(|_| "has a name that is no text")?.into_owned();
        Ok(Member { name, value: value.to_owned() })
    };
    members.into_iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_be_meant_is_refused_with_the_reason() {
        for (text, reason) in [
            (r#"{"table":{"a":{}}}"#, "missing field `key`"),
            (r#"{"key":"$.a"}"#, "missing field `table`"),
            (r#"{"key":"$.a","table":{}}"#, "'table' is empty"),
            (r#"{"key":"a","table":{"a":{}}}"#, "'a' is no part of an event"),
            (r#"{"key":"$.a","table":{"a":1}}"#, "the entry 'a' is no object"),
            (r#"{"key":"$.a","table":{"a":{}},"default":1}"#, "'default' is no object"),
            (r#"{"key":"$.a","table":{"a":{}},"missing":"ignore"}"#, "unknown variant `ignore`"),
            (r#"{"key":"$.a","table":{"a":{}},"in":"x"}"#, "unknown field `in`"),
        ] {
            let error = serde_json::from_str::<Settings>(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
