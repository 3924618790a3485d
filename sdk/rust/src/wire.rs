//! The MessagePack of the core-module contract, from a module's side: an event is read, an answer written.
//! `wit/README.md` describes both.
//!
//! Reading believes no length beyond the bytes that are there. One allocation is made for each text and none
//! for the payload, which stays in the memory that the event came in.

use crate::runtime::Answer;
use crate::{Event, Message};

/// The fewest bytes that a header takes: an array and two empty texts.
const HEADER_BYTES_MIN: usize = 3;

/// The event in these bytes, if it is of the contract's shape.
pub fn read_event(mut bytes: Vec<u8>) -> Option<Event> {
    let mut reader = Reader { left: &bytes };
    reader.array_of(5)?;
    let subject = reader.text()?;
    let length = reader.binary()?.len();
    let payload_end = bytes.len() - reader.left.len();
    let headers = reader.headers()?;
    let (sequence, timestamp_ns) = (reader.number()?, reader.number()?);
    if !reader.left.is_empty() {
        return None;
    }
    bytes.copy_within(payload_end - length..payload_end, 0);
    bytes.truncate(length);
    Some(Event { subject, payload: bytes, headers, sequence, timestamp_ns })
}

/// Writes an answer in place of what is in `bytes`.
pub fn write_answer(answer: &Answer, bytes: &mut Vec<u8>) {
    bytes.clear();
    write_array(bytes, 2);
    match answer {
        Ok(messages) => {
            bytes.push(0);
            write_array(bytes, messages.len());
            messages.iter().for_each(|message| write_message(bytes, message));
        }
        Err(reason) => {
            bytes.push(1);
            write_text(bytes, reason);
        }
    }
}

/// Reads values one after the other. What is not there, or something else, is none.
struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn headers(&mut self) -> Option<Vec<(String, String)>> {
        let count = self.array()?;
        let mut headers = Vec::with_capacity(count.min(self.left.len() / HEADER_BYTES_MIN));
        for _ in 0..count {
            self.array_of(2)?;
            headers.push((self.text()?, self.text()?));
        }
        Some(headers)
    }

    fn array_of(&mut self, count: usize) -> Option<()> {
        (self.array()? == count).then_some(())
    }

    fn array(&mut self) -> Option<usize> {
        match self.byte()? {
            tag @ 0x90..=0x9f => Some(usize::from(tag & 0x0f)),
            0xdc => self.length::<2>(),
            0xdd => self.length::<4>(),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        let length = match self.byte()? {
            tag @ 0xa0..=0xbf => usize::from(tag & 0x1f),
            0xd9 => self.length::<1>()?,
            0xda => self.length::<2>()?,
            0xdb => self.length::<4>()?,
            _ => return None,
        };
        Some(str::from_utf8(self.take(length)?).ok()?.to_owned())
    }

    fn binary(&mut self) -> Option<&'a [u8]> {
        let length = match self.byte()? {
            0xc4 => self.length::<1>()?,
            0xc5 => self.length::<2>()?,
            0xc6 => self.length::<4>()?,
            _ => return None,
        };
        self.take(length)
    }

    fn number(&mut self) -> Option<u64> {
        match self.byte()? {
            tag @ 0x00..=0x7f => Some(tag.into()),
            0xcc => self.big_endian::<1>(),
            0xcd => self.big_endian::<2>(),
            0xce => self.big_endian::<4>(),
            0xcf => self.big_endian::<8>(),
            _ => None,
        }
    }

    fn length<const BYTES: usize>(&mut self) -> Option<usize> {
        usize::try_from(self.big_endian::<BYTES>()?).ok()
    }

    fn big_endian<const BYTES: usize>(&mut self) -> Option<u64> {
        let (bytes, left) = self.left.split_first_chunk::<BYTES>()?;
        self.left = left;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, left) = self.left.split_first()?;
        self.left = left;
        Some(*byte)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(count)?;
        self.left = left;
        Some(taken)
    }
}

fn write_message(bytes: &mut Vec<u8>, message: &Message) {
    write_array(bytes, 3);
    match &message.subject {
        Some(subject) => write_text(bytes, subject),
        None => bytes.push(0xc0),
    }
    write_length(bytes, 0xc4, message.payload.len());
    bytes.extend_from_slice(&message.payload);
    write_array(bytes, message.headers.len());
    for (name, value) in &message.headers {
        write_array(bytes, 2);
        write_text(bytes, name);
        write_text(bytes, value);
    }
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    match text.len() {
        length @ 0..32 => bytes.push(0xa0 | length as u8),
        length => write_length(bytes, 0xd9, length),
    }
    bytes.extend_from_slice(text.as_bytes());
}

fn write_array(bytes: &mut Vec<u8>, count: usize) {
    match count {
        0..0x10 => bytes.push(0x90 | count as u8),
        _ => write_number(bytes, 0xdc, count),
    }
}

/// The length of text or bytes, after the first of three tags, for 1, 2 and 4 bytes.
fn write_length(bytes: &mut Vec<u8>, tag: u8, length: usize) {
    match length {
        0..0x100 => bytes.extend_from_slice(&[tag, length as u8]),
        _ => write_number(bytes, tag + 1, length),
    }
}

/// A number after the first of two tags, for 2 and 4 bytes.
fn write_number(bytes: &mut Vec<u8>, tag: u8, number: usize) {
    match u16::try_from(number) {
        Ok(number) => {
            bytes.push(tag);
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        Err(_) => {
            bytes.push(tag + 1);
            let number = u32::try_from(number).expect("no module's memory holds more");
            bytes.extend_from_slice(&number.to_be_bytes());
        }
    }
}
