//! The MessagePack shapes of the core-module contract: how an event is written into a guest's memory, and how
//! its answer is read there. `wit/README.md` describes them.
//!
//! Reading trusts nothing: no length is believed beyond the bytes that are there, every shape is exact, and
//! bytes left over are an error.

use bytes::Bytes;
use model::{Answer, Event, GuestFault, GuestFaultCode, Limits};
use rmp::Marker;
use rmp::encode::{write_array_len, write_bin_len, write_str, write_uint};

use crate::answer::{self, AnswerBuilder};

/// The fewest bytes that a message takes: an array, a nil, and two empty fields.
const MESSAGE_BYTES_MIN: usize = 4;
/// Headers that room is made for at once, whatever is announced.
const HEADERS_EXPECTED: usize = 16;

/// An event as MessagePack, without a copy of its payload. The buffer is used again for the next event.
#[derive(Default)]
pub(crate) struct EventFrame {
    bytes: Vec<u8>,
    payload_at: usize,
}

impl EventFrame {
    /// Writes `[subject, payload, [[name, value]…], sequence, timestamp_ns]` but for the payload's bytes.
    pub(crate) fn encode(&mut self, event: &Event) -> usize {
        self.bytes.clear();
        self.payload_at = 0;
        self.write(event).expect("writing to a Vec cannot fail");
        self.bytes.len() + event.payload.len()
    }

    /// Puts the frame and the payload together in `target`, which has exactly the length that `encode` gave.
    pub(crate) fn copy_to(&self, payload: &[u8], target: &mut [u8]) {
        let (head, tail) = self.bytes.split_at(self.payload_at);
        let (for_head, rest) = target.split_at_mut(head.len());
        let (for_payload, for_tail) = rest.split_at_mut(payload.len());
        for_head.copy_from_slice(head);
        for_payload.copy_from_slice(payload);
        for_tail.copy_from_slice(tail);
    }

    fn write(&mut self, event: &Event) -> Result<(), rmp::encode::ValueWriteError> {
        let bytes = &mut self.bytes;
        write_array_len(bytes, 5)?;
        write_str(bytes, &event.subject)?;
        write_bin_len(bytes, length(event.payload.len()))?;
        self.payload_at = bytes.len();
        write_array_len(bytes, length(event.headers.len()))?;
        for (name, value) in event.headers.iter() {
            write_array_len(bytes, 2)?;
            write_str(bytes, name)?;
            write_str(bytes, value)?;
        }
        write_uint(bytes, event.sequence)?;
        write_uint(bytes, event.timestamp_ns)?;
        Ok(())
    }
}

/// A length as MessagePack has it. Nothing longer fits the guest's memory, which is the check that counts.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Reads an answer: `[0, [[subject | nil, payload, [[name, value]…]]…]]` or `[1, reason]`.
pub(crate) fn decode_answer(bytes: &[u8], limits: &Limits) -> Result<Answer, GuestFault> {
    let mut reader = Reader { bytes, at: 0 };
    reader.array_of(2, "an array of 2 (the answer)")?;
    let answer = match reader.number("0 (messages) or 1 (reject)")? {
        0 => messages(&mut reader, limits)?,
        1 => answer::reject(limits, reader.text("the reason")?)?,
        other => return Err(bad_answer(1, &format!("expected 0 (messages) or 1 (reject), found {other}"))),
    };
    match bytes.len() - reader.at {
        0 => Ok(answer),
        left => {
            Err(bad_answer(reader.at, &format!("expected the end of the answer, found {left} more bytes")))
        }
    }
}

fn messages(reader: &mut Reader<'_>, limits: &Limits) -> Result<Answer, GuestFault> {
    let count = reader.array("an array of messages")?;
    let room = reader.left() / MESSAGE_BYTES_MIN;
    let mut answer = AnswerBuilder::begin(limits, count, room)?;
    for _ in 0..count {
        reader.array_of(3, "an array of 3 (a message)")?;
        let subject = match reader.text_or_nil("a subject")? {
            Some(text) => Some(answer.subject(text)?),
            None => None,
        };
        let payload = reader.payload()?;
        answer.count_payload(payload)?;
        let payload = Bytes::copy_from_slice(payload);
        let headers = headers(reader, &mut answer)?;
        answer.message(subject, payload, headers);
    }
    Ok(answer.finish())
}

fn headers<'a>(
    reader: &mut Reader<'a>,
    answer: &mut AnswerBuilder,
) -> Result<Vec<(&'a str, &'a str)>, GuestFault> {
    let count = reader.array("an array of headers")?;
    let mut headers = Vec::with_capacity(count.min(HEADERS_EXPECTED));
    for _ in 0..count {
        reader.array_of(2, "an array of 2 (a header)")?;
        let (name, value) = (reader.text("a header's name")?, reader.text("a header's value")?);
        answer.header(name, value)?;
        headers.push((name, value));
    }
    Ok(headers)
}

/// Reads values one after the other. Each method names what it looks for, for the fault.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn array_of(&mut self, count: usize, what: &str) -> Result<(), GuestFault> {
        let at = self.at;
        match self.array(what)? {
            found if found == count => Ok(()),
            found => Err(bad_answer(at, &format!("expected {what}, found an array of {found}"))),
        }
    }

    fn array(&mut self, what: &str) -> Result<usize, GuestFault> {
        let at = self.at;
        match self.marker(what)? {
            Marker::FixArray(count) => Ok(count.into()),
            Marker::Array16 => self.length::<2>(what),
            Marker::Array32 => self.length::<4>(what),
            other => Err(unexpected(at, what, other)),
        }
    }

    fn number(&mut self, what: &str) -> Result<usize, GuestFault> {
        let at = self.at;
        match self.marker(what)? {
            Marker::FixPos(number) => Ok(number.into()),
            Marker::U8 => self.length::<1>(what),
            Marker::U16 => self.length::<2>(what),
            Marker::U32 => self.length::<4>(what),
            other => Err(unexpected(at, what, other)),
        }
    }

    fn text(&mut self, what: &str) -> Result<&'a str, GuestFault> {
        let at = self.at;
        let marker = self.marker(what)?;
        let bytes = self.text_bytes(marker, what)?.ok_or_else(|| unexpected(at, what, marker))?;
        utf8(bytes, at, what)
    }

    fn text_or_nil(&mut self, what: &str) -> Result<Option<&'a str>, GuestFault> {
        if self.bytes.get(self.at) == Some(&Marker::Null.to_u8()) {
            self.at += 1;
            return Ok(None);
        }
        self.text(what).map(Some)
    }

    /// A payload is `bin`; `str` is taken too, for languages whose libraries know no other byte string.
    fn payload(&mut self) -> Result<&'a [u8], GuestFault> {
        let (at, what) = (self.at, "a payload");
        let count = match self.marker(what)? {
            Marker::Bin8 => self.length::<1>(what)?,
            Marker::Bin16 => self.length::<2>(what)?,
            Marker::Bin32 => self.length::<4>(what)?,
            other => {
                return self.text_bytes(other, what)?.ok_or_else(|| unexpected(at, what, other));
            }
        };
        self.take(count, what)
    }

    fn text_bytes(&mut self, marker: Marker, what: &str) -> Result<Option<&'a [u8]>, GuestFault> {
        let count = match marker {
            Marker::FixStr(count) => count.into(),
            Marker::Str8 => self.length::<1>(what)?,
            Marker::Str16 => self.length::<2>(what)?,
            Marker::Str32 => self.length::<4>(what)?,
            _ => return Ok(None),
        };
        self.take(count, what).map(Some)
    }

    fn marker(&mut self, what: &str) -> Result<Marker, GuestFault> {
        Ok(Marker::from_u8(self.take(1, what)?[0]))
    }

    fn length<const BYTES: usize>(&mut self, what: &str) -> Result<usize, GuestFault> {
        let bytes = self.take(BYTES, what)?;
        Ok(bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], GuestFault> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or_else(|| {
            let left = rest.len();
            bad_answer(self.at, &format!("expected {what}: {count} bytes are announced and {left} are left"))
        })?;
        self.at += count;
        Ok(taken)
    }
}

fn utf8<'a>(bytes: &'a [u8], at: usize, what: &str) -> Result<&'a str, GuestFault> {
    std::str::from_utf8(bytes).map_err(|_| {
        GuestFault::new(GuestFaultCode::BadUtf8, format!("byte {at} of the answer: {what} is not UTF-8"))
    })
}

fn unexpected(at: usize, what: &str, found: Marker) -> GuestFault {
    bad_answer(at, &format!("expected {what}, found MessagePack byte 0x{:02x}", found.to_u8()))
}

fn bad_answer(at: usize, reason: &str) -> GuestFault {
    GuestFault::new(GuestFaultCode::BadAnswer, format!("byte {at} of the answer: {reason}"))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
