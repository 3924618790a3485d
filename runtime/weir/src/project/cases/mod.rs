//! Cases: an event that goes into a module, and what has to come out, as files beside the code.
//!
//! [`read`] finds the files and checks them: what they name besides is read as well, so that a [`Suite`] is
//! whole and can be run. [`run`](run::run) gives a case a fresh instance in the real sandbox;
//! [`compare`](compare::differences) says in what the outcome differs from what was expected;
//! [`rewrite`](rewrite::rewrite) takes outcomes over into the file.

mod check;
pub(crate) mod compare;
mod content;
mod file;
pub(crate) mod read;
pub(crate) mod rewrite;
pub(crate) mod run;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use model::{CommandOutput, Digest, DigestBuilder, Event, GuestFaultCode, Headers, Limits};

pub(crate) use content::Expected;

/// All files of cases of a project or a folder, in the order of their names.
#[derive(Debug)]
pub(crate) struct Suite {
    /// The files; each has at least one case.
    pub(crate) files: Vec<CaseFile>,
}

/// One file of cases.
#[derive(Debug)]
pub(crate) struct CaseFile {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// What it is called in reports: its path below the folder that was asked for.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// Its cases, in their order.
    pub(crate) cases: Vec<Case>,
}

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Case {
    /// What it shows.
    pub(crate) name: String,
    /// The module's configuration: JSON with sorted keys, empty for none.
    pub(crate) config: String,
    /// What bounds the module.
    pub(crate) limits: Limits,
    /// Of a command: how its standard output becomes messages.
    pub(crate) output: CommandOutput,
    /// What goes in.
    pub(crate) event: Event,
    /// What has to come out; none where that is yet to be written down.
    pub(crate) expectation: Option<Expectation>,
    /// What some line of the log has to hold.
    pub(crate) log: Option<String>,
}

/// What has to come out of a case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expectation {
    /// These messages, in this order.
    Messages(Vec<ExpectedMessage>),
    /// So many messages.
    Count(u64),
    /// The event is refused, for a reason that holds this.
    Reject(String),
    /// The module fails.
    Fault {
        /// How.
        code: GuestFaultCode,
        /// What its reason has to hold.
        contains: Option<String>,
    },
}

/// A message that has to come out; what is `None` is not looked at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExpectedMessage {
    /// Its payload.
    pub(crate) payload: Option<Expected>,
    /// Its subject; none of its own for `Some(None)`.
    pub(crate) subject: Option<Option<String>>,
    /// Its headers, in canonical order.
    pub(crate) headers: Option<Headers>,
}

impl Suite {
    /// The digest of all that decides whether a module passes: names, configurations, limits, outputs, events
    /// and expectations, with the bytes of the files that they name. How it is laid out as text does not
    /// count.
    pub(crate) fn digest(&self) -> Digest {
        let mut digest = DigestBuilder::new();
        digest.field(b"weir cases 2");
        for file in &self.files {
            digest.field(file.name.as_bytes());
            digest.number(file.cases.len() as u64);
            for case in &file.cases {
                case.digest_into(&mut digest);
            }
        }
        digest.finish()
    }
}

impl Case {
    fn digest_into(&self, digest: &mut DigestBuilder) {
        digest.field(self.name.as_bytes());
        digest.field(self.config.as_bytes());
        digest.field(serde_json::to_string(&self.limits).expect("limits are numbers").as_bytes());
        digest.field(serde_json::to_string(&self.output).expect("a name is JSON").as_bytes());
        self.event.digest_into(digest);
        match &self.expectation {
            None => digest.field(b"nothing yet"),
            Some(Expectation::Messages(messages)) => {
                digest.field(b"messages");
                digest.number(messages.len() as u64);
                messages.iter().for_each(|message| message.digest_into(digest));
            }
            Some(Expectation::Count(count)) => {
                digest.field(b"count");
                digest.number(*count);
            }
            Some(Expectation::Reject(reason)) => {
                digest.field(b"reject");
                digest.field(reason.as_bytes());
            }
            Some(Expectation::Fault { code, contains }) => {
                digest.field(b"fault");
                digest.field(code.as_str().as_bytes());
                optional(digest, contains.as_deref());
            }
        }
        optional(digest, self.log.as_deref());
    }
}

impl ExpectedMessage {
    fn digest_into(&self, digest: &mut DigestBuilder) {
        match &self.payload {
            None => digest.number(0),
            Some(payload) => {
                digest.number(1);
                payload.digest_into(digest);
            }
        }
        match &self.subject {
            None => digest.number(0),
            Some(subject) => {
                digest.number(1);
                optional(digest, subject.as_deref());
            }
        }
        match &self.headers {
            None => digest.number(0),
            Some(headers) => {
                digest.number(1);
                headers.digest_into(digest);
            }
        }
    }
}

fn optional(digest: &mut DigestBuilder, text: Option<&str>) {
    match text {
        None => digest.number(0),
        Some(text) => {
            digest.number(1);
            digest.field(text.as_bytes());
        }
    }
}
