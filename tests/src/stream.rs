//! Source and output streams: made, filled, and read as events and records.

use model::{Event, Headers, PipelineName, Record};
use serde_json::json;

use crate::wire::{Message, NatsClient};

/// A record and where it lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The sequence in the output stream.
    pub sequence: u64,
    /// The record.
    pub record: Record,
}

/// Makes a stream on file with these subjects.
///
/// # Panics
/// When the server refuses.
pub fn create(client: &mut NatsClient, stream: &str, subjects: &[&str]) {
    let config = json!({"name": stream, "subjects": subjects, "storage": "file", "retention": "limits"});
    client.api(&format!("STREAM.CREATE.{stream}"), config.to_string()).expect("the stream can be made");
}

/// Stores events with these payloads, under `subject`; returns the last sequence.
///
/// # Panics
/// When the server refuses.
pub fn put<T: AsRef<[u8]>>(client: &mut NatsClient, subject: &str, payloads: &[T]) -> u64 {
    let message = |payload: &T| Message::new(subject, payload.as_ref().to_vec());
    client.store(payloads.iter().map(message)).expect("the events are stored")
}

/// Takes all events out of a stream.
///
/// # Panics
/// When the server refuses.
pub fn purge(client: &mut NatsClient, stream: &str) {
    client.api(&format!("STREAM.PURGE.{stream}"), "").expect("the stream can be emptied");
}

/// How many messages a stream has, and its last sequence.
///
/// # Errors
/// What the server says.
pub fn state(client: &mut NatsClient, stream: &str) -> Result<(u64, u64), String> {
    let info = client.api(&format!("STREAM.INFO.{stream}"), "")?;
    let number = |name: &str| info["state"][name].as_u64().ok_or_else(|| info.to_string());
    Ok((number("messages")?, number("last_seq")?))
}

/// All messages of a stream as events.
///
/// # Panics
/// When the stream cannot be read.
pub fn events(client: &mut NatsClient, stream: &str) -> Vec<Event> {
    let messages = client.read_stream(stream).unwrap_or_else(|error| panic!("reading {stream}: {error}"));
    messages.into_iter().map(event).collect()
}

/// All messages of an output stream as records.
///
/// # Panics
/// When the stream cannot be read, or holds what is no record of this pipeline.
pub fn records(client: &mut NatsClient, pipeline: &str, stream: &str) -> Vec<Placed> {
    let pipeline: PipelineName = pipeline.parse().expect("a pipeline's name");
    let messages = client.read_stream(stream).unwrap_or_else(|error| panic!("reading {stream}: {error}"));
    let record = |message: Message| {
        let Message { sequence, subject, headers, payload, .. } = message;
        let record = Record::from_wire(&pipeline, subject, Headers::canonical(headers), payload);
        let record = record.unwrap_or_else(|foreign| panic!("{stream}, sequence {sequence}: {foreign}"));
        Placed { sequence, record }
    };
    messages.into_iter().map(record).collect()
}

fn event(message: Message) -> Event {
    let Message { sequence, timestamp_ns, subject, headers, payload, .. } = message;
    let headers = Headers::canonical(headers).without_reserved();
    Event { subject, payload, headers, sequence, timestamp_ns }
}
