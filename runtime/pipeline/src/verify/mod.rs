//! Verifying a chain: reads it from one end to the other, executes its events again under the plans that its
//! own revisions name, and compares every record and every receipt with what comes of that.
//!
//! ```text
//! source ──► feed (cutter) ──► lanes on workers ──► compare ◄── records of the chain
//! ```
//!
//! Units are cut and executed by the same code as when the chain was made. Nothing is written. What differs
//! first is given with its place, both versions of it, and the likely cause; what only keeps the work from
//! going on (a broker that is away) is an error.

mod compare;
mod cursor;
mod difference;
mod execute;
mod feed;
mod history;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{PipelineName, ReceiptLink, Totals};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ports::{Loader, PortError, Source, Stored};
use crate::service::Options;
use crate::workers::Workers;

pub use difference::{Cause, Difference};
pub use execute::{ExecuteError, Segment, execute};
pub use history::{HistoryRange, history_range};

use compare::Comparing;
use cursor::Cursor;
use feed::Feed;
use history::History;

/// A chain that can be read in bulk.
pub trait Archive: Send + Sync + 'static {
    /// One pass over the records.
    type Reader: RecordReader;

    /// The last sequence that the stream has given out, 0 if none.
    fn last_sequence(&self) -> impl Future<Output = Result<u64, PortError>> + Send;

    /// The entry at `sequence`.
    fn get(&self, sequence: u64) -> impl Future<Output = Result<Option<Stored>, PortError>> + Send;

    /// The first entry under `subject` from `sequence` on.
    fn next_on(
        &self,
        subject: &str,
        sequence: u64,
    ) -> impl Future<Output = Result<Option<Stored>, PortError>> + Send;

    /// Opens a pass over all entries from `sequence` on.
    fn open(&self, sequence: u64) -> impl Future<Output = Result<Self::Reader, PortError>> + Send;
}

/// One pass over the records of a chain.
pub trait RecordReader: Send + 'static {
    /// The next entries, at least one, in order. Waits for them. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Stored>, PortError>> + Send;
}

/// What of a chain is verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    #[default]
    All,
    /// The units in which these source sequences lie.
    Events {
        /// The first; the chain's first where there is none.
        from: Option<u64>,
        /// The last; the chain's last where there is none.
        to: Option<u64>,
    },
    /// What is left after an earlier verification had come this far.
    After {
        /// How far.
        progress: Verified,
        /// The last source sequence; the chain's last where there is none.
        to: Option<u64>,
    },
}

/// How far a verification has come: to the end of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// The last source sequence that is verified.
    pub through: u64,
    /// The record at its end: a receipt, or a revision that holds one.
    pub record: u64,
    /// The receipt to which the next one has to link.
    pub link: Option<ReceiptLink>,
    /// All receipts so far.
    pub totals: Totals,
}

/// A verification that found nothing to differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identical {
    /// What was verified: receipts, and the unit at the end that has none yet.
    pub totals: Totals,
    /// How many of the receipts are in the chain; one less where the last unit is open.
    pub receipts: u64,
    /// How many records were compared.
    pub records: u64,
    /// The first and the last source sequence; none if there was nothing.
    pub range: Option<(u64, u64)>,
    /// Engines other than this one that stand in receipts.
    pub other_engines: BTreeSet<String>,
}

/// What came of a verification.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Everything is what it has to be.
    Identical(Identical),
    /// Something is not, and this is the first.
    Differs(Box<Difference>),
}

/// How far a verification is, for people to watch.
#[derive(Debug, Default)]
pub struct VerifyProgress {
    records: AtomicU64,
    records_total: AtomicU64,
    events: AtomicU64,
    receipts: AtomicU64,
}

impl VerifyProgress {
    /// Records that were compared, and how many there are.
    pub fn records(&self) -> (u64, u64) {
        (self.records.load(Ordering::Relaxed), self.records_total.load(Ordering::Relaxed))
    }

    /// Events that were executed.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Receipts that were found right.
    pub fn receipts(&self) -> u64 {
        self.receipts.load(Ordering::Relaxed)
    }
}

/// The world of a verification.
pub struct VerifyWorld<S, A, L> {
    /// Where the events are read again.
    pub source: Arc<S>,
    /// The chain.
    pub archive: A,
    /// Where modules come from.
    pub loader: Arc<L>,
}

/// Verifies the chain of `pipeline`. `reached` is told at the end of each unit how far it has come.
///
/// # Errors
/// What keeps it from being verified at the moment, or at all: a broker that is away, a stream that holds no
/// chain.
pub async fn verify<S: Source, A: Archive, L: Loader>(
    world: &VerifyWorld<S, A, L>,
    pipeline: &PipelineName,
    workers: &Workers,
    scope: &Scope,
    progress: &VerifyProgress,
    reached: impl FnMut(&Verified) + Send,
) -> Result<Verdict, PortError> {
    let history = match History::read(&world.archive, pipeline, scope).await? {
        Ok(history) => Arc::new(history),
        Err(difference) => return Ok(Verdict::Differs(difference)),
    };
    progress.records_total.store(history.last_record + 1 - history.first_record, Ordering::Relaxed);
    let options = Options::for_workers(workers.count());
    let cancelled = CancellationToken::new();
    let _cancel = cancelled.clone().drop_guard();
    let lanes = (0..options.lanes).map(|_| workers.lane(cancelled.clone())).collect();
    let (items, taken) = mpsc::channel(options.chunks_in_flight);
    let (source, loader) = (world.source.clone(), world.loader.clone());
    let feed = Feed::new((source, loader), history.clone(), lanes, items);
    let cursor = Cursor::open(&world.archive, pipeline, &history).await?;
    // A task of its own, so that the source is read while records are compared. It ends with this function.
    let mut feeding = JoinSet::new();
    feeding.spawn(feed.run());
    Comparing::new(&world.archive, &history, world.loader.engine(), cursor, progress, reached)
        .run(taken)
        .await
}

/// Where the shared parts are.
type Lanes = Vec<Arc<crate::workers::Lane>>;
