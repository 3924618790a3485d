//! WASI preview 1 as core modules see it; randomness and clocks are in `determinism`.

use engine::LogSource;
use model::Event;

use crate::guests::{event, guest_fault, logged, module, once, payload, reporting};

#[test]
fn standard_streams_go_to_the_log() {
    let imports = r#"(import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))"#;
    let body = "(i32.store8 (i32.const 1024)
            (call $write (i32.const 1) (i32.const 16) (i32.const 2) (i32.const 64)))
        (i32.store8 (i32.const 1025) (i32.load (i32.const 64)))
        (i32.store8 (i32.const 1026) (call $write (i32.const 2) (i32.const 24) (i32.const 1) (i32.const 64)))
        (i32.store8 (i32.const 1027) (call $write (i32.const 7) (i32.const 24) (i32.const 1) (i32.const 64)))
        (i32.store8 (i32.const 1028)
            (call $write (i32.const 1) (i32.const -8) (i32.const 2) (i32.const 64)))";
    // Two vectors, "one\n" and "two", the second also by itself.
    let more = r#"(data (i32.const 16) "\20\00\00\00\04\00\00\00\24\00\00\00\03\00\00\00one\0atwo")"#;
    let (answer, lines) = logged(&module(&reporting(imports, body, 5, more)), "", &event(1));
    assert_eq!(
        payload(answer),
        [0, 7, 0, 8, 21],
        "written, 7 bytes, written, a bad descriptor, a bad pointer"
    );
    let lines: Vec<_> = lines.iter().map(|line| (line.source, &*line.text)).collect();
    assert_eq!(lines, [(LogSource::Stdout, "one"), (LogSource::Stdout, "two"), (LogSource::Stderr, "two")]);
}

/// A panic's message stands in the fault's reason, whether the runtime traps or ends itself.
#[test]
fn the_last_words_are_in_the_reason() {
    let imports = r#"(import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
    let more = r#"(data (i32.const 16) "\18\00\00\00\0f\00\00\00panic: no such\0a")"#;
    for (end, reason) in [
        ("(unreachable)", "wasm `unreachable` instruction executed; stderr: panic: no such; in process"),
        ("(call $exit (i32.const 2))", "the module ended itself with proc_exit(2); stderr: panic: no such"),
    ] {
        let body =
            format!("(drop (call $write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 64))) {end}");
        let fault = guest_fault(once(&module(&reporting(imports, &body, 1, more)), &event(1)));
        assert_eq!(fault.reason(), reason);
    }
}

#[test]
fn there_are_no_arguments_variables_files_and_input() {
    let imports = r#"
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))"#;
    let body = "(i64.store (i32.const 64) (i64.const -1)) (i64.store (i32.const 72) (i64.const -1))
        (i32.store8 (i32.const 1024) (call $args (i32.const 64) (i32.const 68)))
        (i32.store8 (i32.const 1025) (call $environ (i32.const 72) (i32.const 76)))
        (i32.store8 (i32.const 1026)
            (i32.wrap_i64 (i64.or (i64.load (i32.const 64)) (i64.load (i32.const 72)))))
        (i32.store8 (i32.const 1027) (call $prestat (i32.const 3) (i32.const 64)))
        (i32.store8 (i32.const 1028) (call $read (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64)))
        (i32.store8 (i32.const 1029) (call $yield))";
    let answer = once(&module(&reporting(imports, body, 6, "")), &event(1));
    assert_eq!(payload(answer), [0, 0, 0, 8, 0, 0]);
}

/// Sleeping an hour takes no time and moves the guest's clock by an hour, for this event only.
#[test]
fn sleeping_moves_the_clock() {
    let imports = r#"
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))"#;
    let body = "(i64.store (i32.const 64) (i64.const 42))
        (i64.store (i32.const 88) (i64.const 3600000000000))
        (i64.store (i32.const 112) (i64.const 43))
        (i64.store (i32.const 136) (i64.const 7200000000000))
        (i32.store8 (i32.const 1040)
            (call $poll (i32.const 64) (i32.const 256) (i32.const 2) (i32.const 1032)))
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 1024)))
        (i64.store (i32.const 1041) (i64.load (i32.const 256)))";
    let module = module(&reporting(imports, body, 49, ""));
    let answer = payload(once(&module, &event(1)));
    let now = event(1).timestamp_ns + 3_600_000_000_000;
    assert_eq!(answer[..8], now.to_le_bytes());
    assert_eq!(answer[8..12], 1_u32.to_le_bytes(), "one of the two is due");
    assert_eq!(answer[16], 0);
    assert_eq!(answer[17..25], 42_u64.to_le_bytes());
}

/// Go's runtime ends itself when it collects garbage and the monotonic clock is zero, as with the time that
/// `weir run` gives to events.
#[test]
fn the_monotonic_clock_is_never_zero() {
    let imports = r#"
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))"#;
    let body = "(drop (call $clock (i32.const 0) (i64.const 1) (i32.const 1024)))
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 1032)))";
    let module = module(&reporting(imports, body, 16, ""));
    let first_moment = Event { timestamp_ns: 0, ..event(1) };
    let answer = payload(once(&module, &first_moment));
    assert_eq!(answer[..8], 0_u64.to_le_bytes(), "the wall clock is the event's");
    assert_eq!(answer[8..], 1_u64.to_le_bytes());
}
