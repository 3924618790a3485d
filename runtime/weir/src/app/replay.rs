//! Replaying a pipeline: its outputs again, or what another plan would have made of the same events, into a
//! stream beside the live one. It is the same pipeline with another sink, so it is exactly once, goes on
//! after a crash, and has receipts of its own.

use std::time::Duration;

use anyhow::{Context as _, bail};
use model::record::own_subject;
use model::{Digest, PipelineName, Plan, RecordKind, Revision, StreamName};
use pipeline::service::World;
use pipeline::{BatchEnd, Desired, Options, Pipeline, StatusCell};
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::workbench::Workbench;
use crate::adapters::{BoundedSource, NatsSource, Prefix, ReplaySink};

/// A place in a source stream: by its sequence, or by when the stream stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// By sequence.
    Sequence(u64),
    /// By time, in nanoseconds since 1970-01-01 UTC.
    Time(u64),
}

/// Which plan of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WhichPlan {
    /// The one in force.
    InForce,
    /// That of a revision, by its number.
    Revision(u64),
    /// One of the revisions' plans, by its digest.
    Digest(Digest),
    /// This one.
    Given(Box<Plan>),
}

/// What is replayed, and where to.
pub(crate) struct Replay {
    /// The plan.
    pub(crate) plan: Plan,
    /// The first source sequence.
    pub(crate) from: u64,
    /// The last source sequence.
    pub(crate) through: u64,
    /// The stream that takes the records.
    pub(crate) into: StreamName,
}

/// Finds the plan that is meant among the revisions of a chain.
///
/// # Errors
/// When there is no such revision.
pub(crate) async fn find_plan(
    connection: &Connection,
    pipeline: &PipelineName,
    stream: &StreamName,
    which: WhichPlan,
) -> anyhow::Result<Plan> {
    if let WhichPlan::Given(plan) = which {
        if plan.pipeline != *pipeline {
            bail!("the lock is of pipeline '{}', and '{pipeline}' was named", plan.pipeline);
        }
        return Ok(*plan);
    }
    let broker = &connection.broker;
    let subject = Prefix::of(stream, &[]).put_on(&own_subject(pipeline, RecordKind::Revision));
    if which == WhichPlan::InForce {
        let entry = broker.last_on(stream, &subject).await?;
        let entry = entry.with_context(|| format!("the stream {stream} has no revision of '{pipeline}'"))?;
        return Ok(serde_json::from_slice::<Revision>(&entry.payload)?.plan);
    }
    let mut from = 1;
    while let Some(entry) = broker.next_on(stream, &subject, from).await? {
        from = entry.sequence + 1;
        let revision: Revision = serde_json::from_slice(&entry.payload)
            .with_context(|| format!("record {} is not a revision", entry.sequence))?;
        let is_it = match &which {
            WhichPlan::Revision(number) => revision.number == *number,
            WhichPlan::Digest(digest) => revision.plan_digest == *digest,
            WhichPlan::InForce | WhichPlan::Given(_) => false,
        };
        if is_it {
            return Ok(revision.plan);
        }
    }
    bail!(
        "no revision of pipeline '{pipeline}' is it; the stream {stream} has the revisions, and a lock has any other plan"
    )
}

/// The range of a replay in source sequences: from the first that the source has to the last that it has now,
/// where nothing else is said.
///
/// # Errors
/// When the source is not there, or has nothing of the range.
pub(crate) async fn range(
    connection: &Connection,
    source: &StreamName,
    from: Option<Moment>,
    to: Option<Moment>,
) -> anyhow::Result<(u64, u64)> {
    let broker = &connection.broker;
    let state = broker.stream_state(source).await?;
    let state = state.with_context(|| format!("there is no stream {source} to read from"))?;
    let from = match from {
        None => state.first_sequence,
        Some(Moment::Sequence(sequence)) => sequence,
        Some(Moment::Time(time_ns)) => broker.sequence_at(source, time_ns).await?,
    };
    let through = match to {
        None => state.last_sequence,
        Some(Moment::Sequence(sequence)) => sequence.min(state.last_sequence),
        // The first event after the moment is not in the range.
        Some(Moment::Time(time_ns)) => broker.sequence_at(source, time_ns.saturating_add(1)).await? - 1,
    };
    if from < state.first_sequence {
        bail!(
            "the stream {source} no longer has sequence {from}; the first it has is {}",
            state.first_sequence
        );
    }
    if from > through {
        bail!("there is no event from {from} through {through} in the stream {source}");
    }
    Ok((from, through))
}

/// Replays, and gives the last record of the stream that took it.
///
/// # Errors
/// When the stream belongs to somebody else or to another replay, or what keeps the pipeline from going on.
pub(crate) async fn run(
    bench: &Workbench,
    connection: &Connection,
    replay: Replay,
    watch: impl Fn(&StatusCell, u64) + Send,
) -> anyhow::Result<u64> {
    let Replay { plan, from, through, into } = replay;
    let prefix = Prefix::of_replay(&into);
    let (broker, pattern) = (&connection.broker, prefix.pattern());
    broker.ensure_replay_stream(&plan.pipeline, &into, &pattern).await?;
    let mut sink = connection.sink(&plan);
    sink.stream = into.clone();
    let sink = ReplaySink { sink, prefix };
    check_chain(&sink, &plan, from, &into).await?;
    let done = CancellationToken::new();
    let source = BoundedSource { source: NatsSource(broker.clone()), through, done: done.clone() };
    let world = World { source, sink, loader: bench.loader() };
    let options = Options::for_workers(bench.workers.count());
    let name = plan.pipeline.clone();
    let meters = bench.meters(&name);
    let pipeline = Pipeline::new(name, world, bench.workers.clone(), options, meters);
    let status = pipeline.status();
    let desired = Desired { generation: 1, plan, at: None, start_sequence: from, paused: false, attempt: 0 };
    let mut work = std::pin::pin!(pipeline.run_to_end(desired, done));
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            ended = &mut work => match ended {
                Ok(BatchEnd::Done | BatchEnd::Stopped) => return Ok(status.read().last_record),
                Err(reason) => bail!("{reason} ({})", reason.code),
            },
            _ = ticks.tick() => watch(&status, through),
        }
    }
}

/// A stream that holds a chain already goes on only if it is the same replay's.
async fn check_chain(sink: &ReplaySink, plan: &Plan, from: u64, into: &StreamName) -> anyhow::Result<()> {
    let chain = pipeline::chain::read(sink, &plan.pipeline).await;
    let chain = chain.with_context(|| format!("the stream {into} cannot take the replay"))?;
    let Some(chain) = chain else { return Ok(()) };
    let revision = &chain.revision;
    if revision.plan_digest != plan.digest() || revision.from_sequence != from {
        bail!(
            "the stream {into} holds a replay of plan {} from sequence {}: name another stream",
            revision.plan_digest,
            revision.from_sequence
        );
    }
    Ok(())
}
