//! What goes into a transform and what comes out of it.

use bytes::Bytes;

use crate::digest::DigestBuilder;
use crate::headers::Headers;

/// One message of the source stream, as a transform sees it. Nothing else reaches the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The subject under which the source stream keeps it.
    pub subject: String,
    /// The payload, untouched.
    pub payload: Bytes,
    /// The headers, without the reserved names.
    pub headers: Headers,
    /// The sequence in the source stream.
    pub sequence: u64,
    /// When the source stream stored it, in nanoseconds since 1970-01-01 UTC.
    pub timestamp_ns: u64,
}

impl Event {
    /// Feeds everything that a transform can see of this event to a digest.
    pub fn digest_into(&self, digest: &mut DigestBuilder) {
        digest.number(self.sequence);
        digest.number(self.timestamp_ns);
        digest.field(self.subject.as_bytes());
        self.headers.digest_into(digest);
        digest.field(&self.payload);
    }
}

/// One message that a transform wants to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it goes; `None` leaves the choice to the pipeline's template.
    pub subject: Option<String>,
    /// The payload.
    pub payload: Bytes,
    /// The headers.
    pub headers: Headers,
}

/// What a transform answers to one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Any number of messages, in order; none drops the event on purpose.
    Messages(Vec<Message>),
    /// The module refuses the event, and says why: it becomes a dead letter.
    Reject(String),
}
