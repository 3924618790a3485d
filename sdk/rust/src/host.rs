//! What a transform may ask of Weir: a line in the log, and its configuration.

use crate::abi;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Of use while a transform is written.
    Debug,
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warn,
    /// Something went wrong.
    Error,
}

/// Writes a line to the node's log, under the step's name. Weir bounds what is kept for each event.
/// On the host it goes to standard error. See also [`debug!`](crate::debug), [`info!`](crate::info),
/// [`warn!`](crate::warn) and [`error!`](crate::error), which format.
pub fn log(level: Level, text: &str) {
    abi::log(level, text);
}

/// The step's configuration as it is: JSON text with sorted keys, empty where there is none, as on the host.
/// Mostly `transform!(process, Settings)` is what you want, which reads it once.
pub fn config_text() -> String {
    abi::config_text()
}

/// Logs a formatted line that matters only while something is being looked for.
#[macro_export]
macro_rules! debug {
    ($($text:tt)+) => { $crate::log($crate::Level::Debug, &::std::format!($($text)+)) };
}

/// Logs a formatted line.
#[macro_export]
macro_rules! info {
    ($($text:tt)+) => { $crate::log($crate::Level::Info, &::std::format!($($text)+)) };
}

/// Logs a formatted line that somebody should look at.
#[macro_export]
macro_rules! warn {
    ($($text:tt)+) => { $crate::log($crate::Level::Warn, &::std::format!($($text)+)) };
}

/// Logs a formatted line about something that went wrong. To refuse the event, return an error instead.
#[macro_export]
macro_rules! error {
    ($($text:tt)+) => { $crate::log($crate::Level::Error, &::std::format!($($text)+)) };
}
