//! Packed messages: many events in one message of the source, many messages in one record.

use model::record::{DEAD_EVENT_HEADER, DEAD_FAULT_HEADER};
use model::{Position, RecordKind};
use weir_tests::Pipeline;
use weir_tests::stream::Placed;

use crate::verify::{assert_identical, verify_at};
use crate::world::{World, of_kind};

/// What comes of `payloads` through a pipeline whose source and sink have these lines.
fn records(source: &str, sink: &str, module: &str, payloads: &[&[u8]]) -> Vec<Placed> {
    let mut world = World::new();
    let module = world.push(module);
    let pipeline = Pipeline::new("p").line("block = 2").source(source).sink_lines(sink).step(module);
    world.put_in_force(&pipeline, "p");
    let sequence = world.put(payloads);
    world.settle("p", sequence);
    let events = payloads.len();
    let verified = verify_at(&world.nats.url(), "p", &[]);
    let line = format!("{} receipts, {events} events, identical", events / 2);
    assert_identical(&verified, &line);
    world.records("p", "OUT")
}

/// Position, fault code and payload of all messages and dead letters.
fn outputs(records: &[Placed]) -> Vec<(String, &str, String)> {
    let outputs = records.iter().map(|placed| &placed.record);
    let outputs = outputs.filter(|record| matches!(record.kind, RecordKind::Message | RecordKind::Dead));
    let shown = outputs.map(|record| {
        let fault = record.headers.get(DEAD_FAULT_HEADER).unwrap_or("");
        (record.position.to_string(), fault, String::from_utf8_lossy(&record.payload).into_owned())
    });
    shown.collect()
}

fn expected<'a>(list: &[(&str, &'a str, &str)]) -> Vec<(String, &'a str, String)> {
    list.iter().map(|(position, fault, payload)| ((*position).into(), *fault, (*payload).into())).collect()
}

/// `multi` refuses lines that begin with "no", gives one message for each event of the first message, three
/// with headers of their own for those of the second, none for those of the third, and one again.
#[test]
fn lines_are_events_of_their_own_and_are_packed_again() {
    let payloads: [&[u8]; 4] = [b"a\nno b\r\n\nc\nd\ne", b"x\ny\n", b"z", b"w"];
    let found = records(
        "stream = \"IN\"\nformat = \"ndjson\"",
        "format = \"ndjson\"\npack_events = 2",
        "multi",
        &payloads,
    );
    let wanted = [
        ("1/0", "", "a#0"),
        ("1/1", "rejected", "no b"),
        ("1/2", "", "c#0\nd#0"),
        ("1/3", "", "e#0"),
        // Headers differ, so they cannot lie in one record.
        ("2/0", "", "x#0"),
        ("2/1", "", "x#1"),
        ("2/2", "", "x#2"),
        ("2/3", "", "y#0"),
        ("2/4", "", "y#1"),
        ("2/5", "", "y#2"),
        ("4/0", "", "w#0"),
    ];
    assert_eq!(outputs(&found), expected(&wanted));
    let dead = of_kind(&found, RecordKind::Dead);
    let event = found.iter().find(|placed| placed.record.kind == RecordKind::Dead);
    let event = event.and_then(|placed| placed.record.headers.get(DEAD_EVENT_HEADER));
    assert_eq!((dead.len(), event), (1, Some("1")));
    assert_eq!(dead[0].record.position, Position { sequence: 1, index: 1 });
}

#[test]
fn a_pack_is_closed_before_it_is_too_large() {
    let found = records(
        "stream = \"IN\"\nformat = \"ndjson\"",
        "format = \"ndjson\"\npack_bytes = 9",
        "upper",
        &[b"aaaa\nbbbb\ncccc\ndddddddddddd\ne", b"f"],
    );
    let wanted = [
        ("1/0", "", "AAAA\nBBBB"),
        ("1/1", "", "CCCC"),
        ("1/2", "", "DDDDDDDDDDDD"),
        ("1/3", "", "E"),
        ("2/0", "", "F"),
    ];
    assert_eq!(outputs(&found), expected(&wanted));
}

#[test]
fn values_of_messagepack_are_events_and_broken_ones_are_told() {
    let broken = b"\xa1b\xa5cut";
    let found = records(
        "stream = \"IN\"\nformat = \"msgpack\"",
        "format = \"msgpack\"",
        "identity",
        &[b"\xa1a\x92\x01\x02\xc0", broken],
    );
    assert_eq!(of_kind(&found, RecordKind::Message)[0].record.payload, b"\xa1a\x92\x01\x02\xc0".as_slice());
    let dead = of_kind(&found, RecordKind::Dead);
    assert_eq!((dead.len(), &dead[0].record.payload[..]), (1, &broken[..]));
    assert_eq!(dead[0].record.headers.get(DEAD_FAULT_HEADER), Some("malformed-input"));
}

/// A line break in a message would come apart as two events where the record is read.
#[test]
fn what_does_not_go_into_a_pack_is_a_dead_letter() {
    let found = records("stream = \"IN\"", "format = \"ndjson\"", "upper", &[b"one line", b"two\nlines"]);
    let wanted = [("1/0", "", "ONE LINE"), ("2/0", "bad-answer", "two\nlines")];
    assert_eq!(outputs(&found), expected(&wanted));
}
