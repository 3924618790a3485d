//! `weir try --from-dead-letter`: the event of a dead letter, fetched from a node and run again here, by the
//! plan that was in force, in this process' own sandbox. What the modules log is shown; nothing is written.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use api::dto::{Header, OutputTrace, Payload, PipelineStatus, TracedEvent, TracedRecord, TryMessage};
use model::record::{
    DEAD_FAULT_HEADER, DEAD_OMITTED_HEADER, DEAD_REASON_HEADER, DEAD_STEP_HEADER, DEAD_SUBJECT_HEADER,
};
use model::{Event, Headers, PipelineName, Record, RecordKind};
use pipeline::ports::Loader as _;
use pipeline::unit::{LoadedPlan, Unit, UnitError};

use super::exit::{Ended, Exit};
use super::{Session, output, trial};
use crate::app::workbench::Workbench;
use crate::config::LocalConfig;
use crate::logging;
use crate::spec::humane::Moment;

/// A dead letter, as somebody named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetterArg {
    pipeline: PipelineName,
    /// Its sequence in the output stream; none for the last one.
    record: Option<u64>,
}

impl FromStr for DeadLetterArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, record) = match text.split_once('@') {
            Some((name, record)) => (name, Some(record)),
            None => (text, None),
        };
        let record = record.map(|record| match record.parse() {
            Ok(record) if record > 0 => Ok(record),
            _ => Err(format!("'{record}' is no sequence; `weir dead {name}` lists those there are")),
        });
        let pipeline = name.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { pipeline, record: record.transpose()? })
    }
}

/// Runs the event again, and says whether the same comes of it.
pub(crate) fn run(session: &Session, letter: &DeadLetterArg, config: &LocalConfig) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    let trace = trace(session, letter)?;
    let event = event(&trace)?;
    let bench = Workbench::new(config)?;
    for digest in trace.plan.modules() {
        if !bench.has(digest) {
            bench.keep(&session.module_bytes(digest)?)?;
        }
    }
    let engine = bench.library.engine().fingerprint();
    output::talk(&format!("event {} of {}, {engine}", event.sequence, trace.plan.source.stream));
    if let Some(receipt) = trace.receipt.as_ref().filter(|receipt| receipt.engine != engine) {
        output::talk(&format!("the dead letter was made by {}", receipt.engine));
    }
    let record = trace.record.clone();
    let records = execute(&bench, trace, &event)?;
    show(&record, &records)
}

fn trace(session: &Session, letter: &DeadLetterArg) -> anyhow::Result<OutputTrace> {
    let DeadLetterArg { pipeline, record } = letter;
    let status: PipelineStatus = session.client.get(&format!("/v1/pipelines/{pipeline}/status"))?.read()?;
    let last = || status.last_dead_letter.as_ref().map(|dead| dead.record);
    let record = record.or_else(last).ok_or_else(|| {
        Ended::new(Exit::Failed, format!("pipeline {pipeline} has no dead letters in {}", status.sink))
    })?;
    let path = format!("/v1/trace/output?stream={}&sequence={record}", status.sink);
    let trace: OutputTrace = session.client.get(&path)?.read()?;
    if trace.record.kind != RecordKind::Dead.as_str() {
        let message = format!(
            "record {record} of {} is no dead letter but a {}; `weir dead {pipeline}` lists those there are",
            status.sink, trace.record.kind
        );
        return Err(Ended::new(Exit::Failed, message).into());
    }
    Ok(trace)
}

/// The event as the source has it, or else as the dead letter kept it.
fn event(trace: &OutputTrace) -> anyhow::Result<Event> {
    let sequence = trace.record.source_sequence;
    if let Some(TracedEvent { subject, time, headers, payload, .. }) = &trace.event {
        let time =
            Moment::try_from(time.clone()).map_err(|why| anyhow::anyhow!("the event's time: {why}"))?;
        let (payload, timestamp_ns) = (payload.clone(), time.unix_ns());
        return Ok(made(subject.clone(), payload, headers.iter(), sequence, timestamp_ns));
    }
    let record = &trace.record;
    if header(record, DEAD_OMITTED_HEADER).is_some() {
        let message = format!(
            "the source does not have event {sequence} any more, and its dead letter had no room for the payload"
        );
        return Err(Ended::new(Exit::Failed, message).into());
    }
    output::talk("the source does not have the event any more: this is the dead letter's copy, at time 0");
    let subject = header(record, DEAD_SUBJECT_HEADER).unwrap_or_default().to_owned();
    let payload = record.payload.clone().unwrap_or_default();
    Ok(made(subject, payload, record.headers.iter(), sequence, 0))
}

fn made<'a>(
    subject: String,
    payload: Payload,
    headers: impl Iterator<Item = &'a Header>,
    sequence: u64,
    timestamp_ns: u64,
) -> Event {
    let headers = headers.map(|header| (header.name.clone(), header.value.clone()));
    let headers = Headers::canonical(headers).without_reserved();
    Event { subject, payload: payload.into_bytes().into(), headers, sequence, timestamp_ns }
}

/// The records that the plan makes of the event, by the same code as in a pipeline, with fresh instances.
fn execute(bench: &Workbench, trace: OutputTrace, event: &Event) -> anyhow::Result<Vec<Record>> {
    let mut plan = trace.plan;
    // A pipeline that stops at a fault has no dead letter to show.
    plan.on_guest_fault = model::OnGuestFault::DeadLetter;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let loader = bench.loader();
    let steps = runtime.block_on(loader.load(&plan)).context("load the modules")?;
    let mut unit =
        Unit::new(Arc::new(LoadedPlan::new(plan, steps, loader.engine().to_owned())), event.sequence);
    let mut records = Vec::new();
    unit.process(event, &mut records).map_err(|error| match error {
        UnitError::Host(fault) => anyhow::Error::from(fault),
        UnitError::Guest { fault, .. } => fault.into(),
    })?;
    Ok(records)
}

fn show(dead: &TracedRecord, records: &[Record]) -> anyhow::Result<()> {
    let part = |name| header(dead, name).unwrap_or_default();
    let then = [DEAD_STEP_HEADER, DEAD_FAULT_HEADER, DEAD_REASON_HEADER].map(part);
    let [step, code, reason] = then;
    let in_stream = format!("the dead letter says: step {step}, {code}: {reason}");
    if let [record] = records
        && record.kind == RecordKind::Dead
    {
        let part = |name| record.headers.get(name).unwrap_or_default();
        let now = [DEAD_STEP_HEADER, DEAD_FAULT_HEADER, DEAD_REASON_HEADER].map(part);
        output::talk(if now == then { "the same as in the stream:" } else { &in_stream });
        let [step, code, reason] = now;
        let message = format!("step {step}: {code}: {reason}");
        return Err(Ended::new(Exit::Failed, output::clean(&message)).into());
    }
    for record in records {
        let message = TryMessage {
            subject: Some(record.subject.clone()),
            payload: Payload::from_bytes(&record.payload),
            headers: record.headers.iter().map(Into::into).collect(),
        };
        output::data(&output::clean(&trial::text(&message)))?;
    }
    output::talk(&format!("{} messages; {in_stream}", records.len()));
    output::talk("a module that keeps something from event to event gives something else when it is fresh");
    Ok(())
}

fn header<'a>(record: &'a TracedRecord, name: &str) -> Option<&'a str> {
    record.headers.iter().find(|header| header.name == name).map(|header| &*header.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_named_by_pipeline_and_record() {
        let parse = |text: &str| text.parse::<DeadLetterArg>();
        let pipeline: PipelineName = "p".parse().expect("a name");
        assert_eq!(parse("p"), Ok(DeadLetterArg { pipeline: pipeline.clone(), record: None }));
        assert_eq!(parse("p@7"), Ok(DeadLetterArg { pipeline, record: Some(7) }));
        for bad in ["", "P", "p@", "p@0", "p@x", "@7"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
