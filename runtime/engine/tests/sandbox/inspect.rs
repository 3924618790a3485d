//! What uploads are told: kind, imports and exports of a good one, and why a bad one is not taken.

use engine::{Engine, EngineOptions, ModuleKind, Wit};

use crate::component;
use crate::guests::{ENGINE, core_with_imports, echo};

fn refusal(engine: &Engine, bytes: &[u8]) -> (&'static str, String) {
    let refusal = engine.inspect(bytes).expect_err("a refusal");
    (refusal.code(), refusal.to_string())
}

fn check(text: &str, code: &str, words: &str) {
    let bytes = wat::parse_str(text).expect("valid text format");
    let (found, message) = refusal(&ENGINE, &bytes);
    assert_eq!(found, code, "{text}: {message}");
    assert!(message.contains(words), "{text}: {message}");
    assert!(ENGINE.compile(&bytes).is_err(), "{text}: compiling takes what inspecting does not");
}

#[test]
fn a_good_module_is_described() {
    let imports = r#"(import "weir" "config_len" (func (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))"#;
    let bytes = core_with_imports(imports, "(i64.const 0)", "");
    let info = ENGINE.inspect(&bytes).expect("a module");
    assert_eq!((info.kind, info.size_bytes), (ModuleKind::CoreModule, bytes.len()));
    assert_eq!(info.imports, ["weir.config_len", "wasi_snapshot_preview1.fd_write"]);
    assert_eq!(info.exports, ["memory", "weir_alloc", "weir_process"]);
}

#[test]
fn what_is_not_webassembly_is_refused() {
    for bytes in [b"".as_slice(), b"\0as", b"hello", b"(module)", b"\x7fELF"] {
        assert_eq!(refusal(&ENGINE, bytes).0, "not-wasm", "{bytes:?}");
    }
}

/// Wherever a module is cut off, it is refused, unless what is left is a whole module of its own.
#[test]
fn what_is_cut_off_is_refused() {
    let whole = echo();
    for length in 4..whole.len() {
        match ENGINE.inspect(&whole[..length]) {
            Ok(_) => assert!(ENGINE.compile(&whole[..length]).is_ok(), "cut to {length}"),
            Err(refusal) => {
                assert!(
                    ["invalid-wasm", "missing-export"].contains(&refusal.code()),
                    "cut to {length}: {refusal}"
                );
            }
        }
    }
    let (code, message) = refusal(&ENGINE, &whole[..whole.len() - 1]);
    assert!(code == "invalid-wasm" && message.contains("at byte"), "{message}");
}

#[test]
fn what_is_too_large_is_refused() {
    let bytes = echo();
    let options = EngineOptions { module_bytes_max: bytes.len() - 1, instances_max: 1 };
    let engine = Engine::new(options).expect("an engine");
    assert_eq!(refusal(&engine, &bytes).0, "module-too-large");
}

#[test]
fn core_modules_that_break_the_contract_are_refused() {
    let alloc = r#"(func (export "weir_alloc") (param i32) (result i32) (i32.const 8))"#;
    let process = r#"(func (export "weir_process") (param i32 i32) (result i64) (i64.const 0))"#;
    let memory = r#"(memory (export "memory") 1)"#;
    for (text, code, words) in [
        (format!("(module {alloc} {process})"), "missing-export", "the export 'memory' is missing"),
        (
            format!("(module {memory} {process})"),
            "missing-export",
            "'weir_alloc' is missing: expected func(i32) -> (i32)",
        ),
        (format!("(module {memory} {alloc})"), "missing-export", "the module exports 'memory', 'weir_alloc'"),
        ("(module)".to_owned(), "missing-export", "the module exports nothing"),
        (
            format!(
                r#"(module {memory} {alloc} (func (export "weir_process") (param i32) (result i64)
                    (i64.const 0)))"#
            ),
            "wrong-export-type",
            "expected func(i32, i32) -> (i64); found func(i32) -> (i64)",
        ),
        (
            format!(r#"(module {memory} {alloc} {process} (func (export "weir_free") (param i32)))"#),
            "wrong-export-type",
            "weir_free",
        ),
        (
            format!(r#"(module (global (export "memory") i32 (i32.const 0)) {alloc} {process})"#),
            "wrong-export-type",
            "found a global",
        ),
        (
            format!(r#"(module (import "env" "now" (func)) {memory} {alloc} {process})"#),
            "unknown-import",
            "unknown import 'env.now'",
        ),
        (
            format!(r#"(module (import "weir" "fetch" (func)) {memory} {alloc} {process})"#),
            "unknown-import",
            "'weir.fetch'",
        ),
        (
            format!(
                r#"(module (import "wasi_snapshot_preview1" "fd_sing" (func)) {memory} {alloc} {process})"#
            ),
            "unknown-import",
            "fd_sing",
        ),
        (
            format!(r#"(module {memory} (func (export "_start") (result i32) (i32.const 0)))"#),
            "wrong-export-type",
            "expected func() -> (); found func() -> (i32)",
        ),
        (r#"(module (func (export "_start")))"#.to_owned(), "missing-export", "'memory' is missing"),
        (
            format!(
                r#"(module (import "weir" "config_len" (func (result i32))) {memory} (func (export "_start")))"#
            ),
            "unknown-import",
            "unknown import 'weir.config_len': only WASI preview 1",
        ),
    ] {
        check(&text, code, words);
    }
}

#[test]
fn features_that_are_off_are_named() {
    for (text, words) in [
        (r#"(module (memory i64 1))"#, "memory64"),
        (r#"(module (memory 1 1 shared))"#, "threads"),
        (r#"(module (tag $t))"#, "exceptions"),
        (r#"(module (type (struct)))"#, "gc"),
        (
            r#"(module (func (param v128) (result v128)
                (i32x4.relaxed_trunc_f32x4_s (local.get 0))))"#,
            "relaxed SIMD",
        ),
    ] {
        check(text, "unsupported-feature", words);
    }
}

#[test]
fn components_of_another_world_are_refused() {
    for (text, code, words) in [
        ("(component)", "missing-export", "the export 'process' is missing"),
        (
            r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i "f"))) (export "run" (func $f)))"#,
            "missing-export",
            "the module exports 'run'",
        ),
        (
            r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i "f"))) (export "process" (func $f)))"#,
            "wrong-export-type",
            "found func()",
        ),
        (
            r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
                (func $f (canon lift (core func $i "f")))
                (instance $run (export "run" (func $f))) (export "wasi:cli/run@0.2.3" (instance $run)))"#,
            "wrong-export-type",
            "expected func() -> result<_, _>; found func()",
        ),
    ] {
        check(text, code, words);
    }
}

/// An author is told all that is wrong at once, and what the module is.
#[test]
fn a_description_has_every_problem_and_all_that_is_known() {
    let text = r#"(module $odd (import "env" "now" (func)) (import "weir" "fetch" (func))
        (memory 1 3) (func (export "weir_process") (param i32)) (tag $t)
        (@custom "version" "1.2.3") (@producers (language "Zig" "") (processed-by "zig" "0.15")))"#;
    let description = ENGINE.describe(&wat::parse_str(text).expect("valid text format"));
    assert_eq!(description.kind, Some(ModuleKind::CoreModule));
    let codes: Vec<_> = description.problems.iter().map(engine::Refusal::code).collect();
    let expected = [
        "unsupported-feature",
        "missing-export",
        "missing-export",
        "wrong-export-type",
        "unknown-import",
        "unknown-import",
    ];
    assert_eq!(codes, expected);
    assert_eq!(
        (description.languages, description.tools),
        (vec!["Zig".to_owned()], vec!["zig 0.15".to_owned()])
    );
    assert_eq!(description.memories, [engine::MemoryPages { minimum: 1, maximum: Some(3) }]);
    let metadata: Vec<_> = description.metadata.iter().map(|(name, text)| (&**name, &**text)).collect();
    assert!(metadata.contains(&("version", "1.2.3")) && metadata.contains(&("name", "odd")), "{metadata:?}");
    for bytes in [b"".as_slice(), b"\0asm\x01\0\0\0\xff", b"\0asm\x0d\0\x01\0\xff\xff"] {
        let description = ENGINE.describe(bytes);
        assert_eq!((description.kind, description.problems.len()), (None, 1));
    }
}

fn wit(bytes: &[u8]) -> Wit {
    ENGINE.describe(bytes).wit.expect("a component has one")
}

/// As its author wrote it, but for names that no component keeps; WASI, which all know, by name alone.
#[test]
fn a_component_is_described_by_its_wit() {
    let imports = r#"(import "wasi:cli/environment@0.2.0" (instance
        (export "get-arguments" (func (result (list string))))))"#;
    let Wit::Text(text) = wit(&component::with_imports(imports)) else { panic!("its WIT can be told") };
    let expected = "\
package root:component;

world root {
  import weir:transform/types@1.0.0;
  import wasi:cli/environment@0.2.0;
  use weir:transform/types@1.0.0.{event, message};

  export process: func(event: event) -> result<list<message>, string>;
}

package weir:transform@1.0.0 {
  interface types {
    record event {
      subject: string,
      payload: list<u8>,
      headers: list<tuple<string, string>>,
      sequence: u64,
      timestamp-ns: u64,
    }

    record message {
      subject: option<string>,
      payload: list<u8>,
      headers: list<tuple<string, string>>,
    }
  }
}
";
    assert_eq!(text, expected);
    assert_eq!(ENGINE.describe(&echo()).wit, None, "a core module has no WIT");
}

/// Whatever becomes of the WIT, all else is told.
#[test]
fn a_component_without_wit_is_still_described() {
    for (text, why) in [
        (
            r#"(component (core module $m) (export "m" (core module $m)))"#,
            "`m` was not a function or instance",
        ),
        // Valid, and more than the decoder is made for.
        (r#"(component (import "unlocked-dep=<a:b>" (func)))"#, "not of the form that tools make"),
    ] {
        let description = ENGINE.describe(&wat::parse_str(text).expect("valid text format"));
        let Some(Wit::Undecodable(said)) = &description.wit else { panic!("{text}: {:?}", description.wit) };
        assert!(said.contains(why) && !said.contains('\n'), "{text}: {said}");
        assert_eq!(description.imports.len() + description.exports.len(), 1, "{text}");
        assert!(!description.problems.is_empty(), "{text}");
    }
    let whole = component::with_imports("");
    let description = ENGINE.describe(&whole[..whole.len() - 1]);
    assert!(matches!(description.wit, Some(Wit::Undecodable(_))), "{:?}", description.wit);
    let options = EngineOptions { module_bytes_max: whole.len() - 1, instances_max: 1 };
    assert_eq!(Engine::new(options).expect("an engine").describe(&whole).wit, None, "it is not looked into");
}

/// However short the component: 300 functions that take something with a name of 50,000 letters.
#[test]
fn a_long_wit_is_cut() {
    let name = "a".repeat(50_000);
    let functions: String =
        (0..300).map(|number| format!(r#"(import "f{number}" (func (param "p" $named)))"#)).collect();
    let imports = format!(
        r#"(import "short" (func)) (type $enum (enum "x")) (import "{name}" (type $named (eq $enum))) {functions}"#
    );
    let Wit::Text(text) = wit(&component::with_imports(&imports)) else { panic!("its WIT can be told") };
    assert!(text.len() <= 64 * 1024 && text.contains("  import short: func();\n"), "{} bytes", text.len());
    let last = text.lines().last().expect("lines");
    let whole = last.strip_prefix("// … and so on: cut here, the whole has 15").expect(last);
    assert!(whole.len() == "000000 bytes".len() && whole.ends_with(" bytes"), "{last}");
}
