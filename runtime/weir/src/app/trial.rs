//! Trying a module: one event, in the real sandbox, outside of any pipeline.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::dto::{TryLimits, TryMessage, TryOutcome, TryOutput, TryRequest, TryResult};
use api::{Code, NodeError};
use engine::{LogLine, Module};
use model::{Answer, CommandOutput, Digest, Event, Fault, Headers, Limits, Message};
use tokio::sync::Semaphore;

use super::errors::load_error;
use super::library::Library;

/// So many trials run at the same time, so that pipelines keep the machine.
const TRIALS_MAX: usize = 2;

/// The place where modules are tried.
pub(crate) struct Trials {
    library: Arc<Library>,
    places: Arc<Semaphore>,
}

struct Done {
    answer: Result<Answer, Fault>,
    logs: Vec<String>,
    fuel_used: u64,
    memory_bytes: u64,
    time: Duration,
}

impl Trials {
    /// A place over the node's modules.
    pub(crate) fn new(library: Arc<Library>) -> Self {
        Self { library, places: Arc::new(Semaphore::new(TRIALS_MAX)) }
    }

    /// Runs one event.
    ///
    /// # Errors
    /// When there is no such module, or the machine could not run it; what the module does is a result.
    pub(crate) async fn run(&self, digest: Digest, request: TryRequest) -> Result<TryResult, NodeError> {
        let module = self.library.load(digest).await.map_err(|error| load_error(&error))?;
        let module = module
            .with_output(match request.output {
                TryOutput::Whole => CommandOutput::Whole,
                TryOutput::Lines => CommandOutput::Lines,
            })
            .map_err(|error| NodeError::new(Code::InvalidRequest, error.to_string()))?;
        let config = if request.config.is_null() { String::new() } else { request.config.to_string() };
        let limits = limits(request.limits);
        let event = event(request);
        let place = self.places.clone().acquire_owned().await.map_err(NodeError::internal)?;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            call(&module, config, &limits, &event)
        });
        let done = done.await.map_err(NodeError::internal)?;
        let outcome = match done.answer {
            Ok(Answer::Messages(messages)) => {
                TryOutcome::Messages { messages: messages.into_iter().map(message).collect() }
            }
            Ok(Answer::Reject(reason)) => TryOutcome::Rejected { reason },
            Err(Fault::Guest(fault)) => {
                TryOutcome::Fault { code: fault.code().to_string(), reason: fault.reason().to_owned() }
            }
            Err(Fault::Host(fault)) => return Err(NodeError::internal(fault)),
        };
        Ok(TryResult {
            module: digest,
            outcome,
            logs: done.logs,
            fuel_used: done.fuel_used,
            memory_bytes: done.memory_bytes,
            time_us: u64::try_from(done.time.as_micros()).unwrap_or(u64::MAX),
            engine: self.library.engine().fingerprint().to_owned(),
        })
    }
}

fn call(module: &Module, config: String, limits: &Limits, event: &Event) -> Done {
    let mut logs = Vec::new();
    let mut log = |line: LogLine| logs.push(line.text);
    let started = Instant::now();
    let (answer, stats) = match module.instantiate(config, limits, &mut log) {
        Err(fault) => (Err(fault), None),
        Ok(mut instance) => {
            let answer = instance.process(event, &mut log);
            (answer, Some(instance.last_call()))
        }
    };
    let time = started.elapsed();
    let (fuel_used, memory_bytes) = stats.map_or((0, 0), |stats| (stats.fuel_used, stats.memory_bytes));
    Done { answer, logs, fuel_used, memory_bytes, time }
}

fn event(request: TryRequest) -> Event {
    let headers = request.headers.into_iter().map(|header| (header.name, header.value));
    Event {
        subject: request.subject,
        payload: request.payload.into_bytes().into(),
        headers: Headers::canonical(headers).without_reserved(),
        sequence: request.sequence.max(1),
        timestamp_ns: request.timestamp_ns,
    }
}

fn message(message: Message) -> TryMessage {
    TryMessage {
        subject: message.subject,
        payload: api::dto::Payload::from_bytes(&message.payload),
        headers: message.headers.iter().map(Into::into).collect(),
    }
}

/// The limits asked for, within what a step may ask for.
fn limits(asked: TryLimits) -> Limits {
    let (usual, most) = (Limits::DEFAULT, Limits::MAX);
    Limits {
        memory_bytes: asked.memory_bytes.unwrap_or(usual.memory_bytes).min(most.memory_bytes),
        fuel_per_event: asked.fuel_per_event.unwrap_or(usual.fuel_per_event).min(most.fuel_per_event),
        messages_per_event: asked
            .messages_per_event
            .unwrap_or(usual.messages_per_event)
            .min(most.messages_per_event),
        bytes_per_event: asked.bytes_per_event.unwrap_or(usual.bytes_per_event).min(most.bytes_per_event),
        log_bytes_per_event: asked
            .log_bytes_per_event
            .unwrap_or(usual.log_bytes_per_event)
            .min(most.log_bytes_per_event),
        deadline_ms: asked.deadline_ms.unwrap_or(usual.deadline_ms).min(most.deadline_ms),
    }
}
