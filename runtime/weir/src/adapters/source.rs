//! A JetStream stream as a source.

use broker::{AdminError, Broker, ReadError, Reader};
use model::{Event, SourcePlan};
use pipeline::ports::{EventReader, OpenError, PortError, Source, StopReason};

/// The streams of one NATS server.
pub(crate) struct NatsSource(pub(crate) Broker);

/// A pass over one stream.
pub(crate) struct NatsReader(Reader);

impl Source for NatsSource {
    type Reader = NatsReader;

    async fn last_sequence(&self, plan: &SourcePlan) -> Result<u64, PortError> {
        match self.0.stream_state(&plan.stream).await {
            Ok(Some(state)) => Ok(state.last_sequence),
            Ok(None) => Err(gone(&ReadError::StreamGone { stream: plan.stream.clone() })),
            Err(AdminError::Unavailable(why)) => Err(PortError::Unavailable(why)),
            Err(error) => Err(StopReason::new("source-refused", error.to_string()).into()),
        }
    }

    async fn open(&self, plan: &SourcePlan, from: u64) -> Result<NatsReader, OpenError> {
        let reader = self.0.open_reader(&plan.stream, &plan.subjects, from).await;
        reader.map(NatsReader).map_err(|error| match error {
            ReadError::EventsGone { .. } => OpenError::EventsGone(events_gone(&error)),
            _ => OpenError::Port(port_error(&error)),
        })
    }
}

impl EventReader for NatsReader {
    async fn next(&mut self) -> Result<Vec<Event>, PortError> {
        self.0.next().await.map_err(|error| port_error(&error))
    }

    fn pending(&self) -> u64 {
        self.0.pending()
    }
}

fn port_error(error: &ReadError) -> PortError {
    match error {
        ReadError::Unavailable { .. } => PortError::Unavailable(error.to_string()),
        ReadError::StreamGone { .. } => gone(error),
        ReadError::EventsGone { .. } => events_gone(error).into(),
        ReadError::SourceRewound { .. } => StopReason::new("source-rewound", error.to_string()).into(),
        ReadError::Refused { .. } => StopReason::new("source-refused", error.to_string()).into(),
    }
}

fn events_gone(error: &ReadError) -> StopReason {
    let detail = format!(
        "{error}; nothing is skipped in silence: apply the pipeline under a new name, with a new output stream and \
         a start that the source still has"
    );
    StopReason::new("source-events-gone", detail)
}

fn gone(error: &ReadError) -> PortError {
    let detail = format!("{error}; make the stream again from a copy, and resume the pipeline");
    StopReason::new("source-gone", detail).into()
}
