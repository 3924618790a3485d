//! One suite for all SDKs: `tests/conformance`, run by `weir test` against the reference module of each.
//!
//! All of it has to pass.

use serde_json::Value;
use weir_tests::{guests, node, process::root};

/// The reference modules: that in Rust as a component and as a core module, the others as what they are.
const MODULES: [&str; 8] = ["rust", "rust-core", "js", "python", "go", "c", "zig", "assemblyscript"];

/// What `weir test` says of a module.
fn run(module: &str) -> Value {
    let cache = tempfile::tempdir().expect("a folder can be made");
    let output = node::command()
        .arg("test")
        .arg(root().join("tests/conformance"))
        .arg("--module")
        .arg(guests::guest_path(module))
        .args(["-o", "json", "--cache-dir"])
        .arg(cache.path())
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{module}: {error}: {said}"))
}

/// The cases of a report that did not pass, by name, with all that is known of them.
fn not_passed(report: &Value) -> Vec<(String, Value)> {
    let files = report["files"].as_array().expect("files");
    let cases = files.iter().flat_map(|file| {
        let name = file["file"].as_str().expect("a name").to_owned();
        let cases = file["cases"].as_array().expect("cases");
        cases
            .iter()
            .map(move |case| (format!("{name}: {}", case["name"].as_str().expect("a name")), case.clone()))
    });
    cases.filter(|(_, case)| case["result"] != "passed").collect()
}

#[test]
fn every_sdk_passes_the_suite() {
    let mut unexpected = Vec::new();
    println!("{:<18} {:>6} {:>6}", "module", "passed", "cases");
    for module in MODULES {
        let report = run(module);
        let lacking = not_passed(&report);
        let passed = report["passed"].as_u64().expect("a number");
        println!("{module:<18} {passed:>6} {:>6}", passed + lacking.len() as u64);
        let lacking = lacking.iter();
        unexpected.extend(lacking.map(|(name, case)| format!("{module}: {name}: {}", case["differences"])));
        assert!(passed > 0, "{module}: the suite has cases");
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
}

/// With standard error and without: a panic's place and message are in the reason of the fault.
#[test]
fn a_panic_in_rust_says_where_and_why() {
    for module in ["rust", "rust-core"] {
        let report = run(module);
        let cases =
            report["files"].as_array().into_iter().flatten().flat_map(|file| file["cases"].as_array());
        let case = cases.flatten().find(|case| case["name"] == "an uncaught error").expect("there is one");
        let outcome = case["outcome"].as_str().expect("a text");
        let place = outcome.split_once("panicked at src/lib.rs:").map(|(_, place)| place);
        assert!(place.is_some_and(|place| place.contains(": | no such customer")), "{module}: {outcome}");
    }
}
