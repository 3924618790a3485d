//! The shape of a file of cases: its keys, their types and their defaults. What goes together is for
//! [`check`](super::check).

use std::fmt;

use model::CommandOutput;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::spec::LimitsTable;
use crate::spec::humane::Moment;

/// A file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CasesFile {
    /// The configuration of all cases that have none of their own.
    #[serde(default)]
    pub(super) config: Value,
    /// What bounds the module, in all cases that do not say otherwise.
    #[serde(default)]
    pub(super) limits: LimitsTable,
    /// Of a command: how its standard output becomes messages, in all cases that do not say otherwise.
    #[serde(default)]
    pub(super) output: CommandOutput,
    /// The cases.
    pub(super) cases: Vec<CaseTable>,
}

/// One case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseTable {
    /// What it shows.
    pub(super) name: String,
    /// The configuration in place of the file's; null for none.
    #[serde(default, deserialize_with = "given")]
    pub(super) config: Option<Value>,
    /// The limits in place of the file's, each by itself.
    #[serde(default)]
    pub(super) limits: LimitsTable,
    /// Of a command: this in place of the file's.
    #[serde(default, deserialize_with = "given")]
    pub(super) output: Option<CommandOutput>,
    /// What goes in.
    #[serde(default)]
    pub(super) event: EventTable,
    /// Exactly these messages come out.
    pub(super) expect: Option<Vec<MessageTable>>,
    /// So many messages come out.
    pub(super) count: Option<u64>,
    /// The event is refused, for a reason that holds this.
    pub(super) reject: Option<String>,
    /// The module fails like this.
    pub(super) fault: Option<FaultTable>,
    /// Some line of the log holds this.
    pub(super) log: Option<String>,
}

/// An event; what is missing has its default.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventTable {
    pub(super) subject: Option<String>,
    #[serde(default)]
    pub(super) payload: Content,
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    pub(super) sequence: Option<u64>,
    pub(super) timestamp: Option<Moment>,
}

/// A message that has to come out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageTable {
    #[serde(default)]
    pub(super) payload: Option<Content>,
    /// Absent: any; null: none.
    #[serde(default, deserialize_with = "given")]
    pub(super) subject: Option<Option<String>>,
    /// Absent: any.
    pub(super) headers: Option<Vec<(String, String)>>,
}

/// A fault: its code alone, or with a part of its reason.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a fault's code, or {code: trap, contains: a part of its reason}")]
pub(super) enum FaultTable {
    Code(String),
    WithReason(FaultWithReason),
}

/// A fault with a part of its reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultWithReason {
    pub(super) code: String,
    pub(super) contains: Option<String>,
}

/// A payload as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// This text.
    Text(String),
    /// This value: written compactly where it goes in, compared as a value where it comes out.
    Json(Value),
    /// The bytes of this base64.
    Base64(String),
    /// The bytes of this file, which lies beside the file of cases.
    File(String),
    /// This text, so many times.
    Repeat { text: String, times: u64 },
    /// Something with this text in it.
    Contains(String),
}

impl Default for Content {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// The objects that a payload may be; exactly one of the keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContentTable {
    #[serde(default, deserialize_with = "given")]
    json: Option<Value>,
    base64: Option<String>,
    file: Option<String>,
    repeat: Option<RepeatTable>,
    contains: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepeatTable {
    text: String,
    times: u64,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes, or one of {json: …}, {base64: …}, {file: …}, {repeat: …}, {contains: …}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_unit<E: Error>(self) -> Result<Content, E> {
                Err(E::invalid_type(Unexpected::Other("nothing; an empty payload is \"\""), &self))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Content, A::Error> {
                let table = ContentTable::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                table.content().ok_or_else(|| {
                    A::Error::custom("a payload has exactly one of json, base64, file, repeat and contains")
                })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl ContentTable {
    fn content(self) -> Option<Content> {
        let repeat = self.repeat.map(|RepeatTable { text, times }| Content::Repeat { text, times });
        let mut given = [
            self.json.map(Content::Json),
            self.base64.map(Content::Base64),
            self.file.map(Content::File),
            repeat,
            self.contains.map(Content::Contains),
        ]
        .into_iter()
        .flatten();
        let content = given.next()?;
        given.next().is_none().then_some(content)
    }
}

/// A value that is there, be it null, told apart from one that is not.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
