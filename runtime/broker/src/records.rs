//! Reading an output stream in bulk: every message once, in order, with all its headers.
//!
//! It is a [`Reader`] that leaves nothing out, with the same promises.

use model::StreamName;

use crate::connect::Broker;
use crate::reader::{ReadError, Reader, Reserved};
use crate::sink::StoredMessage;

/// Reads one stream, on a connection of its own.
#[derive(Debug)]
pub struct RecordReader(Reader);

impl Broker {
    /// Opens a stream for reading all its messages from a sequence on.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn open_records(
        &self,
        stream: &StreamName,
        from_sequence: u64,
    ) -> Result<RecordReader, ReadError> {
        self.open_reader_with(stream, &[], from_sequence, Reserved::Kept).await.map(RecordReader)
    }
}

impl RecordReader {
    /// Waits for messages: at least one, in order. Dropping the future loses nothing.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn next(&mut self) -> Result<Vec<StoredMessage>, ReadError> {
        let burst = self.0.next().await?;
        let stored = |event: model::Event| StoredMessage {
            sequence: event.sequence,
            subject: event.subject,
            headers: event.headers,
            payload: event.payload,
            timestamp_ns: event.timestamp_ns,
        };
        Ok(burst.into_iter().map(stored).collect())
    }
}
