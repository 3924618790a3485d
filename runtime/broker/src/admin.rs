//! Streams: what they are, and the ones that Weir makes for itself.
//!
//! Weir owns a stream if its description says so. It changes no other stream, and takes over one that the
//! user made only while that one is empty. A stream's configuration is changed field by field in what the
//! server gave, so that settings this code does not know stay as they are.

use std::fmt;
use std::time::Duration;

use model::{PipelineName, StreamName, SubjectPattern};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{self, ApiError, code};
use crate::connect::Broker;
use crate::link::Link;
use crate::wire;

/// How long the server of an output stream remembers records' ids, which it does in memory: as short as it
/// can. Only the last id counts, and that it remembers anyway.
const ID_WINDOW_NS: u64 = 100_000_000;

/// When a stream deletes messages by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    /// At its limits.
    Limits,
    /// When all consumers have them.
    Interest,
    /// When one consumer has them.
    #[serde(rename = "workqueue")]
    WorkQueue,
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Limits => "limits",
            Self::Interest => "interest",
            Self::WorkQueue => "work-queue",
        })
    }
}

/// Where a stream keeps its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// On disk.
    File,
    /// In the server's memory: gone with it.
    Memory,
}

/// A stream as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// The first sequence that the stream still has, or would give next where it is empty; never 0.
    pub first_sequence: u64,
    /// The last sequence it has given out; 0 if none.
    pub last_sequence: u64,
    /// How many messages it has.
    pub messages: u64,
    /// What it captures.
    pub subjects: Vec<String>,
    /// When it deletes.
    pub retention: Retention,
    /// The streams that it mirrors or sources.
    pub upstreams: Vec<String>,
    /// Its description.
    pub description: String,
    /// Whether single messages cannot be deleted.
    pub deny_delete: bool,
    /// Whether it cannot be purged.
    pub deny_purge: bool,
    /// Where it keeps its messages.
    pub storage: Storage,
    /// How many servers keep it.
    pub replicas: u32,
    /// The largest message that it takes, in bytes; `None` for the server's limit.
    pub message_bytes_max: Option<u64>,
    /// When it was made, as the server writes times.
    pub created: String,
}

/// Why a stream is not as it has to be.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// NATS cannot be reached or is not ready: try again.
    #[error("streams cannot be looked after at the moment: {0}")]
    Unavailable(String),
    /// The server refuses; somebody has to change something.
    #[error("the NATS server refused to set up the stream {stream}: {reason}")]
    Refused {
        /// The stream.
        stream: StreamName,
        /// What the server said.
        reason: String,
    },
    /// Another stream captures the subjects.
    #[error(
        "{subject} is captured by {} already, and a subject lies in one stream: choose other subjects, or change that stream",
        by.as_ref().map_or("another stream".to_owned(), |stream| format!("the stream {stream}"))
    )]
    SubjectsTaken {
        /// The subject, or all subjects that were asked for.
        subject: String,
        /// The other stream, where the server says which.
        by: Option<String>,
    },
    /// The stream exists, and is not this pipeline's.
    #[error("the stream {stream} exists and is not this pipeline's: {reason}; use another name")]
    NotOurs {
        /// The stream.
        stream: StreamName,
        /// Why it cannot be used.
        reason: String,
    },
    /// The stream does not capture a subject that it needs to.
    #[error("the stream {stream} does not capture {subject}: add the subject to the stream")]
    SubjectOutside {
        /// The stream.
        stream: StreamName,
        /// The subject.
        subject: String,
    },
    /// There is no such stream.
    #[error("there is no stream {stream}")]
    StreamGone {
        /// The stream.
        stream: StreamName,
    },
}

impl Broker {
    /// A stream as it is; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`] and [`AdminError::Refused`].
    pub async fn stream_state(&self, stream: &StreamName) -> Result<Option<StreamState>, AdminError> {
        state_of(&self.control, stream.as_str()).await.map_err(|error| admin_error(stream, error))
    }

    /// Makes sure that a pipeline's output stream exists and captures `patterns` and the pipeline's own
    /// records. One that this pipeline's earlier plans made gets the subjects that it lacks; one that the
    /// user made is used if it is empty and captures all that is needed.
    ///
    /// # Errors
    /// Every [`AdminError`].
    pub async fn ensure_output_stream(
        &self,
        pipeline: &PipelineName,
        stream: &StreamName,
        patterns: &[SubjectPattern],
    ) -> Result<(), AdminError> {
        let own = model::record::own_pattern(pipeline);
        let mut needed: Vec<SubjectPattern> = patterns.to_vec();
        needed.push(own);
        let wanted = json!({
            "deny_delete": true,
            "deny_purge": true,
            "duplicate_window": ID_WINDOW_NS,
        });
        self.ensure(stream, &format!("Weir: output of pipeline {pipeline}"), &needed, wanted).await
    }

    /// Makes sure that a stream exists that takes the records of a replay of a pipeline, under one pattern.
    ///
    /// # Errors
    /// Every [`AdminError`].
    pub async fn ensure_replay_stream(
        &self,
        pipeline: &PipelineName,
        stream: &StreamName,
        pattern: &SubjectPattern,
    ) -> Result<(), AdminError> {
        let wanted = json!({
            "deny_delete": true,
            "deny_purge": true,
            "duplicate_window": ID_WINDOW_NS,
        });
        let description = format!("Weir: replay of pipeline {pipeline}");
        self.ensure(stream, &description, std::slice::from_ref(pattern), wanted).await
    }

    /// Makes sure that a stream exists in which a core NATS subject lands, so that it can be a source. Events
    /// older than `max_age` are dropped; `None` keeps all.
    ///
    /// # Errors
    /// Every [`AdminError`].
    pub async fn ensure_landing_stream(
        &self,
        pipeline: &PipelineName,
        stream: &StreamName,
        patterns: &[SubjectPattern],
        max_age: Option<Duration>,
    ) -> Result<(), AdminError> {
        let max_age_ns = max_age.map_or(0, |age| i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
        let wanted = json!({ "max_age": max_age_ns });
        self.ensure(stream, &format!("Weir: landing of pipeline {pipeline}"), patterns, wanted).await
    }

    /// Deletes a stream with all that is in it. One that does not exist is as good as deleted.
    ///
    /// # Errors
    /// [`AdminError::Unavailable`] and [`AdminError::Refused`].
    pub async fn delete_stream(&self, stream: &StreamName) -> Result<(), AdminError> {
        match api::call::<Value>(&self.control, &format!("STREAM.DELETE.{stream}"), &json!({})).await {
            Err(error) if error.code() == Some(code::STREAM_NOT_FOUND) => Ok(()),
            Err(error) => Err(admin_error(stream, error)),
            Ok(_) => Ok(()),
        }
    }

    /// The first sequence stored at or after a time, given in nanoseconds since 1970-01-01 UTC; the one after
    /// the last where there is none yet.
    ///
    /// # Errors
    /// Every [`AdminError`].
    pub async fn sequence_at(&self, stream: &StreamName, time_ns: u64) -> Result<u64, AdminError> {
        #[derive(Deserialize)]
        struct Created {
            delivered: Delivered,
        }
        #[derive(Deserialize)]
        struct Delivered {
            stream_seq: u64,
        }
        let name = format!("weir-{}", self.control.client.new_inbox().replace('.', "-"));
        let config = json!({
            "name": name,
            "ack_policy": "none",
            "deliver_policy": "by_start_time",
            "opt_start_time": wire::time_text(time_ns),
            "inactive_threshold": 5_000_000_000_u64,
            "mem_storage": true,
        });
        let body = json!({ "stream_name": stream, "config": config });
        let operation = format!("CONSUMER.CREATE.{stream}.{name}");
        let created = api::call::<Created>(&self.control, &operation, &body).await;
        let created = created.map_err(|error| match error.code() {
            Some(code::STREAM_NOT_FOUND) => AdminError::StreamGone { stream: stream.clone() },
            _ => admin_error(stream, error),
        })?;
        // Where this fails, the server drops the consumer by itself some seconds later.
        let delete = format!("CONSUMER.DELETE.{stream}.{name}");
        let _ = api::call::<Value>(&self.control, &delete, &json!({})).await;
        Ok(created.delivered.stream_seq + 1)
    }

    async fn ensure(
        &self,
        stream: &StreamName,
        description: &str,
        needed: &[SubjectPattern],
        wanted: Value,
    ) -> Result<(), AdminError> {
        let found = info(&self.control, stream.as_str()).await.map_err(|error| admin_error(stream, error))?;
        let Some(found) = found else {
            let config = new_config(stream, description, &reduced(&[], needed), wanted);
            return self.configure(stream, needed, "CREATE", config).await;
        };
        let state = found.state()?;
        let present = patterns(&state.subjects);
        let lacking: Vec<_> = needed.iter().filter(|need| !is_covered(&present, need)).collect();
        if state.description == description {
            if lacking.is_empty() {
                return Ok(());
            }
            let mut config = found.config;
            config["subjects"] = json!(reduced(&present, needed));
            return self.configure(stream, needed, "UPDATE", config).await;
        }
        let not_ours = |reason: String| AdminError::NotOurs { stream: stream.clone(), reason };
        if state.description.starts_with("Weir:") {
            return Err(not_ours(format!("its description is '{}'", state.description)));
        }
        if state.last_sequence > 0 {
            return Err(not_ours(format!("it already has messages, up to sequence {}", state.last_sequence)));
        }
        if !state.upstreams.is_empty() || state.retention != Retention::Limits {
            return Err(not_ours(
                "it mirrors or sources other streams, or has no limits retention".to_owned(),
            ));
        }
        if let Some(lacking) = lacking.first() {
            return Err(AdminError::SubjectOutside { stream: stream.clone(), subject: lacking.to_string() });
        }
        // From now on it is known as this pipeline's.
        let mut config = found.config;
        config["description"] = description.into();
        if let (Value::Object(config), Value::Object(wanted)) = (&mut config, wanted) {
            config.extend(wanted);
        }
        self.configure(stream, needed, "UPDATE", config).await
    }

    async fn configure(
        &self,
        stream: &StreamName,
        needed: &[SubjectPattern],
        operation: &str,
        config: Value,
    ) -> Result<(), AdminError> {
        match api::call::<Value>(&self.control, &format!("STREAM.{operation}.{stream}"), &config).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(code::SUBJECTS_OVERLAP) => {
                Err(self.subjects_taken(stream, needed).await)
            }
            Err(error) if error.code() == Some(code::STREAM_NAME_EXISTS) => {
                // Made by another node between the look and this call, in another shape.
                Err(AdminError::Unavailable(format!("the stream {stream} is being made elsewhere")))
            }
            Err(error) => Err(admin_error(stream, error)),
        }
    }

    /// Finds out which stream captures which of the subjects.
    async fn subjects_taken(&self, stream: &StreamName, needed: &[SubjectPattern]) -> AdminError {
        #[derive(Deserialize)]
        struct Names {
            streams: Option<Vec<String>>,
        }
        for pattern in needed {
            let question = json!({ "subject": pattern });
            let names = api::call::<Names>(&self.control, "STREAM.NAMES", &question).await;
            let others = names.ok().and_then(|names| names.streams).unwrap_or_default();
            if let Some(by) = others.into_iter().find(|other| other != stream.as_str()) {
                return AdminError::SubjectsTaken { subject: pattern.to_string(), by: Some(by) };
            }
        }
        let all: Vec<_> = needed.iter().map(SubjectPattern::as_str).collect();
        AdminError::SubjectsTaken { subject: all.join(", "), by: None }
    }
}

/// A stream as it is; `None` if there is none of this name.
pub(crate) async fn state_of(link: &Link, stream: &str) -> Result<Option<StreamState>, ApiError> {
    let found = info(link, stream).await?;
    found.map(|info| info.state().map_err(|error| ApiError::Unavailable(error.to_string()))).transpose()
}

#[derive(Deserialize)]
struct Info {
    config: Value,
    #[serde(default)]
    created: String,
    state: Counts,
}

#[derive(Deserialize)]
struct Counts {
    messages: u64,
    first_seq: u64,
    last_seq: u64,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    subjects: Vec<String>,
    retention: Retention,
    #[serde(default)]
    description: String,
    #[serde(default)]
    deny_delete: bool,
    #[serde(default)]
    deny_purge: bool,
    storage: Storage,
    num_replicas: u32,
    #[serde(default)]
    max_msg_size: i64,
    mirror: Option<Upstream>,
    sources: Option<Vec<Upstream>>,
}

#[derive(Deserialize)]
struct Upstream {
    name: String,
}

impl Info {
    fn state(&self) -> Result<StreamState, AdminError> {
        let config = Config::deserialize(&self.config).map_err(|error| {
            AdminError::Unavailable(format!("the server's description of a stream cannot be read: {error}"))
        })?;
        let upstreams = config.mirror.into_iter().chain(config.sources.into_iter().flatten());
        Ok(StreamState {
            first_sequence: self.state.first_seq.max(1),
            last_sequence: self.state.last_seq,
            messages: self.state.messages,
            subjects: config.subjects,
            retention: config.retention,
            upstreams: upstreams.map(|upstream| upstream.name).collect(),
            description: config.description,
            deny_delete: config.deny_delete,
            deny_purge: config.deny_purge,
            storage: config.storage,
            replicas: config.num_replicas,
            message_bytes_max: u64::try_from(config.max_msg_size).ok().filter(|bytes| *bytes > 0),
            created: self.created.clone(),
        })
    }
}

async fn info(link: &Link, stream: &str) -> Result<Option<Info>, ApiError> {
    match api::call(link, &format!("STREAM.INFO.{stream}"), &json!({})).await {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.code() == Some(code::STREAM_NOT_FOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

fn new_config(stream: &StreamName, description: &str, subjects: &[String], wanted: Value) -> Value {
    let mut config = json!({
        "name": stream,
        "description": description,
        "subjects": subjects,
        "retention": "limits",
        "storage": "file",
        "num_replicas": 1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_consumers": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_age": 0,
        "discard": "old",
    });
    let (Value::Object(config_fields), Value::Object(wanted)) = (&mut config, wanted) else {
        unreachable!("both are written as objects here");
    };
    config_fields.extend(wanted);
    config
}

/// A server's subjects as patterns; what does not read as one covers nothing.
fn patterns(subjects: &[String]) -> Vec<SubjectPattern> {
    subjects.iter().filter_map(|subject| subject.parse().ok()).collect()
}

fn is_covered(by: &[SubjectPattern], pattern: &SubjectPattern) -> bool {
    by.iter().any(|other| other.covers(pattern))
}

/// All patterns of both lists, without those that another one covers: a stream's subjects may not overlap.
fn reduced(present: &[SubjectPattern], needed: &[SubjectPattern]) -> Vec<String> {
    let mut kept: Vec<&SubjectPattern> = Vec::new();
    for pattern in present.iter().chain(needed) {
        if kept.iter().any(|other| other.covers(pattern)) {
            continue;
        }
        kept.retain(|other| !pattern.covers(other));
        kept.push(pattern);
    }
    kept.into_iter().map(|pattern| pattern.as_str().to_owned()).collect()
}

fn admin_error(stream: &StreamName, error: ApiError) -> AdminError {
    match error {
        ApiError::Unavailable(reason) => AdminError::Unavailable(reason),
        error => AdminError::Refused { stream: stream.clone(), reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_a_stream_do_not_cover_each_other() {
        let list = |texts: &[&str]| -> Vec<SubjectPattern> {
            texts.iter().map(|text| text.parse().expect("a valid pattern")).collect()
        };
        for (present, needed, wanted) in [
            (&[][..], &["a.>", "a.b", "weir.p.>"][..], &["a.>", "weir.p.>"][..]),
            (&["a.b", "c"], &["a.>"], &["c", "a.>"]),
            (&["a.>"], &["a.b"], &["a.>"]),
        ] {
            assert_eq!(reduced(&list(present), &list(needed)), wanted);
        }
    }
}
