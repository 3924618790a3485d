//! What a module gets that does what it must not: its own code, the same reason every time, and no effect on
//! anything else.

use engine::Module;
use model::{Fault, GuestFaultCode as Code, Limits};

use crate::guests::{
    LIMITS, answering, core, core_with_imports, echo, event, guest_fault, instance, module, once, payload,
};

/// Runs a module to its fault and holds it to what every fault promises.
fn check(name: &str, bytes: &[u8], code: Code, reason: &str) {
    let module = module(bytes);
    let fault = guest_fault(once(&module, &event(1)));
    assert_eq!(fault.code(), code, "{name}: {fault}");
    assert!(fault.reason().contains(reason), "{name}: {fault}");
    assert!(!fault.reason().contains("0x7f"), "{name}: an address of the host: {fault}");

    let mut spent = instance(&module, &LIMITS);
    let again = guest_fault(spent.process(&event(1), &mut |_| {}));
    assert_eq!(again, fault, "{name}: another instance");
    let poisoned = spent.process(&event(2), &mut |_| {});
    assert!(matches!(&poisoned, Err(Fault::Host(fault)) if fault.to_string().contains("poisoned")), "{name}");

    assert_eq!(payload(once(&healthy(), &event(1))), b"hello", "{name}: the next module");
}

fn healthy() -> Module {
    static ECHO: std::sync::LazyLock<Module> = std::sync::LazyLock::new(|| module(&echo()));
    ECHO.clone()
}

#[test]
fn what_traps() {
    for (name, process, reason) in [
        ("a panic", "(unreachable)", "`unreachable` instruction executed; in process"),
        ("a division", "(i64.extend_i32_u (i32.div_u (i32.const 1) (i32.const 0)))", "divide by zero"),
        ("a far read", "(i64.load (i32.const -16))", "out of bounds memory access"),
        ("a bad call", "(call_indirect $t (result i64) (i32.const 9))", "undefined element"),
        ("a bad conversion", "(i64.trunc_f64_s (f64.const nan))", "invalid conversion"),
    ] {
        check(name, &core(process, "(table $t 1 funcref)"), Code::Trap, reason);
    }
}

#[test]
fn what_runs_out() {
    let recursion =
        "(local $a i64) (i64.add (call $process (local.get $ptr) (local.get $len)) (i64.const 1))";
    let bomb = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)";
    let table = "(loop $more (br_if $more
        (i32.ne (table.grow $t (ref.null func) (i32.const 9000)) (i32.const -1)))) (unreachable)";
    for (name, process, code, reason) in [
        ("an endless loop", "(loop $again (br $again)) (i64.const 0)", Code::OutOfFuel, "5000000 units"),
        ("a stack bomb", recursion, Code::StackOverflow, "call stack"),
        ("a memory bomb", bomb, Code::OutOfMemory, "4194304 bytes"),
        ("a table bomb", table, Code::OutOfMemory, "4194304 bytes"),
    ] {
        check(name, &core(process, "(table $t 1 funcref)"), code, reason);
    }
}

/// Work in bulk is paid for in bulk, so fuel bounds it too.
#[test]
fn bulk_work_costs_fuel() {
    let process = "(loop $again
        (memory.fill (i32.const 0) (i32.const 1) (i32.const 131072)) (br $again)) (i64.const 0)";
    check("bulk work", &core(process, ""), Code::OutOfFuel, "units of fuel");
    let imports =
        r#"(import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#;
    let process =
        "(loop $again (drop (call $random (i32.const 0) (i32.const 131072))) (br $again)) (i64.const 0)";
    check("randomness in bulk", &core_with_imports(imports, process, ""), Code::OutOfFuel, "units of fuel");
}

#[test]
fn lying_pointers() {
    for (name, process) in [
        ("far beyond", "(call $answer (i32.const -1) (i32.const 1))"),
        ("over the end", "(call $answer (i32.const 131071) (i32.const 2))"),
        ("a huge length", "(call $answer (i32.const 0) (i32.const -1))"),
        ("all ones", "(i64.const -1)"),
    ] {
        check(name, &core(process, ""), Code::BadPointer, "weir_process");
    }
    for (name, pointer, reason) in [
        ("no room", "0", "weir_alloc gave no room"),
        ("beyond memory", "131070", "weir_alloc: "),
        ("negative", "-1", "outside the module's memory"),
    ] {
        let text = format!(
            r#"(module (memory (export "memory") 2)
                (func (export "weir_alloc") (param i32) (result i32) (i32.const {pointer}))
                (func (export "weir_process") (param i32 i32) (result i64) (i64.const 0)))"#
        );
        check(name, &wat::parse_str(text).expect("valid text format"), Code::BadPointer, reason);
    }
}

#[test]
fn bad_answers() {
    let long_text = [b"\x92\x01\xda\x03\xe9".as_slice(), &[b'x'; 1001]].concat();
    let long_payload = [b"\x92\x00\x91\x93\xc0\xc5\x03\xe9".as_slice(), &[0; 1001], b"\x90"].concat();
    let eleven = [b"\x92\x00\x9b".as_slice(), &b"\x93\xc0\xc4\x00\x90".repeat(11)].concat();
    for (name, bytes, code, reason) in [
        ("nothing", b"".as_slice(), Code::BadAnswer, "byte 0"),
        ("not an array", b"\xc0", Code::BadAnswer, "found MessagePack byte 0xc0"),
        (
            "cut off",
            b"\x92\x00\x91\x93\xc0\xc4\x05abc",
            Code::BadAnswer,
            "5 bytes are announced and 3 are left",
        ),
        ("left over", b"\x92\x00\x90\x00", Code::BadAnswer, "1 more bytes"),
        ("an endless array", b"\x92\x00\x91\x93\xc0\xc4\x00\xdd\xff\xff\xff\xff", Code::BadAnswer, "byte 12"),
        ("a text that is none", b"\x92\x01\xa1\xff", Code::BadUtf8, "the reason is not UTF-8"),
        ("a subject with a space", b"\x92\x00\x91\x93\xa3a b\xc4\x00\x90", Code::BadSubject, "'a b'"),
        (
            "a reserved header",
            b"\x92\x00\x91\x93\xc0\xc4\x00\x91\x92\xa6Weir-A\xa0",
            Code::BadHeader,
            "'Weir-A'",
        ),
        (
            "a header that breaks out",
            b"\x92\x00\x91\x93\xc0\xc4\x00\x91\x92\xa1a\xa2\r\n",
            Code::BadHeader,
            "line break",
        ),
        ("too many", &eleven, Code::TooManyMessages, "11 messages"),
        ("too large a payload", &long_payload, Code::OutputTooLarge, "1000 bytes"),
        ("too large a reason", &long_text, Code::OutputTooLarge, "1000 bytes"),
    ] {
        check(name, &answering(bytes), code, reason);
    }
}

#[test]
fn a_trap_while_freeing_is_the_events_fault() {
    let more =
        r#"(func (export "weir_free") (param i32 i32) (unreachable)) (data (i32.const 32) "\92\00\90")"#;
    let bytes = core("(call $answer (i32.const 32) (i32.const 3))", more);
    check("a bad free", &bytes, Code::Trap, "unreachable");
}

#[test]
fn what_is_not_served_is_named() {
    for (name, signature, call, reason) in [
        (
            "path_open",
            "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
            "(drop (call $f (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)))",
            "wasi_snapshot_preview1.path_open",
        ),
        (
            "sock_shutdown",
            "(param i32 i32) (result i32)",
            "(drop (call $f (i32.const 3) (i32.const 0)))",
            "wasi_snapshot_preview1.sock_shutdown",
        ),
        ("proc_exit", "(param i32)", "(call $f (i32.const 3))", "proc_exit(3)"),
    ] {
        let imports = format!(r#"(import "wasi_snapshot_preview1" "{name}" (func $f {signature}))"#);
        let bytes = core_with_imports(&imports, &format!("{call} (i64.const 0)"), "");
        check(name, &bytes, Code::DeniedImport, reason);
    }
}

#[test]
fn faults_while_starting_are_the_modules_too() {
    for (name, more, code) in [
        ("a trap", "(func $s (unreachable)) (start $s)", Code::Trap),
        ("an endless start", "(func $s (loop $again (br $again))) (start $s)", Code::OutOfFuel),
        (
            "an endless _initialize",
            r#"(func (export "_initialize") (loop $again (br $again)))"#,
            Code::OutOfFuel,
        ),
        (
            "a table too large",
            "(table 90000 funcref) (table 90000 funcref) (table 90000 funcref)
            (table 90000 funcref) (table 90000 funcref) (table 90000 funcref)",
            Code::OutOfMemory,
        ),
        ("a segment outside", r#"(data (i32.const 131070) "abc")"#, Code::Trap),
    ] {
        let module = module(&core("(i64.const 0)", more));
        let start = || module.instantiate("", &LIMITS, &mut |_| {}).map(|_| ());
        let Err(Fault::Guest(fault)) = start() else { panic!("{name}: expected a guest fault") };
        assert_eq!(fault.code(), code, "{name}: {fault}");
        assert!(fault.reason().starts_with("while starting: "), "{name}: {fault}");
        assert_eq!(start(), Err(Fault::Guest(fault)), "{name}");
        assert_eq!(payload(once(&healthy(), &event(1))), b"hello", "{name}: the next module");
    }
}

#[test]
fn a_module_that_starts_too_large_is_out_of_memory() {
    let module = module(&core("(i64.const 0)", ""));
    let limits = Limits { memory_bytes: 65_536, ..LIMITS };
    let fault = module.instantiate("", &limits, &mut |_| {}).map(|_| ());
    let Err(Fault::Guest(fault)) = fault else { panic!("expected a guest fault, found {fault:?}") };
    assert_eq!(fault.code(), Code::OutOfMemory);
}
