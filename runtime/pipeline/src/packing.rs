//! Packed payloads: many events in one message of the source, many messages in one record of the sink.
//!
//! A pack never reaches over the message of the source that it comes from. What is in a record is then still
//! a function of source and plan; a pack that waited for more, for some milliseconds, would be one of time.
//! Nothing here copies a payload that it takes apart.

use bytes::{BufMut as _, Bytes, BytesMut};
use model::{Headers, PackPlan, Packing, Record, RecordKind};

/// The most events in one message.
pub(crate) const PARTS_MAX: usize = 65_536;

/// The payloads that lie in a packed one, in order.
///
/// # Errors
/// What is wrong with it, in words that are the same on every machine.
pub(crate) fn parts(packing: Packing, payload: &Bytes) -> Result<Vec<Bytes>, String> {
    let parts = match packing {
        Packing::Ndjson => lines(payload),
        Packing::Msgpack => values(payload)?,
    };
    if parts.len() > PARTS_MAX {
        return Err(format!("it holds {} events, and {PARTS_MAX} are the most", parts.len()));
    }
    Ok(parts)
}

/// Why a message cannot lie in a pack, if it cannot.
pub(crate) fn misfit(packing: Packing, payload: &[u8]) -> Option<&'static str> {
    let is_fit = match packing {
        Packing::Ndjson => !payload.is_empty() && !payload.contains(&b'\n'),
        Packing::Msgpack => value_bytes(payload) == Some(payload.len()),
    };
    match packing {
        _ if is_fit => None,
        Packing::Ndjson => Some("it is not one line, and the sink packs lines"),
        Packing::Msgpack => Some("it is not one MessagePack value, and the sink packs those"),
    }
}

fn lines(payload: &Bytes) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', payload).chain([payload.len()]);
    for end in ends {
        let line = payload[start..end].strip_suffix(b"\r").unwrap_or(&payload[start..end]);
        if !line.iter().all(u8::is_ascii_whitespace) {
            parts.push(payload.slice(start..start + line.len()));
        }
        start = end + 1;
    }
    parts
}

fn values(payload: &Bytes) -> Result<Vec<Bytes>, String> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < payload.len() {
        let Some(bytes) = value_bytes(&payload[start..]) else {
            return Err(format!("at byte {start} there is no whole MessagePack value"));
        };
        parts.push(payload.slice(start..start + bytes));
        start += bytes;
    }
    Ok(parts)
}

/// How many bytes the MessagePack value takes with which `bytes` begins; none if it is not whole.
fn value_bytes(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize, size: usize| -> Option<usize> {
        let digits = bytes.get(at + 1..at + 1 + size)?;
        Some(digits.iter().fold(0_usize, |number, digit| number << 8 | usize::from(*digit)))
    };
    let mut at = 0_usize;
    // Values that are still to come; each takes a byte at least, so this ends with the bytes.
    let mut pending = 1_usize;
    while pending > 0 {
        let marker = usize::from(*bytes.get(at)?);
        // What the value takes itself, and how many values it holds.
        let (own, held) = match marker {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (1, 0),
            0x80..=0x8f => (1, 2 * (marker & 0x0f)),
            0x90..=0x9f => (1, marker & 0x0f),
            0xa0..=0xbf => (1 + (marker & 0x1f), 0),
            0xc4 | 0xd9 => (2 + number(at, 1)?, 0),
            0xc5 | 0xda => (3 + number(at, 2)?, 0),
            0xc6 | 0xdb => (5 + number(at, 4)?, 0),
            0xc7 => (3 + number(at, 1)?, 0),
            0xc8 => (4 + number(at, 2)?, 0),
            0xc9 => (6 + number(at, 4)?, 0),
            0xca | 0xce | 0xd2 => (5, 0),
            0xcb | 0xcf | 0xd3 => (9, 0),
            0xcc | 0xd0 => (2, 0),
            0xcd | 0xd1 => (3, 0),
            0xd4..=0xd8 => (2 + (1 << (marker - 0xd4)), 0),
            0xdc => (3, number(at, 2)?),
            0xdd => (5, number(at, 4)?),
            0xde => (3, 2 * number(at, 2)?),
            0xdf => (5, 2 * number(at, 4)?),
            _ => return None,
        };
        at += own;
        pending = pending - 1 + held;
        if at > bytes.len() || pending > bytes.len() - at {
            return None;
        }
    }
    Some(at)
}

/// Puts messages together into records, in order.
pub(crate) struct Packer<'a> {
    plan: &'a PackPlan,
    record_bytes: usize,
    open: Option<Open>,
}

/// The record that grows.
struct Open {
    /// All of it but the payload.
    record: Record,
    payload: BytesMut,
    /// The most bytes that the payload may have.
    room: usize,
    messages: u32,
}

impl<'a> Packer<'a> {
    /// A packer for the messages of one message of the source.
    pub(crate) fn new(plan: &'a PackPlan, record_bytes: u32) -> Self {
        Self { plan, record_bytes: record_bytes as usize, open: None }
    }

    /// Adds a message. One that is alone has room: it was measured before.
    pub(crate) fn add(&mut self, message: Record, records: &mut Vec<Record>) {
        let separator = usize::from(self.plan.format == Packing::Ndjson);
        if let Some(open) = &mut self.open {
            let bytes = open.payload.len() + separator + message.payload.len();
            let is_like = open.record.subject == message.subject && open.record.headers == message.headers;
            if is_like && bytes <= open.room && open.messages < self.plan.events {
                if separator > 0 {
                    open.payload.put_u8(b'\n');
                }
                open.payload.put_slice(&message.payload);
                open.messages += 1;
                return;
            }
        }
        self.flush(records);
        let room = (self.plan.bytes as usize).min(self.room_beside(&message.headers));
        let mut payload = BytesMut::with_capacity(room.min(16 * message.payload.len()));
        payload.put_slice(&message.payload);
        self.open = Some(Open { record: message, payload, room, messages: 1 });
    }

    /// Ends the record that grows, if there is one.
    pub(crate) fn flush(&mut self, records: &mut Vec<Record>) {
        if let Some(Open { record, payload, .. }) = self.open.take() {
            records.push(Record { payload: payload.freeze(), ..record });
        }
    }

    fn room_beside(&self, headers: &Headers) -> usize {
        self.record_bytes.saturating_sub(model::record::wire_bytes(headers, 0))
    }
}

/// The bytes of records that are messages, for the bound on what one message of the source may become.
pub(crate) fn message_bytes(records: &[Record]) -> usize {
    let messages = records.iter().filter(|record| record.kind == RecordKind::Message);
    messages.map(|record| record.payload.len() + record.headers.wire_bytes()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(packing: Packing, payload: &[u8]) -> Result<Vec<Vec<u8>>, String> {
        let found = parts(packing, &Bytes::copy_from_slice(payload));
        found.map(|parts| parts.iter().map(|part| part.to_vec()).collect())
    }

    #[test]
    fn lines_are_events_and_blank_ones_are_none() {
        let lines = |text: &str| parted(Packing::Ndjson, text.as_bytes()).expect("lines always part");
        for (text, expected) in [
            ("", &[][..]),
            ("\n \r\n\n", &[]),
            ("a", &["a"]),
            ("a\n", &["a"]),
            ("a\r\nb\n\nc d ", &["a", "b", "c d "]),
        ] {
            assert_eq!(
                lines(text),
                expected.iter().map(|line| line.as_bytes()).collect::<Vec<_>>(),
                "{text:?}"
            );
        }
        let many = "x\n".repeat(PARTS_MAX + 1);
        assert!(parted(Packing::Ndjson, many.as_bytes()).is_err());
        assert_eq!(lines(&many[2..]).len(), PARTS_MAX);
    }

    #[test]
    fn values_of_every_kind_are_events() {
        let kinds: &[&[u8]] = &[
            b"\x07",
            b"\xff",
            b"\xc0",
            b"\xc3",
            b"\x82\x01\xa1a\x02\xc0",
            b"\x92\x01\x91\x02",
            b"\xa3abc",
            b"\xc4\x02ab",
            b"\xc5\x00\x01a",
            b"\xc6\x00\x00\x00\x01a",
            b"\xc7\x01\x05a",
            b"\xc8\x00\x01\x05a",
            b"\xc9\x00\x00\x00\x01\x05a",
            b"\xca1234",
            b"\xcb12345678",
            b"\xcc1",
            b"\xcd12",
            b"\xce1234",
            b"\xcf12345678",
            b"\xd01",
            b"\xd112",
            b"\xd21234",
            b"\xd312345678",
            b"\xd4\x05a",
            b"\xd5\x05ab",
            b"\xd6\x05abcd",
            b"\xd7\x0512345678",
            b"\xd8\x050123456789abcdef",
            b"\xd9\x01a",
            b"\xda\x00\x01a",
            b"\xdb\x00\x00\x00\x01a",
            b"\xdc\x00\x01\x07",
            b"\xdd\x00\x00\x00\x01\x07",
            b"\xde\x00\x01\x07\x07",
            b"\xdf\x00\x00\x00\x01\x07\x07",
        ];
        assert_eq!(parted(Packing::Msgpack, &kinds.concat()).expect("whole values"), kinds);
        for kind in kinds {
            assert_eq!(misfit(Packing::Msgpack, kind), None, "{kind:02x?}");
            let cut = &kind[..kind.len() - 1];
            assert!(misfit(Packing::Msgpack, cut).is_some(), "{cut:02x?}");
            if !cut.is_empty() {
                let error =
                    parted(Packing::Msgpack, &[b"\x07", cut].concat()).expect_err("a value is cut off");
                assert_eq!(error, "at byte 1 there is no whole MessagePack value", "{cut:02x?}");
            }
        }
        for bad in
            [&b"\xc1"[..], b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff\x01", b"\xc6\xff\xff\xff\xff"]
        {
            assert!(parted(Packing::Msgpack, bad).is_err(), "{bad:02x?}");
        }
    }

    #[test]
    fn what_would_not_come_apart_again_is_not_packed() {
        for bad in ["", "a\nb", "a\n"] {
            assert!(misfit(Packing::Ndjson, bad.as_bytes()).is_some(), "{bad:?}");
        }
        assert_eq!(misfit(Packing::Ndjson, b"{}"), None);
        assert!(misfit(Packing::Msgpack, b"\x01\x02").is_some());
    }
}
