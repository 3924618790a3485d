//! Components of the world `transform`, by hand: what they are given, what they may do, and what becomes of
//! hostile ones.

use engine::{CompileError, LogSource, ModuleKind};
use model::{Answer, Digest, GuestFaultCode as Code, Limits};

use crate::guests::{ENGINE, LIMITS, event, guest_fault, instance, logged, message, module, once, payload};

const TYPES: &str = r#"
    (import "weir:transform/types@1.0.0" (instance $types
        (type $event' (record (field "subject" string) (field "payload" (list u8))
            (field "headers" (list (tuple string string))) (field "sequence" u64) (field "timestamp-ns" u64)))
        (export "event" (type (eq $event')))
        (type $message' (record (field "subject" (option string)) (field "payload" (list u8))
            (field "headers" (list (tuple string string)))))
        (export "message" (type (eq $message')))))
    (alias export $types "event" (type $event''))
    (import "event" (type $event (eq $event'')))
    (alias export $types "message" (type $message''))
    (import "message" (type $message (eq $message'')))"#;

/// Memory of two pages for a component, and a `realloc` from 4096 on that begins anew near the end.
pub(crate) const MEMORY: &str = r#"(core module $memory
            (memory (export "memory") 2)
            (global $next (mut i32) (i32.const 4096))
            (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                (global.set $next (i32.add (local.get $at) (local.get $size)))
                (if (i32.gt_u (global.get $next) (i32.const 120000))
                    (then (global.set $next (i32.const 4096))))
                (local.get $at)))
        (core instance $memory (instantiate $memory))
        (alias core export $memory "memory" (core memory $memory))
        (alias core export $memory "realloc" (core func $realloc))"#;

/// A component whose `process` is `body`, with the event's flat parts as locals. It returns where the
/// answer's record lies: by default at 64, a result of a list of one message at 128, whose payload is the
/// event's. `imports` and `lowered` are component items before the core module and instance; `core` is more
/// of the module.
pub(crate) fn component(imports: &str, lowered: &str, with: &str, core: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(component {TYPES} {imports}
        {MEMORY}
        {lowered}
        (core module $main
            (import "m" "memory" (memory 2))
            {core}
            (data (i32.const 68) "\80\00\00\00\01\00\00\00")
            (func $process (export "process")
                (param $subject i32) (param $subject_len i32) (param $payload i32) (param $payload_len i32)
                (param $headers i32) (param $headers_len i32) (param $sequence i64) (param $timestamp i64)
                (result i32) (local $at i32)
                (i32.store (i32.const 140) (local.get $payload))
                (i32.store (i32.const 144) (local.get $payload_len))
                {body}))
        (core instance $main (instantiate $main (with "m" (instance $memory)) {with}))
        (func $process (param "event" $event) (result (result (list $message) (error string)))
            (canon lift (core func $main "process") (memory $memory) (realloc $realloc)))
        (export "process" (func $process)))"#
    );
    wat::parse_str(text).expect("valid text format")
}

/// One that imports this as well.
pub(crate) fn with_imports(imports: &str) -> Vec<u8> {
    component(imports, "", "", "", "(i32.const 64)")
}

fn plain(body: &str) -> Vec<u8> {
    component("", "", "", "", body)
}

#[test]
fn an_event_goes_in_and_an_answer_comes_out() {
    // Subject and headers go back as they came.
    let body = "(i32.store8 (i32.const 128) (i32.const 1))
        (i32.store (i32.const 132) (local.get $subject)) (i32.store (i32.const 136) (local.get $subject_len))
        (i32.store (i32.const 148) (local.get $headers)) (i32.store (i32.const 152) (local.get $headers_len))
        (i32.const 64)";
    let bytes = plain(body);
    let info = ENGINE.inspect(&bytes).expect("a module");
    assert_eq!((info.kind, info.exports), (ModuleKind::Component, vec!["process".to_owned()]));
    let module = module(&bytes);
    let mut instance = instance(&module, &LIMITS);
    for sequence in 1..2_000 {
        let answer = instance.process(&event(sequence), &mut |_| {}).expect("an answer");
        assert_eq!(answer, Answer::Messages(vec![message(Some("s"), b"hello", &[("k", "v")])]));
    }
}

#[test]
fn sequence_and_timestamp_are_given() {
    let body = "(i64.store (i32.const 256) (local.get $sequence))
        (i64.store (i32.const 264) (local.get $timestamp))
        (i32.store (i32.const 140) (i32.const 256))
        (i32.store (i32.const 144) (i32.const 16)) (i32.const 64)";
    let answer = payload(once(&module(&plain(body)), &event(7)));
    assert_eq!(answer, [7, event(7).timestamp_ns].map(u64::to_le_bytes).concat());
}

#[test]
fn a_component_may_reject_and_go_on() {
    let body = "(i32.store8 (i32.const 64) (i32.const 1)) (i32.store (i32.const 68) (local.get $subject))
        (i32.store (i32.const 72) (local.get $subject_len)) (i32.const 64)";
    let module = module(&plain(body));
    let mut instance = instance(&module, &LIMITS);
    for _ in 0..3 {
        assert_eq!(instance.process(&event(1), &mut |_| {}), Ok(Answer::Reject("s".to_owned())));
    }
}

#[test]
fn compiled_components_can_be_kept() {
    let bytes = plain("(i32.const 64)");
    let compiled = ENGINE.compile(&bytes).expect("code");
    let module = ENGINE.load(Digest::of(&bytes), &compiled).expect("a module");
    assert_eq!(payload(once(&module, &event(1))), b"hello");
}

#[test]
fn hostile_components_get_their_codes() {
    let subject_at = |pointer: u32, length: u32| {
        format!(
            "(i32.store8 (i32.const 128) (i32.const 1)) (i32.store (i32.const 132) (i32.const {pointer}))
             (i32.store (i32.const 136) (i32.const {length})) (i32.store8 (i32.const 300) (i32.const 255))
             (i32.store16 (i32.const 302) (i32.const 0x2a2e)) (i32.const 64)"
        )
    };
    let messages = |count: u32| format!("(i32.store (i32.const 72) (i32.const {count})) (i32.const 64)");
    let payload_of = |length: u32| format!("(i32.store (i32.const 144) (i32.const {length})) (i32.const 64)");
    for (name, body, code) in [
        ("a panic", "(unreachable)".to_owned(), Code::Trap),
        ("an endless loop", "(loop $again (br $again)) (i32.const 64)".to_owned(), Code::OutOfFuel),
        ("a stack bomb", "(call $deep) (i32.const 64)".to_owned(), Code::StackOverflow),
        ("an answer outside memory", "(i32.const 131068)".to_owned(), Code::BadPointer),
        ("an answer at an odd place", "(i32.const 65)".to_owned(), Code::BadPointer),
        (
            "no such case",
            "(i32.store8 (i32.const 64) (i32.const 9)) (i32.const 64)".to_owned(),
            Code::BadAnswer,
        ),
        (
            "no such option",
            "(i32.store8 (i32.const 128) (i32.const 9)) (i32.const 64)".to_owned(),
            Code::BadAnswer,
        ),
        ("messages outside memory", messages(1_000_000), Code::BadPointer),
        ("a payload outside memory", payload_of(u32::MAX), Code::BadPointer),
        ("a subject outside memory", subject_at(u32::MAX, 8), Code::BadPointer),
        ("a subject that is no text", subject_at(300, 1), Code::BadUtf8),
        ("a subject with a wildcard", subject_at(302, 2), Code::BadSubject),
        ("too many messages", messages(11), Code::TooManyMessages),
        ("too large a payload", payload_of(1_001), Code::OutputTooLarge),
        ("a giant payload", payload_of(110_000), Code::OutputTooLarge),
    ] {
        let deep = "(func $deep (call $deep) (call $deep))";
        let module = module(&component("", "", "", deep, &body));
        let mut spent = instance(&module, &LIMITS);
        let fault = guest_fault(spent.process(&event(1), &mut |_| {}));
        assert_eq!(fault.code(), code, "{name}: {fault}");
        assert_eq!(guest_fault(once(&module, &event(1))), fault, "{name}: another instance");
        assert!(
            spent.process(&event(1), &mut |_| {}).is_err_and(|fault| fault.to_string().contains("poisoned"))
        );
    }
}

/// A thousand messages that share one payload are stopped before a thousand copies are made.
#[test]
fn an_answer_that_repeats_itself_is_bounded() {
    let body = "(local.set $at (i32.const 40000))
        (loop $more
            (i32.store offset=12 (local.get $at) (i32.const 0))
            (i32.store offset=16 (local.get $at) (i32.const 130000))
            (local.set $at (i32.add (local.get $at) (i32.const 28)))
            (br_if $more (i32.lt_u (local.get $at) (i32.const 68000))))
        (i32.store (i32.const 68) (i32.const 40000))
        (i32.store (i32.const 72) (i32.const 1000)) (i32.const 64)";
    let limits = Limits { messages_per_event: 1_000, bytes_per_event: 1 << 20, ..LIMITS };
    let module = module(&plain(body));
    let fault = guest_fault(instance(&module, &limits).process(&event(1), &mut |_| {}));
    assert_eq!(fault.code(), Code::OutputTooLarge, "{fault}");
    let plenty = Limits { bytes_per_event: 1 << 28, ..limits };
    let answer = instance(&module, &plenty).process(&event(1), &mut |_| {});
    assert!(matches!(answer, Ok(Answer::Messages(messages)) if messages.len() == 1_000));
}

const HOST: &str = r#"(import "weir:transform/host@1.0.0" (instance $host
        (type $level' (enum "debug" "info" "warn" "error"))
        (export "level" (type $level (eq $level')))
        (export "log" (func (param "level" $level) (param "text" string)))
        (export "config" (func (result string)))))"#;

#[test]
fn the_host_can_be_asked() {
    let lowered = r#"(core func $log (canon lower (func $host "log") (memory $memory)))
        (core func $config (canon lower (func $host "config") (memory $memory) (realloc $realloc)))"#;
    let with = r#"(with "host" (instance (export "log" (func $log)) (export "config" (func $config))))"#;
    let core = r#"(import "host" "log" (func $log (param i32 i32 i32)))
        (import "host" "config" (func $config (param i32)))"#;
    let body = "(call $log (i32.const 3) (local.get $payload) (local.get $payload_len))
        (call $config (i32.const 140)) (i32.const 64)";
    let module = module(&component(HOST, lowered, with, core, body));
    let (answer, lines) = logged(&module, "{\"x\":2}", &event(1));
    assert_eq!(payload(answer), b"{\"x\":2}");
    assert_eq!(lines.iter().map(|line| &*line.text).collect::<Vec<_>>(), ["hello"]);
}

const WASI: &str = r#"
    (import "wasi:io/error@0.2.3" (instance $error (export "error" (type (sub resource)))))
    (alias export $error "error" (type $error))
    (import "wasi:io/streams@0.2.3" (instance $streams
        (alias outer 1 $error (type $e')) (export "error" (type $e (eq $e')))
        (export "output-stream" (type $out (sub resource)))
        (type $failed' (variant (case "last-operation-failed" (own $e)) (case "closed")))
        (export "stream-error" (type $failed (eq $failed')))
        (export "[method]output-stream.blocking-write-and-flush"
            (func (param "self" (borrow $out)) (param "contents" (list u8))
                (result (result (error $failed)))))))
    (alias export $streams "output-stream" (type $out))
    (import "wasi:cli/stderr@0.2.3" (instance $stderr
        (alias outer 1 $out (type $o')) (export "output-stream" (type $o (eq $o')))
        (export "get-stderr" (func (result (own $o))))))
    (import "wasi:clocks/wall-clock@0.2.0" (instance $wall
        (type $datetime' (record (field "seconds" u64) (field "nanoseconds" u32)))
        (export "datetime" (type $datetime (eq $datetime')))
        (export "now" (func (result $datetime)))))
    (import "wasi:random/random@0.2.9" (instance $random (export "get-random-u64" (func (result u64)))))
    (import "wasi:sockets/instance-network@0.2.3" (instance $net
        (export "network" (type $network (sub resource)))
        (export "instance-network" (func (result (own $network))))))"#;

fn wasi_guest(body: &str) -> Vec<u8> {
    let lowered = r#"
        (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
            (memory $memory)))
        (core func $stderr (canon lower (func $stderr "get-stderr")))
        (core func $now (canon lower (func $wall "now") (memory $memory)))
        (core func $random (canon lower (func $random "get-random-u64")))
        (core func $network (canon lower (func $net "instance-network")))
        (core instance $wasi (export "write" (func $write)) (export "stderr" (func $stderr))
            (export "now" (func $now)) (export "random" (func $random)) (export "network" (func $network)))"#;
    let core = r#"(import "wasi" "write" (func $write (param i32 i32 i32 i32)))
        (import "wasi" "stderr" (func $stderr (result i32)))
        (import "wasi" "now" (func $now (param i32)))
        (import "wasi" "random" (func $random (result i64)))
        (import "wasi" "network" (func $network (result i32)))"#;
    component(WASI, lowered, r#"(with "wasi" (instance $wasi))"#, core, body)
}

/// Several versions of WASI 0.2 side by side, as components made of parts have them.
#[test]
fn wasi_is_made_from_the_event() {
    let body = "(call $write (call $stderr) (local.get $payload) (local.get $payload_len) (i32.const 400))
        (call $now (i32.const 256)) (i64.store (i32.const 272) (call $random))
        (i32.store (i32.const 140) (i32.const 256))
        (i32.store (i32.const 144) (i32.const 24)) (i32.const 64)";
    let bytes = wasi_guest(body);
    let module = module(&bytes);
    let (answer, lines) = logged(&module, "", &event(9));
    assert_eq!((lines[0].source, &*lines[0].text), (LogSource::Stderr, "hello"));
    let answer = payload(answer);
    assert_eq!(answer[..8], 1_700_000_000_u64.to_le_bytes());
    assert_eq!(answer[8..12], 9_u32.to_le_bytes());
    let mut seed = b"weir-random-1".to_vec();
    seed.extend(Digest::of(&bytes).as_raw());
    seed.extend(9_u64.to_le_bytes());
    seed.extend(0_u64.to_le_bytes());
    assert_eq!(answer[16..24], Digest::of(&seed).as_raw()[..8]);
}

#[test]
fn wasi_that_is_not_served_is_named() {
    let fault = guest_fault(once(&module(&wasi_guest("(call $network)")), &event(1)));
    assert_eq!(fault.code(), Code::DeniedImport);
    assert!(fault.reason().contains("wasi:sockets/instance-network@0.2.3#instance-network"), "{fault}");
}

#[test]
fn imports_of_another_world_are_refused() {
    for name in ["acme:db/query@1.0.0", "weir:transform/host@2.0.0", "wasi:cli/stdout@0.3.0", "plain"] {
        let import = format!(r#"(import "{name}" (instance $x (export "f" (func))))"#);
        let refusal =
            ENGINE.inspect(&component(&import, "", "", "", "(i32.const 64)")).expect_err("a refusal");
        assert_eq!(refusal.code(), "unknown-import");
        assert!(refusal.to_string().contains(&format!("'{name}'")), "{refusal}");
    }
    let import = r#"(import "weir:transform/host@1.2.0" (instance $x (export "fetch" (func))))"#;
    let Err(CompileError::Refused(refusal)) =
        ENGINE.compile(&component(import, "", "", "", "(i32.const 64)"))
    else {
        panic!("expected a refusal")
    };
    assert_eq!(refusal.code(), "unlinkable");
    assert!(refusal.to_string().contains("fetch"), "{refusal}");
}
