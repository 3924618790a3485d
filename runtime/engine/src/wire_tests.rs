//! The golden bytes of the wire, and what happens to bytes that are not it.

use model::{GuestFaultCode as Code, Headers};

use super::*;

const GOLDEN: &str = include_str!("../testdata/wire.txt");

/// The bytes of one entry of the golden file, whose lines are `name: hex` and comments.
fn golden(name: &str) -> Vec<u8> {
    let prefix = format!("{name}: ");
    let hex = GOLDEN.lines().find_map(|line| line.strip_prefix(&prefix)).expect(name);
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect(name)).collect()
}

fn event(subject: &str, payload: &[u8], headers: &[(&str, &str)], sequence: u64, timestamp_ns: u64) -> Event {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Event {
        subject: subject.to_owned(),
        payload: Bytes::copy_from_slice(payload),
        headers: Headers::canonical(headers),
        sequence,
        timestamp_ns,
    }
}

fn encoded(event: &Event) -> Vec<u8> {
    let mut frame = EventFrame::default();
    let mut bytes = vec![0; frame.encode(event)];
    frame.copy_to(&event.payload, &mut bytes);
    bytes
}

fn decode(bytes: &[u8]) -> Result<Answer, GuestFault> {
    decode_answer(bytes, &Limits::DEFAULT)
}

fn message(subject: Option<&str>, payload: &[u8], headers: &[(&str, &str)]) -> model::Message {
    let event = event("", payload, headers, 0, 0);
    model::Message { subject: subject.map(str::to_owned), payload: event.payload, headers: event.headers }
}

#[test]
fn events_have_their_golden_bytes() {
    let plain =
        event("orders.new", b"hello", &[("a", "1"), ("a", "2"), ("b", "")], 7, 1_700_000_000_000_000_000);
    assert_eq!(encoded(&plain), golden("event-plain"));
    assert_eq!(encoded(&event("s", b"", &[], 1, 0)), golden("event-empty"));
    let long = event(&"s".repeat(40), &[0xff; 300], &[], 65_536, u64::MAX);
    assert_eq!(encoded(&long), golden("event-long"));
}

#[test]
fn a_frame_can_be_used_again() {
    let mut frame = EventFrame::default();
    for event in [event("long.subject", b"payload", &[("a", "b")], 9, 9), event("s", b"", &[], 1, 0)] {
        let mut bytes = vec![0; frame.encode(&event)];
        frame.copy_to(&event.payload, &mut bytes);
        assert_eq!(bytes, encoded(&event));
    }
}

#[test]
fn answers_of_the_golden_bytes_are_read() {
    let two = vec![message(Some("out.a"), b"hello", &[("k", "v")]), message(None, b"", &[])];
    for (name, answer) in [
        ("answer-two", Answer::Messages(two)),
        ("answer-none", Answer::Messages(Vec::new())),
        ("answer-text-payload", Answer::Messages(vec![message(None, b"text", &[])])),
        ("answer-long-forms", Answer::Messages(vec![message(Some("s"), b"p", &[("n", "v")])])),
        ("answer-reject", Answer::Reject("no amount".to_owned())),
    ] {
        assert_eq!(decode(&golden(name)), Ok(answer), "{name}");
    }
}

#[test]
fn what_is_not_an_answer_is_a_fault() {
    for (name, code) in [
        ("bad-empty", Code::BadAnswer),
        ("bad-map", Code::BadAnswer),
        ("bad-tag", Code::BadAnswer),
        ("bad-trailing", Code::BadAnswer),
        ("bad-array-of-three", Code::BadAnswer),
        ("bad-message-of-two", Code::BadAnswer),
        ("bad-payload-number", Code::BadAnswer),
        ("bad-header-of-three", Code::BadAnswer),
        ("bad-length-beyond", Code::BadAnswer),
        ("bad-headers-announced", Code::BadAnswer),
        ("bad-subject-utf8", Code::BadUtf8),
        ("bad-reason-utf8", Code::BadUtf8),
        ("bad-subject-wildcard", Code::BadSubject),
        ("bad-header-reserved", Code::BadHeader),
        ("bad-messages-announced", Code::TooManyMessages),
    ] {
        assert_eq!(decode(&golden(name)).map_err(|fault| fault.code()), Err(code), "{name}");
    }
}

/// No prefix of a good answer is one, none panics, and each is a fault of the answer's shape.
#[test]
fn every_cut_is_a_bad_answer() {
    for name in ["answer-two", "answer-reject", "answer-long-forms"] {
        let whole = golden(name);
        for length in 0..whole.len() {
            let fault = decode(&whole[..length]).expect_err(name);
            assert_eq!(fault.code(), Code::BadAnswer, "{name} cut to {length}: {fault}");
        }
    }
}

/// Any one byte replaced by any other gives an answer or a fault, and never a panic.
#[test]
fn no_byte_can_do_harm() {
    let whole = golden("answer-two");
    for at in 0..whole.len() {
        for byte in 0..=255 {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            let _ = decode(&bytes);
        }
    }
}

#[test]
fn limits_hold() {
    let bytes = golden("answer-two");
    let exact = Limits { messages_per_event: 2, bytes_per_event: 16, ..Limits::DEFAULT };
    assert!(decode_answer(&bytes, &exact).is_ok());
    let fault = |limits: Limits| decode_answer(&bytes, &limits).map_err(|fault| fault.code());
    assert_eq!(fault(Limits { messages_per_event: 1, ..exact }), Err(Code::TooManyMessages));
    assert_eq!(fault(Limits { bytes_per_event: 15, ..exact }), Err(Code::OutputTooLarge));
    let reject = decode_answer(&golden("answer-reject"), &Limits { bytes_per_event: 8, ..exact });
    assert_eq!(reject.map_err(|fault| fault.code()), Err(Code::OutputTooLarge));
}
