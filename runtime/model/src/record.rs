//! A record: one entry of the output stream, and how it lies on the wire.
//!
//! Every record carries two headers: `Weir-Plan`, the digest of the plan in force, and `Weir-Source`, its
//! position. A pipeline's own records lie under `weir.<pipeline>.`; all else in the stream is messages.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

use crate::digest::{Digest, DigestBuilder};
use crate::headers::Headers;
use crate::name::PipelineName;
use crate::number::{push_decimal, push_hexadecimal, read_decimal};
use crate::subject::SubjectPattern;

/// The header that names the plan in force.
pub const PLAN_HEADER: &str = "Weir-Plan";
/// The header that holds the position.
pub const SOURCE_HEADER: &str = "Weir-Source";
/// The header by which the server accepts a record only as the right next one.
pub const EXPECTED_HEADER: &str = "Nats-Expected-Last-Sequence";
/// The header that holds a record's [`RecordId`].
pub const ID_HEADER: &str = "Nats-Msg-Id";
/// The header that binds a record to the id of the one before it.
pub const AFTER_HEADER: &str = "Nats-Expected-Last-Msg-Id";
/// Headers of a dead letter: the source event's subject.
pub const DEAD_SUBJECT_HEADER: &str = "Weir-Subject";
/// The step that could not process the event.
pub const DEAD_STEP_HEADER: &str = "Weir-Step";
/// The digest of that step's module.
pub const DEAD_MODULE_HEADER: &str = "Weir-Module";
/// The fault's code.
pub const DEAD_FAULT_HEADER: &str = "Weir-Fault";
/// The fault's reason.
pub const DEAD_REASON_HEADER: &str = "Weir-Reason";
/// Which of the events that were packed into one message, from 0.
pub const DEAD_EVENT_HEADER: &str = "Weir-Event";
/// Digest and size of a payload that was too large to be kept beside the reason.
pub const DEAD_OMITTED_HEADER: &str = "Weir-Payload-Omitted";

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The source event's sequence.
    pub sequence: u64,
    /// The index among that event's records. A receipt stands after the records of its last event; a
    /// revision stands at index 0 of the first sequence that it governs, before that event's records.
    pub index: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.sequence, self.index)
    }
}

impl Position {
    /// Puts the position's text at the end of a buffer.
    pub fn push(&self, text: &mut Vec<u8>) {
        push_decimal(text, self.sequence);
        text.push(b'/');
        push_decimal(text, self.index.into());
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (sequence, index) = text.split_once('/').ok_or(())?;
        let index = read_decimal(index).and_then(|index| u32::try_from(index).ok()).ok_or(())?;
        match read_decimal(sequence) {
            None | Some(0) => Err(()),
            Some(sequence) => Ok(Self { sequence, index }),
        }
    }
}

/// Names a record's place in its chain: under which revision, and where.
///
/// A revision comes between records that other nodes may have on their way, and after it each of those would
/// still find the stream as long as it expects. So every record is also bound to the id of the one before it,
/// and those that were computed without the revision are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordId {
    /// The first 16 hexadecimal digits of the revision's digest, as a number.
    revision: u64,
    sequence: u64,
}

impl RecordId {
    /// The id of the record at `sequence` in the output stream, when the revision in force there is the one
    /// whose payload has this digest. A revision is itself in force at its place.
    pub const fn new(revision: &Digest, sequence: u64) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *revision.as_raw();
        Self { revision: u64::from_be_bytes([a, b, c, d, e, f, g, h]), sequence }
    }

    /// Puts the id's text at the end of a buffer.
    pub fn push(&self, text: &mut Vec<u8>) {
        push_hexadecimal(text, self.revision);
        text.push(b'/');
        push_decimal(text, self.sequence);
    }
}

/// As it stands in headers.
impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}/{}", self.revision, self.sequence)
    }
}

/// From that text, and no other.
impl FromStr for RecordId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (revision, sequence) = text.split_at_checked(16).ok_or(())?;
        let sequence = sequence.strip_prefix('/').and_then(read_decimal).ok_or(())?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match u64::from_str_radix(revision, 16) {
            Ok(number) if revision.bytes().all(is_digit) => Ok(Self { revision: number, sequence }),
            _ => Err(()),
        }
    }
}

/// Where a record is to be appended, and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The sequence that it is to get in the output stream.
    pub sequence: u64,
    /// Its id there.
    pub id: RecordId,
    /// The id of the record before it; `None` for the first that a node appends after it read the chain's
    /// end, since a server that was restarted may have forgotten the id.
    pub after: Option<RecordId>,
}

/// What kind of entry a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A message that the last step sent.
    Message,
    /// An event that no step could process.
    Dead,
    /// The account of a unit.
    Receipt,
    /// A plan put in force.
    Revision,
}

impl RecordKind {
    /// The kind as it stands in subjects, metrics and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Dead => "dead",
            Self::Receipt => "receipt",
            Self::Revision => "revision",
        }
    }
}

/// One entry of the output stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// The subject under which it lies.
    pub subject: String,
    /// Its headers, without `Weir-Plan`, `Weir-Source` and what NATS adds.
    pub headers: Headers,
    /// Its payload.
    pub payload: Bytes,
    /// The plan in force.
    pub plan: Digest,
    /// Where it comes from.
    pub position: Position,
}

/// An entry of the output stream that this pipeline did not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct ForeignRecord {
    /// The subject under which it lies.
    pub subject: String,
    why: &'static str,
}

/// The subject of a pipeline's own records of one kind; of `Message` there is none.
pub fn own_subject(pipeline: &PipelineName, kind: RecordKind) -> String {
    debug_assert_ne!(kind, RecordKind::Message, "messages lie under the sink's subjects");
    format!("weir.{pipeline}.{}", kind.as_str())
}

/// The pattern of a pipeline's own records.
pub fn own_pattern(pipeline: &PipelineName) -> SubjectPattern {
    format!("weir.{pipeline}.>").parse().expect("a pipeline's name is one valid token")
}

impl Record {
    /// All headers as they go on the wire, but for the expected sequence.
    pub fn wire_headers(&self) -> impl Iterator<Item = (&str, std::borrow::Cow<'_, str>)> {
        let own =
            [(PLAN_HEADER, self.plan.to_string().into()), (SOURCE_HEADER, self.position.to_string().into())];
        own.into_iter().chain(self.headers.iter().map(|(n, v)| (n, v.into())))
    }

    /// The bytes that the record takes in the stream and on the wire: the header block (with room for the
    /// largest sequences) and the payload. Independent of where in the chain it comes to lie.
    pub fn wire_bytes(&self) -> usize {
        wire_bytes(&self.headers, self.payload.len())
    }

    /// Reads an entry of the output stream.
    ///
    /// # Errors
    /// When the entry lacks what every record of this pipeline has.
    pub fn from_wire(
        pipeline: &PipelineName,
        subject: String,
        headers: Headers,
        payload: Bytes,
    ) -> Result<Self, ForeignRecord> {
        match what_it_says(pipeline, &subject, &headers) {
            Ok((kind, plan, position)) => {
                Ok(Self { kind, subject, headers: headers.without(is_added), payload, plan, position })
            }
            Err(why) => Err(ForeignRecord { subject, why }),
        }
    }

    /// Feeds what the record says, and where it comes from, to a digest.
    pub fn digest_into(&self, digest: &mut DigestBuilder) {
        digest.number(self.position.sequence);
        digest.number(u64::from(self.position.index));
        digest.field(self.kind.as_str().as_bytes());
        digest.field(self.subject.as_bytes());
        self.headers.digest_into(digest);
        digest.field(&self.payload);
    }
}

/// What subject and headers say of a record, or why they are none of this pipeline's.
fn what_it_says(
    pipeline: &PipelineName,
    subject: &str,
    headers: &Headers,
) -> Result<(RecordKind, Digest, Position), &'static str> {
    let plan = headers.get(PLAN_HEADER).ok_or("it has no Weir-Plan header")?;
    let plan = plan.parse().map_err(|_| "its Weir-Plan header is no digest")?;
    let position = headers.get(SOURCE_HEADER).ok_or("it has no Weir-Source header")?;
    let position = position.parse().map_err(|()| "its Weir-Source header is no position")?;
    let kind = match subject.strip_prefix("weir.") {
        None => RecordKind::Message,
        Some(rest) => match rest.strip_prefix(pipeline.as_str()) {
            Some(".dead") => RecordKind::Dead,
            Some(".receipt") => RecordKind::Receipt,
            Some(".revision") => RecordKind::Revision,
            _ => return Err("it is a record of another pipeline"),
        },
    };
    Ok((kind, plan, position))
}

/// Whether the header is one that appending adds, so that it is not the record's own.
fn is_added(name: &str) -> bool {
    name == PLAN_HEADER || name == SOURCE_HEADER || name.starts_with("Nats-")
}

/// The bytes of a record with these headers and a payload of this length; see [`Record::wire_bytes`].
pub fn wire_bytes(headers: &Headers, payload_bytes: usize) -> usize {
    const FRAME: usize = "NATS/1.0\r\n\r\n".len();
    const DIGITS: usize = 20;
    const PLAN: usize = PLAN_HEADER.len() + 71 + 4;
    const SOURCE: usize = SOURCE_HEADER.len() + DIGITS + 1 + 10 + 4;
    const EXPECTED: usize = EXPECTED_HEADER.len() + DIGITS + 4;
    const ID: usize = 16 + 1 + DIGITS;
    const IDS: usize = ID_HEADER.len() + AFTER_HEADER.len() + 2 * (ID + 4);
    FRAME + PLAN + SOURCE + EXPECTED + IDS + headers.wire_bytes() + payload_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            kind: RecordKind::Message,
            subject: "clean.a".into(),
            headers: Headers::canonical([("X", "1")]),
            payload: Bytes::from_static(b"hello"),
            plan: Digest::of(b"plan"),
            position: Position { sequence: 7, index: 2 },
        }
    }

    fn pipeline() -> PipelineName {
        "p".parse().expect("a valid name")
    }

    #[test]
    fn what_is_written_reads_back() {
        let record = record();
        let mut pairs: Vec<_> = record.wire_headers().map(|(n, v)| (n.to_owned(), v.into_owned())).collect();
        pairs.push((EXPECTED_HEADER.to_owned(), "6".to_owned()));
        let headers = Headers::canonical(pairs);
        assert!(headers.wire_bytes() < record.wire_bytes());
        let read = Record::from_wire(&pipeline(), "clean.a".into(), headers, record.payload.clone());
        assert_eq!(read, Ok(record));
    }

    #[test]
    fn positions_and_ids_have_one_text() {
        let position = Position { sequence: 70, index: 2 };
        let id = RecordId::new(&Digest::of(b"revision"), 71);
        let (mut position_text, mut id_text) = (Vec::new(), Vec::new());
        position.push(&mut position_text);
        id.push(&mut id_text);
        assert_eq!(position_text, position.to_string().into_bytes());
        assert_eq!(id_text, id.to_string().into_bytes());
        assert_eq!(id.to_string().parse(), Ok(id));
        let digits = &id.to_string()[..16];
        for other in
            ["", "/71", digits, &format!("{digits}/"), &format!("{digits}/071"), &format!("{digits}1/71")]
        {
            assert_eq!(other.parse::<RecordId>(), Err(()), "{other}");
        }
        assert_eq!(format!("{}/1", "A".repeat(16)).parse::<RecordId>(), Err(()));
        assert_eq!(format!("+{}/1", "a".repeat(15)).parse::<RecordId>(), Err(()));
        assert_eq!("é".repeat(12).parse::<RecordId>(), Err(()));
    }

    #[test]
    fn a_foreign_entry_is_known_by_what_it_lacks() {
        let ours = |subject: &str, headers: &[(&str, &str)]| {
            let headers = Headers::canonical(headers.iter().copied());
            Record::from_wire(&pipeline(), subject.into(), headers, Bytes::new())
        };
        let plan = Digest::of(b"plan").to_string();
        assert!(ours("a", &[]).is_err());
        assert!(ours("a", &[(PLAN_HEADER, &plan)]).is_err());
        assert!(ours("a", &[(PLAN_HEADER, &plan), (SOURCE_HEADER, "1/")]).is_err());
        for source in ["+1/0", "01/0", "1/00", "1/+0", "0/0", "1/ 0", "1/4294967296", "1/0/0"] {
            assert!(ours("a", &[(PLAN_HEADER, &plan), (SOURCE_HEADER, source)]).is_err(), "{source}");
        }
        assert!(ours("weir.q.dead", &[(PLAN_HEADER, &plan), (SOURCE_HEADER, "1/0")]).is_err());
        let dead = ours("weir.p.dead", &[(PLAN_HEADER, &plan), (SOURCE_HEADER, "1/0")]);
        assert_eq!(dead.map(|record| record.kind), Ok(RecordKind::Dead));
    }
}
