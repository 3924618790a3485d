//! The reading and writing of core modules against the contract's golden vectors, and against what no host
//! would send.

use weir_sdk::wire::{read_event, write_answer};
use weir_sdk::{Event, Message};

/// The bytes of the vector that is called so.
fn golden(name: &str) -> Vec<u8> {
    let vectors = include_str!("../../../runtime/engine/testdata/wire.txt");
    let mut lines = vectors.lines().filter_map(|line| line.split_once(": "));
    let (_, digits) = lines.find(|(found, _)| *found == name).unwrap_or_else(|| panic!("no vector {name}"));
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// What is written for an answer, over what was there before.
fn written(answer: Result<Vec<Message>, &str>) -> Vec<u8> {
    let mut bytes = b"the answer before".to_vec();
    write_answer(&answer.map_err(str::to_owned), &mut bytes);
    bytes
}

const EVENTS: [&str; 3] = ["event-plain", "event-empty", "event-long"];

#[test]
fn events_are_read() {
    let [plain, empty, long] = EVENTS.map(|name| read_event(golden(name)));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![header("a", "1"), header("a", "2"), header("b", "")];
    let expected = Event {
        headers,
        sequence: 7,
        timestamp_ns: 1_700_000_000_000_000_000,
        ..Event::new("orders.new", "hello")
    };
    assert_eq!(plain, Some(expected));
    assert_eq!(empty, Some(Event::new("s", "")));
    let expected =
        Event { sequence: 65_536, timestamp_ns: u64::MAX, ..Event::new("s".repeat(40), [0xff].repeat(300)) };
    assert_eq!(long, Some(expected));
}

/// Each event cut off anywhere, with a byte too many, and with each byte altered.
#[test]
fn damaged_events_are_refused_or_read_within_their_bytes() {
    for whole in EVENTS.map(golden) {
        for length in 0..whole.len() {
            assert_eq!(read_event(whole[..length].to_vec()), None, "{length} bytes of {whole:x?}");
        }
        assert_eq!(read_event([&whole[..], &[0]].concat()), None, "a byte too many: {whole:x?}");
        for at in 0..whole.len() {
            for byte in 0..=u8::MAX {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                let read = read_event(damaged);
                assert!(read.is_none_or(|event| event.payload.len() <= whole.len()));
            }
        }
    }
}

#[test]
fn what_is_announced_takes_no_memory_by_itself() {
    // 4,294,967,295 headers, and a payload of as many bytes.
    assert_eq!(read_event(b"\x95\xa1s\xc4\0\xdd\xff\xff\xff\xff".to_vec()), None);
    assert_eq!(read_event(b"\x95\xa1s\xc6\xff\xff\xff\xff".to_vec()), None);
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    assert_eq!(read_event(b"\x95\xa1\xff\xc4\0\x90\x01\0".to_vec()), None);
}

#[test]
fn answers_are_written() {
    let first = Message::new("hello").with_subject("out.a").with_header("k", "v");
    assert_eq!(written(Ok(vec![first, Message::new("")])), golden("answer-two"));
    assert_eq!(written(Ok(vec![])), golden("answer-none"));
    assert_eq!(written(Err("no amount")), golden("answer-reject"));
}

/// Lengths and counts around where MessagePack takes another form. What is written of a message is, with
/// another beginning and end, an event, so that it can be read back.
#[test]
fn every_length_is_written_in_its_form() {
    let read_back = |message: Message| {
        let subject = message.subject.clone().expect("an event has one");
        let bytes = written(Ok(vec![message]));
        let (head, message) = bytes.split_at(4);
        assert_eq!(head, b"\x92\0\x91\x93");
        let event = read_event([b"\x95", message, b"\x01\0"].concat()).expect("it is an event");
        assert_eq!((&event.subject, event.sequence), (&subject, 1));
        (event.payload, event.headers)
    };
    for length in [0, 1, 31, 32, 255, 256, 65_535, 65_536, 1 << 20] {
        let text = "x".repeat(length);
        let message = Message::new(text.as_str()).with_subject(text.as_str()).with_header("n", text.as_str());
        assert_eq!(read_back(message), (text.clone().into(), vec![("n".into(), text)]), "{length}");
    }
    for count in [0, 15, 16, 65_535, 65_536] {
        let headers: Vec<(String, String)> = vec![("n".into(), "v".into()); count];
        let message = Message::new("").with_subject("s").with_headers(headers.clone());
        assert_eq!(read_back(message), (vec![], headers), "{count}");
        let answer = written(Ok(vec![Message::new(""); count]));
        let head = match count {
            0..=15 => vec![0x90 | count as u8],
            16..=65_535 => [&[0xdc][..], &(count as u16).to_be_bytes()].concat(),
            _ => [&[0xdd][..], &(count as u32).to_be_bytes()].concat(),
        };
        assert_eq!(answer, [&[0x92, 0][..], &head, &b"\x93\xc0\xc4\0\x90".repeat(count)].concat(), "{count}");
    }
}
