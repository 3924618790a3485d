//! Events and messages, as the contract has them, and what makes them short to read and to write.

use serde::{Deserialize, Serialize};

use crate::{Reject, Result};

/// One event of the source stream. All that a transform can know: there is no clock and no network beside it,
/// and randomness, where it is asked for, is seeded from the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The subject under which the source stream keeps the event.
    pub subject: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// Headers, sorted by name; names that begin with `Nats-` or `Weir-` are left out.
    pub headers: Vec<(String, String)>,
    /// The sequence in the source stream.
    pub sequence: u64,
    /// When the source stream stored the event: nanoseconds since 1970-01-01 UTC.
    pub timestamp_ns: u64,
}

/// One message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where to; none leaves it to the pipeline's template. Has to be allowed by the pipeline.
    pub subject: Option<String>,
    /// The payload.
    pub payload: Vec<u8>,
    /// Headers. Names that begin with `Nats-` or `Weir-` are a fault.
    pub headers: Vec<(String, String)>,
}

impl Event {
    /// An event with nothing but a subject and a payload, as the first of its stream: for tests.
    pub fn new(subject: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        let (subject, payload) = (subject.into(), payload.into());
        Self { subject, payload, headers: Vec::new(), sequence: 1, timestamp_ns: 0 }
    }

    /// The payload as text.
    ///
    /// # Errors
    /// When the payload is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        str::from_utf8(&self.payload).map_err(|e| Reject::new(format_args!("the payload is not UTF-8: {e}")))
    }

    /// The payload, read as JSON.
    ///
    /// # Errors
    /// When the payload is not JSON, or not of the shape of `T`; the reason says where.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_slice(&self.payload).map_err(|error| {
            let what = if error.is_data() { "is not as expected" } else { "is not JSON" };
            Reject::new(format_args!("the payload {what}: {error}"))
        })
    }

    /// The payload, read as MessagePack.
    ///
    /// # Errors
    /// When the payload is not MessagePack, or not of the shape of `T`; the reason says what.
    #[cfg(feature = "msgpack")]
    pub fn msgpack<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        use rmp_serde::decode::Error;
        rmp_serde::from_slice(&self.payload).map_err(|error| {
            let of_shape =
                matches!(error, Error::TypeMismatch(_) | Error::LengthMismatch(_) | Error::Syntax(_));
            let what = if of_shape { "is not as expected" } else { "is not MessagePack" };
            Reject::new(format_args!("the payload {what}: {error}"))
        })
    }

    /// The first value of the header `name`, which is compared exactly.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A message with another payload and the headers of this event.
    pub fn message(&self, payload: impl Into<Vec<u8>>) -> Message {
        Message { headers: self.headers.clone(), ..Message::new(payload) }
    }
}

impl Message {
    /// A message without headers, whose subject is left to the pipeline.
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { subject: None, payload: payload.into(), headers: Vec::new() }
    }

    /// A message with `value` as compact JSON.
    ///
    /// # Errors
    /// When `value` has map keys that are not strings, or its `Serialize` fails.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        Ok(Self::new(serde_json::to_vec(value)?))
    }

    /// A message with `value` as MessagePack, its structs as maps by name.
    ///
    /// # Errors
    /// When the `Serialize` of `value` fails.
    #[cfg(feature = "msgpack")]
    pub fn msgpack<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        Ok(Self::new(rmp_serde::to_vec_named(value)?))
    }

    /// The same message to `subject`, which the pipeline has to allow.
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The same message with one header more. Names that begin with `Nats-` or `Weir-` are reserved.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same message with these headers in place of its own.
    pub fn with_headers(mut self, headers: impl Into<Vec<(String, String)>>) -> Self {
        self.headers = headers.into();
        self
    }
}

/// What can be a transform's messages.
pub trait IntoMessages {
    /// The messages, in the order in which they are sent.
    fn into_messages(self) -> Vec<Message>;
}

impl IntoMessages for Vec<Message> {
    fn into_messages(self) -> Vec<Message> {
        self
    }
}

/// One message.
impl IntoMessages for Message {
    fn into_messages(self) -> Vec<Message> {
        vec![self]
    }
}

/// One message, or none: the event is dropped on purpose.
impl IntoMessages for Option<Message> {
    fn into_messages(self) -> Vec<Message> {
        self.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_made_from_an_event_keeps_its_headers() {
        let mut event = Event::new("orders.new", "x");
        event.headers.push(("trace".into(), "7".into()));
        let message = event.message("y").with_subject("done").with_header("n", "1");
        assert_eq!(event.header("trace"), Some("7"));
        assert_eq!(event.header("Trace"), None);
        assert_eq!(message.subject.as_deref(), Some("done"));
        assert_eq!(message.payload, b"y");
        assert_eq!(message.headers, [("trace".into(), "7".into()), ("n".into(), "1".into())]);
        assert_eq!(message.with_headers([]).headers, []);
    }

    #[test]
    fn json_goes_in_and_out_and_faults_say_where() {
        let reason = |payload: &str| match Event::new("s", payload).json::<Vec<u8>>() {
            Ok(list) => panic!("{list:?} was accepted"),
            Err(reject) => String::from(reject),
        };
        let numbers: Vec<u8> = Event::new("s", "[1, 2]").json().expect("it is a list of numbers");
        assert_eq!(Message::json(&numbers).expect("it can be written").payload, b"[1,2]");
        assert!(reason("[1, 2").starts_with("the payload is not JSON: EOF"), "{}", reason("[1, 2"));
        assert!(reason("[1, 999]").starts_with("the payload is not as expected: invalid value"));
        assert!(Event::new("s", [0xff]).text().is_err());
    }

    #[cfg(feature = "msgpack")]
    #[test]
    fn message_pack_goes_in_and_out_and_faults_say_what() {
        #[derive(serde::Serialize, serde::Deserialize, Debug, PartialEq)]
        struct Order {
            id: u8,
        }
        let payload = Message::msgpack(&Order { id: 7 }).expect("it can be written").payload;
        assert_eq!(payload, b"\x81\xa2id\x07", "a map by name");
        assert_eq!(Event::new("s", payload).msgpack::<Order>(), Ok(Order { id: 7 }));
        let reason = |payload: &[u8]| match Event::new("s", payload).msgpack::<Order>() {
            Ok(order) => panic!("{order:?} was accepted"),
            Err(reject) => String::from(reject),
        };
        let (shape, cut) = (reason(b"\x81\xa2no\x07"), reason(b"\x81\xa2id"));
        assert!(shape.starts_with("the payload is not as expected"), "{shape}");
        assert!(cut.starts_with("the payload is not MessagePack"), "{cut}");
    }
}
