//! The shapes of a try: one event through one module, in the real sandbox, without a pipeline.

use model::Digest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payload::{Header, Payload};

/// One event to run, and what to run it with. Every key may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TryRequest {
    /// The event's subject; `try` if left out.
    pub subject: String,
    /// The event's payload; empty if left out.
    pub payload: Payload,
    /// The event's headers.
    pub headers: Vec<Header>,
    /// The event's sequence in its source stream; 1 if left out.
    #[schema(minimum = 1)]
    pub sequence: u64,
    /// When the source stream stored the event, in nanoseconds since 1970-01-01 UTC; 0 if left out.
    pub timestamp_ns: u64,
    /// The step's configuration; `null` is none.
    #[schema(value_type = Object)]
    pub config: serde_json::Value,
    /// The step's limits, where they are not to be the defaults.
    pub limits: TryLimits,
    /// What the standard output of a command comes to; only for modules that are commands.
    pub output: TryOutput,
}

/// What the standard output of a command comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TryOutput {
    /// One message: all of it. Nothing printed is no message.
    #[default]
    Whole,
    /// A message for each line, without its line feed.
    Lines,
}

impl Default for TryRequest {
    fn default() -> Self {
        Self {
            subject: "try".to_owned(),
            payload: Payload::default(),
            headers: Vec::new(),
            sequence: 1,
            timestamp_ns: 0,
            config: serde_json::Value::Null,
            limits: TryLimits::default(),
            output: TryOutput::default(),
        }
    }
}

/// Limits of one step; what is left out is the default of a pipeline's step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TryLimits {
    /// Linear memory and tables of the instance, in bytes.
    pub memory_bytes: Option<u64>,
    /// Fuel for the event.
    pub fuel_per_event: Option<u64>,
    /// Messages in the answer.
    pub messages_per_event: Option<u32>,
    /// Bytes of all messages in the answer.
    pub bytes_per_event: Option<u64>,
    /// Bytes of log lines that are kept.
    pub log_bytes_per_event: Option<u32>,
    /// Wall clock for the event, in milliseconds.
    pub deadline_ms: Option<u32>,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TryResult {
    /// The module that ran.
    #[schema(value_type = String, pattern = "^sha256:[a-f0-9]{64}$")]
    pub module: Digest,
    /// What it answered, or how it failed.
    pub outcome: TryOutcome,
    /// The log lines that it wrote, within its limit.
    pub logs: Vec<String>,
    /// The fuel that the event used. Deterministic.
    pub fuel_used: u64,
    /// The memory that the instance had at the end, in bytes. Deterministic.
    pub memory_bytes: u64,
    /// How long the event took, in microseconds, starting the instance not counted.
    pub time_us: u64,
    /// The engine and its configuration, as receipts name it.
    pub engine: String,
}

/// What a module answered to one event, or how it failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TryOutcome {
    /// Any number of messages; none means that the event was dropped on purpose.
    Messages {
        /// The messages, in order.
        messages: Vec<TryMessage>,
    },
    /// The module refused the event. In a pipeline it would be a dead letter.
    Rejected {
        /// What the module says why.
        reason: String,
    },
    /// The module failed. In a pipeline the event would be a dead letter.
    Fault {
        /// What kind of guest fault it was.
        #[schema(example = "out-of-fuel")]
        code: String,
        /// What happened.
        reason: String,
    },
}

/// A message that the module wants to send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TryMessage {
    /// Where to; none leaves it to a pipeline's template.
    pub subject: Option<String>,
    /// The payload.
    pub payload: Payload,
    /// The headers.
    pub headers: Vec<Header>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_request_is_a_whole_one() {
        let request: TryRequest = serde_json::from_str("{}").expect("every key may be left out");
        assert_eq!(request, TryRequest::default());
        assert!(serde_json::from_str::<TryRequest>(r#"{"payloads": {}}"#).is_err());
        assert!(serde_json::from_str::<TryRequest>(r#"{"limits": {"memory": 1}}"#).is_err());
    }

    #[test]
    fn outcomes_are_told_apart_by_their_kind() {
        let json = |outcome: TryOutcome| serde_json::to_value(outcome).expect("it is JSON");
        let messages = json(TryOutcome::Messages { messages: vec![] });
        assert_eq!(messages, serde_json::json!({"kind": "messages", "messages": []}));
        let fault = json(TryOutcome::Fault { code: "trap".into(), reason: "r".into() });
        assert_eq!(fault, serde_json::json!({"kind": "fault", "code": "trap", "reason": "r"}));
    }
}
