//! `weir trace`: from an output to the event that it was made of, and from an event to what became of it.

use api::dto::{
    EventFate, EventOutcome, Header, OutputTrace, Payload, ReceiptSummary, SourceTrace, TracedEvent,
    TracedRecord, TracedRevision, TracedStep,
};
use clap::Args;
use model::StreamName;

use super::output::{self, Output};
use super::{Remote, Session};

/// The most characters of a payload that are shown.
const PAYLOAD_CHARS_MAX: usize = 400;

/// The arguments of `weir trace`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  weir trace CLEAN 4711               the output, its receipt, plan and modules, and its event
  weir trace --source FLIGHTS 4700    what became of this event, in each pipeline that reads it")]
pub(crate) struct TraceArgs {
    /// An output stream; with --source, a source stream
    #[arg(value_name = "STREAM")]
    stream: StreamName,
    /// The sequence in it
    #[arg(value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    sequence: u64,
    /// Begin at an event, and show what became of it
    #[arg(long)]
    source: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// A thing on the way, and what is known of it.
type Part = (&'static str, Vec<(&'static str, String)>);

/// Traces an output or an event.
pub(crate) fn run(session: &Session, args: &TraceArgs) -> anyhow::Result<()> {
    let side = if args.source { "source" } else { "output" };
    let path = format!("/v1/trace/{side}?stream={}&sequence={}", args.stream, args.sequence);
    let answer = session.client.get(&path)?;
    if session.output == Output::Json {
        return output::data(answer.text.trim_end());
    }
    let (names, parts) = if args.source { of_source(&answer.read()?) } else { of_output(&answer.read()?) };
    if session.output == Output::Name {
        return output::lines(&names);
    }
    let texts: Vec<String> = parts.iter().map(text).collect();
    output::data(&texts.join("\n\n"))
}

/// The event's name, and the parts from output to event.
fn of_output(trace: &OutputTrace) -> (Vec<String>, Vec<Part>) {
    let mut parts = vec![record(&trace.record), receipt(trace.receipt.as_ref())];
    parts.push(revision(&trace.revision));
    parts.extend(trace.steps.iter().map(step));
    let is_revision = trace.record.kind == "revision";
    match &trace.event {
        Some(found) => parts.push(event(found)),
        None if is_revision => {}
        None => parts.push((
            "event",
            vec![(
                "gone",
                format!("the source does not have sequence {} any more", trace.record.source_sequence),
            )],
        )),
    }
    if is_revision {
        parts.remove(1);
    }
    let names = trace.event.iter().map(|event| format!("{} {}", event.stream, event.sequence));
    (names.collect(), parts)
}

/// The records' names, and the parts from event to outputs.
fn of_source(trace: &SourceTrace) -> (Vec<String>, Vec<Part>) {
    let mut parts: Vec<Part> = trace.event.iter().map(event).collect();
    let mut names = Vec::new();
    for fate in &trace.pipelines {
        parts.push(("pipeline", vec![("name", fate.pipeline.to_string()), ("outcome", outcome(fate))]));
        parts.extend(fate.revision.iter().map(revision));
        parts.extend(fate.records.iter().map(record));
        if fate.revision.is_some() {
            parts.push(receipt(fate.receipt.as_ref()));
        }
        names.extend(fate.records.iter().map(|record| format!("{} {}", record.stream, record.sequence)));
    }
    (names, parts)
}

fn outcome(fate: &EventFate) -> String {
    let count = fate.records.len();
    match fate.outcome {
        EventOutcome::Messages if count == 1 => format!("a message in {}", fate.sink),
        EventOutcome::Messages => format!("{count} messages in {}", fate.sink),
        EventOutcome::Dead => format!("a dead letter in {}", fate.sink),
        EventOutcome::Nothing => "worked through; its steps gave nothing".to_owned(),
        EventOutcome::NotSelected => "not read: the pipeline selects other subjects".to_owned(),
        EventOutcome::BeforeStart => "not read: the pipeline begins behind it".to_owned(),
        EventOutcome::Pending => "not worked through yet, as far as the output stream shows".to_owned(),
        EventOutcome::Unknown => "no record of it, and the source does not have it".to_owned(),
    }
}

fn record(record: &TracedRecord) -> Part {
    let mut rows = vec![
        ("record", format!("{} {}", record.stream, record.sequence)),
        ("kind", record.kind.clone()),
        ("subject", record.subject.clone()),
        ("made of", format!("event {}, index {}", record.source_sequence, record.index)),
        ("stored", record.time.clone()),
    ];
    rows.extend(headers(&record.headers));
    rows.extend(record.payload.as_ref().map(payload));
    ("output", rows)
}

fn receipt(receipt: Option<&ReceiptSummary>) -> Part {
    let Some(receipt) = receipt else {
        return ("receipt", vec![("none yet", "the block is not over".to_owned())]);
    };
    let (first, last, events) = (receipt.first_sequence, receipt.last_sequence, receipt.events);
    (
        "receipt",
        vec![
            ("digest", receipt.digest.to_string()),
            ("record", receipt.record.to_string()),
            ("read", format!("{events} events, {first} to {last}, {}", receipt.inputs)),
            (
                "wrote",
                format!(
                    "{} messages, {} dead letters, {}",
                    receipt.messages, receipt.dead_letters, receipt.outputs
                ),
            ),
            ("engine", receipt.engine.clone()),
        ],
    )
}

fn revision(revision: &TracedRevision) -> Part {
    let mut rows = vec![
        ("digest", revision.plan.to_string()),
        (
            "revision",
            format!(
                "{}, from event {} on, record {}",
                revision.number, revision.from_sequence, revision.record
            ),
        ),
        ("in force", revision.time.clone()),
    ];
    if let Some(applied) = &revision.applied {
        rows.push(("applied", format!("by {} ({}), {}", applied.by, applied.how.as_str(), applied.time)));
    }
    ("plan", rows)
}

fn step(step: &TracedStep) -> Part {
    let mut rows = vec![("name", step.name.clone()), ("digest", step.module.to_string())];
    if let (Some(kind), Some(size)) = (step.kind, step.size_bytes) {
        rows.push(("kind", format!("{}, {}", super::modules::kind(kind), output::bytes(size))));
    }
    if !step.tags.is_empty() {
        rows.push(("tags", output::list(&step.tags)));
    }
    ("module", rows)
}

fn event(event: &TracedEvent) -> Part {
    let mut rows = vec![
        ("entry", format!("{} {}", event.stream, event.sequence)),
        ("subject", event.subject.clone()),
        ("stored", event.time.clone()),
    ];
    rows.extend(headers(&event.headers));
    rows.push(payload(&event.payload));
    ("event", rows)
}

fn headers(headers: &[Header]) -> Option<(&'static str, String)> {
    let pairs = headers.iter().map(|Header { name, value }| format!("{name}: {value}"));
    (!headers.is_empty()).then(|| ("headers", output::list(pairs)))
}

fn payload(payload: &Payload) -> (&'static str, String) {
    let bytes = payload.clone().into_bytes();
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) if text.chars().count() <= PAYLOAD_CHARS_MAX => text.to_owned(),
        Ok(text) => {
            let start: String = text.chars().take(PAYLOAD_CHARS_MAX).collect();
            format!("{start}… ({}; all of it with -o json)", output::bytes(bytes.len() as u64))
        }
        Err(_) => format!("{} that are not text; see -o json", output::bytes(bytes.len() as u64)),
    };
    ("payload", text)
}

/// A part with its title, and what is known of it indented below.
fn text((title, rows): &Part) -> String {
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let line = |(key, value): &(&str, String)| {
        let value = output::clean(value).replace('\n', &format!("\n{}", " ".repeat(width + 4)));
        format!("  {key:width$}  {value}")
    };
    let lines: Vec<String> = rows.iter().map(line).collect();
    format!("{title}\n{}", lines.join("\n"))
}
