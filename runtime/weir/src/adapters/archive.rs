//! A JetStream stream as a chain to be verified.

use broker::{Broker, ReadError};
use model::StreamName;
use pipeline::ports::{PortError, StopReason, Stored};
use pipeline::verify::{Archive, RecordReader};

use super::Prefix;
use super::sink::{port_error, stored};

/// One output stream, read in bulk.
pub(crate) struct NatsArchive {
    /// Its server.
    pub(crate) broker: Broker,
    /// Its name.
    pub(crate) stream: StreamName,
    /// What stands before its subjects.
    pub(crate) prefix: Prefix,
}

/// A pass over its records.
pub(crate) struct NatsRecords {
    reader: broker::RecordReader,
    prefix: Prefix,
}

impl Archive for NatsArchive {
    type Reader = NatsRecords;

    async fn last_sequence(&self) -> Result<u64, PortError> {
        let tail = self.broker.tail(&self.stream).await.map_err(|error| port_error(&error))?;
        Ok(tail.last_sequence)
    }

    async fn get(&self, sequence: u64) -> Result<Option<Stored>, PortError> {
        let message = self.broker.get(&self.stream, sequence).await;
        Ok(message.map_err(|error| port_error(&error))?.map(|message| self.prefix.take_off(stored(message))))
    }

    async fn next_on(&self, subject: &str, sequence: u64) -> Result<Option<Stored>, PortError> {
        let message = self.broker.next_on(&self.stream, &self.prefix.put_on(subject), sequence).await;
        Ok(message.map_err(|error| port_error(&error))?.map(|message| self.prefix.take_off(stored(message))))
    }

    async fn open(&self, sequence: u64) -> Result<NatsRecords, PortError> {
        let opened = self.broker.open_records(&self.stream, sequence).await;
        let reader = opened.map_err(|error| read_error(&error))?;
        Ok(NatsRecords { reader, prefix: self.prefix.clone() })
    }
}

impl RecordReader for NatsRecords {
    async fn next(&mut self) -> Result<Vec<Stored>, PortError> {
        let burst = self.reader.next().await.map_err(|error| read_error(&error))?;
        Ok(burst.into_iter().map(|message| self.prefix.take_off(stored(message))).collect())
    }
}

fn read_error(error: &ReadError) -> PortError {
    match error {
        ReadError::Unavailable { .. } => PortError::Unavailable(error.to_string()),
        _ => StopReason::new("chain-unreadable", error.to_string()).into(),
    }
}
