//! A JetStream stream as a sink.

use broker::{Broker, SinkError, StateBucket, StoredMessage};
use model::{PipelineName, Place, Record, StreamName};
use pipeline::ports::{AppendError, Appender, Ask, Hint, PortError, Sink, StopReason, Stored, Tail};
use serde::{Deserialize, Serialize};

/// One output stream.
pub(crate) struct NatsSink {
    /// Its server.
    pub(crate) broker: Broker,
    /// Its name.
    pub(crate) stream: StreamName,
    /// Where hints are kept.
    pub(crate) state: StateBucket,
    /// Whose chain it holds.
    pub(crate) pipeline: PipelineName,
}

/// A hint as it lies in the shared state.
#[derive(Serialize, Deserialize)]
struct HintValue {
    record: u64,
    through: u64,
}

impl NatsSink {
    fn hint_key(&self) -> String {
        format!("hint.{}", self.pipeline)
    }
}

/// A way to append to it.
pub(crate) struct NatsAppender(broker::Appender);

impl Sink for NatsSink {
    type Appender = NatsAppender;

    async fn tail(&self) -> Result<Tail, PortError> {
        let tail = self.broker.tail(&self.stream).await.map_err(|error| port_error(&error))?;
        Ok(Tail { last_sequence: tail.last_sequence, entry: tail.record.map(stored) })
    }

    async fn last_on(&self, subject: &str) -> Result<Option<Stored>, PortError> {
        let message = self.broker.last_on(&self.stream, subject).await;
        Ok(message.map_err(|error| port_error(&error))?.map(stored))
    }

    async fn get(&self, sequence: u64) -> Result<Option<Stored>, PortError> {
        let message = self.broker.get(&self.stream, sequence).await;
        Ok(message.map_err(|error| port_error(&error))?.map(stored))
    }

    async fn hint(&self) -> Result<Option<Hint>, PortError> {
        let value = self.state.get(&self.hint_key()).await;
        let value = value.map_err(|error| PortError::Unavailable(error.to_string()))?;
        let value = value.and_then(|(value, _)| serde_json::from_slice::<HintValue>(&value).ok());
        Ok(value.map(|HintValue { record, through }| Hint { record, through }))
    }

    async fn keep_hint(&self, hint: Hint) -> Result<(), PortError> {
        let Hint { record, through } = hint;
        let value =
            serde_json::to_vec(&HintValue { record, through }).expect("two numbers can be written as JSON");
        let kept = self.state.put(&self.hint_key(), value).await;
        kept.map(|_| ()).map_err(|error| PortError::Unavailable(error.to_string()))
    }

    async fn appender(&self) -> Result<NatsAppender, PortError> {
        match self.broker.appender(&self.stream).await {
            Ok(appender) => Ok(NatsAppender(appender)),
            Err(error) => match append_error(&error) {
                AppendError::Port(error) => Err(error),
                AppendError::Conflict => Err(PortError::Unavailable(error.to_string())),
            },
        }
    }
}

impl Appender for NatsAppender {
    async fn append(&mut self, place: &Place, record: &Record, ask: Ask) -> Result<(), AppendError> {
        let ask = match ask {
            Ask::Answer => broker::Ask::Answer,
            Ask::Nothing => broker::Ask::Nothing,
        };
        self.0.append(place, record, ask).await.map_err(|error| append_error(&error))
    }

    async fn answer(&mut self) -> Result<u64, AppendError> {
        self.0.answer().await.map_err(|error| append_error(&error))
    }
}

pub(super) fn stored(message: StoredMessage) -> Stored {
    let StoredMessage { sequence, subject, headers, payload, .. } = message;
    Stored { sequence, subject, headers, payload }
}

pub(super) fn port_error(error: &SinkError) -> PortError {
    match error {
        SinkError::Unavailable { .. } => PortError::Unavailable(error.to_string()),
        SinkError::StreamGone { .. } => StopReason::new(
            "sink-gone",
            format!("{error}, the pipeline's output stream; make it again from a copy, or apply the pipeline again"),
        )
        .into(),
        SinkError::Refused { .. } => StopReason::new("sink-refused", error.to_string()).into(),
    }
}

fn append_error(error: &broker::AppendError) -> AppendError {
    match error {
        broker::AppendError::Conflict { .. } => AppendError::Conflict,
        broker::AppendError::Unavailable { .. } => PortError::Unavailable(error.to_string()).into(),
        broker::AppendError::TooLarge { .. } => PortError::Stop(StopReason::new(
            "record-too-large",
            format!("{error}; raise the server's max_payload to what it was when the pipeline was applied"),
        ))
        .into(),
        broker::AppendError::Refused { .. } => {
            PortError::Stop(StopReason::new("sink-refused", error.to_string())).into()
        }
    }
}
