//! A transform that wraps events as CloudEvents 1.0, takes them out again, or turns one content mode into the
//! other, by the NATS protocol binding and the JSON event format.
//!
//! In structured mode attributes and data are one JSON object, in binary mode attributes are headers that
//! begin with `ce-` and the payload is the data. Which of the two an event is in is told by the event. What
//! is no CloudEvent of version 1.0 is refused where one is expected. What the event says is kept; identity
//! and time of a new one are made of the event alone, so they are the same on every run.

mod binary;
mod cloud_event;
mod settings;
mod structured;

use std::time::{Duration, UNIX_EPOCH};

use event_parts::{Filled, Template};
use weir_sdk::{Event, Message, Reject, Result, transform};

pub use settings::Settings;

use cloud_event::{CONTENT_TYPE, CloudEvent};
use settings::{Envelope, Mode};

transform!(process, Settings);

/// Wraps, unwraps or converts one event.
///
/// # Errors
/// When a CloudEvent is expected and the event is none, when an event to wrap is one already or has not what
/// a required attribute is made of, or when data that are said to be JSON are not.
pub fn process(event: Event, settings: &Settings) -> Result<Message> {
    let is_wrapped = cloud_event::mode(&event).is_some();
    match settings {
        Settings::Wrap(_) if is_wrapped => Err("the event is a CloudEvent already".into()),
        Settings::Wrap(envelope) => write(wrap(event, envelope)?, envelope.mode),
        Settings::Convert { mode } => write(read(event)?, *mode),
        Settings::Unwrap {} => Ok(unwrap(read(event)?)),
    }
}

fn read(event: Event) -> Result<CloudEvent> {
    match cloud_event::mode(&event) {
        Some(Mode::Binary) => binary::read(event),
        Some(Mode::Structured) => structured::read(event),
        None => {
            Err("the event is no CloudEvent: it has neither the header ce-specversion nor a JSON object \
                     with specversion as its payload"
                .into())
        }
    }
}

fn write(event: CloudEvent, mode: Mode) -> Result<Message> {
    match mode {
        Mode::Binary => Ok(binary::write(event)),
        Mode::Structured => structured::write(event),
    }
}

/// A CloudEvent around the event as its data.
fn wrap(event: Event, envelope: &Envelope) -> Result<CloudEvent> {
    let mut wrapped = CloudEvent::default();
    wrapped.set("specversion", "1.0")?;
    for (name, template) in [("id", &envelope.id), ("source", &envelope.source), ("type", &envelope.kind)] {
        match filled(template, &event)? {
            Ok(text) => wrapped.set(name, &text)?,
            Err(part) => return Err(Reject::new(format_args!("the attribute '{name}': {part} is missing"))),
        }
    }
    let time = UNIX_EPOCH + Duration::from_nanos(event.timestamp_ns);
    wrapped.set("time", &humantime::format_rfc3339(time).to_string())?;
    let content_type = envelope.datacontenttype.as_deref().or(event.header(CONTENT_TYPE));
    wrapped.set("datacontenttype", content_type.unwrap_or("application/json"))?;
    if let Some(schema) = &envelope.dataschema {
        wrapped.set("dataschema", schema)?;
    }
    let subject = envelope.subject.as_ref().map(|template| ("subject", template));
    let extensions = envelope.extensions.iter().map(|(name, template)| (name.as_str(), template));
    for (name, template) in subject.into_iter().chain(extensions) {
        if let Ok(text) = filled(template, &event)? {
            wrapped.set(name, &text)?;
        }
    }
    wrapped.headers = event.headers;
    wrapped.data = event.payload;
    wrapped.check()?;
    Ok(wrapped)
}

/// What a template comes to, or the name of the part that is missing.
fn filled(template: &Template, event: &Event) -> Result<Result<String, String>> {
    Ok(match template.fill(event, |_, _| true)? {
        Filled::Text(text) => Ok(text),
        Filled::Missing(part) | Filled::Unfit(part, _) => Err(part.to_string()),
    })
}

/// The data alone, with what they are in the header `Content-Type`.
fn unwrap(event: CloudEvent) -> Message {
    let content_type = event.attribute("datacontenttype").map(str::to_owned);
    let mut headers = event.headers;
    if let Some(content_type) = content_type {
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case(CONTENT_TYPE));
        headers.push((CONTENT_TYPE.to_owned(), content_type));
    }
    Message { subject: None, payload: event.data, headers }
}

#[cfg(test)]
mod tests;
