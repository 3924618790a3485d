//! How the pipeline sees the world: a source to read, a sink to append to, modules to load.
//!
//! Each port is implemented once over the real thing and once by the simulator. Ports keep the promises
//! written here and decide nothing: what is read and what is appended is the pipeline's own affair.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use model::{Answer, Event, Fault, Headers, Place, Plan, Record, SourcePlan};

/// Why a port could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The machine's or the broker's fault, and expected to pass: try again, with back-off, for ever.
    #[error("{0}")]
    Unavailable(String),
    /// Going on would lose or alter something: a person has to look.
    #[error(transparent)]
    Stop(#[from] StopReason),
}

/// Why a pipeline has stopped until a person changes something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct StopReason {
    /// A stable code, for programs.
    pub code: &'static str,
    /// What differs, where, and what to do.
    pub detail: String,
}

impl StopReason {
    /// A reason with its code.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// The stream that events come from.
pub trait Source: Send + Sync + 'static {
    /// One pass over the events.
    type Reader: EventReader;

    /// The last sequence that the stream has given out, 0 if none.
    fn last_sequence(&self, plan: &SourcePlan) -> impl Future<Output = Result<u64, PortError>> + Send;

    /// Opens a pass over the matching events whose sequence is `from` or higher.
    ///
    /// # Errors
    /// [`OpenError::EventsGone`] when events from `from` on may be gone: nothing is skipped in silence.
    fn open(
        &self,
        plan: &SourcePlan,
        from: u64,
    ) -> impl Future<Output = Result<Self::Reader, OpenError>> + Send;
}

/// Why a source cannot be read from a sequence on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It no longer has all events from there on.
    #[error(transparent)]
    EventsGone(StopReason),
    /// Any other port error.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl From<OpenError> for PortError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::EventsGone(reason) => Self::Stop(reason),
            OpenError::Port(error) => error,
        }
    }
}

/// One pass over the events of a source.
pub trait EventReader: Send + 'static {
    /// The next burst: at least one event, in order, none left out. Waits for it. Dropping the future loses
    /// nothing. An empty burst says that the source has ended, which files do and streams do not.
    ///
    /// # Errors
    /// [`PortError::Stop`] also when events were dropped before they were read.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Event>, PortError>> + Send;

    /// How many matching events the stream is known to hold beyond the last burst.
    fn pending(&self) -> u64;
}

/// The stream that records are appended to.
pub trait Sink: Send + Sync + 'static {
    /// A way to append.
    type Appender: Appender;

    /// The end of the stream, as the server that decides on appends knows it.
    fn tail(&self) -> impl Future<Output = Result<Tail, PortError>> + Send;

    /// The last entry under `subject`.
    fn last_on(&self, subject: &str) -> impl Future<Output = Result<Option<Stored>, PortError>> + Send;

    /// The entry at `sequence`.
    fn get(&self, sequence: u64) -> impl Future<Output = Result<Option<Stored>, PortError>> + Send;

    /// The last hint that any node kept.
    fn hint(&self) -> impl Future<Output = Result<Option<Hint>, PortError>> + Send;

    /// Keeps a hint. One that is lost is only missed.
    fn keep_hint(&self, hint: Hint) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Opens a way to append.
    fn appender(&self) -> impl Future<Output = Result<Self::Appender, PortError>> + Send;
}

/// How far the source was worked through when a record was the last: every record up to it comes from events
/// up to that sequence, and those events gave no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// The record's sequence in the output stream.
    pub record: u64,
    /// The last source sequence that is worked through.
    pub through: u64,
}

/// The end of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The last sequence that was given out, 0 if none.
    pub last_sequence: u64,
    /// The entry there; `None` if there is none or it is gone.
    pub entry: Option<Stored>,
}

/// An entry of the sink as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its sequence.
    pub sequence: u64,
    /// Its subject.
    pub subject: String,
    /// All its headers.
    pub headers: Headers,
    /// Its payload.
    pub payload: Bytes,
}

/// Whether an answer is wanted for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Yes: it vouches for all records before it as well.
    Answer,
    /// No.
    Nothing,
}

/// A way to append to a sink. What is given to it is sent in order, or not at all.
pub trait Appender: Send + 'static {
    /// Sends `record`, to be accepted only at its place: as the entry of that sequence, and after the entry
    /// of that id. Does not wait for the answer.
    ///
    /// # Errors
    /// As [`answer`](Self::answer).
    fn append(
        &mut self,
        place: &Place,
        record: &Record,
        ask: Ask,
    ) -> impl Future<Output = Result<(), AppendError>> + Send;

    /// The next answer: the sequence up to which all is stored. Waits; dropping the future loses nothing.
    ///
    /// # Errors
    /// See [`AppendError`].
    fn answer(&mut self) -> impl Future<Output = Result<u64, AppendError>> + Send;
}

/// Why a record was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The stream's end is not where the record belongs: somebody else was quicker, or a record was lost.
    #[error("the output stream's end is not where it was expected")]
    Conflict,
    /// Any other port error.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// Where modules come from.
pub trait Loader: Send + Sync + 'static {
    /// Fetches, verifies, compiles and links every module of the plan.
    ///
    /// # Errors
    /// [`PortError::Stop`] when a module is not to be had or not what it was.
    fn load(&self, plan: &Plan) -> impl Future<Output = Result<Vec<Arc<dyn Step>>, PortError>> + Send;

    /// The engine's fingerprint, for receipts.
    fn engine(&self) -> &str;
}

/// A loaded module with its configuration and limits.
pub trait Step: Send + Sync {
    /// A fresh instance: nothing of any earlier event is in it.
    ///
    /// # Errors
    /// A guest fault if the module's own start fails, else a host fault.
    fn instantiate(&self) -> Result<Box<dyn StepInstance>, Fault>;
}

/// A running instance of a module.
pub trait StepInstance: Send {
    /// Processes one event. After an error the instance is not used again.
    ///
    /// # Errors
    /// By whose fault it is.
    fn process(&mut self, event: &Event) -> Result<Answer, Fault>;

    /// The fuel that the last call used up, or that starting did; 0 where nobody counts.
    fn fuel_used(&self) -> u64 {
        0
    }
}
