//! Commands: programs that know nothing of Weir. They read standard input, write standard output, and are
//! started anew for every event.

use bytes::Bytes;
use engine::{LogSource, Module, ModuleKind};
use model::{Answer, CommandOutput, Event, GuestFaultCode, Limits};

use crate::guests::{ENGINE, LIMITS, core, event, guest_fault, logged, module, once, payload};

/// A command whose `_start` is `body`. `$write` writes bytes to a stream, `$read` reads into 4096.
fn command(imports: &str, body: &str, more: &str) -> Module {
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            {imports}
            (memory (export "memory") 2)
            (func $write (param $fd i32) (param $at i32) (param $length i32)
                (i32.store (i32.const 0) (local.get $at))
                (i32.store (i32.const 4) (local.get $length))
                (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func $read (param $length i32) (result i32)
                (i32.store (i32.const 0) (i32.const 4096))
                (i32.store (i32.const 4) (local.get $length))
                (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
                (i32.load (i32.const 8)))
            (func (export "_start") (local $length i32) {body})
            {more})"#
    );
    module(&wat::parse_str(text).expect("valid text format"))
}

/// Standard input to standard output, three bytes at a time.
fn cat() -> Module {
    let body = "(loop $more
        (local.set $length (call $read (i32.const 3)))
        (call $write (i32.const 1) (i32.const 4096) (local.get $length))
        (br_if $more (local.get $length)))";
    command("", body, "")
}

fn of(text: &'static str) -> Event {
    Event { payload: Bytes::from_static(text.as_bytes()), ..event(7) }
}

fn payloads(module: &Module, text: &'static str) -> Vec<String> {
    match once(module, &of(text)) {
        Ok(Answer::Messages(messages)) => {
            assert!(messages.iter().all(|message| message.subject.is_none() && message.headers.is_empty()));
            let texts = messages.iter().map(|message| String::from_utf8_lossy(&message.payload).into_owned());
            texts.collect()
        }
        other => panic!("expected messages, found {other:?}"),
    }
}

#[test]
fn what_is_printed_is_one_message_or_one_for_each_line() {
    let whole = cat();
    assert_eq!(whole.kind(), ModuleKind::Command);
    let lines = whole.clone().with_output(CommandOutput::Lines).expect("a command");
    for (text, as_whole, as_lines) in [
        ("one\ntwo", vec!["one\ntwo"], vec!["one", "two"]),
        ("one\n\ntwo\n", vec!["one\n\ntwo\n"], vec!["one", "", "two"]),
        ("\n", vec!["\n"], vec![""]),
        ("", vec![], vec![]),
    ] {
        assert_eq!(payloads(&whole, text), as_whole, "{text:?}");
        assert_eq!(payloads(&lines, text), as_lines, "{text:?}");
    }
}

#[test]
fn only_commands_print_their_answer() {
    let transform = module(&core("(i64.const 0)", ""));
    assert_eq!(transform.kind(), ModuleKind::CoreModule);
    let Err(error) = transform.clone().with_output(CommandOutput::Lines) else { panic!("expected an error") };
    assert!(error.to_string().contains("the module is a core-module"), "{error}");
    assert!(transform.with_output(CommandOutput::Whole).is_ok());
}

#[test]
fn the_environment_says_what_the_event_is() {
    let imports = r#"
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))"#;
    let body = "(drop (call $args_sizes (i32.const 16) (i32.const 20)))
        (drop (call $args (i32.const 64) (i32.const 4096)))
        (call $write (i32.const 1) (i32.load (i32.const 64)) (i32.load (i32.const 20)))
        (drop (call $sizes (i32.const 16) (i32.const 20)))
        (drop (call $environ (i32.const 64) (i32.const 4096)))
        (call $write (i32.const 1) (i32.load (i32.const 64)) (i32.load (i32.const 20)))";
    let (answer, _) = logged(&command(imports, body, ""), r#"{"a":1}"#, &event(7));
    let text = String::from_utf8(payload(answer)).expect("text");
    let expected = [
        "module",
        "WEIR_SUBJECT=s",
        "WEIR_SEQUENCE=7",
        "WEIR_TIMESTAMP_NS=1700000000000000007",
        r#"WEIR_HEADERS=[["k","v"]]"#,
        r#"WEIR_CONFIG={"a":1}"#,
        "",
    ];
    assert_eq!(text.split('\0').collect::<Vec<_>>(), expected);
}

#[test]
fn the_exit_code_says_whether_the_event_is_taken() {
    let data = r#"(data (i32.const 256) "why\nnot\n")"#;
    let with_code = |code: u32, stderr: u32| {
        let body = format!(
            "(call $write (i32.const 1) (i32.const 256) (i32.const 3))
             (call $write (i32.const 2) (i32.const 256) (i32.const {stderr}))
             (call $exit (i32.const {code})) (unreachable)"
        );
        once(&command("", &body, data), &event(1))
    };
    assert_eq!(payload(with_code(0, 8)), b"why");
    assert_eq!(with_code(3, 8), Ok(Answer::Reject("exit code 3: why | not".to_owned())));
    assert_eq!(with_code(1, 0), Ok(Answer::Reject("exit code 1".to_owned())));
    let trapped =
        command("", "(call $write (i32.const 2) (i32.const 256) (i32.const 3)) (unreachable)", data);
    let fault = guest_fault(once(&trapped, &event(1)));
    assert_eq!(fault.code(), GuestFaultCode::Trap);
    assert!(fault.reason().contains("stderr: why"), "{fault}");
}

/// Standard output is the answer, and no log.
#[test]
fn only_standard_error_is_logged() {
    let body = "(call $write (i32.const 1) (i32.const 256) (i32.const 3))
        (call $write (i32.const 2) (i32.const 256) (i32.const 3))";
    let (answer, lines) = logged(&command("", body, r#"(data (i32.const 256) "abc")"#), "", &event(1));
    assert_eq!(payload(answer), b"abc");
    let lines: Vec<_> = lines.iter().map(|line| (line.source, &*line.text)).collect();
    assert_eq!(lines, [(LogSource::Stderr, "abc")]);
}

/// A global counts its calls, and a place in memory is written to: neither is seen by the next event.
#[test]
fn every_event_gets_a_fresh_program() {
    let body = "(global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store8 (i32.const 256) (i32.add (i32.load8_u (i32.const 256)) (global.get $calls)))
        (call $write (i32.const 1) (i32.const 256) (i32.const 1))";
    let more = r#"(global $calls (mut i32) (i32.const 0)) (data (i32.const 256) "0")"#;
    let module = command("", body, more);
    let mut instance = module.instantiate("", &LIMITS, &mut |_| {}).expect("an instance");
    let mut fuel = Vec::new();
    for sequence in 1..4 {
        assert_eq!(payload(instance.process(&event(sequence), &mut |_| {})), b"1");
        fuel.push(instance.last_call());
    }
    assert!(fuel[0].fuel_used > 0 && fuel.iter().all(|stats| *stats == fuel[0]), "{fuel:?}");
}

#[test]
fn a_command_is_held_to_its_limits() {
    let print = "(loop $again (call $write (i32.const 1) (i32.const 256) (i32.const 100)) (br $again))";
    let lines = "(loop $again
        (call $write (i32.const 1) (i32.const 256) (i32.const 1))
        (br_if $again (i32.lt_u (local.tee $length (i32.add (local.get $length) (i32.const 1)))
            (i32.const 11))))";
    let grow = "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then (unreachable)))";
    for (body, output, code) in [
        (print, CommandOutput::Whole, GuestFaultCode::OutputTooLarge),
        (lines, CommandOutput::Lines, GuestFaultCode::TooManyMessages),
        ("(loop $again (br $again))", CommandOutput::Whole, GuestFaultCode::OutOfFuel),
        (grow, CommandOutput::Whole, GuestFaultCode::OutOfMemory),
    ] {
        let module = command("", body, r#"(data (i32.const 256) "\n")"#);
        let module = module.with_output(output).expect("a command");
        assert_eq!(guest_fault(once(&module, &event(1))).code(), code, "{body}");
    }
    let larger = command("", "", "");
    let limits = Limits { memory_bytes: 1 << 16, ..LIMITS };
    let mut instance = larger.instantiate("", &limits, &mut |_| {}).expect("nothing starts yet");
    let fault = guest_fault(instance.process(&event(1), &mut |_| {}));
    assert_eq!(fault.code(), GuestFaultCode::OutOfMemory);
}

/// The standard streams are pipes: always ready, without a position, neither files nor terminals.
#[test]
fn the_standard_streams_are_pipes() {
    let imports = r#"
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_tell" (func $tell (param i32 i32) (result i32)))"#;
    let body = "(i64.store (i32.const 512) (i64.const 42))
        (i32.store8 (i32.const 520) (i32.const 1))
        (i32.store8 (i32.const 256)
            (call $poll (i32.const 512) (i32.const 1024) (i32.const 1) (i32.const 16)))
        (i32.store8 (i32.const 257) (i32.load8_u (i32.const 16)))
        (i32.store8 (i32.const 258) (i32.load8_u (i32.const 1024)))
        (i32.store8 (i32.const 259) (i32.load8_u (i32.const 1034)))
        (i32.store8 (i32.const 260) (i32.load8_u (i32.const 1040)))
        (i32.store8 (i32.const 261)
            (call $pread (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)))
        (i32.store8 (i32.const 262) (call $stat (i32.const 0) (i32.const 2048)))
        (i32.store8 (i32.const 263) (call $tell (i32.const 3) (i32.const 2048)))
        (call $write (i32.const 1) (i32.const 256) (i32.const 8))";
    let answer = payload(once(&command(imports, body, ""), &event(1)));
    assert_eq!(answer, [0, 1, 42, 1, 5, 70, 0, 8]);
}

#[test]
fn what_is_not_served_is_a_fault_that_names_it() {
    let imports = r#"(import "wasi_snapshot_preview1" "path_unlink_file"
        (func $unlink (param i32 i32 i32) (result i32)))"#;
    let body = "(drop (call $unlink (i32.const 3) (i32.const 0) (i32.const 0)))";
    let fault = guest_fault(once(&command(imports, body, ""), &event(1)));
    assert_eq!(fault.code(), GuestFaultCode::DeniedImport);
    assert!(fault.reason().contains("wasi_snapshot_preview1.path_unlink_file"), "{fault}");
}

/// A component's `run` has no exit code but whether it went well.
#[test]
fn a_component_can_be_a_command() {
    for (result, expected) in [(0, Answer::Messages(vec![])), (1, Answer::Reject("exit code 1".to_owned()))] {
        let text = format!(
            r#"(component (core module $m (func (export "f") (result i32) (i32.const {result})))
                (core instance $i (instantiate $m))
                (func $f (result (result)) (canon lift (core func $i "f")))
                (instance $run (export "run" (func $f))) (export "wasi:cli/run@0.2.3" (instance $run)))"#
        );
        let bytes = wat::parse_str(text).expect("valid text format");
        assert_eq!(ENGINE.inspect(&bytes).map(|info| info.kind), Ok(ModuleKind::Command));
        assert_eq!(once(&module(&bytes), &event(1)), Ok(expected));
    }
}

/// Compiled code is told apart as its bytes are.
#[test]
fn kept_code_is_still_a_command() {
    let bytes = wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#);
    let bytes = bytes.expect("valid text format");
    let compiled = ENGINE.compile(&bytes).expect("code");
    let loaded = ENGINE.load(model::Digest::of(&bytes), &compiled).expect("a module");
    assert_eq!(loaded.kind(), ModuleKind::Command);
    assert_eq!(once(&loaded, &event(1)), Ok(Answer::Messages(vec![])));
}
