//! Traces: from a record of an output stream to the event that it was made of, and from an event to what
//! became of it. All of it is read from the streams; records are found by halving, since positions only grow
//! along a chain.

use std::sync::Arc;

use api::dto::{
    EventFate, EventOutcome, OutputTrace, Payload, ReceiptSummary, SourceTrace, TracedEvent, TracedRecord,
    TracedRevision, TracedStep,
};
use api::{Code, NodeError};
use broker::{Broker, StoredMessage};
use model::record::own_subject;
use model::{
    Digest, PipelineName, Plan, Position, Receipt, Record, RecordKind, StreamName, SubjectPattern, TagName,
};

use super::catalog::{Application, Catalog};
use super::connection::Connection;
use super::errors::sink_error;
use super::library::Library;
use super::revisions::{self, Placed};
use super::view;

/// So many records of one event are shown.
const RECORDS_MAX: usize = 1000;

/// Follows records and events over streams.
pub(crate) struct Tracing<'a> {
    /// Where streams and the shared state are.
    pub(crate) connection: &'a Connection,
    /// What is known of modules.
    pub(crate) library: &'a Arc<Library>,
}

impl Tracing<'_> {
    /// Where the entry `sequence` of an output stream comes from.
    ///
    /// # Errors
    /// When there is no such entry, or it is no record.
    pub(crate) async fn output(&self, stream: StreamName, sequence: u64) -> Result<OutputTrace, NodeError> {
        let broker = &self.connection.broker;
        let entry = broker.get(&stream, sequence).await.map_err(|error| sink_error(&error))?;
        let entry = entry.ok_or_else(|| no_entry(&stream, sequence))?;
        let pipeline = self.owner(&stream).await?;
        let (time, stored) = (entry.timestamp_ns, entry.sequence);
        let record = Record::from_wire(&pipeline, entry.subject, entry.headers, entry.payload);
        let record = record.map_err(|why| {
            let detail = format!(
                "entry {sequence} of the stream '{stream}' is not a record of pipeline '{pipeline}': {why}"
            );
            NodeError::new(Code::SinkConflict, detail)
        })?;
        let application = self.application(&pipeline).await?;
        let place = Chain { broker, stream: &stream, pipeline: &pipeline };
        let placed = place.revision_at(stored).await?.ok_or_else(|| {
            let detail = format!("the stream '{stream}' has no revision at or before entry {sequence}");
            NodeError::new(Code::SinkConflict, detail)
        })?;
        let receipt = match record.kind {
            RecordKind::Revision => None,
            _ => place.receipt_of(record.position, stored).await?,
        };
        let plan = &placed.revision.plan;
        let event = match record.kind {
            RecordKind::Revision => None,
            _ => self.event(&plan.source.stream, record.position.sequence).await?,
        };
        Ok(OutputTrace {
            record: traced(&stream, stored, time, record),
            receipt,
            steps: self.steps(plan).await?,
            plan: plan.clone(),
            revision: revision(&placed, application.as_ref()),
            event,
            pipeline,
        })
    }

    /// What became of the event `sequence` of a source stream.
    ///
    /// # Errors
    /// When nobody reads the stream, or there is no such event and no trace of it.
    pub(crate) async fn source(&self, stream: StreamName, sequence: u64) -> Result<SourceTrace, NodeError> {
        let applications = Catalog(&self.connection.state).pipelines().await?;
        let readers: Vec<_> =
            applications.into_iter().filter(|(_, one)| one.plan.source.stream == stream).collect();
        if readers.is_empty() {
            let detail =
                format!("no pipeline reads the stream '{stream}'; `weir pipelines` lists those there are");
            return Err(NodeError::new(Code::EntryNotFound, detail));
        }
        let event = self.event(&stream, sequence).await?;
        let mut pipelines = Vec::with_capacity(readers.len());
        for (name, application) in readers {
            pipelines.push(self.fate(name, &application, event.as_ref(), sequence).await?);
        }
        if event.is_none() && pipelines.iter().all(|fate| fate.records.is_empty()) {
            return Err(no_entry(&stream, sequence));
        }
        Ok(SourceTrace { event, pipelines })
    }

    async fn fate(
        &self,
        pipeline: PipelineName,
        application: &Application,
        event: Option<&TracedEvent>,
        sequence: u64,
    ) -> Result<EventFate, NodeError> {
        let (broker, stream) = (&self.connection.broker, &application.plan.sink.stream);
        let chain = Chain { broker, stream, pipeline: &pipeline };
        let found = chain.of_event(sequence).await?;
        // The first record of a later event, or the end: what was in force before it governed the event.
        let placed = match found.after {
            1 => None,
            after => chain.revision_at(after - 1).await?,
        };
        let begins = chain.revision_at_first().await?;
        let is_selected = event.is_none_or(|event| {
            let plan = placed.as_ref().map_or(&application.plan, |placed| &placed.revision.plan);
            selects(&plan.source.subjects, &event.subject)
        });
        let is_before = begins.is_some_and(|genesis| sequence < genesis.revision.from_sequence);
        let receipt = match &placed {
            Some(_) if !is_before && is_selected => {
                chain.receipt_of(Position { sequence, index: 0 }, found.first).await?
            }
            _ => None,
        };
        let outcome = match found.records.first() {
            Some(record) if record.kind == RecordKind::Dead.as_str() => EventOutcome::Dead,
            Some(_) => EventOutcome::Messages,
            None if is_before => EventOutcome::BeforeStart,
            None if !is_selected => EventOutcome::NotSelected,
            None if event.is_none() => EventOutcome::Unknown,
            None if found.is_passed || receipt.is_some() => EventOutcome::Nothing,
            None => EventOutcome::Pending,
        };
        let is_governed = !is_before && is_selected && outcome != EventOutcome::Pending;
        let revision = placed.filter(|_| is_governed).map(|placed| revision(&placed, Some(application)));
        Ok(EventFate { sink: stream.clone(), outcome, revision, records: found.records, receipt, pipeline })
    }

    /// The pipeline whose chain lies in a stream: the one that wrote its first revision.
    async fn owner(&self, stream: &StreamName) -> Result<PipelineName, NodeError> {
        let first = self.connection.broker.next_on(stream, "weir.*.revision", 1).await;
        let first = first.map_err(|error| sink_error(&error))?;
        let name = first.and_then(|entry| entry.subject.split('.').nth(1)?.parse().ok());
        name.ok_or_else(|| {
            let detail = format!("the stream '{stream}' is no pipeline's output: it holds no revision");
            NodeError::new(Code::SinkConflict, detail)
        })
    }

    async fn application(&self, pipeline: &PipelineName) -> Result<Option<Application>, NodeError> {
        let found = Catalog(&self.connection.state).pipeline(pipeline).await?;
        Ok(found.map(|(application, _)| application))
    }

    async fn event(&self, stream: &StreamName, sequence: u64) -> Result<Option<TracedEvent>, NodeError> {
        let entry = match self.connection.broker.get(stream, sequence).await {
            Ok(entry) => entry,
            Err(broker::SinkError::StreamGone { .. }) => None,
            Err(error) => return Err(sink_error(&error)),
        };
        let event = |entry: StoredMessage| TracedEvent {
            stream: stream.clone(),
            sequence,
            subject: entry.subject,
            time: view::time_text(entry.timestamp_ns),
            headers: entry.headers.without_reserved().iter().map(Into::into).collect(),
            payload: Payload::from_bytes(&entry.payload),
        };
        Ok(entry.map(event))
    }

    async fn steps(&self, plan: &Plan) -> Result<Vec<TracedStep>, NodeError> {
        let tags = Catalog(&self.connection.state).tags().await?;
        let mut steps = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let known = self.library.info(step.module).await.ok().map(|info| view::module(step.module, info));
            steps.push(TracedStep {
                name: step.name.clone(),
                module: step.module,
                kind: known.as_ref().map(|module| module.kind),
                size_bytes: known.as_ref().map(|module| module.size_bytes),
                tags: named(&tags, step.module),
            });
        }
        Ok(steps)
    }
}

fn named(tags: &[(TagName, Digest, u64)], module: Digest) -> Vec<TagName> {
    tags.iter().filter(|(_, digest, _)| *digest == module).map(|(name, ..)| name.clone()).collect()
}

fn selects(subjects: &[SubjectPattern], subject: &str) -> bool {
    subjects.is_empty() || subjects.iter().any(|pattern| pattern.matches(subject))
}

/// The chain of a pipeline, to look things up in.
struct Chain<'a> {
    broker: &'a Broker,
    stream: &'a StreamName,
    pipeline: &'a PipelineName,
}

/// What a chain holds of one event.
struct OfEvent {
    /// Where what was made of the event begins, behind revisions that begin with it.
    first: u64,
    /// The first record of a later event, or the one after the last.
    after: u64,
    /// Whether there is a record of a later event, but for a revision that begins right behind this one.
    is_passed: bool,
    /// The event's messages or dead letter.
    records: Vec<TracedRecord>,
}

impl Chain<'_> {
    async fn of_event(&self, sequence: u64) -> Result<OfEvent, NodeError> {
        let tail = match self.broker.tail(self.stream).await {
            Ok(tail) => tail.last_sequence,
            Err(broker::SinkError::StreamGone { .. }) => 0,
            Err(error) => return Err(sink_error(&error)),
        };
        let mut halving = Halving::of(tail);
        while let Some(middle) = halving.middle() {
            let (_, record) = self.record(middle).await?;
            halving.narrow(middle, record.position.sequence >= sequence);
        }
        let first = halving.low;
        let (mut records, mut first, mut after) = (Vec::new(), first, first);
        while after <= tail {
            let (time, record) = self.record(after).await?;
            if record.position.sequence != sequence {
                break;
            }
            if record.kind == RecordKind::Revision {
                first = after + 1;
            }
            let is_output = matches!(record.kind, RecordKind::Message | RecordKind::Dead);
            if is_output {
                records.push(traced(self.stream, after, time, record));
            }
            if records.len() >= RECORDS_MAX {
                break;
            }
            after += 1;
        }
        Ok(OfEvent { first, after, is_passed: after <= tail, records })
    }

    async fn record(&self, sequence: u64) -> Result<(u64, Record), NodeError> {
        let entry = self.broker.get(self.stream, sequence).await.map_err(|error| sink_error(&error))?;
        let altered = |why: &str| {
            let detail = format!("entry {sequence} of the output stream '{}' {why}", self.stream);
            NodeError::new(Code::SinkConflict, detail)
        };
        let entry =
            entry.ok_or_else(|| altered("is gone, and a chain is whole only with all of its records"))?;
        let time = entry.timestamp_ns;
        let record = Record::from_wire(self.pipeline, entry.subject, entry.headers, entry.payload);
        record.map(|record| (time, record)).map_err(|why| altered(&format!("is not a record: {why}")))
    }

    async fn revision_at(&self, record: u64) -> Result<Option<Placed>, NodeError> {
        revisions::at_or_before(self.broker, self.stream, self.pipeline, record).await
    }

    async fn revision_at_first(&self) -> Result<Option<Placed>, NodeError> {
        match revisions::next(self.broker, self.stream, self.pipeline, 1).await {
            Err(error) if error.code() == Code::PipelineConflict => Ok(None),
            found => found,
        }
    }

    /// The receipt that accounts for a position, which lies at or behind the record `from`: in a receipt of
    /// its own, or in the revision that cut its unit off.
    async fn receipt_of(&self, position: Position, from: u64) -> Result<Option<ReceiptSummary>, NodeError> {
        let subject = own_subject(self.pipeline, RecordKind::Receipt);
        let entry =
            self.broker.next_on(self.stream, &subject, from).await.map_err(|error| sink_error(&error))?;
        let receipt = entry.and_then(|entry| {
            let receipt = serde_json::from_slice::<Receipt>(&entry.payload).ok()?;
            Some((entry.sequence, receipt))
        });
        let revision = revisions::next(self.broker, self.stream, self.pipeline, from).await?;
        let closed = revision.and_then(|placed| Some((placed.record, placed.revision.closes?)));
        let nearest = [receipt, closed].into_iter().flatten().min_by_key(|(record, _)| *record);
        let covers =
            |receipt: &Receipt| (receipt.unit_start..=receipt.last_sequence).contains(&position.sequence);
        Ok(nearest.filter(|(_, receipt)| covers(receipt)).map(|(at, receipt)| view::summary(at, receipt)))
    }
}

/// Finds the first of 1 to `last` for which something holds, or `last + 1`; once it holds, it goes on to.
struct Halving {
    low: u64,
    high: u64,
}

impl Halving {
    fn of(last: u64) -> Self {
        Self { low: 1, high: last + 1 }
    }

    /// Which one to look at next; none when the first is found, which is `low` then.
    fn middle(&self) -> Option<u64> {
        (self.low < self.high).then(|| self.low + (self.high - self.low) / 2)
    }

    fn narrow(&mut self, middle: u64, holds: bool) {
        if holds { self.high = middle } else { self.low = middle + 1 }
    }
}

fn traced(stream: &StreamName, sequence: u64, timestamp_ns: u64, record: Record) -> TracedRecord {
    let has_payload = matches!(record.kind, RecordKind::Message | RecordKind::Dead);
    TracedRecord {
        stream: stream.clone(),
        sequence,
        kind: record.kind.as_str().to_owned(),
        subject: record.subject,
        source_sequence: record.position.sequence,
        index: record.position.index,
        plan: record.plan,
        time: view::time_text(timestamp_ns),
        headers: record.headers.iter().map(Into::into).collect(),
        payload: has_payload.then(|| Payload::from_bytes(&record.payload)),
    }
}

fn revision(placed: &Placed, application: Option<&Application>) -> TracedRevision {
    let revision = &placed.revision;
    TracedRevision {
        number: revision.number,
        record: placed.record,
        from_sequence: revision.from_sequence,
        plan: revision.plan_digest,
        time: view::time_text(placed.timestamp_ns),
        applied: application.and_then(|application| application.applied_by(revision.generation)),
    }
}

fn no_entry(stream: &StreamName, sequence: u64) -> NodeError {
    let detail = format!("the stream '{stream}' has no entry {sequence}, and there is no trace of one");
    NodeError::new(Code::EntryNotFound, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_is_found_by_halving() {
        for last in 0..20_u64 {
            for first in 1..=last + 1 {
                let (mut halving, mut looks) = (Halving::of(last), 0);
                while let Some(middle) = halving.middle() {
                    halving.narrow(middle, middle >= first);
                    looks += 1;
                }
                assert_eq!(halving.low, first, "of {last}");
                assert!(looks <= 5, "{looks} looks at {last}");
            }
        }
    }
}
