//! An input as the source of a pipeline.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use indicatif::ProgressBar;
use model::{Event, SourcePlan};
use pipeline::ports::{EventReader, OpenError, PortError, Source, StopReason};
use tokio::task::JoinHandle;

use super::frames::Frames;
use super::input::{InputError, Selection, Splitter};
use super::lines::Lines;
use super::subject::EventSubject;
use super::table::Table;
use super::{InputFormat, Place};

/// What an input is, and how it becomes events.
#[derive(Clone, Debug)]
pub(crate) struct InputOptions {
    /// Where it is.
    pub(crate) place: Place,
    /// How events lie in it.
    pub(crate) format: InputFormat,
    /// The subjects of events that come without one.
    pub(crate) subject: EventSubject,
    /// The time of events that come without one, in nanoseconds since 1970-01-01 UTC.
    pub(crate) timestamp_ns: u64,
}

/// An input; see the head of [`files`](super).
pub(crate) struct FileSource {
    options: Arc<InputOptions>,
    /// Told how many bytes are read.
    progress: ProgressBar,
    /// Standard input, which can be read once.
    standard: Arc<Mutex<Option<std::io::Stdin>>>,
    read_through: Arc<AtomicU64>,
}

/// One pass over an input. It is opened when it is first read, so that a pass that is never read costs
/// nothing of an input that can be read once.
pub(crate) struct FileReader {
    state: State,
    standard: Arc<Mutex<Option<std::io::Stdin>>>,
    options: Arc<InputOptions>,
    progress: ProgressBar,
    read_through: Arc<AtomicU64>,
}

enum State {
    Unopened(Selection),
    /// The next burst is on its way, on a thread that may block.
    Reading(JoinHandle<Pass>),
    Ended,
}

/// A burst, and what it was read with.
type Pass = (Box<dyn Splitter>, Result<Vec<Event>, InputError>);

impl FileSource {
    /// An input that is yet to be opened.
    pub(crate) fn new(options: InputOptions, progress: ProgressBar) -> Self {
        let standard = Arc::new(Mutex::new(Some(std::io::stdin())));
        Self { options: Arc::new(options), progress, standard, read_through: Arc::default() }
    }

    /// Where the last sequence that any pass has read can be seen, 0 if none.
    pub(crate) fn read_through(&self) -> Arc<AtomicU64> {
        self.read_through.clone()
    }
}

impl Source for FileSource {
    type Reader = FileReader;

    /// How long an input is, is known at its end only. That it ends before the chain does is for whoever
    /// runs it to see, by [`read_through`](Self::read_through).
    async fn last_sequence(&self, _: &SourcePlan) -> Result<u64, PortError> {
        Ok(u64::MAX)
    }

    async fn open(&self, plan: &SourcePlan, from: u64) -> Result<FileReader, OpenError> {
        Ok(FileReader {
            state: State::Unopened(Selection { from, subjects: plan.subjects.clone() }),
            standard: self.standard.clone(),
            options: self.options.clone(),
            progress: self.progress.clone(),
            read_through: self.read_through.clone(),
        })
    }
}

impl FileReader {
    fn open(&self, selection: Selection) -> Result<Box<dyn Splitter>, PortError> {
        let input: Box<dyn Read + Send> = match &self.options.place {
            Place::Standard => {
                let taken = self.standard.lock().expect("no code panics while it holds this lock").take();
                let again = "standard input can be read once, and had to be read again: give --input FILE";
                Box::new(taken.ok_or_else(|| StopReason::new("input-unreadable", again))?)
            }
            Place::File(path) => Box::new(File::open(path).map_err(|error| {
                StopReason::new("input-unreadable", format!("cannot read {}: {error}", path.display()))
            })?),
        };
        // Another pass begins at the start.
        self.progress.set_position(0);
        let input = Box::new(self.progress.wrap_read(input));
        let InputOptions { format, subject, timestamp_ns, .. } = self.options.as_ref();
        Ok(match format {
            InputFormat::Ndjson => Box::new(Lines::new(input, selection, subject.clone(), *timestamp_ns)),
            InputFormat::Csv => Box::new(Table::new(input, selection, subject.clone(), *timestamp_ns)?),
            InputFormat::Msgpack => Box::new(Frames::new(input, selection)),
        })
    }
}

fn read_on(mut splitter: Box<dyn Splitter>) -> State {
    State::Reading(tokio::task::spawn_blocking(move || {
        let burst = splitter.burst();
        (splitter, burst)
    }))
}

impl EventReader for FileReader {
    async fn next(&mut self) -> Result<Vec<Event>, PortError> {
        if let State::Unopened(selection) = &mut self.state {
            let subjects = std::mem::take(&mut selection.subjects);
            let selection = Selection { from: selection.from, subjects };
            self.state = read_on(self.open(selection)?);
        }
        let State::Reading(reading) = &mut self.state else { return Ok(Vec::new()) };
        let read = reading.await;
        self.state = State::Ended;
        let (splitter, burst) = read.map_err(|error| {
            PortError::Unavailable(format!("the thread that reads the input ended: {error}"))
        })?;
        let burst = burst?;
        if let Some(last) = burst.last() {
            self.read_through.store(last.sequence, Ordering::Relaxed);
            self.state = read_on(splitter);
        }
        Ok(burst)
    }

    /// How much there is left is known at the end only: until then there may be more.
    fn pending(&self) -> u64 {
        u64::from(!matches!(self.state, State::Ended))
    }
}
