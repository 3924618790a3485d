//! `weir check` on modules: pure, leaky or refused, by executing them.

use weir_tests::{guests, node};

/// What `weir check` says of a file, and how it ends.
fn check(path: &std::path::Path) -> (Option<i32>, String) {
    let output = node::command().arg("check").arg(path).output().expect("the program runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), said.concat())
}

#[test]
fn a_module_is_found_pure_leaky_or_refused() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let refused = folder.path().join("refused.wasm");
    let module = wat::parse_str("(module (import \"env\" \"open\" (func)))").expect("it is valid");
    std::fs::write(&refused, module).expect("written");
    for (path, code, parts) in [
        (guests::guest_path("upper"), 0, ["upper.wasm: pure", "the same answers and the same fuel, twice"]),
        (guests::guest_path("multi-zig"), 0, ["multi-zig.wasm: pure", "core-module"]),
        // Its instance draws the seed of its hash maps once.
        (guests::guest_path("clock_random"), 0, ["clock_random.wasm: leaky", "10 answered"]),
        (guests::guest_path("leaky"), 0, ["leaky.wasm: leaky", "fresh instances"]),
        (refused, 1, ["refused.wasm: refused", "the export 'memory' is missing"]),
    ] {
        let (ended, said) = check(&path);
        assert_eq!(ended, Some(code), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
