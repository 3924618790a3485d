//! Attesting a range of a chain, exporting the events that it came from, and checking the one against the
//! other without a broker.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use broker::Broker;
use indicatif::ProgressBar;
use model::{Digest, PipelineName, StreamName, SubjectPattern};
use pipeline::verify::{
    Difference, ExecuteError, Scope, Segment, Verdict, Verified, VerifyProgress, execute, history_range,
};

use super::connection::Connection;
use super::verification;
use super::workbench::Workbench;
use crate::files::{FileSource, InputOptions, write_frame};
use crate::spec::{Attested, AttestedRevision};

/// Which events are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExportRange {
    /// The first sequence; the stream's first if there is none.
    pub(crate) from: Option<u64>,
    /// The last sequence; the stream's last if there is none.
    pub(crate) to: Option<u64>,
}

/// What came of checking an attestation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// The inputs come to what it says.
    Identical,
    /// They do not, and this is how.
    Differs(String),
}

/// Verifies a range of a chain, and gives what can be said of it; or the difference that was found.
///
/// # Errors
/// What keeps it from being verified.
pub(crate) async fn attest(
    bench: &Workbench,
    connection: &Connection,
    pipeline: &PipelineName,
    stream: &StreamName,
    (from, to): (Option<u64>, Option<u64>),
) -> anyhow::Result<Result<Attested, Box<Difference>>> {
    let world = verification::world(connection, bench.loader(), stream).await?;
    // The chain may grow meanwhile; what is looked up now is what is attested.
    let wanted = Scope::Events { from, to };
    let range = history_range(&world.archive, pipeline, &wanted).await?;
    let scope = Scope::Events { from: Some(range.from), to: Some(range.through) };
    let (progress, mut last) = (VerifyProgress::default(), None);
    let reached = |at: &Verified| last = at.link;
    let verdict = verification::run(&world, pipeline, &bench.workers, &scope, &progress, reached).await?;
    let identical = match verdict {
        Verdict::Identical(identical) => identical,
        Verdict::Differs(difference) => return Ok(Err(difference)),
    };
    let through = identical.range.map_or(range.through, |(_, last)| last);
    let modules: BTreeSet<Digest> =
        range.revisions.iter().flat_map(|revision| revision.plan.modules()).collect();
    let revision = |revision: model::Revision| AttestedRevision {
        number: revision.number,
        from_sequence: revision.from_sequence,
        plan_digest: revision.plan_digest,
        plan: revision.plan,
    };
    Ok(Ok(Attested {
        pipeline: pipeline.clone(),
        stream: stream.clone(),
        from: range.from,
        through,
        revisions: range.revisions.into_iter().map(revision).collect(),
        modules: modules.into_iter().collect(),
        engine: bench.library.engine().fingerprint().to_owned(),
        other_engines: identical.other_engines.into_iter().collect(),
        totals: identical.totals,
        receipts: identical.receipts,
        last_receipt: last,
    }))
}

/// Writes the events of a stream as frames, and gives how many there were.
///
/// # Errors
/// When the stream cannot be read, or the file cannot be written.
pub(crate) async fn export(
    broker: &Broker,
    stream: &StreamName,
    subjects: &[SubjectPattern],
    range: ExportRange,
    out: &mut dyn Write,
) -> anyhow::Result<u64> {
    let state = broker.stream_state(stream).await?;
    let state = state.ok_or_else(|| anyhow::anyhow!("there is no stream {stream}"))?;
    let from = range.from.unwrap_or(state.first_sequence);
    let to = range.to.unwrap_or(u64::MAX).min(state.last_sequence);
    let mut reader = broker.open_reader(stream, subjects, from).await?;
    let (mut events, mut frame) = (0, Vec::new());
    while reader.pending() > 0 {
        let burst = reader.next().await?;
        for event in burst {
            if event.sequence > to {
                return Ok(events);
            }
            frame.clear();
            write_frame(&mut frame, &event);
            out.write_all(&frame)?;
            events += 1;
        }
    }
    Ok(events)
}

/// Executes the inputs again, and compares what they come to with what is attested.
///
/// # Errors
/// What keeps them from being executed.
pub(crate) fn check(bench: &Workbench, attested: &Attested, input: InputOptions) -> anyhow::Result<Checked> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let segment = |revision: &AttestedRevision| Segment {
        from_sequence: revision.from_sequence,
        plan: revision.plan.clone(),
    };
    let segments: Vec<Segment> = attested.revisions.iter().map(segment).collect();
    let source = Arc::new(FileSource::new(input, ProgressBar::hidden()));
    let loader = Arc::new(bench.loader());
    let (pipeline, range) = (&attested.pipeline, (attested.from, attested.through));
    let executed = execute(source, loader, &bench.workers, pipeline, &segments, range);
    let found = runtime.block_on(Box::pin(executed));
    runtime.shutdown_background();
    let found = match found {
        Ok(found) => found,
        Err(ExecuteError::Differs(difference)) => return Ok(Checked::Differs(difference.to_string())),
        Err(ExecuteError::Port(error)) => return Err(error.into()),
    };
    let expected = attested.totals;
    let parts = [
        (
            "events",
            expected.events.to_string(),
            found.events.to_string(),
            "the input is not the attested one",
        ),
        (
            "inputs",
            expected.inputs.to_string(),
            found.inputs.to_string(),
            "the input is not the attested one",
        ),
        (
            "messages",
            expected.messages.to_string(),
            found.messages.to_string(),
            "another engine, or altered outputs",
        ),
        (
            "dead letters",
            expected.dead_letters.to_string(),
            found.dead_letters.to_string(),
            "another engine, or altered outputs",
        ),
        (
            "outputs",
            expected.outputs.to_string(),
            found.outputs.to_string(),
            "another engine, or altered outputs",
        ),
    ];
    let differing = parts.into_iter().find(|(_, expected, found, _)| expected != found);
    Ok(match differing {
        None => Checked::Identical,
        Some((what, expected, found, why)) => Checked::Differs(format!(
            "the {what} differ\n  attested {expected}\n  found    {found}\n  likely   {why}"
        )),
    })
}
