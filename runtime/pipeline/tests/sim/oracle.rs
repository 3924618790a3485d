//! What a chain has to be, computed in the plainest way from the events and the revisions that it holds.
//! Shares no code with the pipeline but the modules themselves.

use model::record::own_subject;
use model::{
    Answer, Digest, DigestBuilder, Event, Fault, Headers, Plan, Position, Receipt, ReceiptLink, Record,
    RecordKind, Revision,
};
use pipeline::ports::StepInstance;

use crate::sim::Leaky;

/// Asserts that `chain` is exactly what `events` give under the revisions in it.
pub(crate) fn check(events: &[Event], chain: &[Record]) {
    let revisions: Vec<(usize, Revision)> = chain
        .iter()
        .enumerate()
        .filter(|(_, record)| record.kind == RecordKind::Revision)
        .map(|(at, record)| (at, serde_json::from_slice(&record.payload).unwrap()))
        .collect();
    let mut expected: Vec<Record> = Vec::new();
    let mut link = None;
    for (number, (at, revision)) in revisions.iter().enumerate() {
        assert_eq!(*at, expected.len(), "revision {} stands where its predecessor's records end", number + 1);
        assert_eq!(revision.number, number as u64 + 1);
        assert_eq!(revision.previous, link);
        assert_eq!(revision.plan.digest(), revision.plan_digest);
        expected.push(chain[*at].clone());
        link = revision.last_receipt(*at as u64 + 1);
        let until = revisions.get(number + 1).map(|(_, next)| next.from_sequence);
        let governed: Vec<&Event> = events
            .iter()
            .filter(|e| e.sequence >= revision.from_sequence && until.is_none_or(|until| e.sequence < until))
            .collect();
        let closes = revisions.get(number + 1).and_then(|(_, next)| next.closes.clone());
        // A revision without a receipt in it follows one: an event of a later block had closed the unit
        // already.
        let cut = until.is_some() && closes.is_some();
        let closed = until.is_some() && closes.is_none();
        let cut_off = governed_records(revision, &governed, [cut, closed], &mut link, &mut expected);
        if until.is_some() {
            assert_eq!(closes, cut_off, "the receipt of the unit that revision {} cuts off", number + 2);
        }
    }
    for (at, (expected, found)) in expected.iter().zip(chain).enumerate() {
        assert_eq!(expected, found, "record {}", at + 1);
    }
    assert_eq!(expected.len(), chain.len(), "nothing more, nothing less");
}

/// The records of the events that one revision governs, whose last unit is cut off by the next revision, or
/// closed before it, or open. Gives the receipt of a unit that was cut off.
fn governed_records(
    revision: &Revision,
    events: &[&Event],
    [cut, closed]: [bool; 2],
    link: &mut Option<ReceiptLink>,
    records: &mut Vec<Record>,
) -> Option<Receipt> {
    let plan = &revision.plan;
    let block = u64::from(plan.block);
    let mut at = 0;
    while at < events.len() {
        let number = (events[at].sequence - 1) / block;
        let unit: Vec<&Event> =
            events[at..].iter().take_while(|e| (e.sequence - 1) / block == number).copied().collect();
        at += unit.len();
        let start = (number * block + 1).max(revision.from_sequence);
        let (unit_records, mut receipt) = unit_records(plan, start, &unit);
        records.extend(unit_records);
        receipt.previous = *link;
        let last = unit[unit.len() - 1].sequence;
        let complete = at < events.len() || last.is_multiple_of(block) || closed;
        if !complete {
            return cut.then_some(receipt);
        }
        let index = records.iter().filter(|r| r.position.sequence == last && is_output(r)).count() as u32;
        records.push(Record {
            kind: RecordKind::Receipt,
            subject: own_subject(&plan.pipeline, RecordKind::Receipt),
            headers: Headers::new(),
            payload: receipt.canonical_bytes().into(),
            plan: plan.digest(),
            position: Position { sequence: last, index },
        });
        *link = Some(ReceiptLink { record: records.len() as u64, digest: receipt.digest() });
    }
    None
}

fn is_output(record: &Record) -> bool {
    matches!(record.kind, RecordKind::Message | RecordKind::Dead)
}

fn unit_records(plan: &Plan, start: u64, events: &[&Event]) -> (Vec<Record>, Receipt) {
    let version = plan.steps[0].config["version"].as_u64().unwrap();
    let mut module = Leaky { version, count: 0 };
    let (mut inputs, mut outputs) = (DigestBuilder::new(), DigestBuilder::new());
    let mut records = Vec::new();
    for event in events {
        event.digest_into(&mut inputs);
        match module.process(event) {
            Ok(Answer::Messages(messages)) => {
                records.extend(messages.into_iter().enumerate().map(|(index, message)| Record {
                    kind: RecordKind::Message,
                    subject: message.subject.unwrap_or(format!("out.{}", event.subject)),
                    headers: message.headers,
                    payload: message.payload,
                    plan: plan.digest(),
                    position: Position { sequence: event.sequence, index: index as u32 },
                }));
            }
            Ok(Answer::Reject(reason)) => records.push(dead(plan, event, "rejected", &reason)),
            Err(Fault::Guest(fault)) => {
                module.count = 0;
                records.push(dead(plan, event, fault.code().as_str(), fault.reason()));
            }
            Err(Fault::Host(_)) => unreachable!("the module has no host faults"),
        }
    }
    records.iter().for_each(|record| record.digest_into(&mut outputs));
    let dead_letters = records.iter().filter(|r| r.kind == RecordKind::Dead).count() as u64;
    let receipt = Receipt {
        version: 1,
        pipeline: plan.pipeline.clone(),
        unit_start: start,
        first_sequence: events[0].sequence,
        last_sequence: events[events.len() - 1].sequence,
        events: events.len() as u64,
        inputs: inputs.finish(),
        plan: plan.digest(),
        engine: "sim-1".into(),
        messages: records.len() as u64 - dead_letters,
        dead_letters,
        outputs: outputs.finish(),
        previous: None,
    };
    (records, receipt)
}

fn dead(plan: &Plan, event: &Event, code: &str, reason: &str) -> Record {
    let step = &plan.steps[0];
    let own = [
        ("Weir-Subject", event.subject.clone()),
        ("Weir-Step", step.name.clone()),
        ("Weir-Module", Digest::to_string(&step.module)),
        ("Weir-Fault", code.to_owned()),
        ("Weir-Reason", reason.to_owned()),
    ];
    let own = own.into_iter().map(|(n, v)| (n.to_owned(), v));
    let kept = event.headers.iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
    Record {
        kind: RecordKind::Dead,
        subject: own_subject(&plan.pipeline, RecordKind::Dead),
        headers: Headers::canonical(kept.chain(own)),
        payload: event.payload.clone(),
        plan: plan.digest(),
        position: Position { sequence: event.sequence, index: 0 },
    }
}
