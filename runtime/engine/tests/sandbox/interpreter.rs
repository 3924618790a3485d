//! Components of the world `interpreter`, by hand: what they are given, what they send, and what they may ask
//! for.

use engine::{ModuleKind, Refusal};
use model::{Answer, Event, GuestFaultCode as Code, Limits};

use crate::component::{MEMORY, component};
use crate::guests::{ENGINE, LIMITS, event, guest_fault, instance, message, module, once, payload};

/// What the component imports, lowers and gives to its core module, and what that calls it.
const LANGUAGE: &str = r#"(import "weir:transform/language@1.0.0" (instance $language
        (export "send" (func (param "subject" (option string)) (param "payload" (list u8))
            (param "headers" (option (list (tuple string string))))))
        (export "refuse" (func (param "reason" string)))
        (export "fail" (func (param "reason" string)))
        (export "decode" (func (param "bytes" (list u8)) (result (option string))))
        (export "encode" (func (param "text" string) (result (list u8))))))"#;
const LOWERED: &str = r#"(core func $send (canon lower (func $language "send") (memory $memory)))
        (core func $refuse (canon lower (func $language "refuse") (memory $memory)))
        (core func $fail (canon lower (func $language "fail") (memory $memory)))
        (core func $decode (canon lower (func $language "decode") (memory $memory) (realloc $realloc)))
        (core func $encode (canon lower (func $language "encode") (memory $memory) (realloc $realloc)))
        (core instance $asked (export "send" (func $send)) (export "refuse" (func $refuse))
            (export "fail" (func $fail)) (export "decode" (func $decode)) (export "encode" (func $encode)))"#;
const FUNCTIONS: &str = r#"
            (import "l" "send" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32)))
            (import "l" "refuse" (func $refuse (param i32 i32)))
            (import "l" "fail" (func $fail (param i32 i32)))
            (import "l" "decode" (func $decode (param i32 i32 i32)))
            (import "l" "encode" (func $encode (param i32 i32 i32)))"#;
/// The type of `process`, as the text format has it.
const PROCESS: &str = r#"(param "subject" string) (param "payload" (list u8)) (param "rest" string)
            (result (option (list u8)))"#;

/// A component whose `process` has this type and is `body`, with the event's parts as locals. It returns
/// where its answer lies: 64, where nothing is, or what `$give` gives.
fn with_type(process: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(component {LANGUAGE}
        {MEMORY}
        {LOWERED}
        (core module $main
            (import "m" "memory" (memory 2))
            {FUNCTIONS}
            (data (i32.const 128) "a.*:")
            (data (i32.const 144) "\80\00\00\00\01\00\00\00\80\00\00\00\01\00\00\00")
            (data (i32.const 160) "\83\00\00\00\01\00\00\00\80\00\00\00\01\00\00\00")
            (func $give (param $at i32) (param $length i32) (result i32)
                (i32.store8 (i32.const 80) (i32.const 1))
                (i32.store (i32.const 84) (local.get $at))
                (i32.store (i32.const 88) (local.get $length))
                (i32.const 80))
            (func $process (export "process")
                (param $subject i32) (param $subject_len i32) (param $payload i32) (param $payload_len i32)
                (param $rest i32) (param $rest_len i32) (result i32)
                {body}))
        (core instance $main (instantiate $main (with "m" (instance $memory)) (with "l" (instance $asked))))
        (func $process {process} (canon lift (core func $main "process") (memory $memory) (realloc $realloc)))
        (export "process" (func $process)))"#
    );
    wat::parse_str(text).expect("valid text format")
}

fn interpreter(body: &str) -> Vec<u8> {
    with_type(PROCESS, body)
}

/// Sends the payload with this subject, this many bytes of the text `a.*:`, and these headers, a pointer and
/// a count: at 144 is one that is named `a`, at 160 one that is named `:`.
fn send(subject: Option<u32>, headers: Option<(u32, u32)>) -> String {
    let text = |text: Option<(u32, u32)>| {
        let (at, length) = text.unwrap_or_default();
        format!("(i32.const {}) (i32.const {at}) (i32.const {length})", u8::from(text.is_some()))
    };
    let subject = text(subject.map(|length| (128, length)));
    let headers = text(headers);
    format!("(call $send {subject} (local.get $payload) (local.get $payload_len) {headers})")
}

const GIVE_PAYLOAD: &str = "(call $give (local.get $payload) (local.get $payload_len))";
const GIVE_NOTHING: &str = "(i32.const 64)";

#[test]
fn bytes_that_are_given_back_are_a_message_with_the_events_headers() {
    let bytes = interpreter(GIVE_PAYLOAD);
    let info = ENGINE.inspect(&bytes).expect("a module");
    assert_eq!((info.kind, info.exports), (ModuleKind::Component, vec!["process".to_owned()]));
    let answer = once(&module(&bytes), &event(1));
    assert_eq!(answer, Ok(Answer::Messages(vec![message(None, b"hello", &[("k", "v")])])));
    assert_eq!(once(&module(&interpreter(GIVE_NOTHING)), &event(1)), Ok(Answer::Messages(vec![])));
}

#[test]
fn the_rest_of_an_event_is_json_without_loss() {
    let module = module(&interpreter("(call $give (local.get $rest) (local.get $rest_len))"));
    let headers = model::Headers::canonical([("a", "größer"), ("a", "\"\\"), ("b", "")]);
    let event = Event { headers, sequence: u64::MAX, timestamp_ns: u64::MAX - 1, ..event(1) };
    let rest = r#"{"headers":[["a","größer"],["a","\"\\"],["b",""]],"sequence":"18446744073709551615","timestamp_ns":"18446744073709551614"}"#;
    assert_eq!(String::from_utf8_lossy(&payload(once(&module, &event))), rest);
}

#[test]
fn messages_are_sent_in_the_order_of_the_calls_and_the_last_is_given_back() {
    let calls = [send(Some(1), None), send(None, Some((144, 0))), send(None, Some((144, 1)))].concat();
    let module = module(&interpreter(&format!("{calls} {GIVE_PAYLOAD}")));
    let mut instance = instance(&module, &LIMITS);
    for sequence in 1..100 {
        let answer = instance.process(&event(sequence), &mut |_| {});
        let expected = vec![
            message(Some("a"), b"hello", &[("k", "v")]),
            message(None, b"hello", &[]),
            message(None, b"hello", &[("a", "a")]),
            message(None, b"hello", &[("k", "v")]),
        ];
        assert_eq!(answer, Ok(Answer::Messages(expected)));
    }
}

#[test]
fn a_refusal_goes_before_what_was_sent_and_the_instance_goes_on() {
    let refuse = "(if (i32.eq (local.get $payload_len) (i32.const 2))
        (then (call $refuse (local.get $payload) (local.get $payload_len))))";
    let module = module(&interpreter(&format!("{} {refuse} {GIVE_PAYLOAD}", send(None, None))));
    let mut instance = instance(&module, &LIMITS);
    for _ in 0..3 {
        let refused = Event { payload: (&b"no"[..]).into(), ..event(1) };
        assert_eq!(instance.process(&refused, &mut |_| {}), Ok(Answer::Reject("no".to_owned())));
        let kept = message(None, b"hello", &[("k", "v")]);
        let answer = instance.process(&event(1), &mut |_| {});
        assert_eq!(answer, Ok(Answer::Messages(vec![kept.clone(), kept])));
    }
}

#[test]
fn what_is_sent_is_counted_and_checked() {
    let over_and_over = |send: String| format!("(loop $again {send} (br $again)) {GIVE_NOTHING}");
    let large = Event { payload: vec![b'x'; 600].into(), ..event(1) };
    let many_headers = Event { headers: model::Headers::canonical([("k", "v".repeat(400))]), ..event(1) };
    for (name, body, event, code) in [
        ("too many calls", over_and_over(send(None, None)), &event(1), Code::TooManyMessages),
        ("one more given back", send(None, None).repeat(10) + GIVE_PAYLOAD, &event(1), Code::TooManyMessages),
        ("too large", send(None, None).repeat(2) + GIVE_NOTHING, &large, Code::OutputTooLarge),
        ("too large with what is given back", send(None, None) + GIVE_PAYLOAD, &large, Code::OutputTooLarge),
        (
            "headers over and over",
            send(None, None).repeat(3) + GIVE_NOTHING,
            &many_headers,
            Code::OutputTooLarge,
        ),
        ("a subject with a wildcard", send(Some(3), None) + GIVE_NOTHING, &event(1), Code::BadSubject),
        ("a header that is none", send(None, Some((160, 1))) + GIVE_NOTHING, &event(1), Code::BadHeader),
        (
            "headers outside memory",
            send(None, Some((131_068, 2))) + GIVE_NOTHING,
            &event(1),
            Code::BadPointer,
        ),
    ] {
        let module = module(&interpreter(&body));
        let fault = guest_fault(once(&module, event));
        assert_eq!(fault.code(), code, "{name}: {fault}");
        assert_eq!(guest_fault(once(&module, event)), fault, "{name}: another instance");
    }
    let too_long = Limits { bytes_per_event: 1, ..LIMITS };
    let refuse =
        module(&interpreter("(call $refuse (local.get $payload) (local.get $payload_len)) (i32.const 64)"));
    let fault = guest_fault(instance(&refuse, &too_long).process(&event(1), &mut |_| {}));
    assert_eq!(fault.code(), Code::OutputTooLarge, "{fault}");
}

#[test]
fn a_component_of_the_other_world_has_nothing_to_send() {
    let bytes = component(
        LANGUAGE,
        LOWERED,
        r#"(with "l" (instance $asked))"#,
        FUNCTIONS,
        "(call $refuse (local.get $payload) (local.get $payload_len)) (i32.const 64)",
    );
    let fault = guest_fault(once(&module(&bytes), &event(1)));
    assert_eq!(fault.code(), Code::DeniedImport);
    assert!(fault.reason().contains("'weir:transform/language#refuse' is for"), "{fault}");
}

#[test]
fn a_process_that_is_nearly_flat_is_refused_with_what_it_has_to_be() {
    let process = PROCESS.replace("(param \"rest\" string)", "(param \"rest\" (list u8))");
    let refusal = ENGINE.inspect(&with_type(&process, GIVE_PAYLOAD)).expect_err("another type");
    let Refusal::WrongExport { expected, found, .. } = &refusal else { panic!("{refusal}") };
    assert_eq!(*expected, "func(subject: string, payload: list<u8>, rest: string) -> option<list<u8>>");
    assert_eq!(found, "func(subject: string, payload: list<u8>, rest: list<u8>) -> option<list<u8>>");
}

#[test]
fn an_interpreter_can_have_text_decoded_and_encoded() {
    let body = "(call $decode (local.get $payload) (local.get $payload_len) (i32.const 256))
        (if (i32.eqz (i32.load8_u (i32.const 256)))
            (then (call $fail (local.get $subject) (local.get $subject_len))))
        (call $encode (i32.load (i32.const 260)) (i32.load (i32.const 264)) (i32.const 256))
        (call $give (i32.load (i32.const 256)) (i32.load (i32.const 260)))";
    let module = module(&interpreter(body));
    for text in ["", "hello", "größer, 語, 🦀"] {
        let event = Event { payload: text.as_bytes().into(), ..event(1) };
        assert_eq!(payload(once(&module, &event)), text.as_bytes());
    }
    let event = Event { payload: (&b"a\xff"[..]).into(), ..event(1) };
    let fault = guest_fault(once(&module, &event));
    assert_eq!((fault.code(), fault.reason()), (Code::Trap, &*event.subject));
}

#[test]
fn an_interpreter_says_itself_why_it_ends() {
    let fail = "(call $fail (local.get $payload) (local.get $payload_len)) (i32.const 64)";
    let event = Event { payload: (&b"TypeError: x\n\n    at process (a.js:1:2)\n"[..]).into(), ..event(1) };
    let fault = guest_fault(once(&module(&interpreter(fail)), &event));
    assert_eq!((fault.code(), fault.reason()), (Code::Trap, "TypeError: x | at process (a.js:1:2)"));
    let greedy = format!("(drop (memory.grow (i32.const 60000))) {fail}");
    let fault = guest_fault(once(&module(&interpreter(&greedy)), &event));
    assert_eq!(fault.code(), Code::OutOfMemory, "{fault}");
}
