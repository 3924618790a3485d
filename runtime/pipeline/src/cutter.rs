//! Cuts the events of a source into chunks of units. Pure, and a function of the events' sequences alone:
//! how they arrive in bursts changes the chunks, never the units.
//!
//! A unit ends with the event at its block's last sequence, if that event matches; else before the first
//! matching event of a later block, or with the source; or where a revision cuts it off.

use std::sync::Arc;

use model::Event;

use crate::unit::LoadedPlan;

/// The most events in one chunk.
const CHUNK_EVENTS_MAX: usize = 256;
/// A chunk that has reached this many bytes of payload is handed on.
const CHUNK_BYTES_MAX: usize = 512 << 10;

/// Which unit a chunk belongs to.
#[derive(Clone)]
pub struct UnitKey {
    /// Counts the units of one run, from 0.
    pub ordinal: u64,
    /// The sequence from which its instances are fresh.
    pub start: u64,
    /// What runs in it.
    pub plan: Arc<LoadedPlan>,
}

/// What follows a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// More of the same unit.
    Not,
    /// The unit is at its end: a receipt.
    WithReceipt,
    /// The unit is cut off: its receipt goes into the revision that follows.
    WithRevision,
}

/// Some consecutive events of one unit.
pub struct Chunk {
    /// The unit.
    pub unit: UnitKey,
    /// The events; none in a chunk that only closes its unit.
    pub events: Vec<Event>,
    /// What follows.
    pub close: Close,
}

struct OpenUnit {
    key: UnitKey,
    end: u64,
}

/// Cuts events into chunks; see the head of this file.
pub struct Cutter {
    plan: Arc<LoadedPlan>,
    floor: u64,
    next_ordinal: u64,
    read_through: u64,
    open: Option<OpenUnit>,
    first_end: Option<u64>,
}

impl Cutter {
    /// A cutter for events from the sequence `from` on, under a plan that is in force since the sequence
    /// `floor`. Where the first unit has its receipt already, it ends at `first_end`: that a later block has
    /// an event is then known, and need not be seen again.
    pub fn new(plan: Arc<LoadedPlan>, floor: u64, from: u64, first_end: Option<u64>) -> Self {
        Self { plan, floor, next_ordinal: 0, read_through: from - 1, open: None, first_end }
    }

    /// The last sequence that was read, or the one before the start.
    pub fn read_through(&self) -> u64 {
        self.read_through
    }

    /// Takes the next burst of events, in order.
    pub fn push(&mut self, events: Vec<Event>, chunks: &mut Vec<Chunk>) {
        let mut gathered = Vec::new();
        let mut bytes = 0;
        for event in events {
            let sequence = event.sequence;
            if self.open.as_ref().is_some_and(|open| sequence > open.end) {
                self.emit(&mut gathered, Close::WithReceipt, chunks);
                bytes = 0;
            }
            let end = self.open_for(sequence);
            self.read_through = sequence;
            bytes += event.payload.len();
            gathered.push(event);
            if sequence == end {
                self.emit(&mut gathered, Close::WithReceipt, chunks);
                bytes = 0;
            } else if gathered.len() >= CHUNK_EVENTS_MAX || bytes >= CHUNK_BYTES_MAX {
                self.emit(&mut gathered, Close::Not, chunks);
                bytes = 0;
            }
        }
        if !gathered.is_empty() {
            self.emit(&mut gathered, Close::Not, chunks);
        }
    }

    /// Puts `plan` in force from the next event on, or from the sequence `at` on, which no event that was
    /// read has reached. Gives the first sequence that it governs, and the chunk that closes the unit which
    /// is cut off, if one is open.
    pub fn cut(&mut self, plan: Arc<LoadedPlan>, at: Option<u64>) -> (u64, Option<Chunk>) {
        let mut chunks = Vec::new();
        if self.open.is_some() {
            self.emit(&mut Vec::new(), Close::WithRevision, &mut chunks);
        }
        self.plan = plan;
        self.floor = at.unwrap_or(self.read_through + 1);
        (self.floor, chunks.pop())
    }

    /// Closes the unit that is open, if one is: no more events will come.
    pub fn finish(&mut self) -> Option<Chunk> {
        let mut chunks = Vec::new();
        if self.open.is_some() {
            self.emit(&mut Vec::new(), Close::WithReceipt, &mut chunks);
        }
        chunks.pop()
    }

    /// Makes sure that a unit is open for `sequence`, and gives its last sequence.
    fn open_for(&mut self, sequence: u64) -> u64 {
        let open = self.open.get_or_insert_with(|| {
            let plan = &self.plan.plan;
            let start = plan.block_start(sequence).max(self.floor);
            let key = UnitKey { ordinal: self.next_ordinal, start, plan: self.plan.clone() };
            self.next_ordinal += 1;
            OpenUnit { key, end: self.first_end.take().unwrap_or(plan.block_end(sequence)) }
        });
        open.end
    }

    fn emit(&mut self, gathered: &mut Vec<Event>, close: Close, chunks: &mut Vec<Chunk>) {
        let open = self.open.as_ref().expect("a unit is open while events are gathered or it is closed");
        chunks.push(Chunk { unit: open.key.clone(), events: std::mem::take(gathered), close });
        if close != Close::Not {
            self.open = None;
        }
    }
}
