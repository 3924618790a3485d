//! The settings of the verbs that execute modules in their own process: how many threads, and where compiled
//! code is kept from one time to the next.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::{ConfigError, Environment, LogConfig, LogFormat, WORKERS_MAX, xdg_directory};

/// The flags of every verb that executes modules by itself.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LocalFlags {
    /// Worker threads that run modules [default: one for each core]
    #[arg(long, value_name = "N", help_heading = "Execution")]
    workers: Option<NonZeroUsize>,
    /// Where modules and compiled code are kept [default: weir in XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIRECTORY", help_heading = "Execution")]
    cache_dir: Option<PathBuf>,
    /// What is logged to standard error: a level, or levels by module
    #[arg(long = "log", value_name = "FILTER", default_value = "warn", help_heading = "Execution")]
    log_filter: String,
}

/// Settings that are known to be usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalConfig {
    /// How many worker threads run modules.
    pub(crate) workers: NonZeroUsize,
    /// Where modules and compiled code are kept; `None` for nowhere.
    pub(crate) cache_dir: Option<PathBuf>,
    /// What is logged; always as lines for people, for it stands among what the verb says.
    pub(crate) log: LogConfig,
}

impl LocalConfig {
    /// Makes flags and environment into settings.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub(crate) fn new(flags: &LocalFlags, environment: &dyn Environment) -> Result<Self, ConfigError> {
        Self::of(flags, &flags.log_filter, environment)
    }

    /// Settings of a verb that has no such flags, and says itself what modules log.
    ///
    /// # Errors
    /// Where the environment names a folder that cannot be one.
    pub(crate) fn quiet(environment: &dyn Environment) -> Result<Self, ConfigError> {
        Self::of(&LocalFlags::default(), "warn,weir::guest=debug", environment)
    }

    fn of(flags: &LocalFlags, log_filter: &str, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = flags.workers.unwrap_or_else(cores);
        if workers.get() > WORKERS_MAX {
            return Err(ConfigError::value("--workers", format!("it has to be from 1 to {WORKERS_MAX}")));
        }
        let cache_dir = match &flags.cache_dir {
            Some(path) => Some(path.clone()),
            None => xdg_directory(environment, "XDG_CACHE_HOME", ".cache")?.map(|path| path.join("weir")),
        };
        let log = LogConfig { format: Some(LogFormat::Text), filter: log_filter.to_owned() };
        Ok(Self { workers, cache_dir, log })
    }
}
