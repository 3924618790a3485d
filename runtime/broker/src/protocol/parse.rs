//! Taking the server's operations out of a read buffer. Pure; payloads are not copied.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memchr;

/// The longest control line that is believed; the server's own bound is 4,096 bytes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// One operation of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// A message.
    Message(Message),
    /// It wants to know whether we are there.
    Ping,
    /// It refused something that was sent, and goes on.
    Refused(String),
    /// It is about to close the connection.
    Closing(String),
    /// Nothing that matters here: `+OK`, `PONG`, `INFO`.
    Other,
}

/// A message in one piece, as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    line: Bytes,
    header_bytes: usize,
    body: Bytes,
}

/// A message's parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// The subject.
    pub(crate) subject: &'a str,
    /// The reply subject; empty if there is none.
    pub(crate) reply: &'a str,
    /// The header block with its first line; empty if there is none.
    pub(crate) headers: &'a [u8],
    /// The payload, sharing the read buffer.
    pub(crate) payload: Bytes,
    /// The bytes by which the server counts the message.
    pub(crate) length: usize,
}

impl Message {
    /// The parts.
    pub(super) fn frame(&self) -> Result<Frame<'_>, String> {
        let line = std::str::from_utf8(&self.line).map_err(|_| "a subject is not UTF-8".to_owned())?;
        // The verb, the subject, the subscription, a reply subject or none, and one size or two.
        let mut words = [""; 6];
        let mut count = 0;
        for (place, word) in words.iter_mut().zip(line.split(' ').filter(|word| !word.is_empty())) {
            *place = word;
            count += 1;
        }
        let sizes = if words[0].len() == "HMSG".len() { 2 } else { 1 };
        let (subject, reply) = (words[1], if count > 3 + sizes { words[3] } else { "" });
        Ok(Frame {
            subject,
            reply,
            headers: &self.body[..self.header_bytes],
            payload: self.body.slice(self.header_bytes..),
            length: subject.len() + reply.len() + self.body.len(),
        })
    }
}

/// The next operation, if it is there as a whole.
///
/// # Errors
/// What came is not the protocol.
pub(super) fn next(buffer: &mut BytesMut) -> Result<Option<Op>, String> {
    let Some(end) = memchr(b'\n', buffer) else {
        if buffer.len() > LINE_BYTES_MAX {
            return Err("the server sent an endless line".to_owned());
        }
        return Ok(None);
    };
    let line = buffer[..end].strip_suffix(b"\r").unwrap_or(&buffer[..end]);
    let is = |verb: &[u8]| line.len() >= verb.len() && line[..verb.len()].eq_ignore_ascii_case(verb);
    let with_headers = is(b"HMSG ");
    if !with_headers && !is(b"MSG ") {
        let op = control(line);
        buffer.advance(end + 1);
        return Ok(Some(op));
    }
    let (header_bytes, total) = sizes(line, with_headers).ok_or("a message's sizes cannot be read")?;
    let (line_bytes, whole) = (line.len(), end + 1 + total + 2);
    if buffer.len() < whole {
        buffer.reserve(whole - buffer.len());
        return Ok(None);
    }
    let frame = buffer.split_to(whole).freeze();
    let (line, body) = (frame.slice(..line_bytes), frame.slice(end + 1..end + 1 + total));
    Ok(Some(Op::Message(Message { line, header_bytes, body })))
}

/// The sizes at the end of a message's line: its headers', and all of it.
fn sizes(line: &[u8], with_headers: bool) -> Option<(usize, usize)> {
    let mut words = line.rsplit(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let mut size = || std::str::from_utf8(words.next()?).ok()?.parse::<usize>().ok();
    let total = size()?;
    let header_bytes = if with_headers { size()? } else { 0 };
    (header_bytes <= total).then_some((header_bytes, total))
}

fn control(line: &[u8]) -> Op {
    if line.eq_ignore_ascii_case(b"PING") {
        return Op::Ping;
    }
    let Some(text) = line.strip_prefix(b"-ERR") else { return Op::Other };
    let text: String = String::from_utf8_lossy(text).trim().trim_matches('\'').chars().take(300).collect();
    let stands = text.to_ascii_lowercase().contains("permissions") || text.starts_with("Invalid Subject");
    if stands { Op::Refused(text) } else { Op::Closing(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Op>, String> {
        let mut buffer = BytesMut::from(bytes);
        let mut ops = Vec::new();
        while let Some(op) = next(&mut buffer)? {
            ops.push(op);
        }
        assert!(buffer.is_empty(), "left over: {buffer:?}");
        Ok(ops)
    }

    #[test]
    fn messages_come_with_their_parts() {
        let bytes = b"MSG a.b 1 5\r\nhe\r\no\r\nMSG a 1 $JS.ACK.x 0\r\n\r\n\
                      HMSG c 1 r.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\n+OK\r\nPONG\r\n";
        let ops = all(bytes).expect("it is the protocol");
        let frame = |at: usize| match &ops[at] {
            Op::Message(message) => message.frame().expect("it is text"),
            other => panic!("{other:?}"),
        };
        let parts = |at: usize| {
            let Frame { subject, reply, headers, payload, .. } = frame(at);
            (subject, reply, headers, payload)
        };
        assert_eq!(parts(0), ("a.b", "", &b""[..], Bytes::from_static(b"he\r\no")));
        assert_eq!(parts(1), ("a", "$JS.ACK.x", &b""[..], Bytes::new()));
        assert_eq!(parts(2), ("c", "r.1", &b"NATS/1.0\r\n\r\n"[..], Bytes::from_static(b"hi")));
        assert_eq!(frame(2).length, 1 + 3 + 14);
        assert_eq!(ops[3..], [Op::Ping, Op::Other, Op::Other]);
    }

    #[test]
    fn what_is_not_there_as_a_whole_waits_whatever_the_pieces() {
        let bytes = b"MSG a 1 4\r\nabcd\r\nHMSG b 1 12 13\r\nNATS/1.0\r\n\r\nx\r\nPING\r\n";
        let whole = all(bytes).expect("it is the protocol");
        let (mut buffer, mut ops) = (BytesMut::new(), Vec::new());
        for byte in bytes {
            buffer.extend_from_slice(&[*byte]);
            ops.extend(next(&mut buffer).expect("it is the protocol"));
        }
        assert_eq!(ops, whole);
    }

    #[test]
    fn refusals_leave_the_connection_and_other_errors_do_not() {
        let ops = all(b"-ERR 'Permissions Violation for Publish to \"a\"'\r\n-ERR 'Stale Connection'\r\n");
        let refused = Op::Refused("Permissions Violation for Publish to \"a\"".to_owned());
        assert_eq!(ops, Ok(vec![refused, Op::Closing("Stale Connection".to_owned())]));
    }

    #[test]
    fn what_is_not_the_protocol_is_an_error() {
        for bytes in [&b"MSG a 1 x\r\n"[..], b"HMSG a 1 9 4\r\n", b"MSG a 1 99999999999999999999999\r\n"] {
            assert!(all(bytes).is_err(), "{bytes:?}");
        }
        assert!(next(&mut BytesMut::from(&vec![b'x'; LINE_BYTES_MAX + 1][..])).is_err());
    }
}
