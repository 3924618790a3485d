//! Exit codes, and how an error is told to a person.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; also when the reader of our output went away |
//! | 1 | failed: the node refused, or a module did |
//! | 2 | two things differ that should be the same |
//! | 64 | the command line makes no sense |
//! | 69 | the node, or the NATS server, cannot be reached |
//! | 70 | a bug in Weir |
//! | 78 | a setting or a file cannot be used |
//!
//! The first four of the large ones are those of `sysexits.h`.

use std::process::ExitCode;

use broker::{ConnectError, EmbeddedError};

use crate::client::ClientError;
use crate::config::ConfigError;
use crate::project::ProjectError;
use crate::project::cases::read::CasesError;
use crate::spec::SpecError;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Failed.
    Failed = 1,
    /// Two things differ that should be the same.
    Difference = 2,
    /// The command line makes no sense.
    Usage = 64,
    /// The node or the broker cannot be reached.
    Unreachable = 69,
    /// A bug of ours.
    Bug = 70,
    /// A setting or a file cannot be used.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A verb that ends in another way than well, with what there is to say.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Ended {
    /// The code to end with.
    pub(crate) exit: Exit,
    /// What happened.
    pub(crate) message: String,
}

impl Ended {
    /// An end with its reason.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

/// Tells an error on standard error, and says with which code to end.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    let exit = exit_of(error);
    if exit != Exit::Ok {
        use std::io::Write as _;
        // Where nobody reads, there is no one to tell.
        let _ = writeln!(std::io::stderr(), "error: {error:#}");
    }
    exit
}

/// Says after a panic, which has printed its own message, that it is not the user's fault.
pub(crate) fn report_bug() -> Exit {
    eprintln!(
        "error: this is a bug in Weir {}; please report it with the lines above",
        env!("CARGO_PKG_VERSION")
    );
    Exit::Bug
}

/// The code for an error: that of the first cause which has one.
fn exit_of(error: &anyhow::Error) -> Exit {
    error.chain().find_map(exit_of_cause).unwrap_or(Exit::Failed)
}

fn exit_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(ended) = cause.downcast_ref::<Ended>() {
        return Some(ended.exit);
    }
    if let Some(error) = cause.downcast_ref::<ClientError>() {
        return Some(if error.is_unreachable() { Exit::Unreachable } else { Exit::Failed });
    }
    if let Some(error) = cause.downcast_ref::<std::io::Error>() {
        let nobody_reads = error.kind() == std::io::ErrorKind::BrokenPipe;
        return nobody_reads.then_some(Exit::Ok);
    }
    if let Some(error) = cause.downcast_ref::<ConnectError>() {
        return Some(exit_of_connect(error));
    }
    if let Some(error) = cause.downcast_ref::<EmbeddedError>() {
        return Some(match error {
            EmbeddedError::NotFound(_) | EmbeddedError::Directory { .. } => Exit::Config,
            EmbeddedError::Start { .. } | EmbeddedError::Ended { .. } => Exit::Failed,
            EmbeddedError::Unusable(error) => exit_of_connect(error),
        });
    }
    let of_project = cause.is::<ProjectError>() || cause.is::<CasesError>();
    let config = cause.is::<ConfigError>() || cause.is::<SpecError>() || of_project;
    config.then_some(Exit::Config)
}

fn exit_of_connect(error: &ConnectError) -> Exit {
    match error {
        ConnectError::Unreachable { .. } => Exit::Unreachable,
        // It answers; what it lacks, or we do, is for somebody to set up.
        ConnectError::Refused { .. }
        | ConnectError::TooOld { .. }
        | ConnectError::NoJetStream { .. }
        | ConnectError::BadOptions(_) => Exit::Config,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn each_fault_has_its_code() {
        let io = |kind| anyhow::Error::from(std::io::Error::from(kind));
        let spec = crate::spec::PipelineSpec::parse("", "p.toml").expect_err("an empty file");
        let config = ConfigError::Exposed(String::new());
        let unreachable = ClientError::Unreachable { node: "n".into(), why: "w".into() };
        let away = || ConnectError::Unreachable { servers: "s".into(), reason: "r".into() };
        let unexpected = ClientError::Unexpected { node: "n".into(), why: "w".into() };
        for (error, exit) in [
            (anyhow::anyhow!("x"), Exit::Failed),
            (io(std::io::ErrorKind::BrokenPipe), Exit::Ok),
            (io(std::io::ErrorKind::NotFound), Exit::Failed),
            (spec.into(), Exit::Config),
            (config.into(), Exit::Config),
            (unreachable.into(), Exit::Unreachable),
            (unexpected.into(), Exit::Failed),
            (Ended::new(Exit::Difference, "d").into(), Exit::Difference),
            (away().into(), Exit::Unreachable),
            (EmbeddedError::Unusable(away()).into(), Exit::Unreachable),
            (EmbeddedError::NotFound(vec![]).into(), Exit::Config),
            (ConnectError::NoJetStream { servers: "s".into() }.into(), Exit::Config),
        ] {
            assert_eq!(exit_of(&error), exit, "{error}");
            assert_eq!(exit_of(&error.context("while something")), exit);
        }
        let result: Result<(), _> = Err(Ended::new(Exit::Usage, "u"));
        assert_eq!(exit_of(&result.context("c").expect_err("it is one")), Exit::Usage);
    }
}
