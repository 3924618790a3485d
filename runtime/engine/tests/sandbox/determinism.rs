//! The same events give the same answers, fuel and randomness, on any instance.

use model::{Digest, Limits};

use crate::guests::{LIMITS, echo, event, instance, module, once, payload, reporting};

/// A module that leaks a counter from event to event.
fn counter() -> Vec<u8> {
    let body = "(global.set $count (i32.add (global.get $count) (i32.const 1)))
        (i32.store (i32.const 1024) (global.get $count))";
    reporting("", body, 4, "(global $count (mut i32) (i32.const 0))")
}

#[test]
fn a_leak_starts_anew_with_each_instance() {
    let module = module(&counter());
    for _ in 0..3 {
        let mut instance = instance(&module, &LIMITS);
        let seen: Vec<_> = (1..4).map(|n| payload(instance.process(&event(n), &mut |_| {}))).collect();
        assert_eq!(seen, [[1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0]]);
    }
}

/// Memory that an earlier instance wrote all over is zero again for the next one in its place.
#[test]
fn nothing_of_an_instance_is_left_to_the_next() {
    let body =
        "(i32.store (i32.const 1024) (i32.or (i32.load (i32.const 70000)) (i32.load (i32.const 120000))))
        (memory.fill (i32.const 66000) (i32.const 170) (i32.const 65000))";
    let module = module(&reporting("", body, 4, ""));
    for _ in 0..50 {
        assert_eq!(payload(once(&module, &event(1))), [0; 4]);
    }
}

#[test]
fn the_same_event_takes_the_same_fuel() {
    let module = module(&echo());
    let fuel = |limits: &Limits| {
        let mut instance = instance(&module, limits);
        let started = instance.last_call();
        instance.process(&event(1), &mut |_| {}).expect("an answer");
        let first = instance.last_call();
        instance.process(&event(1), &mut |_| {}).expect("an answer");
        (started, first, instance.last_call())
    };
    let (started, first, second) = fuel(&LIMITS);
    assert_eq!(first, second);
    assert!(first.fuel_used > 0);
    assert_eq!(first.memory_bytes, 2 * 65_536);
    let more = Limits { fuel_per_event: 10 * LIMITS.fuel_per_event, ..LIMITS };
    assert_eq!(fuel(&more), (started, first, second));
}

/// Where fuel ends is the same every time, and never more than a whole run takes.
#[test]
fn the_end_of_fuel_is_always_at_the_same_place() {
    let module = module(&reporting(
        "",
        "(local $n i32) (loop $again
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $n) (i32.const 20))))",
        1,
        "",
    ));
    let with = |fuel_per_event: u64| {
        let mut instance = instance(&module, &Limits { fuel_per_event, ..LIMITS });
        instance.process(&event(1), &mut |_| {}).map(|_| instance.last_call().fuel_used)
    };
    let needed = with(LIMITS.fuel_per_event).expect("an answer");
    let enough = || (0..=needed).find(|fuel| with(*fuel).is_ok());
    let least = enough().expect("all of it is enough");
    assert!(least > 20, "{least}");
    assert_eq!(enough(), Some(least));
}

#[test]
fn a_nan_has_one_form() {
    let body = "(local $zero f64)
        (f32.store (i32.const 1024) (f32.sqrt (f32.const -1)))
        (f64.store (i32.const 1028) (f64.div (local.get $zero) (local.get $zero)))";
    let nan32 = 0x7fc0_0000_u32.to_le_bytes();
    let nan64 = 0x7ff8_0000_0000_0000_u64.to_le_bytes();
    let answer = payload(once(&module(&reporting("", body, 12, "")), &event(1)));
    assert_eq!(answer, [nan32.as_slice(), &nan64].concat());
}

/// Clock and randomness follow the event, on every call and whatever came before.
#[test]
fn clocks_and_randomness_are_the_events() {
    let imports = r#"
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))"#;
    let body = "(drop (call $clock (i32.const 0) (i64.const 1) (i32.const 1024)))
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 1032)))
        (drop (call $random (i32.const 1040) (i32.const 5)))
        (drop (call $random (i32.const 1045) (i32.const 40)))";
    let bytes = reporting(imports, body, 61, "");
    let module = module(&bytes);
    assert_eq!(module.digest(), Digest::of(&bytes));
    let expected = |sequence: u64| {
        let random = |block: u64| {
            let mut input = b"weir-random-1".to_vec();
            input.extend(Digest::of(&bytes).as_raw());
            input.extend(sequence.to_le_bytes());
            input.extend(block.to_le_bytes());
            *Digest::of(&input).as_raw()
        };
        let now = event(sequence).timestamp_ns.to_le_bytes();
        [now.as_slice(), &now, &random(0), &random(1)[..13]].concat()
    };
    let mut long_lived = instance(&module, &LIMITS);
    for sequence in [5, 1, 5] {
        assert_eq!(payload(long_lived.process(&event(sequence), &mut |_| {})), expected(sequence));
        assert_eq!(payload(once(&module, &event(sequence))), expected(sequence));
    }
}
