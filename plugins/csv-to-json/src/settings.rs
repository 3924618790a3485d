//! The step's configuration: read once, checked as a whole. README.md has it as a table.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use csv_core::{Reader, ReaderBuilder};
use serde::Deserialize;
use weir_sdk::{Reject, Result};

use crate::rows::Row;
use crate::value::{Empty, Kind};

/// How to read rows and what to make of them.
#[derive(Debug, Deserialize)]
#[serde(try_from = "File")]
pub struct Settings {
    columns: Option<Vec<Column>>,
    types: BTreeMap<String, Kind>,
    trim: bool,
    pub(crate) reader: RefCell<Reader>,
    pub(crate) quote: Option<u8>,
    pub(crate) has_header: bool,
    pub(crate) empty: Empty,
    pub(crate) missing: Vec<String>,
    pub(crate) output: Output,
}

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The name as JSON, and a colon.
    pub(crate) member: String,
    pub(crate) kind: Kind,
}

/// What becomes of an event's rows.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Output {
    /// One message for each row.
    #[default]
    Messages,
    /// One message, an array of all rows.
    Array,
}

/// How rows are read and what becomes of them, as it is written.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The names of the columns; without it the first row of each event has them.
    columns: Option<Vec<String>>,
    /// Whether each event begins with a row of names; if not given, that is so where there are no 'columns'.
    /// With 'columns', the row is left out.
    header: Option<bool>,
    /// The types of columns; the others are text.
    #[serde(default)]
    types: BTreeMap<String, Kind>,
    /// What an empty field becomes.
    #[serde(default)]
    empty: Empty,
    /// Texts that stand for an empty field, such as NA.
    #[serde(default)]
    missing: Vec<String>,
    /// What an event's rows become.
    #[serde(default)]
    output: Output,
    /// What stands between fields: one ASCII character.
    #[serde(default = "comma")]
    delimiter: String,
    /// What stands around fields that hold delimiters or line breaks: one ASCII character, or "" for none.
    #[serde(default = "quote")]
    quote: String,
    /// Whether white space around fields goes.
    #[serde(default)]
    trim: bool,
}

fn comma() -> String {
    ",".to_owned()
}

fn quote() -> String {
    "\"".to_owned()
}

impl Settings {
    /// What a field says: nothing, if it is one of the texts that stand for that.
    pub(crate) fn says<'a>(&self, field: &'a str) -> &'a str {
        let field = self.trimmed(field);
        if self.missing.iter().any(|missing| missing == field) { "" } else { field }
    }

    fn trimmed<'a>(&self, field: &'a str) -> &'a str {
        if self.trim { field.trim() } else { field }
    }

    /// The columns, which the event names in its header if the configuration does not.
    ///
    /// # Errors
    /// When the header does not go with the configuration.
    pub(crate) fn columns(&self, header: Option<&Row<'_>>) -> Result<Cow<'_, [Column]>> {
        match (&self.columns, header) {
            (Some(columns), None) => Ok(Cow::Borrowed(columns)),
            (Some(columns), Some(header)) if header.len() == columns.len() => Ok(Cow::Borrowed(columns)),
            (Some(columns), Some(header)) => {
                let (fields, columns) = (header.len(), columns.len());
                Err(Reject::new(format_args!("line 1: {fields} fields, but there are {columns} columns")))
            }
            (None, header) => {
                let names = header.into_iter().flat_map(|row| row.fields());
                let names = names.map(|name| self.trimmed(name).to_owned());
                Ok(Cow::Owned(columns(names, &self.types)?))
            }
        }
    }
}

fn columns(
    names: impl Iterator<Item = String>,
    types: &BTreeMap<String, Kind>,
) -> Result<Vec<Column>, String> {
    let mut seen = BTreeSet::new();
    let mut columns = Vec::new();
    for name in names {
        if !seen.insert(name.clone()) {
            return Err(format!("two columns are called '{name}'"));
        }
        let member = format!("{}:", serde_json::Value::from(name.as_str()));
        columns.push(Column { kind: types.get(&name).copied().unwrap_or_default(), member, name });
    }
    match types.keys().find(|name| !seen.contains(*name)) {
        Some(name) => Err(format!("'types' names the column '{name}', which is not there")),
        None => Ok(columns),
    }
}

impl TryFrom<File> for Settings {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        let delimiter = one_byte(&file.delimiter)?.ok_or("'delimiter' is empty")?;
        let quote = one_byte(&file.quote)?;
        if quote == Some(delimiter) {
            return Err("'delimiter' and 'quote' are the same character".to_owned());
        }
        let mut reader = ReaderBuilder::new();
        reader.delimiter(delimiter).quoting(quote.is_some()).quote(quote.unwrap_or(b'"'));
        let has_header = file.header.unwrap_or(file.columns.is_none());
        let columns = file.columns.map(|names| columns(names.into_iter(), &file.types)).transpose()?;
        match &columns {
            Some(columns) if columns.is_empty() => return Err("'columns' is empty".to_owned()),
            None if !has_header => {
                return Err("nothing names the columns: give 'columns', or leave 'header' out".to_owned());
            }
            _ => {}
        }
        Ok(Self {
            columns,
            types: file.types,
            trim: file.trim,
            reader: RefCell::new(reader.build()),
            quote,
            has_header,
            empty: file.empty,
            missing: file.missing,
            output: file.output,
        })
    }
}

/// The one ASCII character of a text that is not empty.
fn one_byte(text: &str) -> Result<Option<u8>, String> {
    match text.as_bytes() {
        [] => Ok(None),
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(Some(*byte)),
        _ => Err(format!("'{text}' is not one ASCII character")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_be_meant_is_refused_with_the_reason() {
        for (text, reason) in [
            (r#"{"column":["a"]}"#, "unknown field `column`"),
            (r#"{"columns":[]}"#, "'columns' is empty"),
            (r#"{"columns":["a","a"]}"#, "two columns are called 'a'"),
            (r#"{"columns":["a"],"types":{"b":"number"}}"#, "'types' names the column 'b'"),
            (r#"{"types":{"b":"float"}}"#, "unknown variant `float`"),
            (r#"{"header":false}"#, "nothing names the columns"),
            (r#"{"delimiter":""}"#, "'delimiter' is empty"),
            (r#"{"delimiter":"€"}"#, "'€' is not one ASCII character"),
            (r#"{"delimiter":"\n"}"#, "is not one ASCII character"),
            (r#"{"delimiter":"\""}"#, "the same character"),
            (r#"{"empty":"zero"}"#, "unknown variant `zero`"),
        ] {
            let error = serde_json::from_str::<Settings>(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
