//! What goes wrong in a step, by whose fault it is.
//!
//! A guest fault is the module's doing and deterministic: the same event fails in the same way anywhere, so
//! it becomes a dead letter at once. A host fault is ours or the machine's: it says nothing about the event,
//! never becomes a record, and is tried again.

use std::fmt;

/// The longest reason that is kept, in bytes. It stands in a header of the dead letter.
pub const REASON_BYTES_MAX: usize = 1024;

/// Why a step could not process an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The module's doing.
    #[error(transparent)]
    Guest(#[from] GuestFault),
    /// Ours, or the machine's.
    #[error(transparent)]
    Host(#[from] HostFault),
}

/// A fault of the module: a code for programs, a reason for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFault {
    code: GuestFaultCode,
    reason: String,
}

impl GuestFault {
    /// A fault with its reason, which is cut to [`REASON_BYTES_MAX`] and to one line, so that it can stand in
    /// a header.
    pub fn new(code: GuestFaultCode, reason: impl AsRef<str>) -> Self {
        Self { code, reason: one_line(reason.as_ref()) }
    }

    /// What kind of fault it is.
    pub const fn code(&self) -> GuestFaultCode {
        self.code
    }

    /// What happened, in one line.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for GuestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.reason)
    }
}

impl std::error::Error for GuestFault {}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(REASON_BYTES_MAX));
    for c in text.trim().chars() {
        let c = if c.is_control() { ' ' } else { c };
        if line.len() + c.len_utf8() > REASON_BYTES_MAX {
            break;
        }
        line.push(c);
    }
    // Cutting may leave a space at the end, which NATS parsers would not give back.
    line.truncate(line.trim_end().len());
    line
}

macro_rules! fault_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The kinds of guest fault. The text of a code is part of the public contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum GuestFaultCode { $($(#[$doc])* $variant,)* }

        impl GuestFaultCode {
            /// All codes there are.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as it stands in records, metrics and the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

fault_codes! {
    /// The module answered `reject`.
    Rejected = "rejected",
    /// A WebAssembly trap: unreachable (a panic), division by zero, an access out of bounds.
    Trap = "trap",
    /// The event's fuel is used up.
    OutOfFuel = "out-of-fuel",
    /// More memory than the step may have.
    OutOfMemory = "out-of-memory",
    /// The call stack is used up.
    StackOverflow = "stack-overflow",
    /// The module called an import that the sandbox does not serve, or ended itself.
    DeniedImport = "denied-import",
    /// A core module gave a pointer or length outside its memory.
    BadPointer = "bad-pointer",
    /// The answer is not of the contract's shape.
    BadAnswer = "bad-answer",
    /// Text in the answer is not UTF-8.
    BadUtf8 = "bad-utf8",
    /// More messages than the step may send for one event.
    TooManyMessages = "too-many-messages",
    /// More bytes than the step may send for one event.
    OutputTooLarge = "output-too-large",
    /// One message is larger than the sink takes.
    MessageTooLarge = "message-too-large",
    /// A message's subject is not one that a message can be sent to.
    BadSubject = "bad-subject",
    /// A message's subject is outside what the pipeline allows.
    SubjectNotAllowed = "subject-not-allowed",
    /// A message's header cannot be sent, or its name is reserved.
    BadHeader = "bad-header",
    /// The source's message is not packed as the pipeline says; no module saw it.
    MalformedInput = "malformed-input",
}

impl fmt::Display for GuestFaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fault of the host or the machine. It says nothing about the event: try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct HostFault {
    reason: String,
}

impl HostFault {
    /// A fault with what happened, for people.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_a_header() {
        let fault = GuestFault::new(GuestFaultCode::Trap, " a\r\nb\0 ");
        assert_eq!(fault.reason(), "a  b");
        let long = GuestFault::new(GuestFaultCode::Trap, "é".repeat(REASON_BYTES_MAX));
        assert_eq!(long.reason().len(), REASON_BYTES_MAX);
    }

    #[test]
    fn codes_are_distinct() {
        let codes: std::collections::BTreeSet<_> = GuestFaultCode::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(codes.len(), GuestFaultCode::ALL.len());
    }
}
