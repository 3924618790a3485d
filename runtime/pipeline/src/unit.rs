//! A unit: events of one block under one plan, through fresh instances, into records and the draft of a
//! receipt. Pure but for the modules it calls: the same events give the same records.

use std::sync::Arc;

use bytes::Bytes;
use model::record::{self, own_subject};
use model::{
    Answer, Digest, DigestBuilder, Event, Fault, GuestFault, GuestFaultCode, Headers, HostFault, Limits,
    Message, OnGuestFault, Plan, Position, Receipt, ReceiptLink, Record, RecordKind, Subject, SubjectPattern,
};

use crate::packing::{self, Packer};
use crate::ports::{Step, StepInstance};

/// A plan with its modules, ready to run.
pub struct LoadedPlan {
    /// The plan.
    pub plan: Plan,
    /// Its digest.
    pub digest: Digest,
    /// Its steps, as many as the plan has.
    pub steps: Vec<Arc<dyn Step>>,
    /// The engine's fingerprint.
    pub engine: String,
    patterns: Vec<SubjectPattern>,
}

impl LoadedPlan {
    /// Puts a plan and its loaded steps together.
    pub fn new(plan: Plan, steps: Vec<Arc<dyn Step>>, engine: String) -> Self {
        assert_eq!(plan.steps.len(), steps.len(), "a loader gives one step for each of the plan's");
        Self { digest: plan.digest(), patterns: plan.sink.patterns(), plan, steps, engine }
    }
}

/// Why a unit cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitError {
    /// Not the event's doing: to be tried again.
    Host(HostFault),
    /// A guest fault in a pipeline that is to stop at one.
    Guest {
        /// The event.
        sequence: u64,
        /// The step that failed.
        step: String,
        /// How.
        fault: GuestFault,
    },
}

/// A unit that is being executed.
pub struct Unit {
    plan: Arc<LoadedPlan>,
    start: u64,
    instances: Vec<Option<Box<dyn StepInstance>>>,
    calls: Vec<u64>,
    account: Account,
    /// The last subject of an event, and what the sink's template makes of it.
    last_subject: Option<(String, String)>,
}

/// What a receipt says, but for its link to the one before.
#[derive(Debug, Clone)]
pub struct ReceiptDraft {
    receipt: Receipt,
    position: Position,
}

impl ReceiptDraft {
    /// The receipt, linked to the one before it.
    pub fn link(self, previous: Option<ReceiptLink>) -> Receipt {
        Receipt { previous, ..self.receipt }
    }

    /// Where the receipt stands: after the last record of its last event.
    pub fn position(&self) -> Position {
        self.position
    }
}

#[derive(Default)]
struct Account {
    first_sequence: u64,
    last: Option<Position>,
    events: u64,
    messages: u64,
    dead_letters: u64,
    inputs: DigestBuilder,
    outputs: DigestBuilder,
}

/// A guest fault with the step it happened in.
struct StepFault {
    step: usize,
    fault: GuestFault,
}

enum Failure {
    Guest(StepFault),
    Host(HostFault),
}

impl Unit {
    /// A unit whose instances are fresh from the sequence `start` on.
    pub fn new(plan: Arc<LoadedPlan>, start: u64) -> Self {
        let instances = plan.steps.iter().map(|_| None).collect();
        let calls = vec![0; plan.steps.len()];
        Self { plan, start, instances, calls, account: Account::default(), last_subject: None }
    }

    /// Executes one event and adds its records to `records`: its messages, or one dead letter.
    ///
    /// # Errors
    /// See [`UnitError`]; the event then counts as not read, and has no records.
    pub fn process(&mut self, event: &Event, records: &mut Vec<Record>) -> Result<(), UnitError> {
        let before = records.len();
        let plan = &self.plan.plan;
        let processed = if plan.source.format.is_some() || plan.sink.pack.is_some() {
            self.process_packed(event, records)
        } else {
            let done = self.run_steps(event).and_then(|items| self.messages(event, items, records));
            done.or_else(|failure| {
                records.truncate(before);
                let fault = self.step_fault(event, failure)?;
                records.push(self.dead_letter(event, None, &fault));
                Ok(())
            })
        };
        if processed.is_err() {
            records.truncate(before);
            return processed;
        }
        self.account.enter(event, &records[before..]);
        Ok(())
    }

    /// Executes each event of a packed message by itself, and packs what comes of them.
    fn process_packed(&mut self, event: &Event, records: &mut Vec<Record>) -> Result<(), UnitError> {
        let before = records.len();
        let plan = self.plan.clone();
        let (format, pack) = (plan.plan.source.format, plan.plan.sink.pack.as_ref());
        let parts = match format.map(|format| packing::parts(format, &event.payload)) {
            Some(Ok(parts)) => parts,
            None => vec![event.payload.clone()],
            Some(Err(why)) => {
                let fault = self.step_fault(event, guest(0, GuestFaultCode::MalformedInput, why))?;
                records.push(self.dead_letter(event, None, &fault));
                return Ok(());
            }
        };
        let mut packer = pack.map(|pack| Packer::new(pack, plan.plan.sink.record_bytes));
        let (mut part, mut messages, mut bytes) = (event.clone(), Vec::new(), 0);
        for (at, payload) in parts.into_iter().enumerate() {
            part.payload = payload;
            messages.clear();
            let done = self.run_steps(&part).and_then(|items| self.messages(&part, items, &mut messages));
            match done.and_then(|()| self.check_packed(&messages, &mut bytes)) {
                Ok(()) => match &mut packer {
                    Some(packer) => messages.drain(..).for_each(|message| packer.add(message, records)),
                    None => records.append(&mut messages),
                },
                Err(failure) => {
                    let fault = self.step_fault(event, failure)?;
                    if let Some(packer) = &mut packer {
                        packer.flush(records);
                    }
                    records.push(self.dead_letter(&part, format.map(|_| at), &fault));
                }
            }
        }
        if let Some(packer) = &mut packer {
            packer.flush(records);
        }
        for (index, record) in records[before..].iter_mut().enumerate() {
            record.position = position(event.sequence, index);
        }
        Ok(())
    }

    /// Whether messages can lie in the sink's packs, and fit beside what the same message of the source has
    /// become so far.
    fn check_packed(&self, messages: &[Record], bytes: &mut usize) -> Result<(), Failure> {
        let last = self.plan.plan.steps.len() - 1;
        if let Some(pack) = &self.plan.plan.sink.pack {
            for (index, message) in messages.iter().enumerate() {
                if let Some(why) = packing::misfit(pack.format, &message.payload) {
                    return Err(guest(last, GuestFaultCode::BadAnswer, format!("message {index}: {why}")));
                }
            }
        }
        *bytes += packing::message_bytes(messages);
        if *bytes as u64 > Limits::MAX.bytes_per_event {
            let most = Limits::MAX.bytes_per_event;
            let reason = format!("the events of one message of the source gave more than {most} bytes");
            return Err(guest(last, GuestFaultCode::OutputTooLarge, reason));
        }
        Ok(())
    }

    /// A guest fault that is to become a dead letter.
    fn step_fault(&self, event: &Event, failure: Failure) -> Result<StepFault, UnitError> {
        match failure {
            Failure::Host(fault) => Err(UnitError::Host(fault)),
            Failure::Guest(StepFault { step, fault })
                if self.plan.plan.on_guest_fault == OnGuestFault::Stop =>
            {
                let step = self.plan.plan.steps[step].name.clone();
                Err(UnitError::Guest { sequence: event.sequence, step, fault })
            }
            Failure::Guest(fault) => Ok(fault),
        }
    }

    /// How often each step was called since this was last asked.
    pub fn take_calls(&mut self) -> Vec<u64> {
        std::mem::replace(&mut self.calls, vec![0; self.plan.steps.len()])
    }

    /// Ends the unit: what its receipt says, if it has read any event.
    pub fn close(self) -> Option<ReceiptDraft> {
        let account = self.account;
        let position = account.last?;
        let receipt = Receipt {
            version: model::receipt::RECEIPT_VERSION,
            pipeline: self.plan.plan.pipeline.clone(),
            unit_start: self.start,
            first_sequence: account.first_sequence,
            last_sequence: position.sequence,
            events: account.events,
            inputs: account.inputs.finish(),
            plan: self.plan.digest,
            engine: self.plan.engine.clone(),
            messages: account.messages,
            dead_letters: account.dead_letters,
            outputs: account.outputs.finish(),
            previous: None,
        };
        Some(ReceiptDraft { receipt, position })
    }

    /// The messages of the last step. Their subjects are those that a module chose, this step's or an earlier
    /// one's.
    fn run_steps(&mut self, event: &Event) -> Result<Vec<Message>, Failure> {
        let mut messages = self.run_step(0, event)?;
        for step in 1..self.plan.steps.len() {
            let mut next = Vec::new();
            let mut bytes = 0;
            for Message { subject: chosen, payload, headers } in messages {
                let subject = chosen.clone().unwrap_or_else(|| event.subject.clone());
                let mut answered = self.run_step(step, &Event { subject, payload, headers, ..*event })?;
                for message in &mut answered {
                    bytes += message.payload.len() + message.headers.wire_bytes();
                    if message.subject.is_none() {
                        message.subject.clone_from(&chosen);
                    }
                }
                next.append(&mut answered);
                self.check_total(step, next.len(), bytes)?;
            }
            messages = next;
        }
        Ok(messages)
    }

    fn run_step(&mut self, step: usize, event: &Event) -> Result<Vec<Message>, Failure> {
        match self.call(step, event) {
            Ok(Answer::Messages(messages)) => Ok(messages),
            Ok(Answer::Reject(reason)) => Err(guest(step, GuestFaultCode::Rejected, reason)),
            Err(Fault::Guest(fault)) => Err(Failure::Guest(StepFault { step, fault })),
            Err(Fault::Host(fault)) => Err(Failure::Host(fault)),
        }
    }

    /// Calls the step's instance, a fresh one if there is none. A fault costs the instance.
    fn call(&mut self, step: usize, event: &Event) -> Result<Answer, Fault> {
        let mut instance = match self.instances[step].take() {
            Some(instance) => instance,
            None => self.plan.steps[step].instantiate()?,
        };
        self.calls[step] += 1;
        let answer = instance.process(event)?;
        self.instances[step] = Some(instance);
        Ok(answer)
    }

    /// Several calls of one step for one event share that step's bounds.
    fn check_total(&self, step: usize, messages: usize, bytes: usize) -> Result<(), Failure> {
        let limits = &self.plan.plan.steps[step].limits;
        if messages > limits.messages_per_event as usize {
            let reason = format!("more than {} messages for one event", limits.messages_per_event);
            return Err(guest(step, GuestFaultCode::TooManyMessages, reason));
        }
        if bytes as u64 > limits.bytes_per_event {
            let reason = format!("more than {} bytes for one event", limits.bytes_per_event);
            return Err(guest(step, GuestFaultCode::OutputTooLarge, reason));
        }
        Ok(())
    }

    fn messages(
        &mut self,
        source: &Event,
        messages: Vec<Message>,
        records: &mut Vec<Record>,
    ) -> Result<(), Failure> {
        let last = self.plan.steps.len() - 1;
        let most = self.plan.plan.sink.record_bytes as usize;
        for (index, Message { subject, payload, headers }) in messages.into_iter().enumerate() {
            let subject = match subject {
                Some(subject) => self.chosen_subject(subject),
                None => self.template_subject(&source.subject),
            };
            let record = Record {
                kind: RecordKind::Message,
                subject: subject.map_err(|(code, reason)| guest(last, code, reason))?,
                headers,
                payload,
                plan: self.plan.digest,
                position: position(source.sequence, index),
            };
            let bytes = record.wire_bytes();
            if bytes > most {
                let reason =
                    format!("message {index} takes {bytes} bytes with its headers, the sink takes {most}");
                return Err(guest(last, GuestFaultCode::MessageTooLarge, reason));
            }
            records.push(record);
        }
        Ok(())
    }

    /// The subject by the sink's template. Neighbours mostly have one subject: the last one is kept.
    fn template_subject(&mut self, source: &str) -> Result<String, (GuestFaultCode, String)> {
        if let Some((of, subject)) = &self.last_subject
            && of == source
        {
            return Ok(subject.clone());
        }
        let template = &self.plan.plan.sink.subject;
        let expanded = template.expand(source).map_err(|token| {
            let reason = format!(
                "the sink's template '{}' names token {token}, which the event's subject lacks",
                template.as_str()
            );
            (GuestFaultCode::BadSubject, reason)
        })?;
        let subject = Subject::try_from(expanded).map_err(|e| (GuestFaultCode::BadSubject, e.to_string()))?;
        let subject = subject.into_string();
        self.last_subject = Some((source.to_owned(), subject.clone()));
        Ok(subject)
    }

    /// The subject that a module chose, if the plan allows it.
    fn chosen_subject(&self, subject: String) -> Result<String, (GuestFaultCode, String)> {
        let subject = Subject::try_from(subject).map_err(|e| (GuestFaultCode::BadSubject, e.to_string()))?;
        if !self.plan.patterns.iter().any(|pattern| pattern.matches(subject.as_str())) {
            let reason = format!("subject '{}' is outside what the pipeline allows", subject.as_str());
            return Err((GuestFaultCode::SubjectNotAllowed, reason));
        }
        Ok(subject.into_string())
    }

    /// The event itself, as it was read, with what went wrong in its headers; `part` says which one it is of
    /// those that were packed together.
    fn dead_letter(&self, event: &Event, part: Option<usize>, fault: &StepFault) -> Record {
        let (plan, StepFault { step, fault }) = (&self.plan.plan, fault);
        let step = *step;
        let own = [
            (record::DEAD_SUBJECT_HEADER, event.subject.clone()),
            (record::DEAD_STEP_HEADER, plan.steps[step].name.clone()),
            (record::DEAD_MODULE_HEADER, plan.steps[step].module.to_string()),
            (record::DEAD_FAULT_HEADER, fault.code().as_str().to_owned()),
            (record::DEAD_REASON_HEADER, fault.reason().to_owned()),
        ];
        let part = part.map(|at| (record::DEAD_EVENT_HEADER, at.to_string()));
        let own: Vec<(&str, String)> = own.into_iter().chain(part).collect();
        let kept = event.headers.iter();
        let mut headers = Headers::canonical(kept.chain(own.iter().map(|(n, v)| (*n, v.as_str()))));
        let mut payload = event.payload.clone();
        if record::wire_bytes(&headers, payload.len()) > plan.sink.record_bytes as usize {
            let omitted = format!("{} {}", Digest::of(&payload), payload.len());
            let omitted = (record::DEAD_OMITTED_HEADER, omitted);
            headers = Headers::canonical(own.into_iter().chain([omitted]));
            payload = Bytes::new();
        }
        Record {
            kind: RecordKind::Dead,
            subject: own_subject(&plan.pipeline, RecordKind::Dead),
            headers,
            payload,
            plan: self.plan.digest,
            position: position(event.sequence, 0),
        }
    }
}

impl Account {
    fn enter(&mut self, event: &Event, records: &[Record]) {
        if self.events == 0 {
            self.first_sequence = event.sequence;
        }
        self.events += 1;
        self.last = Some(position(event.sequence, records.len()));
        event.digest_into(&mut self.inputs);
        for record in records {
            match record.kind {
                RecordKind::Dead => self.dead_letters += 1,
                _ => self.messages += 1,
            }
            record.digest_into(&mut self.outputs);
        }
    }
}

fn guest(step: usize, code: GuestFaultCode, reason: impl AsRef<str>) -> Failure {
    Failure::Guest(StepFault { step, fault: GuestFault::new(code, reason) })
}

fn position(sequence: u64, index: usize) -> Position {
    let index = u32::try_from(index).expect("limits keep the messages of one event far below 2^32");
    Position { sequence, index }
}
