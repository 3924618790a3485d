//! Records under a prefix: the subjects of a stream that holds what a replay gave, beside the live stream.
//!
//! A subject lies in one stream only, so a replay's records lie under `weir-replay.<stream>.` and their own
//! subjects. The pipeline does not know: the prefix is put on where a record is appended and taken off where
//! it is read, so that plans, digests and receipts are those of the live chain.

use model::{StreamName, SubjectPattern};
use pipeline::ports::Stored;

/// What stands before the subjects of a stream; nothing before those of a live output stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix(String);

impl Prefix {
    /// That of a stream that holds a replay.
    pub(crate) fn of_replay(stream: &StreamName) -> Self {
        Self(format!("weir-replay.{stream}."))
    }

    /// That of a stream, by what it captures.
    pub(crate) fn of(stream: &StreamName, captures: &[String]) -> Self {
        let replay = Self::of_replay(stream);
        if captures.iter().any(|subject| *subject == replay.pattern().as_str()) {
            replay
        } else {
            Self::default()
        }
    }

    /// All subjects with this prefix.
    pub(crate) fn pattern(&self) -> SubjectPattern {
        format!("{}>", self.0).parse().expect("a stream's name is one valid token")
    }

    /// A subject as it lies in the stream.
    pub(crate) fn put_on(&self, subject: &str) -> String {
        format!("{}{subject}", self.0)
    }

    /// An entry as the pipeline knows it. One without the prefix stays as it is, and is foreign then.
    pub(crate) fn take_off(&self, mut stored: Stored) -> Stored {
        if let Some(subject) = stored.subject.strip_prefix(&self.0) {
            stored.subject = subject.to_owned();
        }
        stored
    }
}
