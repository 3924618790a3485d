//! Puts a guest's answer together under the step's limits. The contracts meet here: whichever way
//! messages came out of a guest, they are counted and checked in the same way.

use bytes::Bytes;
use model::{Answer, GuestFault, GuestFaultCode, Headers, Limits, Message, Subject, headers};

/// What a header counts beside its name and value, as in [`Headers::wire_bytes`].
const HEADER_FRAME_BYTES: usize = 4;

/// An answer in the making.
pub(crate) struct AnswerBuilder {
    limits: Limits,
    left_bytes: u64,
    messages: Vec<Message>,
}

impl AnswerBuilder {
    /// Begins an answer of `count` messages. `room` is how many could be there at most by the size of what
    /// they are read from, whatever `count` claims.
    pub(crate) fn begin(limits: &Limits, count: usize, room: usize) -> Result<Self, GuestFault> {
        check_count(limits, count)?;
        let messages = Vec::with_capacity(count.min(room));
        Ok(Self { limits: *limits, left_bytes: limits.bytes_per_event, messages })
    }

    /// Begins an answer whose messages come one by one.
    pub(crate) const fn begin_empty(limits: &Limits) -> Self {
        Self { limits: *limits, left_bytes: limits.bytes_per_event, messages: Vec::new() }
    }

    /// Makes sure that one more message may be added, and says at which index.
    pub(crate) fn next_message(&self) -> Result<usize, GuestFault> {
        let index = self.messages.len();
        check_count(&self.limits, index + 1).map(|()| index)
    }

    /// Counts a payload, before it is copied.
    pub(crate) fn count_payload(&mut self, payload: &[u8]) -> Result<(), GuestFault> {
        self.count(payload.len())
    }

    /// Counts and checks a subject.
    pub(crate) fn subject(&mut self, text: impl AsRef<str> + Into<String>) -> Result<String, GuestFault> {
        self.count(text.as_ref().len())?;
        let subject = Subject::try_from(text.into());
        subject
            .map(Subject::into_string)
            .map_err(|e| GuestFault::new(GuestFaultCode::BadSubject, e.to_string()))
    }

    /// Counts and checks a header.
    pub(crate) fn header(&mut self, name: &str, value: &str) -> Result<(), GuestFault> {
        self.count(name.len() + value.len() + HEADER_FRAME_BYTES)?;
        headers::check(name, value)
            .map_err(|e| GuestFault::new(GuestFaultCode::BadHeader, format!("header '{name}': {e}")))
    }

    /// Adds a message whose parts were counted and checked.
    pub(crate) fn message<S: AsRef<str>>(
        &mut self,
        subject: Option<String>,
        payload: Bytes,
        headers: Vec<(S, S)>,
    ) {
        self.messages.push(Message { subject, payload, headers: Headers::canonical(headers) });
    }

    /// Gives these headers, the event's own, to the message at `index`. They are counted as any are.
    pub(crate) fn keep_headers(&mut self, index: usize, headers: &Headers) -> Result<(), GuestFault> {
        for (name, value) in headers.iter() {
            self.header(name, value)?;
        }
        self.messages[index].headers = headers.clone();
        Ok(())
    }

    pub(crate) fn finish(self) -> Answer {
        Answer::Messages(self.messages)
    }

    fn count(&mut self, bytes: usize) -> Result<(), GuestFault> {
        let left = self.left_bytes.checked_sub(bytes as u64);
        self.left_bytes = left.ok_or_else(|| output_too_large(&self.limits))?;
        Ok(())
    }
}

fn check_count(limits: &Limits, count: usize) -> Result<(), GuestFault> {
    if count as u64 <= u64::from(limits.messages_per_event) {
        return Ok(());
    }
    let reason =
        format!("{count} messages, and the step may send {} for one event", limits.messages_per_event);
    Err(GuestFault::new(GuestFaultCode::TooManyMessages, reason))
}

/// The answer that refuses the event, its reason within the same bound as messages.
pub(crate) fn reject(limits: &Limits, reason: impl AsRef<str> + Into<String>) -> Result<Answer, GuestFault> {
    if reason.as_ref().len() as u64 > limits.bytes_per_event {
        return Err(output_too_large(limits));
    }
    Ok(Answer::Reject(reason.into()))
}

/// The fault of an answer that has more bytes than the step may send.
pub(crate) fn output_too_large(limits: &Limits) -> GuestFault {
    GuestFault::new(
        GuestFaultCode::OutputTooLarge,
        format!(
            "the answer is larger than the {} bytes that the step may send for one event",
            limits.bytes_per_event
        ),
    )
}
