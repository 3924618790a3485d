//! Lines as events. The payload of an event is its line, as it stands, without the line break; events of one
//! burst share the buffer that was read.

use std::io::Read;

use bytes::Bytes;
use memchr::{memchr, memrchr};
use model::{Event, Headers};

use super::input::{InputError, Selection, Splitter, read_more};
use super::subject::EventSubject;
use super::{EVENT_BYTES_MAX, READ_BYTES};

/// Reads lines.
pub(super) struct Lines {
    input: Box<dyn Read + Send>,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    has_ended: bool,
    /// Lines that were read, empty ones too.
    line: u64,
    /// Events that were read.
    sequence: u64,
    selection: Selection,
    subject: EventSubject,
    timestamp_ns: u64,
}

impl Lines {
    pub(super) fn new(
        input: Box<dyn Read + Send>,
        selection: Selection,
        subject: EventSubject,
        timestamp_ns: u64,
    ) -> Self {
        let (rest, has_ended, line, sequence) = (Vec::new(), false, 0, 0);
        Self { input, rest, has_ended, line, sequence, selection, subject, timestamp_ns }
    }

    /// The next bytes up to the end of a line.
    fn whole_lines(&mut self) -> Result<Bytes, InputError> {
        let mut read = std::mem::take(&mut self.rest);
        loop {
            let start = read.len();
            if read_more(&mut self.input, &mut read)? == 0 {
                self.has_ended = true;
                return Ok(read.into());
            }
            if let Some(end) = memrchr(b'\n', &read[start..]) {
                let end = start + end + 1;
                self.rest = Vec::with_capacity(READ_BYTES + read.len() - end);
                self.rest.extend_from_slice(&read[end..]);
                read.truncate(end);
                return Ok(read.into());
            }
            if read.len() > EVENT_BYTES_MAX {
                return Err(self.malformed(self.line + 1, "it is longer than 64 MiB".into()));
            }
        }
    }

    fn split(&mut self, whole: &Bytes) -> Result<Vec<Event>, InputError> {
        let mut events = Vec::with_capacity(whole.len() / 256);
        let mut at = 0;
        while at < whole.len() {
            let end = memchr(b'\n', &whole[at..]).map_or(whole.len(), |length| at + length);
            self.line += 1;
            let text = whole[at..end].strip_suffix(b"\r").map_or(end, |text| at + text.len());
            if text > at {
                self.sequence += 1;
                if self.sequence >= self.selection.from {
                    let line = self.line;
                    let subject =
                        self.subject.of_json(&whole[at..text]).map_err(|why| self.malformed(line, why))?;
                    if self.selection.has_subject(&subject) {
                        events.push(Event {
                            subject,
                            payload: whole.slice(at..text),
                            headers: Headers::new(),
                            sequence: self.sequence,
                            timestamp_ns: self.timestamp_ns,
                        });
                    }
                }
            }
            at = end + 1;
        }
        Ok(events)
    }

    fn malformed(&self, line: u64, why: String) -> InputError {
        InputError::Malformed { what: "line", number: line, why }
    }
}

impl Splitter for Lines {
    fn burst(&mut self) -> Result<Vec<Event>, InputError> {
        while !self.has_ended {
            let whole = self.whole_lines()?;
            let events = self.split(&whole)?;
            if !events.is_empty() {
                return Ok(events);
            }
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An input that gives a few bytes at a time.
    struct Drops(Vec<u8>, usize);

    impl Read for Drops {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    fn events(text: &str, bytes_at_once: usize, from: u64) -> Vec<(u64, String)> {
        let input = Box::new(Drops(text.as_bytes().to_vec(), bytes_at_once));
        let selection = Selection { from, subjects: vec![] };
        let mut lines = Lines::new(input, selection, "in".parse().expect("a subject"), 0);
        let mut all = Vec::new();
        loop {
            let burst = lines.burst().expect("lines");
            if burst.is_empty() {
                return all;
            }
            let text = |event: Event| String::from_utf8(event.payload.to_vec()).expect("text");
            all.extend(burst.into_iter().map(|event| (event.sequence, text(event))));
        }
    }

    #[test]
    fn events_are_lines_however_they_come() {
        let text = "one\n\ntwo\r\n  \nthree";
        let expected: Vec<_> =
            [(1, "one"), (2, "two"), (3, "  "), (4, "three")].map(|(n, t)| (n, t.to_owned())).into();
        for bytes_at_once in 1..20 {
            assert_eq!(events(text, bytes_at_once, 1), expected);
            assert_eq!(events(text, bytes_at_once, 3), expected[2..]);
        }
        assert_eq!(events("", 1, 1), []);
        assert_eq!(events("\n\n", 1, 1), []);
    }
}
