//! Bytes and subjects as NATS writes them: header blocks, the subject that acknowledges a delivery, times.
//! Pure functions; anything that cannot be read gives `None` or is left out, never a panic.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use memchr::{memchr, memchr_iter};
use model::Headers;

/// What a delivery's reply subject says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The sequence in the stream.
    pub(crate) stream_sequence: u64,
    /// The count of deliveries of this consumer.
    pub(crate) consumer_sequence: u64,
    /// When the stream stored the message.
    pub(crate) timestamp_ns: u64,
    /// How many messages were still to be delivered after this one.
    pub(crate) pending: u64,
}

impl Delivery {
    /// Reads the subject: nine tokens, or eleven and more where it names the domain and the account too.
    pub(crate) fn parse(reply: &str) -> Option<Self> {
        let rest = reply.strip_prefix("$JS.ACK.")?.as_bytes();
        let skip = match 1 + memchr_iter(b'.', rest).count() {
            7 => 3,
            9.. => 5,
            _ => return None,
        };
        let mut numbers = rest.split(|byte| *byte == b'.').skip(skip).map(number);
        Some(Self {
            stream_sequence: numbers.next()??,
            consumer_sequence: numbers.next()??,
            timestamp_ns: numbers.next()??,
            pending: numbers.next()??,
        })
    }
}

/// A number of decimal digits.
fn number(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, digit: &u8| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// The status in a header block's first line: its code, and what it says.
pub(crate) fn status(block: &[u8]) -> Option<(u16, String)> {
    let line = block.split(|byte| *byte == b'\n').next()?.strip_prefix(b"NATS/1.0 ")?;
    let line = String::from_utf8_lossy(line);
    let (code, text) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
    Some((code.parse().ok()?, text.to_owned()))
}

/// Reads a header block as the stream keeps it and as it comes on the wire. Where it is no header block
/// (bytes that are not UTF-8, a line without a colon) it is read as far as it goes, with U+FFFD for what is
/// no text: always the same for the same bytes.
pub(crate) fn header_block(block: &[u8]) -> Headers {
    let text = String::from_utf8_lossy(block);
    let mut is_folded = false;
    let pairs = lines(&text).skip(1).filter_map(|line| {
        is_folded |= line.starts_with(char::is_whitespace);
        let (name, value) = line.split_at_checked(memchr(b':', line.as_bytes())?)?;
        Some((name, &value[1..]))
    });
    let headers = Headers::canonical(pairs);
    if is_folded { folded_header_block(&text) } else { headers }
}

/// The same of a block in which values go on in further lines.
fn folded_header_block(text: &str) -> Headers {
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for line in lines(text).skip(1) {
        if line.starts_with(char::is_whitespace) {
            if let Some((_, value)) = pairs.last_mut() {
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            pairs.push((name, value.to_owned()));
        }
    }
    Headers::canonical(pairs)
}

/// As [`str::lines`], which takes longer to find them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line.strip_suffix('\r').unwrap_or(line))
    })
}

/// Decodes standard base64, as JetStream's answers hold bytes.
pub(crate) fn base64(text: &str) -> Option<Bytes> {
    STANDARD.decode(text).ok().map(Bytes::from)
}

/// Nanoseconds since 1970 of a time as JetStream's answers hold it.
pub(crate) fn time_ns(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok()
}

/// The time as JetStream's requests want it; one after the server's last (in the year 2262) as that one.
pub(crate) fn time_text(time_ns: u64) -> String {
    let time_ns = i64::try_from(time_ns).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_nanosecond(i128::from(time_ns));
    time.expect("an i64 of nanoseconds ends in the year 2262, within what a timestamp holds").to_string()
}

/// `10.2.3-RC.1` as numbers.
pub(crate) fn version(text: &str) -> Option<(u64, u64, u64)> {
    let core = text.trim_start_matches('v').split(['-', '+']).next()?;
    let mut numbers = core.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_of_a_delivery_are_read() {
        let wanted =
            Delivery { stream_sequence: 14, consumer_sequence: 4, timestamp_ns: 1_795_400, pending: 2 };
        for reply in [
            "$JS.ACK.S.c1.1.14.4.1795400.2",
            "$JS.ACK._.hash.S.c1.1.14.4.1795400.2",
            "$JS.ACK.hub.hash.S.c1.1.14.4.1795400.2.token",
        ] {
            assert_eq!(Delivery::parse(reply), Some(wanted), "{reply}");
        }
        for reply in ["", "_INBOX.a", "$JS.ACK.S.c1.1.14", "$JS.ACK.S.c1.1.x.4.1795400.2"] {
            assert_eq!(Delivery::parse(reply), None, "{reply}");
        }
    }

    #[test]
    fn a_header_block_is_read_as_far_as_it_goes() {
        let block = b"NATS/1.0\r\nB: 2\r\nA:  x \r\nbroken\r\nC: a\r\n  b\r\nA: \xff\r\n\r\n";
        let headers = header_block(block);
        let seen: Vec<_> = headers.iter().collect();
        assert_eq!(seen, [("A", "x"), ("A", "\u{fffd}"), ("B", "2"), ("C", "a  b")]);
    }

    #[test]
    fn times_and_versions() {
        let ns = time_ns("2026-11-23T02:19:37.363678063Z");
        assert_eq!(ns, Some(1_795_400_377_363_678_063));
        assert_eq!(ns.map(time_text).as_deref(), Some("2026-11-23T02:19:37.363678063Z"));
        assert_eq!(version("2.9.10"), Some((2, 9, 10)));
        assert_eq!(version("2.12.0-RC.1"), Some((2, 12, 0)));
        assert_eq!(version("two"), None);
    }
}
