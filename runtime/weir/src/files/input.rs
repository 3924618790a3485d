//! What the readers of all formats share: which events are wanted, and what can be wrong with an input.

use std::io::{self, Read};

use model::SubjectPattern;
use pipeline::ports::{PortError, StopReason};

use super::READ_BYTES;

/// Makes events of the bytes of an input.
pub(super) trait Splitter: Send {
    /// The next events that are wanted, in order; none at the end of the input.
    fn burst(&mut self) -> Result<Vec<model::Event>, InputError>;
}

/// What is wrong with an input.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
    /// The system cannot read it.
    #[error("the input cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not of its format.
    #[error("{what} {number} of the input: {why}")]
    Malformed {
        /// What is counted: lines, rows or events.
        what: &'static str,
        /// Which one, from 1.
        number: u64,
        /// What is wrong with it.
        why: String,
    },
}

impl From<InputError> for PortError {
    fn from(error: InputError) -> Self {
        let code = match error {
            InputError::Io(_) => "input-unreadable",
            InputError::Malformed { .. } => "input-malformed",
        };
        StopReason::new(code, error.to_string()).into()
    }
}

/// Which events of an input are wanted.
pub(super) struct Selection {
    /// Those whose sequence is this or higher.
    pub(super) from: u64,
    /// Those whose subject one of these takes in; all if there are none.
    pub(super) subjects: Vec<SubjectPattern>,
}

impl Selection {
    pub(super) fn has_subject(&self, subject: &str) -> bool {
        self.subjects.is_empty() || self.subjects.iter().any(|pattern| pattern.matches(subject))
    }
}

/// Reads once more into `buffer`, and gives how many bytes came: none at the end.
pub(super) fn read_more(input: &mut dyn Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let start = buffer.len();
    buffer.resize(start + READ_BYTES, 0);
    loop {
        match input.read(&mut buffer[start..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                buffer.truncate(start);
                return Err(error);
            }
            Ok(count) => {
                buffer.truncate(start + count);
                return Ok(count);
            }
        }
    }
}
