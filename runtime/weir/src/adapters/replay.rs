//! A part of a JetStream stream as a source that ends, and a stream beside the live one as a sink: the ends
//! of a replay.

use model::{Event, Place, Record, SourcePlan};
use pipeline::ports::{
    AppendError, Appender, Ask, EventReader, Hint, OpenError, PortError, Sink, Source, Stored, Tail,
};
use tokio_util::sync::CancellationToken;

use super::sink::NatsAppender;
use super::source::{NatsReader, NatsSource};
use super::{NatsSink, Prefix};

/// The events of a stream through one sequence. After them it asks for an end, and gives no more: the unit
/// that is open then stays open, as it does in a live chain.
pub(crate) struct BoundedSource {
    /// The stream.
    pub(crate) source: NatsSource,
    /// The last sequence that is given.
    pub(crate) through: u64,
    /// Told when all is given.
    pub(crate) done: CancellationToken,
}

/// A pass over them.
pub(crate) struct BoundedReader {
    reader: NatsReader,
    through: u64,
    done: CancellationToken,
    has_ended: bool,
}

impl Source for BoundedSource {
    type Reader = BoundedReader;

    async fn last_sequence(&self, plan: &SourcePlan) -> Result<u64, PortError> {
        self.source.last_sequence(plan).await
    }

    async fn open(&self, plan: &SourcePlan, from: u64) -> Result<BoundedReader, OpenError> {
        let reader = self.source.open(plan, from).await?;
        let has_ended = from > self.through;
        Ok(BoundedReader { reader, through: self.through, done: self.done.clone(), has_ended })
    }
}

impl EventReader for BoundedReader {
    async fn next(&mut self) -> Result<Vec<Event>, PortError> {
        if !self.has_ended && self.reader.pending() > 0 {
            let mut burst = self.reader.next().await?;
            let count = burst.partition_point(|event| event.sequence <= self.through);
            self.has_ended = count < burst.len();
            burst.truncate(count);
            if !burst.is_empty() {
                return Ok(burst);
            }
        }
        self.done.cancel();
        std::future::pending().await
    }

    fn pending(&self) -> u64 {
        if self.has_ended { 0 } else { self.reader.pending() }
    }
}

/// A stream that holds the records of a replay.
pub(crate) struct ReplaySink {
    /// The stream.
    pub(crate) sink: NatsSink,
    /// What stands before its subjects.
    pub(crate) prefix: Prefix,
}

/// A way to append to it.
pub(crate) struct ReplayAppender {
    appender: NatsAppender,
    prefix: Prefix,
}

impl Sink for ReplaySink {
    type Appender = ReplayAppender;

    async fn tail(&self) -> Result<Tail, PortError> {
        let Tail { last_sequence, entry } = self.sink.tail().await?;
        Ok(Tail { last_sequence, entry: entry.map(|entry| self.prefix.take_off(entry)) })
    }

    async fn last_on(&self, subject: &str) -> Result<Option<Stored>, PortError> {
        let entry = self.sink.last_on(&self.prefix.put_on(subject)).await?;
        Ok(entry.map(|entry| self.prefix.take_off(entry)))
    }

    async fn get(&self, sequence: u64) -> Result<Option<Stored>, PortError> {
        Ok(self.sink.get(sequence).await?.map(|entry| self.prefix.take_off(entry)))
    }

    /// Hints are the live pipeline's.
    async fn hint(&self) -> Result<Option<Hint>, PortError> {
        Ok(None)
    }

    async fn keep_hint(&self, _: Hint) -> Result<(), PortError> {
        Ok(())
    }

    async fn appender(&self) -> Result<ReplayAppender, PortError> {
        Ok(ReplayAppender { appender: self.sink.appender().await?, prefix: self.prefix.clone() })
    }
}

impl Appender for ReplayAppender {
    async fn append(&mut self, place: &Place, record: &Record, ask: Ask) -> Result<(), AppendError> {
        let record = Record { subject: self.prefix.put_on(&record.subject), ..record.clone() };
        self.appender.append(place, &record, ask).await
    }

    async fn answer(&mut self) -> Result<u64, AppendError> {
        self.appender.answer().await
    }
}
