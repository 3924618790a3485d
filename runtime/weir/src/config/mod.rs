//! What was typed, what the environment says and what files hold, made into settings that are known to be
//! usable.
//!
//! This is the only place that reads the environment, and it does so through [`Environment`], so that tests
//! give a map. Settings come from flags first, then from the environment, then from a NATS context. Nothing
//! here opens a port or talks to anyone. Secrets come from files or the environment, never from flags, and
//! are not in any `Debug` output.

mod client;
mod context;
mod local;
mod nats;
mod node;
mod secret;

use std::path::PathBuf;

pub(crate) use client::{ClientConfig, ClientFlags};
pub(crate) use local::{LocalConfig, LocalFlags};
pub(crate) use nats::{ExternalNats, NatsFlags, NatsSource};
pub(crate) use node::{LogConfig, LogFormat, NodeConfig, NodeFlags};
pub(crate) use secret::Secret;

/// The most worker threads.
const WORKERS_MAX: usize = 1024;

/// The environment of the process, or what a test says it is.
pub(crate) trait Environment {
    /// The variable's value; `None` where it is not set or empty.
    ///
    /// # Errors
    /// When the value is not text.
    fn get(&self, name: &str) -> Result<Option<String>, ConfigError>;
}

/// The real environment.
pub(crate) struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Result<Option<String>, ConfigError> {
        match std::env::var(name) {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(ConfigError::Value { place: name.to_owned(), why: "it is not UTF-8 text".into() })
            }
        }
    }
}

/// Settings that cannot be used. Each says where the setting stands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A setting whose value has no meaning.
    #[error("{place}: {why}")]
    Value {
        /// The flag, the variable or the file and key.
        place: String,
        /// What is wrong and what would be right.
        why: String,
    },
    /// A file that is named and cannot be read.
    #[error("{place}: cannot read {}: {source}", path.display())]
    File {
        /// Who names the file.
        place: String,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Two settings of which one has to go.
    #[error("{first} and {second} exclude each other: keep one of them")]
    Both {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A setting that needs another one beside it.
    #[error("{given} needs {missing} beside it")]
    Missing {
        /// What was given.
        given: String,
        /// What has to be given too.
        missing: String,
    },
    /// The API would be open to others on the network.
    #[error("{0}")]
    Exposed(String),
}

impl ConfigError {
    fn value(place: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Value { place: place.into(), why: why.into() }
    }
}

/// A directory of the XDG base directory specification: where `variable` says, or under the home directory.
fn xdg_directory(
    environment: &dyn Environment,
    variable: &str,
    under_home: &str,
) -> Result<Option<PathBuf>, ConfigError> {
    // The specification says that a relative path is to be ignored.
    let named = environment.get(variable)?.map(PathBuf::from).filter(|path| path.is_absolute());
    match named {
        Some(path) => Ok(Some(path)),
        None => Ok(home(environment)?.map(|home| home.join(under_home))),
    }
}

fn home(environment: &dyn Environment) -> Result<Option<PathBuf>, ConfigError> {
    Ok(environment.get("HOME")?.map(PathBuf::from))
}

/// Whether tests are to write golden files instead of comparing with them.
#[cfg(test)]
pub(crate) fn golden_update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1")
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::BTreeMap;

    use super::{ConfigError, Environment};

    /// An environment that holds what a test says.
    pub(super) struct Map(BTreeMap<String, String>);

    impl Map {
        pub(super) fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
            Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
        }
    }

    impl Environment for Map {
        fn get(&self, name: &str) -> Result<Option<String>, ConfigError> {
            Ok(self.0.get(name).filter(|value| !value.is_empty()).cloned())
        }
    }
}
