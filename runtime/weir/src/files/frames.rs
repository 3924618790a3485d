//! Whole events as MessagePack, each with its length before it as four bytes, the highest first:
//! `[subject, payload, [[name, value]…], sequence, timestamp_ns]`, the shape that core modules are given. So
//! an exported stream can be run again with its own subjects, headers, sequences and times.

use std::io::Read;

use bytes::{Buf as _, Bytes};
use model::{Event, Headers, Subject};
use rmp::decode::{read_array_len, read_bin_len, read_int, read_str_len};
use rmp::encode::{write_array_len, write_bin_len, write_str, write_uint};

use super::input::{InputError, Selection, Splitter, read_more};
use super::{EVENT_BYTES_MAX, READ_BYTES, length};

/// The bytes of a length.
const LENGTH_BYTES: usize = 4;

/// Writes an event with its length before it.
pub(crate) fn write_frame(bytes: &mut Vec<u8>, event: &Event) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; LENGTH_BYTES]);
    write_event(bytes, event).expect("writing to a Vec cannot fail");
    let written = length(bytes.len() - start - LENGTH_BYTES);
    bytes[start..start + LENGTH_BYTES].copy_from_slice(&written.to_be_bytes());
}

fn write_event(bytes: &mut Vec<u8>, event: &Event) -> Result<(), rmp::encode::ValueWriteError> {
    write_array_len(bytes, 5)?;
    write_str(bytes, &event.subject)?;
    write_bin_len(bytes, length(event.payload.len()))?;
    bytes.extend_from_slice(&event.payload);
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

/// Reads frames.
pub(super) struct Frames {
    input: Box<dyn Read + Send>,
    /// What is read and not split yet.
    rest: Vec<u8>,
    has_ended: bool,
    /// Frames that were read.
    frame: u64,
    last_sequence: u64,
    selection: Selection,
}

impl Frames {
    pub(super) fn new(input: Box<dyn Read + Send>, selection: Selection) -> Self {
        Self { input, rest: Vec::new(), has_ended: false, frame: 0, last_sequence: 0, selection }
    }

    /// The next bytes up to the end of a frame.
    fn whole_frames(&mut self) -> Result<Bytes, InputError> {
        let mut read = std::mem::take(&mut self.rest);
        loop {
            let end = frames_end(&read).map_err(|why| self.malformed(self.frame + 1, why))?;
            if end > 0 {
                self.rest = Vec::with_capacity(READ_BYTES + read.len() - end);
                self.rest.extend_from_slice(&read[end..]);
                read.truncate(end);
                return Ok(read.into());
            }
            if read_more(&mut self.input, &mut read)? == 0 {
                self.has_ended = true;
                if !read.is_empty() {
                    return Err(self.malformed(self.frame + 1, "the input ends in the middle of it".into()));
                }
                return Ok(Bytes::new());
            }
        }
    }

    fn split(&mut self, mut whole: Bytes) -> Result<Vec<Event>, InputError> {
        let mut events = Vec::new();
        while whole.has_remaining() {
            self.frame += 1;
            let length = whole.get_u32() as usize;
            let frame = whole.split_to(length);
            let event = read_event(&frame).map_err(|why| self.malformed(self.frame, why))?;
            if event.sequence <= self.last_sequence {
                let why = format!("sequence {} comes after {}", event.sequence, self.last_sequence);
                return Err(self.malformed(self.frame, why));
            }
            self.last_sequence = event.sequence;
            if event.sequence >= self.selection.from && self.selection.has_subject(&event.subject) {
                events.push(event);
            }
        }
        Ok(events)
    }

    fn malformed(&self, frame: u64, why: String) -> InputError {
        InputError::Malformed { what: "event", number: frame, why }
    }
}

impl Splitter for Frames {
    fn burst(&mut self) -> Result<Vec<Event>, InputError> {
        while !self.has_ended {
            let whole = self.whole_frames()?;
            let events = self.split(whole)?;
            if !events.is_empty() {
                return Ok(events);
            }
        }
        Ok(Vec::new())
    }
}

/// Where the last whole frame ends.
fn frames_end(bytes: &[u8]) -> Result<usize, String> {
    let mut end = 0;
    while let Some(length) = bytes[end..].first_chunk::<LENGTH_BYTES>() {
        let length = u32::from_be_bytes(*length) as usize;
        if length > EVENT_BYTES_MAX {
            return Err(format!("{length} bytes are announced, and an event has at most 64 MiB"));
        }
        if bytes.len() - end - LENGTH_BYTES < length {
            break;
        }
        end += LENGTH_BYTES + length;
    }
    Ok(end)
}

/// Reads an event, whose payload shares the frame's bytes.
fn read_event(frame: &Bytes) -> Result<Event, String> {
    let mut rest: &[u8] = frame;
    array_of(&mut rest, 5)?;
    let subject = text(&mut rest, "the subject")?;
    let subject = Subject::try_from(subject).map_err(|error| error.to_string())?;
    let payload = {
        let length = read_bin_len(&mut rest).map_err(|_| "the payload is not of the kind bin")? as usize;
        let start = frame.len() - rest.len();
        rest = rest.get(length..).ok_or("the payload is cut off")?;
        frame.slice(start..start + length)
    };
    let count = read_array_len(&mut rest).map_err(|_| "the headers are no array")?;
    let mut headers = Vec::new();
    for _ in 0..count {
        array_of(&mut rest, 2)?;
        headers.push((text(&mut rest, "a header's name")?, text(&mut rest, "a header's value")?));
    }
    let sequence = read_int(&mut rest).map_err(|_| "the sequence is not a number from 1 to 2^64 - 1")?;
    let timestamp_ns = read_int(&mut rest).map_err(|_| "the time is not a number from 0 to 2^64 - 1")?;
    if !rest.is_empty() {
        return Err(format!("{} bytes are left over behind it", rest.len()));
    }
    let headers = Headers::canonical(headers).without_reserved();
    Ok(Event { subject: subject.into_string(), payload, headers, sequence, timestamp_ns })
}

fn array_of(rest: &mut &[u8], count: u32) -> Result<(), String> {
    match read_array_len(rest) {
        Ok(found) if found == count => Ok(()),
        _ => Err(format!("an array of {count} was expected")),
    }
}

fn text(rest: &mut &[u8], what: &str) -> Result<String, String> {
    let length = read_str_len(rest).map_err(|_| format!("{what} is not of the kind str"))? as usize;
    let (text, after) = rest.split_at_checked(length).ok_or_else(|| format!("{what} is cut off"))?;
    *rest = after;
    String::from_utf8(text.to_vec()).map_err(|_| format!("{what} is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64) -> Event {
        Event {
            subject: format!("in.{sequence}"),
            payload: Bytes::from(vec![sequence as u8; 300]),
            headers: Headers::canonical([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]),
            sequence,
            timestamp_ns: 1 << 60,
        }
    }

    fn read(bytes: Vec<u8>) -> Result<Vec<Event>, InputError> {
        let selection = Selection { from: 1, subjects: vec![] };
        let mut frames = Frames::new(Box::new(std::io::Cursor::new(bytes)), selection);
        let mut all = Vec::new();
        loop {
            let burst = frames.burst()?;
            if burst.is_empty() {
                return Ok(all);
            }
            all.extend(burst);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let events: Vec<Event> = [1, 2, 70, 100_000].map(event).into();
        let mut bytes = Vec::new();
        events.iter().for_each(|event| write_frame(&mut bytes, event));
        assert_eq!(read(bytes.clone()).expect("frames"), events);
        for cut in [1, 3, 5, 100] {
            let error = read(bytes[..bytes.len() - cut].to_vec()).expect_err("it is cut").to_string();
            assert!(error.contains("event 4 of the input: the input ends in the middle"), "{error}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused_and_never_panics() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &event(1));
        let twice = [bytes.clone(), bytes.clone()].concat();
        assert!(read(twice).expect_err("twice").to_string().contains("sequence 1 comes after 1"));
        for at in 0..bytes.len() {
            for value in [0x00, 0xff, bytes[at] ^ 1] {
                let mut altered = bytes.clone();
                altered[at] = value;
                // It is another event, or an error; both are fine.
                let _ = read(altered);
            }
        }
    }
}
