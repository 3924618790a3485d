//! Executes events again under plans that are written down elsewhere, without a chain to compare with: what
//! an attestation is checked by.

use std::sync::Arc;

use model::{PipelineName, Plan, Receipt, Totals};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::difference::Difference;
use super::feed::{Feed, FeedError, Item};
use super::history::{History, Placed};
use crate::ports::{Loader, PortError, Source};
use crate::service::Options;
use crate::unit::{ReceiptDraft, UnitError};
use crate::workers::{ChunkEnd, ChunkResult, Lane, Workers};

/// A plan, and from where on it governs.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The first source sequence.
    pub from_sequence: u64,
    /// The plan.
    pub plan: Plan,
}

/// Why events cannot be executed again.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// Something is not there that has to be.
    #[error("{0}")]
    Differs(Box<Difference>),
    /// Something keeps the work from going on.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Executes the events from `from` through `through` under `segments`, in their order, and gives what the
/// receipts of their units come to.
///
/// # Errors
/// See [`ExecuteError`].
pub async fn execute<S: Source, L: Loader>(
    source: Arc<S>,
    loader: Arc<L>,
    workers: &Workers,
    pipeline: &PipelineName,
    segments: &[Segment],
    (from, through): (u64, u64),
) -> Result<Totals, ExecuteError> {
    let history = Arc::new(history(pipeline, segments, from, through));
    let options = Options::for_workers(workers.count());
    let cancelled = CancellationToken::new();
    let _cancel = cancelled.clone().drop_guard();
    let lanes = (0..options.lanes).map(|_| workers.lane(cancelled.clone())).collect();
    let (items, taken) = mpsc::channel(options.chunks_in_flight);
    let feed = Feed::new((source, loader), history, lanes, items);
    let ((), summed) = tokio::join!(feed.run(), sum(taken));
    summed
}

fn history(pipeline: &PipelineName, segments: &[Segment], from: u64, through: u64) -> History {
    let placed = |(at, segment): (usize, &Segment)| {
        let plan_digest = segment.plan.digest();
        let number = at as u64 + 1;
        let revision = model::Revision {
            version: model::revision::REVISION_VERSION,
            pipeline: pipeline.clone(),
            number,
            generation: number,
            from_sequence: segment.from_sequence,
            plan_digest,
            plan: segment.plan.clone(),
            closes: None,
            previous: None,
        };
        Placed { record: number, revision, digest: plan_digest }
    };
    let revisions: Vec<Placed> = segments.iter().enumerate().map(placed).collect();
    let last_record = revisions.len() as u64;
    History {
        pipeline: pipeline.clone(),
        revisions,
        from,
        through,
        first_record: 1,
        last_record,
        link: None,
        is_whole: true,
        before: None,
    }
}

async fn sum(mut taken: mpsc::Receiver<Item>) -> Result<Totals, ExecuteError> {
    let mut totals = Totals::NONE;
    while let Some(item) = taken.recv().await {
        let (result, lane) = match item {
            Item::Chunk { result, lane, .. } => (result, lane),
            Item::Revision | Item::End => continue,
            Item::Failed(FeedError::Differs(difference)) => return Err(ExecuteError::Differs(difference)),
            Item::Failed(FeedError::Port(error)) => return Err(error.into()),
        };
        if let Some(draft) = draft(result, &lane).await? {
            totals.add(&receipt(draft));
        }
    }
    Ok(totals)
}

fn receipt(draft: ReceiptDraft) -> Receipt {
    draft.link(None)
}

async fn draft(
    result: oneshot::Receiver<ChunkResult>,
    lane: &Arc<Lane>,
) -> Result<Option<ReceiptDraft>, PortError> {
    let lost = |_| PortError::Unavailable("the workers have stopped".into());
    let mut result = result.await.map_err(lost)?;
    loop {
        match result.end {
            ChunkEnd::Split(rest) => result = lane.resume(rest).await.map_err(lost)?,
            ChunkEnd::Open => return Ok(None),
            ChunkEnd::Closed(draft) => return Ok(draft),
            ChunkEnd::Failed(UnitError::Host(fault)) => {
                return Err(PortError::Unavailable(fault.to_string()));
            }
            ChunkEnd::Failed(UnitError::Guest { sequence, step, fault }) => {
                let why = format!("step '{step}' stops the pipeline at event {sequence}: {fault}");
                return Err(crate::ports::StopReason::new("guest-fault", why).into());
            }
        }
    }
}
