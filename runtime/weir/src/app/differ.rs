//! Comparing two output streams, event by event: what one plan made of the events beside what another one
//! made of them.
//!
//! Only messages and dead letters are compared: receipts and revisions say who made them. The two streams are
//! walked side by side in the order of positions, so memory does not grow with them.

use std::collections::BTreeMap;

use model::{Position, Record, RecordKind};
use pipeline::ports::{PortError, StopReason, Stored};
use pipeline::verify::{Archive, RecordReader};
use serde_json::Value;

use crate::spec::{PlanChange, value_changes};

/// How two outputs of one event differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OutputDifference {
    /// Only the first stream has it.
    OnlyFirst,
    /// Only the second stream has it.
    OnlySecond,
    /// A message in one, a dead letter in the other.
    Kind,
    /// Another subject.
    Subject,
    /// Other headers; of dead letters, another reason or module.
    Headers,
    /// Another payload.
    Payload,
    /// The same JSON, written in other bytes.
    JsonForm,
}

/// One output that differs.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Example {
    /// The source event.
    pub(crate) event: u64,
    /// Which of its outputs.
    pub(crate) output: u32,
    /// How it differs.
    pub(crate) difference: OutputDifference,
    /// What the first stream has.
    pub(crate) first: Option<String>,
    /// What the second stream has.
    pub(crate) second: Option<String>,
    /// Of JSON payloads, the values that differ.
    pub(crate) changes: Vec<PlanChange>,
}

/// What came of a comparison.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct Comparison {
    /// Outputs that are the same in both.
    pub(crate) same: u64,
    /// Outputs that differ, by how.
    pub(crate) different: BTreeMap<OutputDifference, u64>,
    /// The first of them.
    pub(crate) examples: Vec<Example>,
}

/// Source sequences, both ends counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first.
    pub(crate) from: u64,
    /// The last.
    pub(crate) to: u64,
}

/// Compares the outputs of two streams that come from the events of a range.
///
/// # Errors
/// When one of them cannot be read, or holds no chain.
pub(crate) async fn compare<A: Archive>(
    first: &A,
    second: &A,
    range: Range,
    examples_max: usize,
) -> Result<Comparison, PortError> {
    let (mut first, mut second) = (Outputs::open(first, range).await?, Outputs::open(second, range).await?);
    let mut found = Comparison::default();
    let (mut left, mut right) = (first.next().await?, second.next().await?);
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(found),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(left), Some(right)) => left.position.cmp(&right.position),
        };
        let left_now = if order.is_le() { left.take() } else { None };
        let right_now = if order.is_ge() { right.take() } else { None };
        match difference(left_now.as_ref(), right_now.as_ref()) {
            None => found.same += 1,
            Some(difference) => {
                *found.different.entry(difference).or_default() += 1;
                if found.examples.len() < examples_max {
                    found.examples.push(example(difference, left_now.as_ref(), right_now.as_ref()));
                }
            }
        }
        if order.is_le() {
            left = first.next().await?;
        }
        if order.is_ge() {
            right = second.next().await?;
        }
    }
}

fn difference(first: Option<&Record>, second: Option<&Record>) -> Option<OutputDifference> {
    let (first, second) = match (first, second) {
        (Some(first), Some(second)) => (first, second),
        (Some(_), None) => return Some(OutputDifference::OnlyFirst),
        (None, _) => return Some(OutputDifference::OnlySecond),
    };
    if first.kind != second.kind {
        return Some(OutputDifference::Kind);
    }
    if first.subject != second.subject {
        return Some(OutputDifference::Subject);
    }
    if first.payload != second.payload {
        let same_json = matches!((json(first), json(second)), (Some(first), Some(second)) if first == second);
        return Some(if same_json { OutputDifference::JsonForm } else { OutputDifference::Payload });
    }
    (first.headers != second.headers).then_some(OutputDifference::Headers)
}

fn json(record: &Record) -> Option<Value> {
    serde_json::from_slice(&record.payload).ok()
}

fn example(difference: OutputDifference, first: Option<&Record>, second: Option<&Record>) -> Example {
    let position = first.or(second).map(|record| record.position);
    let position = position.unwrap_or(Position { sequence: 0, index: 0 });
    let changes = match (difference, first, second) {
        (OutputDifference::Headers, Some(first), Some(second)) => {
            value_changes(&headers_value(first), &headers_value(second))
        }
        (OutputDifference::Payload, Some(first), Some(second)) => match (json(first), json(second)) {
            (Some(first), Some(second)) => value_changes(&first, &second),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let shown = |record: &Record| match difference {
        OutputDifference::Subject => record.subject.clone(),
        _ => format!("{} {}", record.kind.as_str(), String::from_utf8_lossy(&record.payload)),
    };
    Example {
        event: position.sequence,
        output: position.index,
        difference,
        first: first.map(shown),
        second: second.map(shown),
        changes,
    }
}

/// Headers as JSON: a text, or a list of them where a name stands there more than once.
fn headers_value(record: &Record) -> Value {
    let mut all = serde_json::Map::new();
    for (name, value) in record.headers.iter() {
        match all.get_mut(name) {
            None => drop(all.insert(name.to_owned(), value.into())),
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = vec![first.take(), value.into()].into(),
        }
    }
    Value::Object(all)
}

/// The messages and dead letters of a range, one after the other.
struct Outputs<R> {
    reader: R,
    pipeline: model::PipelineName,
    burst: std::collections::VecDeque<Stored>,
    range: Range,
    next: u64,
    last: u64,
}

impl<R: RecordReader> Outputs<R> {
    async fn open<A: Archive<Reader = R>>(archive: &A, range: Range) -> Result<Self, PortError> {
        let last = archive.last_sequence().await?;
        let first = if last == 0 { None } else { archive.get(1).await? };
        let own =
            first.as_ref().and_then(|entry| entry.subject.strip_prefix("weir.")?.strip_suffix(".revision"));
        let Some(pipeline) = own.and_then(|name| name.parse().ok()) else {
            let detail = "its first record is not a revision, so it is no output stream of a pipeline";
            return Err(StopReason::new("chain-truncated", detail).into());
        };
        let mut outputs = Self {
            reader: archive.open(1).await?,
            pipeline,
            burst: std::collections::VecDeque::new(),
            range,
            next: 1,
            last,
        };
        let start = outputs.start(archive).await?;
        if start > 1 && start <= last {
            outputs.reader = archive.open(start).await?;
        }
        outputs.next = start;
        Ok(outputs)
    }

    /// The first record that comes from the range. Positions only grow along a chain.
    async fn start<A: Archive>(&self, archive: &A) -> Result<u64, PortError> {
        let (mut low, mut high) = (1, self.last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(entry) = archive.get(middle).await? else {
                return Err(StopReason::new("chain-truncated", format!("record {middle} is gone")).into());
            };
            if self.record(entry)?.position.sequence < self.range.from {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn record(&self, entry: Stored) -> Result<Record, StopReason> {
        let sequence = entry.sequence;
        let record = Record::from_wire(&self.pipeline, entry.subject, entry.headers, entry.payload);
        record.map_err(|foreign| {
            StopReason::new(
                "foreign-record",
                format!("entry {sequence} is not a record of a pipeline: {foreign}"),
            )
        })
    }

    async fn next(&mut self) -> Result<Option<Record>, PortError> {
        while self.next <= self.last {
            if self.burst.is_empty() {
                self.burst = self.reader.next().await?.into();
            }
            let Some(entry) = self.burst.pop_front() else { return Ok(None) };
            self.next = entry.sequence + 1;
            if entry.sequence > self.last {
                return Ok(None);
            }
            let record = self.record(entry)?;
            if record.position.sequence > self.range.to {
                self.next = self.last + 1;
                return Ok(None);
            }
            if matches!(record.kind, RecordKind::Message | RecordKind::Dead) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use model::{Digest, Headers};

    use super::*;

    fn record(kind: RecordKind, subject: &str, payload: &str) -> Record {
        Record {
            kind,
            subject: subject.into(),
            headers: Headers::new(),
            payload: payload.to_owned().into(),
            plan: Digest::of(b"plan"),
            position: Position { sequence: 7, index: 1 },
        }
    }

    #[test]
    fn outputs_differ_in_one_way_each() {
        let base = record(RecordKind::Message, "a", r#"{"x": 1, "y": [1, 2]}"#);
        let other = |change: &dyn Fn(&mut Record)| {
            let mut other = base.clone();
            change(&mut other);
            difference(Some(&base), Some(&other))
        };
        assert_eq!(other(&|_| ()), None);
        assert_eq!(other(&|record| record.plan = Digest::of(b"other")), None);
        assert_eq!(other(&|record| record.kind = RecordKind::Dead), Some(OutputDifference::Kind));
        assert_eq!(other(&|record| record.subject = "b".into()), Some(OutputDifference::Subject));
        let form = r#"{"y":[1,2],"x":1}"#;
        assert_eq!(other(&|record| record.payload = form.into()), Some(OutputDifference::JsonForm));
        assert_eq!(other(&|record| record.payload = "{}".into()), Some(OutputDifference::Payload));
        let headers = Headers::canonical([("a".to_owned(), "1".to_owned())]);
        assert_eq!(other(&|record| record.headers = headers.clone()), Some(OutputDifference::Headers));
        assert_eq!(difference(Some(&base), None), Some(OutputDifference::OnlyFirst));
        assert_eq!(difference(None, Some(&base)), Some(OutputDifference::OnlySecond));
    }

    #[test]
    fn an_example_of_json_says_which_values_differ() {
        let first = record(RecordKind::Message, "a", r#"{"x": 1, "y": {"z": true}}"#);
        let second = record(RecordKind::Message, "a", r#"{"x": 2, "y": {}}"#);
        let example = example(OutputDifference::Payload, Some(&first), Some(&second));
        let changes: Vec<String> = example.changes.iter().map(PlanChange::to_string).collect();
        assert_eq!((example.event, example.output), (7, 1));
        assert_eq!(changes, ["~ x: 1 -> 2", "- y.z: true"]);
    }
}
