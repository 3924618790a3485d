//! The step's configuration: read once, checked as a whole. README.md has it as a table.

use std::collections::BTreeMap;

use event_parts::{Part, Template};
use serde::Deserialize;

use crate::cloud_event::check_name;

/// What to do, ready to use.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "File")]
pub enum Settings {
    /// Make a CloudEvent of each event.
    Wrap(Box<Envelope>),
    /// Take the data out of each CloudEvent.
    Unwrap {},
    /// Turn each CloudEvent into this mode.
    Convert {
        /// The mode.
        mode: Mode,
    },
}

/// What a new CloudEvent is made of.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub(crate) mode: Mode,
    pub(crate) id: Template,
    pub(crate) source: Template,
    pub(crate) kind: Template,
    pub(crate) subject: Option<Template>,
    pub(crate) datacontenttype: Option<String>,
    pub(crate) dataschema: Option<String>,
    pub(crate) extensions: BTreeMap<String, Template>,
}

/// A content mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Attributes and data are one JSON object.
    Structured,
    /// Attributes are headers, the payload is the data.
    Binary,
}

/// What becomes of events, as it is written. In templates a part's name in braces stands for the part.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "there is one of them, and it is read once")]
pub(crate) enum File {
    /// Make a CloudEvent of each event.
    Wrap {
        /// The content mode of what comes out.
        mode: Mode,
        /// Template of the attribute 'source': where events come from, a URI reference.
        #[cfg_attr(test, schemars(with = "String"))]
        source: Template,
        /// Template of the attribute 'type'.
        #[serde(rename = "type")]
        #[cfg_attr(test, schemars(with = "String"))]
        kind: Template,
        /// Template of the attribute 'id'; with 'source' it names one event.
        #[serde(default = "sequence")]
        #[cfg_attr(test, schemars(with = "String", default = "sequence_text"))]
        id: Template,
        /// Template of the attribute 'subject', which is left out where the event has no such part.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        subject: Option<Template>,
        /// The attribute 'datacontenttype'; if not given, the event's header Content-Type, else
        /// "application/json".
        datacontenttype: Option<String>,
        /// The attribute 'dataschema': a URI.
        dataschema: Option<String>,
        /// Templates of further attributes, by name; each is left out where the event has no such part.
        #[serde(default)]
        #[cfg_attr(test, schemars(with = "BTreeMap<String, String>"))]
        extensions: BTreeMap<String, Template>,
    },
    /// Take the data out of each CloudEvent.
    Unwrap {},
    /// Turn each CloudEvent into one content mode, whichever it is in.
    Convert {
        /// The content mode of what comes out.
        mode: Mode,
    },
}

fn sequence() -> Template {
    Template::from(Part::Sequence)
}

#[cfg(test)]
fn sequence_text() -> String {
    sequence().to_string()
}

impl TryFrom<File> for Settings {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        match file {
            File::Unwrap {} => Ok(Self::Unwrap {}),
            File::Convert { mode } => Ok(Self::Convert { mode }),
            File::Wrap { mode, source, kind, id, subject, datacontenttype, dataschema, extensions } => {
                for name in extensions.keys() {
                    check_name(name)?;
                    if OWN.contains(&name.as_str()) {
                        return Err(format!(
                            "'{name}' is no extension, but an attribute of CloudEvents itself"
                        ));
                    }
                }
                let (source, kind) = (not_empty("source", source)?, not_empty("type", kind)?);
                Ok(Self::Wrap(Box::new(Envelope {
                    mode,
                    id: not_empty("id", id)?,
                    source,
                    kind,
                    subject,
                    datacontenttype,
                    dataschema,
                    extensions,
                })))
            }
        }
    }
}

/// What CloudEvents itself gives a meaning.
const OWN: [&str; 8] =
    ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema"];

fn not_empty(name: &str, template: Template) -> Result<Template, String> {
    match template.to_string().is_empty() {
        true => Err(format!("'{name}' is empty")),
        false => Ok(template),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_be_meant_is_refused_with_the_reason() {
        let wrap =
            |more: &str| format!(r#"{{"action":"wrap","mode":"binary","source":"/a","type":"t"{more}}}"#);
        for (text, reason) in [
            ("{}", "missing field `action`"),
            (r#"{"action":"pack"}"#, "unknown variant `pack`"),
            (r#"{"action":"convert"}"#, "missing field `mode`"),
            (r#"{"action":"convert","mode":"batch"}"#, "unknown variant `batch`"),
            (r#"{"action":"unwrap","mode":"binary"}"#, "unknown field `mode`"),
            (r#"{"action":"wrap","mode":"binary","source":"/a"}"#, "missing field `type`"),
            (r#"{"action":"wrap","mode":"binary","source":"","type":"t"}"#, "'source' is empty"),
            (wrap(r#","id":"""#).as_str(), "'id' is empty"),
            (wrap(r#","id":"{uuid}""#).as_str(), "'uuid' is no part of an event"),
            (wrap(r#","extensions":{"Trace":"x"}"#).as_str(), "'Trace' is no name of an attribute"),
            (wrap(r#","extensions":{"data":"x"}"#).as_str(), "'data' is no name of an attribute"),
            (wrap(r#","extensions":{"time":"x"}"#).as_str(), "'time' is no extension"),
        ] {
            let error = serde_json::from_str::<Settings>(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
