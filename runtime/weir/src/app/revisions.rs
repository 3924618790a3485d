//! The revisions of a chain: read from the output stream, which alone knows them, with who applied them from
//! the shared state.

use api::dto::RevisionDescription;
use api::{NodeError, Revisions};
use broker::{Broker, StoredMessage};
use model::record::own_subject;
use model::{PipelineName, Plan, RecordKind, Revision, StreamName};

use super::catalog::Application;
use super::errors::sink_error;
use super::swap::changes;
use super::view::time_text;

/// A revision where it lies.
pub(crate) struct Placed {
    /// The sequence of its record.
    pub(crate) record: u64,
    /// When the server stored it, in nanoseconds since 1970-01-01 UTC.
    pub(crate) timestamp_ns: u64,
    /// The revision.
    pub(crate) revision: Revision,
}

/// Up to `limit` revisions whose record comes after `after`, oldest first.
///
/// # Errors
/// When the stream cannot be read.
pub(crate) async fn list(
    broker: &Broker,
    application: &Application,
    after: u64,
    limit: u32,
) -> Result<Revisions, NodeError> {
    let plan = &application.plan;
    let mut before = if after == 0 {
        None
    } else {
        at_or_before(broker, &plan.sink.stream, &plan.pipeline, after).await?
    };
    let (mut revisions, mut from) = (Vec::new(), after + 1);
    while let Some(placed) = next(broker, &plan.sink.stream, &plan.pipeline, from).await? {
        if revisions.len() >= limit as usize {
            return Ok(Revisions { revisions, next: Some(from - 1) });
        }
        from = placed.record + 1;
        revisions.push(described(application, before.as_ref(), &placed));
        before = Some(placed);
    }
    Ok(Revisions { revisions, next: None })
}

fn described(application: &Application, before: Option<&Placed>, placed: &Placed) -> RevisionDescription {
    let revision = &placed.revision;
    RevisionDescription {
        number: revision.number,
        generation: revision.generation,
        from_sequence: revision.from_sequence,
        record: placed.record,
        plan: revision.plan_digest,
        time: time_text(placed.timestamp_ns),
        applied: application.applied_by(revision.generation),
        changes: before.map_or_else(Vec::new, |before| changes(&before.revision.plan, &revision.plan)),
    }
}

/// The revision with this number.
///
/// # Errors
/// When the stream cannot be read.
pub(crate) async fn numbered(
    broker: &Broker,
    plan: &Plan,
    number: u64,
) -> Result<Option<Revision>, NodeError> {
    let mut from = 1;
    while let Some(placed) = next(broker, &plan.sink.stream, &plan.pipeline, from).await? {
        if placed.revision.number == number {
            return Ok(Some(placed.revision));
        }
        from = placed.record + 1;
    }
    Ok(None)
}

/// The last revision before `in_force` that has another plan.
///
/// # Errors
/// When the stream cannot be read.
pub(crate) async fn last_other(broker: &Broker, in_force: &Revision) -> Result<Option<Revision>, NodeError> {
    let (plan, mut found, mut from) = (&in_force.plan, None, 1);
    while let Some(placed) = next(broker, &plan.sink.stream, &plan.pipeline, from).await? {
        from = placed.record + 1;
        if placed.revision.number >= in_force.number {
            break;
        }
        if placed.revision.plan_digest != in_force.plan_digest {
            found = Some(placed.revision);
        }
    }
    Ok(found)
}

/// The revision in force at a record: the last one whose record is not after it.
///
/// Which record that is, is found by halving: each step asks for the next revision from a place on.
///
/// # Errors
/// When the stream cannot be read.
pub(crate) async fn at_or_before(
    broker: &Broker,
    stream: &StreamName,
    pipeline: &PipelineName,
    record: u64,
) -> Result<Option<Placed>, NodeError> {
    let (mut found, mut low, mut high) = (None, 1, record);
    while low <= high {
        let middle = low + (high - low) / 2;
        match next(broker, stream, pipeline, middle).await?.filter(|placed| placed.record <= record) {
            Some(placed) => {
                low = placed.record + 1;
                found = Some(placed);
            }
            None => high = middle - 1,
        }
    }
    Ok(found)
}

/// The first revision whose record is `from` or comes after it.
///
/// # Errors
/// When the stream cannot be read.
pub(crate) async fn next(
    broker: &Broker,
    stream: &StreamName,
    pipeline: &PipelineName,
    from: u64,
) -> Result<Option<Placed>, NodeError> {
    let subject = own_subject(pipeline, RecordKind::Revision);
    let mut from = from;
    loop {
        let entry = broker.next_on(stream, &subject, from).await;
        let Some(entry) = entry.map_err(|error| sink_error(&error))? else { return Ok(None) };
        from = entry.sequence + 1;
        if let Some(placed) = parse(&entry) {
            return Ok(Some(placed));
        }
    }
}

/// What cannot be read as a revision is passed over: the pipeline itself stops at it.
fn parse(entry: &StoredMessage) -> Option<Placed> {
    let revision = serde_json::from_slice(&entry.payload).ok()?;
    Some(Placed { record: entry.sequence, timestamp_ns: entry.timestamp_ns, revision })
}
