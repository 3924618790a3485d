//! The log of a node: lines for people on a terminal, JSON elsewhere, always on standard error.
//!
//! Verbs that talk to a node do not log; they talk. Those that execute modules themselves log what is wrong.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{ConfigError, LogConfig, LogFormat};

/// Starts the log of the process.
///
/// # Errors
/// When the filter is not one.
pub(crate) fn start(config: &LogConfig) -> anyhow::Result<()> {
    let filter = parse_filter(&config.filter)?;
    let by_reader = || if std::io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json };
    let layer = fmt::layer().with_writer(std::io::stderr);
    let layer = match config.format.unwrap_or_else(by_reader) {
        // By itself it colours unless NO_COLOR is set, and does not look who reads.
        LogFormat::Text if std::io::stderr().is_terminal() => layer.boxed(),
        LogFormat::Text => layer.with_ansi(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(true).boxed(),
    };
    let started = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}

fn parse_filter(text: &str) -> Result<Targets, ConfigError> {
    text.parse().map_err(|error| ConfigError::Value {
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
