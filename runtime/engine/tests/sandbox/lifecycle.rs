//! Engines, compiled code and instances: how they are made, kept and bounded.

use engine::{CompileError, Engine, EngineOptions};
use model::{Digest, Fault, Limits};

use crate::guests::{ENGINE, LIMITS, core, echo, event, instance, module, once, payload};

fn small(instances_max: u32) -> Engine {
    Engine::new(EngineOptions { instances_max, ..EngineOptions::DEFAULT }).expect("an engine")
}

#[test]
fn compiled_code_can_be_kept_and_loaded_elsewhere() {
    let (bytes, other) = (echo(), small(4));
    let compiled = ENGINE.compile(&bytes).expect("code");
    assert_eq!(other.cache_key(), ENGINE.cache_key());
    assert_eq!(other.fingerprint(), ENGINE.fingerprint());
    let module = other.load(Digest::of(&bytes), &compiled).expect("a module");
    assert_eq!(payload(once(&module, &event(1))), b"hello");
}

#[test]
fn what_is_not_compiled_code_is_a_host_fault() {
    let mut compiled = ENGINE.compile(&echo()).expect("code");
    let load =
        |bytes: &[u8]| ENGINE.load(Digest::of(b"x"), bytes).map(|_| ()).map_err(|fault| fault.to_string());
    assert!(load(b"").is_err_and(|reason| reason.contains("compile it again")));
    assert!(load(&echo()).is_err());
    let version = compiled.windows(7).position(|bytes| bytes == b"48.0.8 ").expect("the version is in it");
    compiled[version] = b'0';
    assert!(load(&compiled).is_err_and(|reason| reason.contains("incompatible")));
}

#[test]
fn names_can_be_file_names() {
    for name in [ENGINE.fingerprint(), ENGINE.cache_key()] {
        assert!(name.starts_with("wasmtime-48."), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-'), "{name}");
    }
}

/// An engine that has no room left is the host's matter, and over as soon as an instance goes.
#[test]
fn a_full_engine_is_a_host_fault() {
    let engine = small(2);
    let module = engine.compile_and_load(&echo()).expect("a module");
    let mut living = Vec::new();
    let fault = loop {
        match module.instantiate("", &LIMITS, &mut |_| {}) {
            Ok(instance) => living.push(instance),
            Err(fault) => break fault,
        }
        assert!(living.len() < 100);
    };
    assert!(matches!(&fault, Fault::Host(fault) if fault.to_string().contains("sandbox is full")), "{fault}");
    assert!(living.len() >= 2);
    living.pop();
    assert!(module.instantiate("", &LIMITS, &mut |_| {}).is_ok());
}

#[test]
fn the_wall_clock_is_a_host_fault() {
    let module = module(&core("(loop $again (br $again)) (i64.const 0)", ""));
    let limits = Limits { deadline_ms: 20, fuel_per_event: Limits::MAX.fuel_per_event, ..LIMITS };
    let mut instance = instance(&module, &limits);
    let fault = instance.process(&event(1), &mut |_| {}).map(|_| ());
    assert!(matches!(&fault, Err(Fault::Host(fault)) if fault.to_string().contains("20 ms")), "{fault:?}");
}

/// The deadline is each event's own: many short events may take longer together.
#[test]
fn the_deadline_starts_anew_with_each_event() {
    let module = module(&echo());
    let mut instance = instance(&module, &Limits { deadline_ms: 400, ..LIMITS });
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(900) {
        instance.process(&event(1), &mut |_| {}).expect("an answer");
    }
}

#[test]
fn instances_outlive_their_engine() {
    let module = small(2).compile_and_load(&echo()).expect("a module");
    let mut instance = module.instantiate("", &LIMITS, &mut |_| {}).expect("an instance");
    drop(module);
    assert_eq!(payload(instance.process(&event(1), &mut |_| {})), b"hello");
}

#[test]
fn instances_run_on_any_thread() {
    let module = module(&echo());
    std::thread::scope(|scope| {
        for sequence in 1..9 {
            let mut instance = instance(&module, &LIMITS);
            scope.spawn(move || {
                assert_eq!(payload(instance.process(&event(sequence), &mut |_| {})), b"hello");
            });
        }
    });
}

#[test]
fn imports_of_the_wrong_type_are_refused() {
    let bytes =
        crate::guests::core_with_imports(r#"(import "weir" "log" (func (param i64)))"#, "(i64.const 0)", "");
    assert!(ENGINE.inspect(&bytes).is_ok());
    let Err(CompileError::Refused(refusal)) = ENGINE.compile(&bytes) else { panic!("expected a refusal") };
    assert_eq!(refusal.code(), "unlinkable");
    assert!(refusal.to_string().contains("`weir::log`"), "{refusal}");
}
