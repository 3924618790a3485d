//! Names that people give: of pipelines, streams and tags. Parsed once; a value of these types is valid.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that does not follow its grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a {what}: {rule}")]
pub struct ParseNameError {
    what: &'static str,
    rule: &'static str,
    text: String,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseNameError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if $valid(text) {
                    return Ok(Self(text.to_owned()));
                }
                Err(ParseNameError { what: $what, rule: $rule, text: text.chars().take(100).collect() })
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseNameError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name_type!(
    /// The name of a pipeline. It is also one token of the subjects of the pipeline's own records.
    PipelineName,
    "pipeline name",
    "1 to 64 characters of a-z, 0-9, '-' and '_', the first a letter or digit",
    is_pipeline_name
);

name_type!(
    /// The name of a JetStream stream. Source of the rule: NATS ADR-6.
    StreamName,
    "stream name",
    "1 to 128 printable ASCII characters without spaces and without . * > / \\",
    is_stream_name
);

name_type!(
    /// A mutable name for a digest: `mask-pii` or `mask-pii:1.2`.
    TagName,
    "tag",
    "a name of a-z, 0-9, '.', '-', '_' (1 to 64 characters, the first a letter or digit), and at most one ':' followed by a version of the same characters, upper case allowed",
    is_tag_name
);

fn is_pipeline_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(allowed) && text.as_bytes()[0].is_ascii_alphanumeric()
}

fn is_stream_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_graphic() && !b".*>/\\".contains(&c);
    (1..=128).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_tag_name(text: &str) -> bool {
    let part = |text: &str, upper: bool| {
        let allowed = |c: u8| {
            c.is_ascii_lowercase()
                || c.is_ascii_digit()
                || b".-_".contains(&c)
                || (upper && c.is_ascii_uppercase())
        };
        (1..=64).contains(&text.len())
            && text.bytes().all(allowed)
            && text.as_bytes()[0].is_ascii_alphanumeric()
    };
    // A text that reads like a digest must never be a tag: it would say one thing and mean another.
    match text.split_once(':') {
        Some(("sha256" | "sha512" | "blake3", _)) => false,
        Some((name, version)) => part(name, false) && part(version, true),
        None => part(text, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_grammar() {
        for good in ["flights", "a", "0-x_y"] {
            assert!(good.parse::<PipelineName>().is_ok(), "{good}");
        }
        for bad in ["", "Flights", "-a", "a.b", "a b", &"a".repeat(65), "ü"] {
            assert!(bad.parse::<PipelineName>().is_err(), "{bad}");
        }
        for bad in ["", "a.b", "a b", "a>", "a/b", "a\\b", "a\u{7f}"] {
            assert!(bad.parse::<StreamName>().is_err(), "{bad}");
        }
        assert!("FLIGHTS_raw-1".parse::<StreamName>().is_ok());
    }

    #[test]
    fn a_digest_is_never_a_tag() {
        for good in ["mask-pii", "mask-pii:1.2", "x:latest", "m:v1.0-RC1"] {
            assert!(good.parse::<TagName>().is_ok(), "{good}");
        }
        for bad in ["sha256:abc", "a:b:c", ":", "a:", ":a", "A", ""] {
            assert!(bad.parse::<TagName>().is_err(), "{bad}");
        }
    }
}
