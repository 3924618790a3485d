//! Payloads: from how they are written in a case to bytes that go in, and to what is looked for in bytes that
//! come out.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::{Digest, DigestBuilder};
use serde_json::{Number, Value};

use super::file::Content;

/// The largest payload of a case: as much as a NATS message can be made to have.
const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// What a payload has to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expected {
    /// These bytes.
    Bytes(Bytes),
    /// The bytes of this file.
    File {
        /// Its name, as the case has it.
        name: String,
        /// Where it lies.
        path: PathBuf,
        /// What it holds; empty where it is yet to be written.
        bytes: Bytes,
    },
    /// JSON of this value.
    Json(Value),
    /// Something with these bytes in it.
    Contains(Bytes),
}

impl Expected {
    /// Whether a payload is as expected.
    pub(crate) fn is_met_by(&self, payload: &[u8]) -> bool {
        match self {
            Self::Bytes(bytes) | Self::File { bytes, .. } => bytes == payload,
            Self::Json(value) => {
                serde_json::from_slice(payload).is_ok_and(|found: Value| same_json(value, &found))
            }
            Self::Contains(part) => part.is_empty() || memchr::memmem::find(payload, part).is_some(),
        }
    }

    pub(super) fn digest_into(&self, digest: &mut DigestBuilder) {
        match self {
            Self::Bytes(bytes) | Self::File { bytes, .. } => {
                digest.field(b"bytes");
                digest.field(Digest::of(bytes).as_raw());
            }
            Self::Json(value) => {
                digest.field(b"json");
                digest.field(value.to_string().as_bytes());
            }
            Self::Contains(part) => {
                digest.field(b"contains");
                digest.field(part);
            }
        }
    }
}

/// Whether two values are the same to a reader of JSON, who does not tell 1 from 1.0.
fn same_json(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| same_json(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => a == b,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    // Whole numbers are compared as such: beyond 2^53 a float cannot tell neighbours apart.
    if a.is_f64() || b.is_f64() { a.as_f64() == b.as_f64() } else { a == b }
}

impl Content {
    /// The bytes of a payload that goes in. Files are looked for in `folder`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn bytes(&self, folder: &Path) -> Result<Bytes, String> {
        match self {
            Self::Text(text) => Ok(text.clone().into()),
            Self::Json(value) => Ok(value.to_string().into()),
            Self::Base64(text) => {
                let joined: String = text.split_whitespace().collect();
                let bytes =
                    STANDARD.decode(joined).map_err(|error| format!("this is not base64: {error}"))?;
                Ok(bytes.into())
            }
            Self::File(name) => read(&folder.join(name)),
            Self::Repeat { text, times } => repeat(text, *times),
            Self::Contains(_) => Err("'contains' is for what comes out; an event has its payload".into()),
        }
    }

    /// What is looked for in a payload that comes out. A file that is not there is empty where `lenient`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn expected(&self, folder: &Path, missing: Missing) -> Result<Expected, String> {
        match self {
            Self::Json(value) => Ok(Expected::Json(value.clone())),
            Self::Contains(text) => Ok(Expected::Contains(text.clone().into())),
            Self::File(name) => {
                let path = folder.join(name);
                let bytes = match missing {
                    Missing::WillBeWritten if !path.exists() => Bytes::new(),
                    _ => read(&path)?,
                };
                Ok(Expected::File { name: name.clone(), path, bytes })
            }
            Self::Text(_) | Self::Base64(_) | Self::Repeat { .. } => self.bytes(folder).map(Expected::Bytes),
        }
    }
}

/// What an expectation that is not there means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// An error: a case without one shows nothing.
    IsAnError,
    /// That it is about to be written.
    WillBeWritten,
}

fn read(path: &Path) -> Result<Bytes, String> {
    let refuse = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refuse)?;
    file.take(PAYLOAD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(refuse)?;
    if bytes.len() > PAYLOAD_BYTES_MAX {
        return Err(format!("{}: {}", path.display(), too_large()));
    }
    Ok(bytes.into())
}

fn repeat(text: &str, times: u64) -> Result<Bytes, String> {
    let times = usize::try_from(times).map_err(|_| too_large())?;
    let bytes = text.len().checked_mul(times).filter(|bytes| *bytes <= PAYLOAD_BYTES_MAX);
    bytes.map(|_| text.repeat(times).into()).ok_or_else(too_large)
}

fn too_large() -> String {
    format!("larger than a payload may be, {} MiB", PAYLOAD_BYTES_MAX >> 20)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_compared_as_a_reader_sees_it() {
        for (a, b, same) in [
            (json!({"a": 1, "b": [1, {}]}), r#"{"b":[1.0,{}],"a":1e0}"#, true),
            (json!(1), "1.5", false),
            (json!(9_007_199_254_740_993_u64), "9007199254740992", false),
            (json!({"a": 1}), r#"{"a":1,"b":2}"#, false),
            (json!([1, 2]), "[2,1]", false),
            (json!(null), "", false),
        ] {
            assert_eq!(Expected::Json(a.clone()).is_met_by(b.as_bytes()), same, "{a} {b}");
        }
    }

    #[test]
    fn a_payload_that_is_too_large_is_refused_before_it_is_made() {
        let content = Content::Repeat { text: "x".repeat(1000), times: u64::MAX };
        assert!(content.bytes(Path::new(".")).expect_err("too large").contains("64 MiB"));
        let content = Content::Repeat { text: "ab".into(), times: 3 };
        assert_eq!(content.bytes(Path::new(".")).expect("small"), "ababab");
    }
}
