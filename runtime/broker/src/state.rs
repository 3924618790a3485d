//! The state that nodes share: keys and values in the KV bucket `weir`, in the layout of NATS' own KV, so
//! that `nats kv` shows it.
//!
//! Reads come from the leader: a value that was put is seen by the next get. What stands under a key is left
//! to the caller; so is the choice of keys, within the grammar of NATS (ADR-8).

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::admin;
use crate::api::{self, ApiError, Get, code};
use crate::connect::Broker;
use crate::link::Link;
use crate::watch::{Change, Watch};

/// The bucket's name.
pub const BUCKET: &str = "weir";
pub(crate) const STREAM: &str = "KV_weir";
pub(crate) const SUBJECT_PREFIX: &str = "$KV.weir.";
pub(crate) const OPERATION_HEADER: &str = "KV-Operation";
const EXPECTED_HEADER: &str = "Nats-Expected-Last-Subject-Sequence";

/// Why the shared state cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// NATS cannot be reached or is not ready: try again. A change may have been made or not.
    #[error("the shared state (KV bucket {BUCKET}) is not available at the moment: {0}")]
    Unavailable(String),
    /// Somebody else changed the key first.
    #[error("the key '{key}' was changed by somebody else: read it again")]
    Conflict {
        /// The key.
        key: String,
    },
    /// No key can look like this.
    #[error("'{key}' cannot be a key: use a-z, A-Z, 0-9, '-', '_', '=', '/' and dots between them")]
    BadKey {
        /// The text.
        key: String,
    },
    /// The value does not fit into one message.
    #[error("the value of '{key}' is too large: {reason}")]
    TooLarge {
        /// The key.
        key: String,
        /// What the server said.
        reason: String,
    },
    /// The bucket was deleted.
    #[error("the KV bucket {BUCKET} was deleted, or deleted and made anew: open it again")]
    BucketGone,
    /// The server refuses; somebody has to change something.
    #[error("the NATS server refused access to the KV bucket {BUCKET}: {0}")]
    Refused(String),
}

/// The opened bucket. Clones share the connection.
#[derive(Clone)]
pub struct StateBucket {
    broker: Broker,
}

impl std::fmt::Debug for StateBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateBucket").finish_non_exhaustive()
    }
}

impl Broker {
    /// Opens the bucket, and makes it with this many replicas if there is none.
    ///
    /// # Errors
    /// [`StateError::Unavailable`] and [`StateError::Refused`].
    pub async fn state(&self, replicas: u32) -> Result<StateBucket, StateError> {
        if admin::state_of(&self.control, STREAM).await.map_err(state_error)?.is_none() {
            create_bucket(&self.control, replicas).await?;
        }
        Ok(StateBucket { broker: self.clone() })
    }
}

impl StateBucket {
    /// Sets a key. Gives the value's revision.
    ///
    /// # Errors
    /// Every [`StateError`] but `Conflict`.
    pub async fn put(&self, key: &str, value: impl Into<Bytes>) -> Result<u64, StateError> {
        self.write(key, HeaderMap::new(), value.into()).await
    }

    /// Sets a key that has no value yet.
    ///
    /// # Errors
    /// Every [`StateError`]; `Conflict` if the key has a value.
    pub async fn create(&self, key: &str, value: impl Into<Bytes>) -> Result<u64, StateError> {
        let value = value.into();
        match self.update(key, value.clone(), 0).await {
            Err(StateError::Conflict { key }) => match self.last(&key).await? {
                Some((None, revision)) => self.update(&key, value, revision).await,
                _ => Err(StateError::Conflict { key }),
            },
            result => result,
        }
    }

    /// Sets a key whose value has this revision; 0 stands for a key that was never set.
    ///
    /// # Errors
    /// Every [`StateError`]; `Conflict` if the revision is another one.
    pub async fn update(
        &self,
        key: &str,
        value: impl Into<Bytes>,
        expected_revision: u64,
    ) -> Result<u64, StateError> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(EXPECTED_HEADER), HeaderValue::from(expected_revision));
        self.write(key, headers, value.into()).await
    }

    /// The value of a key and its revision; `None` if it has none.
    ///
    /// # Errors
    /// Every [`StateError`] but `Conflict`.
    pub async fn get(&self, key: &str) -> Result<Option<(Bytes, u64)>, StateError> {
        let last = self.last(key).await?;
        Ok(last.and_then(|(value, revision)| Some((value?, revision))))
    }

    /// Takes the value of a key away. A key without one stays as it is.
    ///
    /// # Errors
    /// Every [`StateError`] but `Conflict`.
    pub async fn delete(&self, key: &str) -> Result<(), StateError> {
        if self.get(key).await?.is_none() {
            return Ok(());
        }
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(OPERATION_HEADER), HeaderValue::from("DEL"));
        self.write(key, headers, Bytes::new()).await.map(|_| ())
    }

    /// The keys with a value under a prefix of whole tokens (`pipelines` for `pipelines.a`), or all keys for
    /// an empty one; sorted.
    ///
    /// # Errors
    /// Every [`StateError`] but `Conflict`.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, StateError> {
        let mut watch = self.watch(prefix)?;
        let mut keys = std::collections::BTreeSet::new();
        loop {
            match watch.next().await? {
                Change::Entry { key, value: Some(_), .. } => drop(keys.insert(key)),
                Change::Entry { key, value: None, .. } => drop(keys.remove(&key)),
                Change::InitialEnd => break,
            }
        }
        watch.end().await;
        Ok(keys.into_iter().collect())
    }

    /// Watches the keys under a prefix of whole tokens, or all keys for an empty one.
    ///
    /// # Errors
    /// [`StateError::BadKey`].
    pub fn watch(&self, prefix: &str) -> Result<Watch, StateError> {
        let prefix = prefix.trim_end_matches('.');
        if prefix.is_empty() {
            return Ok(Watch::new(self.broker.clone(), format!("{SUBJECT_PREFIX}>")));
        }
        Ok(Watch::new(self.broker.clone(), format!("{}.>", subject(prefix)?)))
    }

    /// The last entry of a key, deletions too.
    async fn last(&self, key: &str) -> Result<Option<(Option<Bytes>, u64)>, StateError> {
        let what = Get::Last { last_by_subj: &subject(key)? };
        let Some(message) = api::get(&self.broker.control, STREAM, &what).await.map_err(state_error)? else {
            return Ok(None);
        };
        let unreadable = || StateError::Unavailable(format!("the entry of '{key}' cannot be read"));
        let (headers, payload, _) = message.parts().ok_or_else(unreadable)?;
        Ok(Some((value(&headers, payload), message.seq)))
    }

    async fn write(&self, key: &str, headers: HeaderMap, value: Bytes) -> Result<u64, StateError> {
        let limit = self.broker.control.client.server_info().max_payload;
        if value.len() + 256 > limit {
            let reason = format!("{} bytes, and the server takes {limit} with headers", value.len());
            return Err(StateError::TooLarge { key: key.to_owned(), reason });
        }
        let stored = api::store(&self.broker.control, subject(key)?, headers, value).await;
        stored.map(|stored| stored.seq).map_err(|error| match error.code() {
            Some(code::WRONG_LAST_SEQUENCE | code::WRONG_LAST_SEQUENCE_CONSTANT) => {
                StateError::Conflict { key: key.to_owned() }
            }
            _ => state_error(error),
        })
    }
}

/// The value of an entry; `None` for one that takes the value away.
pub(crate) fn value(headers: &model::Headers, payload: Bytes) -> Option<Bytes> {
    let gone = matches!(headers.get(OPERATION_HEADER), Some("DEL" | "PURGE"))
        || headers.get("Nats-Marker-Reason").is_some();
    (!gone).then_some(payload)
}

pub(crate) fn state_error(error: ApiError) -> StateError {
    match error.code() {
        Some(code::STREAM_NOT_FOUND) => StateError::BucketGone,
        _ => match error {
            ApiError::Unavailable(reason) => StateError::Unavailable(reason),
            error => StateError::Refused(error.to_string()),
        },
    }
}

/// One value a key, no limits: what is under a key stays until it is replaced.
async fn create_bucket(link: &Link, replicas: u32) -> Result<(), StateError> {
    let config = json!({
        "name": STREAM,
        "description": "Weir: pipelines, tags and what else nodes share",
        "subjects": [format!("{SUBJECT_PREFIX}>")],
        "retention": "limits",
        "storage": "file",
        "num_replicas": replicas.max(1),
        "max_msgs_per_subject": 1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_consumers": -1,
        "max_msg_size": -1,
        "max_age": 0,
        "discard": "new",
        "allow_rollup_hdrs": true,
        "deny_delete": true,
    });
    match api::call::<Value>(link, &format!("STREAM.CREATE.{STREAM}"), &config).await {
        // Another node made it first, perhaps with other replicas.
        Err(error) if error.code() == Some(code::STREAM_NAME_EXISTS) => Ok(()),
        Err(error) => Err(state_error(error)),
        Ok(_) => Ok(()),
    }
}

fn subject(key: &str) -> Result<String, StateError> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-_=/".contains(&c);
    if key.split('.').all(|token| !token.is_empty() && token.bytes().all(allowed)) {
        return Ok(format!("{SUBJECT_PREFIX}{key}"));
    }
    Err(StateError::BadKey { key: key.chars().take(100).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_their_grammar() {
        for good in ["a", "pipelines.flights-1", "a/b=c_d.E"] {
            assert!(subject(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a*", ">", "tag:1", "ü"] {
            assert!(matches!(subject(bad), Err(StateError::BadKey { .. })), "{bad}");
        }
    }
}
