//! A CloudEvent, in neither mode: attributes, data, and the headers that are none of its own.

use weir_sdk::{Event, Reject, Result};

use crate::settings::Mode;

/// The header that says what a payload is.
pub(crate) const CONTENT_TYPE: &str = "Content-Type";
/// The one version that there is.
const VERSION: &str = "1.0";
/// What `Content-Type` begins with in structured mode.
const STRUCTURED: &str = "application/cloudevents";

/// One CloudEvent.
#[derive(Debug, Default)]
pub(crate) struct CloudEvent {
    /// In the order in which they are written.
    pub(crate) attributes: Vec<Attribute>,
    /// As bytes of the type that `datacontenttype` says; empty if there are none.
    pub(crate) data: Vec<u8>,
    /// The event's headers that are no attributes.
    pub(crate) headers: Vec<(String, String)>,
}

/// A name and its value in the canonical form of a text.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Whether it was written in JSON without quotes: an integer or a boolean.
    pub(crate) is_bare: bool,
}

impl CloudEvent {
    /// Adds an attribute that is a text.
    ///
    /// # Errors
    /// When it has a character that an attribute cannot have.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<()> {
        self.push(Attribute { name: name.to_owned(), text: text.to_owned(), is_bare: false })
    }

    /// Adds an attribute.
    ///
    /// # Errors
    /// When its name is none, or is there already, or when it has a character that an attribute cannot have.
    pub(crate) fn push(&mut self, attribute: Attribute) -> Result<()> {
        let name = &attribute.name;
        check_name(name)?;
        if self.attribute(name).is_some() {
            return Err(Reject::new(format_args!("the attribute '{name}' is there twice")));
        }
        if attribute.text.contains(char::is_control) {
            return Err(Reject::new(format_args!("the attribute '{name}' has a control character")));
        }
        self.attributes.push(attribute);
        Ok(())
    }

    /// The text of the attribute `name`.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|found| found.text.as_str())
    }

    /// Whether all is there that a CloudEvent has to have.
    ///
    /// # Errors
    /// When something is not: what.
    pub(crate) fn check(&self) -> Result<()> {
        let version = self.attribute("specversion").unwrap_or_default();
        if version != VERSION {
            let version: String = version.chars().take(20).collect();
            return Err(Reject::new(format_args!("the specversion is '{version}', not '{VERSION}'")));
        }
        match ["id", "source", "type"].iter().find(|name| self.attribute(name).is_none_or(str::is_empty)) {
            Some(name) => Err(Reject::new(format_args!("the attribute '{name}' is missing"))),
            None => Ok(()),
        }
    }

    /// Whether the data are JSON, as they are where nothing else is said.
    pub(crate) fn is_json(&self) -> bool {
        self.media_type().is_none_or(|kind| kind.ends_with("/json") || kind.ends_with("+json"))
    }

    /// Whether the data are text that is not JSON.
    pub(crate) fn is_text(&self) -> bool {
        let is_text =
            |kind: &str| kind.starts_with("text/") || kind.ends_with("/xml") || kind.ends_with("+xml");
        self.media_type().is_some_and(|kind| is_text(&kind))
    }

    /// What `datacontenttype` says, without its parameters.
    fn media_type(&self) -> Option<String> {
        let kind = self.attribute("datacontenttype")?.split(';').next()?;
        Some(kind.trim().to_ascii_lowercase())
    }
}

/// Whether a text can be an attribute's name; "data" is none.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    match name.is_empty() || name == "data" || !name.chars().all(is_letter) {
        true => Err(format!(
            "'{}' is no name of an attribute: lower-case letters and digits, and not 'data'",
            name.chars().take(40).collect::<String>().escape_debug()
        )),
        false => Ok(()),
    }
}

/// The mode that an event is in; none where it is no CloudEvent.
pub(crate) fn mode(event: &Event) -> Option<Mode> {
    let has = |is: &dyn Fn(&str, &str) -> bool| event.headers.iter().any(|(name, value)| is(name, value));
    let is_structured = |name: &str, value: &str| {
        let start = value.get(..STRUCTURED.len()).unwrap_or_default();
        name.eq_ignore_ascii_case(CONTENT_TYPE) && start.eq_ignore_ascii_case(STRUCTURED)
    };
    if has(&is_structured) {
        return Some(Mode::Structured);
    }
    if has(&|name, _| name.eq_ignore_ascii_case("ce-specversion")) {
        return Some(Mode::Binary);
    }
    // Before NATS had headers structured mode was the only one, and nothing but the payload showed it.
    crate::structured::names_version(&event.payload).then_some(Mode::Structured)
}
