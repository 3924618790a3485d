//! The oracle: walks an output stream record by record and says what is not as source and plans make it.
//!
//! It computes everything again by itself: which event comes next, in which unit, what its records are, what
//! each receipt has to say and to which one it links. What a module answers is told to it as a plain
//! function.

use model::record::{DEAD_FAULT_HEADER, DEAD_MODULE_HEADER, DEAD_STEP_HEADER, DEAD_SUBJECT_HEADER};
use model::{
    Digest, DigestBuilder, Event, GuestFaultCode, Headers, Message, Plan, Position, Receipt, ReceiptLink,
    RecordKind, Revision,
};

use crate::stream::Placed;

/// What an event becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Messages; one without a subject goes where the sink's template says.
    Messages(Vec<Message>),
    /// A dead letter, with the kind of fault and the place of the step among the plan's.
    Dead(GuestFaultCode, usize),
}

impl Outcome {
    /// One message with this payload, without headers.
    pub fn payload(payload: impl Into<bytes::Bytes>) -> Self {
        Self::Messages(vec![Message { subject: None, payload: payload.into(), headers: Headers::new() }])
    }
}

/// What a chain holds, when all of it is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Events that were read.
    pub events: u64,
    /// Messages.
    pub messages: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Receipts, those in revisions counted too.
    pub receipts: u64,
    /// Revisions, the genesis counted too.
    pub revisions: u64,
}

/// Checks a whole output stream. `answer` is what the plan makes of an event; its state `S` is fresh at the
/// start of each unit, as the modules' instances are.
///
/// # Errors
/// The first thing that is wrong, with its sequence in the output stream.
pub fn check<S: Default>(
    source: &[Event],
    records: &[Placed],
    answer: impl Fn(&Plan, &Event, &mut S) -> Outcome,
) -> Result<Account, String> {
    let first = records.first().ok_or("the output stream is empty")?;
    let genesis = revision(first)?;
    let mut walk = Walk {
        source,
        answer,
        next_event: 0,
        revision: Revision { number: 0, generation: 0, ..genesis },
        unit: Unit::new(0),
        pending: Vec::new().into_iter(),
        link: None,
        account: Account::default(),
    };
    for (at, placed) in records.iter().enumerate() {
        let step = walk.step(at as u64 + 1, placed);
        step.map_err(|error| format!("record {} ({:?}): {error}", placed.sequence, placed.record))?;
    }
    walk.end()?;
    Ok(walk.account)
}

/// One record that has to come.
struct Expected {
    kind: RecordKind,
    subject: String,
    headers: Vec<(String, String)>,
    payload: bytes::Bytes,
    position: Position,
}

struct Unit<S> {
    start: u64,
    state: S,
    first_sequence: u64,
    last: Option<Position>,
    events: u64,
    messages: u64,
    dead_letters: u64,
    inputs: DigestBuilder,
    outputs: DigestBuilder,
}

impl<S: Default> Unit<S> {
    fn new(start: u64) -> Self {
        Self {
            start,
            state: S::default(),
            first_sequence: 0,
            last: None,
            events: 0,
            messages: 0,
            dead_letters: 0,
            inputs: DigestBuilder::new(),
            outputs: DigestBuilder::new(),
        }
    }
}

struct Walk<'a, S, F> {
    source: &'a [Event],
    answer: F,
    next_event: usize,
    revision: Revision,
    unit: Unit<S>,
    pending: std::vec::IntoIter<Expected>,
    link: Option<ReceiptLink>,
    account: Account,
}

impl<S: Default, F: Fn(&Plan, &Event, &mut S) -> Outcome> Walk<'_, S, F> {
    fn step(&mut self, sequence: u64, placed: &Placed) -> Result<(), String> {
        same("sequence", &placed.sequence, &sequence)?;
        match placed.record.kind {
            RecordKind::Revision => self.revision(placed)?,
            RecordKind::Receipt => self.receipt(placed)?,
            RecordKind::Message | RecordKind::Dead => self.answered(placed)?,
        }
        same("plan in force", &placed.record.plan, &self.revision.plan_digest)
    }

    fn revision(&mut self, placed: &Placed) -> Result<(), String> {
        let next = revision(placed)?;
        same("number", &next.number, &(self.revision.number + 1))?;
        same("grown generation", &(next.generation > self.revision.generation), &true)?;
        same("plan digest", &next.plan_digest, &next.plan.digest())?;
        same("position", &placed.record.position, &Position { sequence: next.from_sequence, index: 0 })?;
        if self.revision.number == 0 {
            self.next_event = self.source.partition_point(|event| event.sequence < next.from_sequence);
        } else {
            self.pass_silent_events(next.from_sequence - 1)?;
        }
        let closes = self.close(next.closes.as_ref())?;
        same("closed receipt", &next.closes, &closes)?;
        same("previous receipt", &next.previous, &self.link)?;
        self.account.receipts += u64::from(closes.is_some());
        self.account.revisions += 1;
        self.link = next.last_receipt(placed.sequence);
        self.unit = Unit::new(next.from_sequence);
        self.revision = next;
        Ok(())
    }

    fn receipt(&mut self, placed: &Placed) -> Result<(), String> {
        let subject = model::record::own_subject(&self.revision.pipeline, RecordKind::Receipt);
        same("subject", &placed.record.subject, &subject)?;
        let found: Receipt = parse(placed)?;
        let last = self.unit.last.map_or(found.last_sequence, |last| last.sequence);
        self.pass_silent_events(self.revision.plan.block_end(last))?;
        let expected = self.close(Some(&found))?.ok_or("a receipt of a unit that read nothing")?;
        same("receipt", &found, &expected)?;
        let position = self.unit.last.ok_or("a receipt of a unit that read nothing")?;
        same("position", &placed.record.position, &position)?;
        self.account.receipts += 1;
        self.link = Some(ReceiptLink { record: placed.sequence, digest: found.digest() });
        self.unit = Unit::new(0);
        Ok(())
    }

    fn answered(&mut self, placed: &Placed) -> Result<(), String> {
        let record = &placed.record;
        let expected = loop {
            match self.pending.next() {
                Some(expected) => break expected,
                None => self.read_event(u64::MAX)?.then_some(()).ok_or("no event is left for it")?,
            }
        };
        same("kind", &record.kind, &expected.kind)?;
        same("position", &record.position, &expected.position)?;
        same("subject", &record.subject, &expected.subject)?;
        same("payload", &record.payload, &expected.payload)?;
        for (name, value) in &expected.headers {
            same(name, &record.headers.get(name), &Some(value.as_str()))?;
        }
        let is_message = record.kind == RecordKind::Message;
        same("count of headers", &(is_message && record.headers.len() != expected.headers.len()), &false)?;
        record.digest_into(&mut self.unit.outputs);
        Ok(())
    }

    /// Reads the next matching event up to `through`, if there is one, and notes what has to come of it.
    fn read_event(&mut self, through: u64) -> Result<bool, String> {
        let plan = &self.revision.plan;
        let matches = |event: &&Event| {
            let subjects = &plan.source.subjects;
            subjects.is_empty() || subjects.iter().any(|pattern| pattern.matches(&event.subject))
        };
        let rest = &self.source[self.next_event..];
        let Some(event) = rest.iter().find(matches).filter(|event| event.sequence <= through) else {
            return Ok(false);
        };
        let skipped = rest.iter().position(|other| other.sequence == event.sequence).unwrap_or_default();
        self.next_event += skipped + 1;
        self.enter(event)?;
        Ok(true)
    }

    fn enter(&mut self, event: &Event) -> Result<(), String> {
        let plan = &self.revision.plan;
        let start = plan.block_start(event.sequence).max(self.revision.from_sequence);
        let unit = &mut self.unit;
        if unit.events == 0 {
            *unit = Unit { first_sequence: event.sequence, ..Unit::new(start) };
        } else if unit.start != start {
            return Err(format!(
                "no receipt for the unit from {} before event {}",
                unit.start, event.sequence
            ));
        }
        unit.events += 1;
        event.digest_into(&mut unit.inputs);
        let outcome = (self.answer)(plan, event, &mut unit.state);
        let expected = expected(plan, event, outcome)?;
        let dead = expected.iter().filter(|expected| expected.kind == RecordKind::Dead).count() as u64;
        unit.dead_letters += dead;
        unit.messages += expected.len() as u64 - dead;
        let index = u32::try_from(expected.len()).map_err(|error| error.to_string())?;
        unit.last = Some(Position { sequence: event.sequence, index });
        self.account.events += 1;
        self.account.dead_letters += dead;
        self.account.messages += expected.len() as u64 - dead;
        self.pending = expected.into_iter();
        Ok(())
    }

    /// Reads what is left up to `through`; none of it may have records, for none are there.
    fn pass_silent_events(&mut self, through: u64) -> Result<(), String> {
        loop {
            if let Some(missing) = self.pending.next() {
                return Err(format!("before it, the record of {} is missing", missing.position));
            }
            if !self.read_event(through)? {
                return Ok(());
            }
        }
    }

    /// What the receipt of the unit has to say, if it read anything. The engine is not ours to know.
    fn close(&self, found: Option<&Receipt>) -> Result<Option<Receipt>, String> {
        let Some(last) = self.unit.last else { return Ok(None) };
        let found = found.ok_or("the receipt of the unit that it cuts off is missing")?;
        Ok(Some(Receipt {
            version: model::receipt::RECEIPT_VERSION,
            pipeline: self.revision.pipeline.clone(),
            unit_start: self.unit.start,
            first_sequence: self.unit.first_sequence,
            last_sequence: last.sequence,
            events: self.unit.events,
            inputs: self.unit.inputs.clone().finish(),
            plan: self.revision.plan_digest,
            engine: found.engine.clone(),
            messages: self.unit.messages,
            dead_letters: self.unit.dead_letters,
            outputs: self.unit.outputs.clone().finish(),
            previous: self.link,
        }))
    }

    /// After the last record nothing may be missing but the receipt of a block that is not over.
    fn end(&mut self) -> Result<(), String> {
        let ends_block = |last: Position| self.revision.plan.block_end(last.sequence) == last.sequence;
        if self.pending.len() == 0 && self.unit.last.is_some_and(ends_block) {
            return Err("at the end, a receipt is missing".to_owned());
        }
        self.pass_silent_events(u64::MAX).map_err(|error| format!("at the end: {error}"))
    }
}

fn expected(plan: &Plan, event: &Event, outcome: Outcome) -> Result<Vec<Expected>, String> {
    let messages = match outcome {
        Outcome::Messages(messages) => messages,
        Outcome::Dead(code, step) => {
            let module = plan.steps[step].module.to_string();
            let own = [
                (DEAD_SUBJECT_HEADER, event.subject.clone()),
                (DEAD_STEP_HEADER, plan.steps[step].name.clone()),
                (DEAD_MODULE_HEADER, module),
                (DEAD_FAULT_HEADER, code.as_str().to_owned()),
            ];
            return Ok(vec![Expected {
                kind: RecordKind::Dead,
                subject: model::record::own_subject(&plan.pipeline, RecordKind::Dead),
                headers: own.map(|(name, value)| (name.to_owned(), value)).into(),
                payload: event.payload.clone(),
                position: Position { sequence: event.sequence, index: 0 },
            }]);
        }
    };
    let message = |(index, message): (usize, Message)| {
        let template =
            || plan.sink.subject.expand(&event.subject).map_err(|token| format!("no token {token}"));
        Ok(Expected {
            kind: RecordKind::Message,
            subject: message.subject.map_or_else(template, Ok)?,
            headers: message.headers.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            payload: message.payload,
            position: Position { sequence: event.sequence, index: u32::try_from(index).unwrap_or(u32::MAX) },
        })
    };
    messages.into_iter().enumerate().map(message).collect()
}

fn revision(placed: &Placed) -> Result<Revision, String> {
    if placed.record.kind != RecordKind::Revision {
        return Err(format!("the first record is no revision: {placed:?}"));
    }
    parse(placed)
}

/// Reads a record of ours, and checks that its bytes are the canonical ones.
fn parse<T: serde::de::DeserializeOwned + serde::Serialize>(placed: &Placed) -> Result<T, String> {
    let payload = &placed.record.payload;
    let value: T = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    let canonical = serde_json::to_vec(&value).map_err(|error| error.to_string())?;
    same("canonical bytes", &Digest::of(payload), &Digest::of(&canonical))?;
    Ok(value)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}"))
}
