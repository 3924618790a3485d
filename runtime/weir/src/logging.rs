//! The log of a node: lines for people on a terminal, JSON elsewhere, always on standard error.
//!
//! Verbs other than `up` do not log; they talk.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, LogConfig, LogFormat};

/// Starts the log of the process.
///
/// # Errors
/// When the filter is not one.
pub(crate) fn start(config: &LogConfig) -> anyhow::Result<()> {
    let filter = parse_filter(&config.filter)?;
    let by_reader = || if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format.unwrap_or_else(by_reader) {
        // By itself it colours unless NO_COLOR is set, and does not look who reads.
        LogFormat::Text if std::io::stderr().is_terminal() => builder.try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

fn parse_filter(text: &str) -> Result<EnvFilter, ConfigError> {
    EnvFilter::builder().parse(text).map_err(|error| ConfigError::Value {
        place: "--log".into(),
        why: format!(
            "'{text}' is no filter ({error}); write a level, or levels by module as 'info,weir=debug'"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_levels_by_module() {
        for good in ["info", "warn,weir=debug", "off"] {
            assert!(parse_filter(good).is_ok(), "{good}");
        }
        let error = parse_filter("weir=loud").expect_err("no level").to_string();
        assert!(error.starts_with("--log: 'weir=loud' is no filter"), "{error}");
    }
}
