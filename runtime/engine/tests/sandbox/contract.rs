//! What the core-module contract promises to a module that keeps it.

use model::{Answer, GuestFaultCode};

use crate::guests::{
    LIMITS, answering, core, core_with_imports, echo, event, guest_fault, instance, logged, message, module,
    once, payload, reporting,
};
use engine::{LogLevel, LogSource};

#[test]
fn an_event_goes_in_and_an_answer_comes_out() {
    let module = module(&echo());
    let answer = once(&module, &event(1)).expect("an answer");
    assert_eq!(answer, Answer::Messages(vec![message(None, b"hello", &[])]));
}

#[test]
fn a_module_may_drop_and_reject() {
    assert_eq!(once(&module(&answering(b"\x92\x00\x90")), &event(1)), Ok(Answer::Messages(Vec::new())));
    let reject = answering(b"\x92\x01\xa3why");
    assert_eq!(once(&module(&reject), &event(1)), Ok(Answer::Reject("why".to_owned())));
}

#[test]
fn rejecting_does_not_spend_the_instance() {
    let module = module(&answering(b"\x92\x01\xa3why"));
    let mut instance = instance(&module, &LIMITS);
    for sequence in 1..4 {
        let answer = instance.process(&event(sequence), &mut |_| {});
        assert_eq!(answer, Ok(Answer::Reject("why".to_owned())));
    }
}

/// `_initialize` leaves 7 behind, each `weir_free` adds the length that it is given.
#[test]
fn initialize_and_free_are_called() {
    let more = r#"(global $seen (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $seen (i32.const 7)))
        (func (export "weir_free") (param $ptr i32) (param $len i32)
            (if (i32.ne (local.get $ptr) (i32.const 1017)) (then (unreachable)))
            (global.set $seen (i32.add (global.get $seen) (local.get $len))))"#;
    let module = module(&reporting("", "(i32.store8 (i32.const 1024) (global.get $seen))", 1, more));
    let mut instance = instance(&module, &LIMITS);
    for expected in [7, 16, 25] {
        assert_eq!(payload(instance.process(&event(1), &mut |_| {})), [expected]);
    }
}

#[test]
fn the_config_can_be_read() {
    let imports = r#"(import "weir" "config_len" (func $config_len (result i32)))
        (import "weir" "config_read" (func $config_read (param i32)))"#;
    let body = "(if (i32.ne (call $config_len) (i32.const 7)) (then (unreachable)))
        (call $config_read (i32.const 1024))";
    let module = module(&reporting(imports, body, 7, ""));
    let (answer, _) = logged(&module, r#"{"a":1}"#, &event(1));
    assert_eq!(payload(answer), br#"{"a":1}"#);
}

#[test]
fn lines_are_logged_and_bounded() {
    let imports = r#"(import "weir" "log" (func $log (param i32 i32 i32)))"#;
    let process = r"(call $log (i32.const 2) (i32.const 16) (i32.const 5))
        (call $log (i32.const 1) (i32.const 0) (i32.const 60000))
        (call $answer (i32.const 32) (i32.const 3))";
    let data = r#"(data (i32.const 16) "alert") (data (i32.const 32) "\92\00\90")"#;
    let (answer, lines) = logged(&module(&core_with_imports(imports, process, data)), "", &event(1));
    assert!(answer.is_ok());
    assert_eq!((lines[0].level, lines[0].source, &*lines[0].text), (LogLevel::Warn, LogSource::Log, "alert"));
    assert!(lines[1].text.len() < LIMITS.log_bytes_per_event as usize);
    assert_eq!(lines[2].source, LogSource::Sandbox);
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_log_line_outside_memory_is_a_bad_pointer() {
    let imports = r#"(import "weir" "log" (func $log (param i32 i32 i32)))"#;
    let process = "(call $log (i32.const 2) (i32.const -8) (i32.const 9)) (i64.const 0)";
    let module = module(&core_with_imports(imports, process, ""));
    let fault = guest_fault(once(&module, &event(1)));
    assert_eq!(fault.code(), GuestFaultCode::BadPointer);
    assert!(fault.reason().contains("weir.log"), "{fault}");
}

/// Growth that is refused shows as -1, and a module that copes with it goes on.
#[test]
fn refused_growth_can_be_survived() {
    let process = r"(if (i32.ne (memory.grow (i32.const 1)) (i32.const 2)) (then (unreachable)))
        (if (i32.ne (memory.grow (i32.const 1000)) (i32.const -1)) (then (unreachable)))
        (if (i32.ne (memory.grow (i32.const 65536)) (i32.const -1)) (then (unreachable)))
        (call $answer (i32.const 32) (i32.const 3))";
    let module = module(&core(process, r#"(data (i32.const 32) "\92\00\90")"#));
    let mut instance = instance(&module, &LIMITS);
    assert_eq!(instance.process(&event(1), &mut |_| {}), Ok(Answer::Messages(Vec::new())));
    assert_eq!(instance.last_call().memory_bytes, 3 * 65_536);
}

/// A maximum of the module's own, reached after growth that was granted, is not the machine's failure.
#[test]
fn a_maximum_of_the_modules_own_is_its_own_business() {
    let bytes = wat::parse_str(
        r#"(module (memory (export "memory") 1 2)
            (table $t 1 3 funcref)
            (func (export "weir_alloc") (param i32) (result i32) (i32.const 1024))
            (func (export "weir_process") (param i32 i32) (result i64)
                (drop (memory.grow (i32.const 1)))
                (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
                (drop (table.grow $t (ref.null func) (i32.const 2)))
                (if (i32.ne (table.grow $t (ref.null func) (i32.const 1)) (i32.const -1))
                    (then (unreachable)))
                (i64.const 0x10_0000_0003))
            (data (i32.const 16) "\92\00\90"))"#,
    );
    let module = module(&bytes.expect("valid text format"));
    assert_eq!(once(&module, &event(1)), Ok(Answer::Messages(Vec::new())));
}
