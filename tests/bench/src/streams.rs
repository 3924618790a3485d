//! Streams as the rows need them: filled quickly, watched, and dropped again.

use std::time::Duration;

use serde_json::{Value, json};
use weir_tests::eventually::within;
use weir_tests::{Message, NatsClient};

/// How long one side of a comparison may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// On disk.
    File,
    /// In the server's memory.
    Memory,
}

/// Makes a stream for `subjects`.
pub(crate) fn create(
    client: &mut NatsClient,
    name: &str,
    subjects: &[&str],
    storage: Storage,
    replicas: u32,
) {
    let storage = if storage == Storage::File { "file" } else { "memory" };
    // As Weir makes its output streams: the least duplicate window that the server takes.
    let config = json!({ "name": name, "subjects": subjects, "storage": storage, "num_replicas": replicas,
        "retention": "limits", "duplicate_window": 100_000_000 });
    client.api(&format!("STREAM.CREATE.{name}"), config.to_string()).expect("the stream can be made");
}

/// Drops a stream, if it is there.
pub(crate) fn drop(client: &mut NatsClient, name: &str) {
    // One that is not there is as good.
    let _ = client.api(&format!("STREAM.DELETE.{name}"), "");
}

/// Fills a stream with `count` events.
pub(crate) fn fill(client: &mut NatsClient, subject: &str, payloads: &[Vec<u8>], count: usize) {
    let message = |at: usize| Message::new(subject, payloads[at % payloads.len()].clone());
    client.store((0..count).map(message)).expect("the events are stored");
}

/// Waits until a stream ends at `sequence` or later; `watch` may end the wait by a panic.
pub(crate) fn wait_for(client: &mut NatsClient, stream: &str, sequence: u64, mut watch: impl FnMut()) {
    within(PATIENCE, &format!("{stream} has {sequence} records"), || {
        watch();
        match last(client, stream) {
            Ok(last) if last >= sequence => Ok(()),
            other => Err(other),
        }
    });
}

/// The last sequence of a stream.
pub(crate) fn last(client: &mut NatsClient, stream: &str) -> Result<u64, String> {
    let info = client.api(&format!("STREAM.INFO.{stream}"), "")?;
    info["state"]["last_seq"].as_u64().ok_or_else(|| info.to_string())
}

/// When the server stored a message, in seconds since 1970.
pub(crate) fn stored_at(client: &mut NatsClient, stream: &str, sequence: u64) -> f64 {
    let body = json!({ "seq": sequence }).to_string();
    let found = client.api(&format!("STREAM.MSG.GET.{stream}"), body).expect("the message is there");
    seconds(&found["message"]["time"]).expect("the server says when it stored a message")
}

/// Seconds since 1970 of a time such as `2026-11-25T22:10:00.123456789Z`.
fn seconds(time: &Value) -> Option<f64> {
    let text = time.as_str()?.strip_suffix('Z')?;
    let (date, clock) = text.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.split(':');
    let (hours, minutes): (i64, i64) = (clock.next()?.parse().ok()?, clock.next()?.parse().ok()?);
    let rest: f64 = clock.next()?.parse().ok()?;
    // Days of the civil calendar, counted from March so that the leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    Some((days * 86_400 + hours * 3_600 + minutes * 60) as f64 + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("2000-02-29T12:00:00.5Z", 951_825_600.5),
            ("2026-11-23T02:19:37.363678063Z", 1_795_400_377.363_678),
        ] {
            assert_eq!(seconds(&json!(text)), Some(expected), "{text}");
        }
    }
}
