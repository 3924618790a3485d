//! A transform that keeps a fixed share of the events, all or none of those that have one key.
//!
//! There is no dice in it: an event is kept if the first 64 bits of `SHA-256(salt ‖ key)` lie below the rate.
//! So every run, every node and every pipeline with the same key, salt and rate keeps the same events, and a
//! higher rate keeps what a lower one does and more. What is kept stays as it is.

use event_parts::Part;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use weir_sdk::{Event, Message, Reject, Result, transform};

transform!(sample, Settings);

/// What to keep, ready to use.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "File")]
pub struct Settings {
    /// Keys whose number is below this one are kept.
    end: u128,
    key: Part,
    salted: Sha256,
    missing: Missing,
}

/// What to keep, as it is written.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct File {
    /// The share of keys that is kept, from 0 to 1.
    #[cfg_attr(test, schemars(range(min = 0.0, max = 1.0)))]
    rate: f64,
    /// The part of an event by which it is chosen: events with the same key are kept or dropped together.
    #[cfg_attr(test, schemars(with = "String"))]
    key: Part,
    /// A text that is put before the key: another salt, another choice.
    #[serde(default)]
    salt: String,
    /// What becomes of an event without the key.
    #[serde(default)]
    missing: Missing,
}

/// What becomes of an event without the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema, serde::Serialize))]
#[serde(rename_all = "snake_case")]
enum Missing {
    /// It is refused.
    #[default]
    Reject,
    /// It is kept.
    Keep,
    /// It is dropped.
    Drop,
}

impl TryFrom<File> for Settings {
    type Error = String;

    fn try_from(file: File) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&file.rate) {
            return Err(format!("'rate' is {}, not from 0 to 1", file.rate));
        }
        // Exact: multiplying by a power of two changes the exponent alone.
        let end = (file.rate * 2_f64.powi(64)) as u128;
        let salted = Sha256::new_with_prefix(&file.salt);
        Ok(Self { end, key: file.key, salted, missing: file.missing })
    }
}

/// Keeps or drops one event.
///
/// # Errors
/// When the event has no such key, if that is not allowed, or when its payload has to be read and is no
/// JSON.
pub fn sample(event: Event, settings: &Settings) -> Result<Option<Message>> {
    let is_kept = match (settings.key.bytes(&event)?, settings.missing) {
        (Some(key), _) => u128::from(number(&settings.salted, &key)) < settings.end,
        (None, Missing::Reject) => {
            return Err(Reject::new(format_args!("the key {} is missing", settings.key)));
        }
        (None, missing) => missing == Missing::Keep,
    };
    Ok(is_kept.then_some(Message { subject: None, payload: event.payload, headers: event.headers }))
}

/// The number of a key: the first 64 bits of its digest.
fn number(salted: &Sha256, key: &[u8]) -> u64 {
    let digest = salted.clone().chain_update(key).finalize();
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: &str) -> Settings {
        serde_json::from_str(config).expect("the configuration is valid")
    }

    /// Which of the numbers below 10,000 are kept.
    fn kept(rate: &str, salt: &str) -> Vec<u32> {
        let settings = settings(&format!(r#"{{"rate":{rate},"key":"$.user","salt":"{salt}"}}"#));
        let is_kept = |user: &u32| {
            let event = Event::new("s", format!(r#"{{"user":{user}}}"#));
            sample(event, &settings).expect("there is a key").is_some()
        };
        (0..10_000).filter(is_kept).collect()
    }

    #[test]
    fn the_share_is_the_rate() {
        assert!(kept("0", "").is_empty());
        assert_eq!(kept("1", "").len(), 10_000);
        for rate in [0.01_f64, 0.1, 0.5, 0.9] {
            let share = f64::from(u32::try_from(kept(&rate.to_string(), "x").len()).expect("they are few"));
            let deviation = (10_000.0 * rate * (1.0 - rate)).sqrt();
            assert!((share - 10_000.0 * rate).abs() < 4.0 * deviation, "{rate}: {share}");
        }
    }

    #[test]
    fn a_higher_rate_keeps_what_a_lower_one_does_and_a_salt_chooses_anew() {
        let (few, many) = (kept("0.1", "x"), kept("0.3", "x"));
        assert!(few.iter().all(|user| many.contains(user)) && few.len() < many.len());
        let others = kept("0.1", "y");
        let both = others.iter().filter(|user| few.contains(user)).count();
        assert!(both < few.len() / 4, "{both} of {}", few.len());
    }

    #[test]
    fn the_number_of_a_key_is_anybodys_sha_256() {
        // FIPS 180-4, "abc": ba7816bf 8f01cfea …
        assert_eq!(number(&Sha256::new(), b"abc"), 0xba78_16bf_8f01_cfea);
        assert_eq!(number(&Sha256::new_with_prefix("a"), b"bc"), 0xba78_16bf_8f01_cfea);
    }

    #[test]
    fn events_with_one_key_go_together_and_stay_as_they_are() {
        let settings = settings(r#"{"rate":0.5,"key":"header:Trace"}"#);
        let event = |trace: u32, sequence| {
            let mut event = Event::new("s", [0xff]);
            event.sequence = sequence;
            event.headers.push(("Trace".to_owned(), trace.to_string()));
            event
        };
        for trace in 0..100 {
            let first = sample(event(trace, 1), &settings).expect("there is a key");
            assert_eq!(first, sample(event(trace, 2), &settings).expect("there is a key"));
            let is_whole = |message: Message| message == event(trace, 1).message([0xff]);
            assert!(first.is_none_or(is_whole));
        }
    }

    #[test]
    fn a_missing_key_is_what_the_configuration_says() {
        let sampled = |missing: &str, payload: &str| {
            let config = format!(r#"{{"rate":1,"key":"$.a"{missing}}}"#);
            sample(Event::new("s", payload), &settings(&config)).map(|message| message.is_some())
        };
        assert_eq!(sampled("", "{}"), Err(Reject::new("the key $.a is missing")));
        assert_eq!(
            sampled(r#","missing":"reject""#, r#"{"a":null}"#),
            Err(Reject::new("the key $.a is missing"))
        );
        assert_eq!(sampled(r#","missing":"keep""#, "{}"), Ok(true));
        assert_eq!(sampled(r#","missing":"drop""#, "{}"), Ok(false));
        assert!(sampled(r#","missing":"keep""#, "{").is_err());
    }

    #[test]
    fn a_configuration_that_cannot_be_meant_is_refused_with_the_reason() {
        for (text, reason) in [
            (r#"{"key":"subject"}"#, "missing field `rate`"),
            (r#"{"rate":0.5}"#, "missing field `key`"),
            (r#"{"rate":1.5,"key":"subject"}"#, "'rate' is 1.5, not from 0 to 1"),
            (r#"{"rate":-0.1,"key":"subject"}"#, "'rate' is -0.1"),
            (r#"{"rate":0.5,"key":"user"}"#, "'user' is no part of an event"),
            (r#"{"rate":0.5,"key":"subject","seed":1}"#, "unknown field `seed`"),
        ] {
            let error = serde_json::from_str::<Settings>(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn the_readme_and_the_schema_tell_the_truth() {
        checks::readme(env!("CARGO_MANIFEST_DIR"));
        checks::schema::<File>(env!("CARGO_MANIFEST_DIR"), std::env::var_os("UPDATE_GOLDEN"));
    }
}
