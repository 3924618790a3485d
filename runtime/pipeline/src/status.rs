//! Where a pipeline stands on this node, for people and the API. Nothing here decides anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use model::{Digest, Revision};

use crate::ports::{Hint, StopReason};

/// What a pipeline does at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// It reads where its chain stands and loads its modules.
    #[default]
    Starting,
    /// It works, or waits for events.
    Running,
    /// Another node is quicker; this one watches the chain and takes over when it stands still.
    Standby,
    /// A person has paused it.
    Paused,
    /// Something outside is not there; it tries again by itself.
    Waiting {
        /// What.
        why: String,
    },
    /// It stopped until a person changes something.
    Stopped(StopReason),
}

/// A pipeline's status at one moment.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What it does.
    pub state: State,
    /// The revision in force.
    pub revision: Option<RevisionInForce>,
    /// The last record that is known to be stored.
    pub last_record: u64,
    /// The last source sequence that is worked through.
    pub through: u64,
    /// Events known beyond that.
    pub lag: u64,
    /// Why the plan that was applied is not in force, if it should be.
    pub swap_error: Option<StopReason>,
    /// The last application that this node has taken note of: no later event is read without it.
    pub known_generation: u64,
}

/// The revision in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionInForce {
    /// Its number.
    pub number: u64,
    /// The application that it carries out.
    pub generation: u64,
    /// The first source sequence that it governs.
    pub from_sequence: u64,
    /// Its plan.
    pub plan: Digest,
}

/// A status that one pipeline writes and anybody reads.
#[derive(Debug, Default)]
pub struct StatusCell {
    status: Mutex<Status>,
    /// Events that the source holds beyond what was read.
    pending: AtomicU64,
    /// Events that were read, and not yet reported as worked through.
    in_flight: AtomicU64,
    /// Where the chain and the source stand, while nothing is under way.
    settled: Mutex<Option<Hint>>,
}

impl StatusCell {
    /// A copy of the status.
    pub fn read(&self) -> Status {
        let lag = self.pending.load(Ordering::Relaxed) + self.in_flight.load(Ordering::Relaxed);
        Status { lag, ..self.lock().clone() }
    }

    /// A run begins: nothing is in flight.
    pub(crate) fn begin_run(&self, pending: u64) {
        self.pending.store(pending, Ordering::Relaxed);
        self.in_flight.store(0, Ordering::Relaxed);
        self.unsettle();
    }

    /// Where chain and source stand, if nothing is under way.
    pub(crate) fn settled(&self) -> Option<Hint> {
        *self.settled.lock().expect("no code panics while it holds this lock")
    }

    pub(crate) fn settle(&self, hint: Hint) {
        *self.settled.lock().expect("no code panics while it holds this lock") = Some(hint);
    }

    pub(crate) fn unsettle(&self) {
        *self.settled.lock().expect("no code panics while it holds this lock") = None;
    }

    /// A burst was read.
    pub(crate) fn was_read(&self, events: u64, pending: u64) {
        self.in_flight.fetch_add(events, Ordering::Relaxed);
        self.pending.store(pending, Ordering::Relaxed);
    }

    pub(crate) fn set_state(&self, state: State) {
        self.lock().state = state;
    }

    pub(crate) fn set_swap_error(&self, error: Option<StopReason>) {
        self.lock().swap_error = error;
    }

    pub(crate) fn set_known_generation(&self, generation: u64) {
        self.lock().known_generation = generation;
    }

    pub(crate) fn revised(&self, revision: &Revision) {
        self.lock().revision = Some(RevisionInForce {
            number: revision.number,
            generation: revision.generation,
            from_sequence: revision.from_sequence,
            plan: revision.plan_digest,
        });
    }

    pub(crate) fn appended(&self, record: u64, events: u64, through: Option<u64>) {
        // A run that was ended may report late, when the count begins anew.
        let less = |in_flight: u64| Some(in_flight.saturating_sub(events));
        let _ = self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let mut status = self.lock();
        status.last_record = record;
        status.through = through.unwrap_or(status.through);
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().expect("no code panics while it holds this lock")
    }
}
