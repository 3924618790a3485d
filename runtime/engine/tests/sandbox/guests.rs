//! What the tests share: an engine, events, and modules made of a few lines of the text format.

use std::sync::LazyLock;

use bytes::Bytes;
use engine::{Engine, EngineOptions, Instance, LogLine, Module};
use model::{Answer, Event, Fault, GuestFault, Headers, Limits, Message};

/// One engine for all tests, as in a process of Weir.
pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    Engine::new(EngineOptions { instances_max: 64, ..EngineOptions::DEFAULT }).expect("an engine")
});

/// Small limits, so that hostile modules come to their end soon.
pub(crate) const LIMITS: Limits = Limits {
    memory_bytes: 4 << 20,
    fuel_per_event: 5_000_000,
    messages_per_event: 10,
    bytes_per_event: 1_000,
    log_bytes_per_event: 200,
    deadline_ms: 60_000,
};

/// A core module of the contract. `process` is the body of `weir_process` with its locals `$ptr` and `$len`;
/// `more` is anything else at module level. `$answer` packs pointer and length.
pub(crate) fn core(process: &str, more: &str) -> Vec<u8> {
    core_with_imports("", process, more)
}

pub(crate) fn core_with_imports(imports: &str, process: &str, more: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module
            {imports}
            (memory (export "memory") 2)
            (global $next (mut i32) (i32.const 65536))
            (func (export "weir_alloc") (param $len i32) (result i32)
                (global.set $next (i32.const 65536))
                (global.get $next))
            (func $answer (param $ptr i32) (param $len i32) (result i64)
                (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
                        (i64.extend_i32_u (local.get $len))))
            (func $process (export "weir_process") (param $ptr i32) (param $len i32) (result i64)
                {process})
            {more})"#
    ))
    .expect("valid text format")
}

/// A core module whose answer is always these bytes.
pub(crate) fn answering(bytes: &[u8]) -> Vec<u8> {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let process = format!("(call $answer (i32.const 1024) (i32.const {}))", bytes.len());
    core(&process, &format!(r#"(data (i32.const 1024) "{escaped}")"#))
}

/// A core module that answers one message of `length` bytes (below 128), put at 1024 by `body`.
pub(crate) fn reporting(imports: &str, body: &str, length: u32, more: &str) -> Vec<u8> {
    let process = format!(
        "{body} (i32.store8 (i32.const 1023) (i32.const {length}))
         (i32.store8 (i32.const {end}) (i32.const 0x90))
         (call $answer (i32.const 1017) (i32.const {whole}))",
        end = 1024 + length,
        whole = length + 8,
    );
    // An answer [0, [[nil, <bin>, []]]]: its head ends right before 1024.
    let data = r#"(data (i32.const 1017) "\92\00\91\93\c0\c4\00")"#;
    core_with_imports(imports, &process, &format!("{data} {more}"))
}

/// A module that passes the payload of events of subject `s` and fewer than 256 payload bytes on.
pub(crate) fn echo() -> Vec<u8> {
    let process = r"(local $size i32)
        (local.set $size (i32.load8_u offset=4 (local.get $ptr)))
        (memory.copy (i32.const 1024) (i32.add (local.get $ptr) (i32.const 5)) (local.get $size))
        (i32.store8 (i32.const 1023) (local.get $size))
        (i32.store8 (i32.add (i32.const 1024) (local.get $size)) (i32.const 0x90))
        (call $answer (i32.const 1017) (i32.add (local.get $size) (i32.const 8)))";
    core(process, r#"(data (i32.const 1017) "\92\00\91\93\c0\c4\00")"#)
}

pub(crate) fn event(sequence: u64) -> Event {
    Event {
        subject: "s".to_owned(),
        payload: Bytes::from_static(b"hello"),
        headers: Headers::canonical([("k".to_owned(), "v".to_owned())]),
        sequence,
        timestamp_ns: 1_700_000_000_000_000_000 + sequence,
    }
}

pub(crate) fn module(bytes: &[u8]) -> Module {
    ENGINE.compile_and_load(bytes).expect("a module")
}

pub(crate) fn instance(module: &Module, limits: &Limits) -> Instance {
    module.instantiate("", limits, &mut |_| {}).expect("an instance")
}

/// One event through a fresh instance.
pub(crate) fn once(module: &Module, event: &Event) -> Result<Answer, Fault> {
    instance(module, &LIMITS).process(event, &mut |_| {})
}

/// The same with what was logged.
pub(crate) fn logged(module: &Module, config: &str, event: &Event) -> (Result<Answer, Fault>, Vec<LogLine>) {
    let mut lines = Vec::new();
    let mut instance = module.instantiate(config, &LIMITS, &mut |_| {}).expect("an instance");
    let answer = instance.process(event, &mut |line| lines.push(line));
    (answer, lines)
}

pub(crate) fn guest_fault(answer: Result<Answer, Fault>) -> GuestFault {
    match answer {
        Err(Fault::Guest(fault)) => fault,
        other => panic!("expected a guest fault, found {other:?}"),
    }
}

/// The payload of the only message.
pub(crate) fn payload(answer: Result<Answer, Fault>) -> Vec<u8> {
    match answer {
        Ok(Answer::Messages(messages)) if messages.len() == 1 => messages[0].payload.to_vec(),
        other => panic!("expected one message, found {other:?}"),
    }
}

pub(crate) fn message(subject: Option<&str>, payload: &'static [u8], headers: &[(&str, &str)]) -> Message {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Message {
        subject: subject.map(str::to_owned),
        payload: Bytes::from_static(payload),
        headers: Headers::canonical(headers),
    }
}
