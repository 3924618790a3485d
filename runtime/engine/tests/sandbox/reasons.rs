//! What a fault's reason says, for the author of the module: the last words, and where it happened.

use crate::guests::{core, core_with_imports, event, guest_fault, module, once};

/// A module without WASI has the log alone to say why it ends.
#[test]
fn the_last_error_that_was_logged_is_in_the_reason() {
    let imports = r#"(import "weir" "log" (func $log (param i32 i32 i32)))"#;
    let body = "(call $log (i32.const 3) (i32.const 16) (i32.const 3))
        (call $log (i32.const 3) (i32.const 19) (i32.const 8))
        (call $log (i32.const 2) (i32.const 16) (i32.const 3)) (unreachable)";
    let bytes = core_with_imports(imports, body, r#"(data (i32.const 16) "oneboom\0aat ")"#);
    let fault = guest_fault(once(&module(&bytes), &event(1)));
    assert_eq!(fault.reason(), "wasm `unreachable` instruction executed; log: boom | at ; in process");
}

/// Names are shown as the language writes them, and those that only report a panic are left out.
#[test]
fn functions_go_by_the_names_of_their_language() {
    let more =
        "(func $_ZN3app5parse17h0123456789abcdefE (call $_ZN4core9panicking5panic17h0123456789abcdefE))
        (func $_ZN4core9panicking5panic17h0123456789abcdefE (call $__rustc__rust_begin_unwind))
        (func $__rustc__rust_begin_unwind (unreachable))";
    let body = "(call $_ZN3app5parse17h0123456789abcdefE) (i64.const 0)";
    let fault = guest_fault(once(&module(&core(body, more)), &event(1)));
    assert_eq!(fault.reason(), "wasm `unreachable` instruction executed; in app::parse < process");
}
