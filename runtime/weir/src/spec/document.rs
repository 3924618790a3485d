//! The text of a file that people write, TOML, JSON or YAML: from text to values, and from a key back to its
//! line.
//!
//! All have the same shape. A text that begins with `{` is JSON where TOML is expected, for no TOML file can;
//! YAML takes in JSON by itself. Places are looked up only when there is an error to tell.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;
use toml::de::{DeTable, DeValue};

use super::suggest::explain_unknown;
use super::yaml;

/// The longest text that is read.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;

/// What is wrong in a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SpecError {
    /// What kind of error it is.
    pub(crate) kind: SpecErrorKind,
    /// The file, as it was named to us.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column, from 1, in characters.
    pub(crate) column: usize,
    /// The key, such as `steps[0].limits.memory_bytes`; empty where the text as a whole is meant.
    pub(crate) key: String,
    /// What is wrong and what would be right.
    pub(crate) message: String,
}

/// What kind of error a file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpecErrorKind {
    /// It does not say what such a file has to.
    Invalid,
    /// It is one that would read what it writes.
    Loop,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for SpecError {}

impl SpecError {
    /// The same error, told apart as an endless loop.
    pub(super) fn of_loop(self) -> Self {
        Self { kind: SpecErrorKind::Loop, ..self }
    }
}

/// A way down into the file: names of keys, and places in arrays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyPath(pub(super) Vec<Key>);

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// To the value of this key.
    Name(String),
    /// To this element.
    Index(usize),
}

impl KeyPath {
    /// The file itself.
    pub(crate) fn root() -> Self {
        Self::default()
    }

    /// One key further down.
    pub(crate) fn name(mut self, name: &str) -> Self {
        self.0.push(Key::Name(name.to_owned()));
        self
    }

    /// One element further down.
    pub(crate) fn index(mut self, index: usize) -> Self {
        self.0.push(Key::Index(index));
        self
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            match key {
                Key::Name(name) if at == 0 => f.write_str(name)?,
                Key::Name(name) => write!(f, ".{name}")?,
                Key::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl From<&serde_path_to_error::Path> for KeyPath {
    fn from(path: &serde_path_to_error::Path) -> Self {
        let key = |segment: &Segment| match segment {
            Segment::Seq { index } => Some(Key::Index(*index)),
            Segment::Map { key } => Some(Key::Name(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        };
        Self(path.iter().filter_map(key).collect())
    }
}

/// A text, and what it is called.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    file: String,
    text: String,
    language: Language,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Json,
    Toml,
    Yaml,
}

impl Document {
    /// A text in TOML or JSON, with the name that errors give it.
    pub(crate) fn new(text: &str, file: &str) -> Self {
        let language = if text.trim_start().starts_with('{') { Language::Json } else { Language::Toml };
        Self { file: file.to_owned(), text: text.to_owned(), language }
    }

    /// A text in YAML or JSON, with the name that errors give it.
    pub(crate) fn yaml(text: &str, file: &str) -> Self {
        Self { file: file.to_owned(), text: text.to_owned(), language: Language::Yaml }
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Reads the text into a type that serde knows.
    ///
    /// # Errors
    /// When the text is too long, is not of its language, or has another shape than `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, SpecError> {
        if self.text.len() > TEXT_BYTES_MAX {
            return Err(self.error(&KeyPath::root(), "the file is larger than 1 MiB, the most that is read"));
        }
        let value = match self.language {
            Language::Json => self.json()?,
            Language::Toml => self.toml()?,
            Language::Yaml => self.yaml_value()?,
        };
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = KeyPath::from(error.path());
            self.error(&path, &explain_unknown(&error.inner().to_string()))
        })
    }

    /// An error about the value at `path`, with its place in the text.
    pub(crate) fn error(&self, path: &KeyPath, message: &str) -> SpecError {
        let offset = match self.language {
            Language::Json => json_offset(&self.text, path),
            Language::Toml => toml_offset(&self.text, path),
            Language::Yaml => yaml::offset(&self.text, path),
        };
        self.error_at(offset.unwrap_or(0), path, message)
    }

    fn error_at(&self, offset: usize, path: &KeyPath, message: &str) -> SpecError {
        let before = self.text.get(..offset).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        SpecError {
            kind: SpecErrorKind::Invalid,
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: path.to_string(),
            message: message.to_owned(),
        }
    }

    fn yaml_value(&self) -> Result<Value, SpecError> {
        yaml::parse(&self.text).map_err(|error| SpecError {
            kind: SpecErrorKind::Invalid,
            file: self.file.clone(),
            line: error.line,
            column: error.column,
            key: String::new(),
            message: error.message,
        })
    }

    fn json(&self) -> Result<Value, SpecError> {
        serde_json::from_str(&self.text).map_err(|error| {
            let text = error.to_string();
            let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
            let (line, column) = (error.line().max(1), error.column().max(1));
            let kind = SpecErrorKind::Invalid;
            SpecError { kind, file: self.file.clone(), line, column, key: String::new(), message }
        })
    }

    fn toml(&self) -> Result<Value, SpecError> {
        let table = DeTable::parse(&self.text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            self.error_at(offset, &KeyPath::root(), error.message())
        })?;
        table_to_json(table.get_ref(), &KeyPath::root())
            .map_err(|(path, message)| self.error(&path, &message))
    }
}

type Misfit = (KeyPath, String);

fn table_to_json(table: &DeTable<'_>, path: &KeyPath) -> Result<Value, Misfit> {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &str = std::convert::AsRef::<str>::as_ref(key.get_ref());
        Ok((key.to_owned(), value_to_json(value.get_ref(), &path.clone().name(key))?))
    };
    table.iter().map(entry).collect::<Result<serde_json::Map<_, _>, Misfit>>().map(Value::Object)
}

fn value_to_json(value: &DeValue<'_>, path: &KeyPath) -> Result<Value, Misfit> {
    let misfit = |message: &str| (path.clone(), message.to_owned());
    Ok(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Datetime(moment) => Value::from(moment.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::from)
            .map_err(|_| misfit("the number does not fit into 64 bits"))?,
        DeValue::Float(number) => {
            let number: f64 = number.as_str().parse().map_err(|_| misfit("this is not a number"))?;
            let refuse =
                || misfit("nan and infinities have no form in JSON, which modules read; leave it out");
            serde_json::Number::from_f64(number).map(Value::Number).ok_or_else(refuse)?
        }
        DeValue::Array(array) => {
            let element = |(at, value): (usize, &toml::Spanned<_>)| {
                value_to_json(value.get_ref(), &path.clone().index(at))
            };
            Value::Array(array.iter().enumerate().map(element).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => table_to_json(table, path)?,
    })
}

/// Where the value at `path` begins; its deepest ancestor, where it is missing. A table is at its key.
fn toml_offset(text: &str, path: &KeyPath) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut at = DeValue::Table(root.into_inner());
    let mut offset = 0;
    for key in &path.0 {
        let next = match (key, at) {
            (Key::Name(name), DeValue::Table(table)) => {
                let found = table.into_iter().find(|(key, _)| key.get_ref() == name);
                found.map(|(key, value)| (key.span().start, value))
            }
            (Key::Index(index), DeValue::Array(array)) => {
                array.into_iter().nth(*index).map(|value| (value.span().start, value))
            }
            _ => None,
        };
        let Some((key_offset, value)) = next else { break };
        offset = if value.get_ref().is_table() { key_offset } else { value.span().start };
        at = value.into_inner();
    }
    Some(offset)
}

/// The same for JSON. What lies at a path is a slice of the text, so its address tells its place.
fn json_offset(text: &str, path: &KeyPath) -> Option<usize> {
    let mut at: &RawValue = serde_json::from_str(text).ok()?;
    for key in &path.0 {
        let next: Option<&RawValue> = match key {
            Key::Name(name) => {
                let mut table: std::collections::HashMap<String, &RawValue> =
                    serde_json::from_str(at.get()).ok()?;
                table.remove(name)
            }
            Key::Index(index) => {
                let array: Vec<&RawValue> = serde_json::from_str(at.get()).ok()?;
                array.get(*index).copied()
            }
        };
        let Some(next) = next else { break };
        at = next;
    }
    Some(at.get().as_ptr() as usize - text.as_ptr() as usize)
}
