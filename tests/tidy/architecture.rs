//! Which part may know which: the direction of dependencies, and the one owner of each great library.

use crate::source::Source;
use crate::tree::{Finding, Tree, holds, speaks_at};

/// Our crates below `runtime/`, and which of the others each may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("engine", &["model"]),
    ("store", &["model"]),
    ("broker", &["model"]),
    ("pipeline", &["model"]),
    ("api", &["model"]),
    ("weir", &["model", "engine", "store", "broker", "pipeline", "api"]),
];

/// A library, as a manifest and as code names it, and the one folder that may.
const OWNERS: &[(&str, &str, &str)] = &[
    ("wasmtime", "wasmtime", "runtime/engine/"),
    ("wasmtime-wasi", "wasmtime_wasi", "runtime/engine/"),
    ("wasmparser", "wasmparser", "runtime/engine/"),
    ("wit-component", "wit_component", "runtime/engine/"),
    ("wit-parser", "wit_parser", "runtime/engine/"),
    ("async-nats", "async_nats", "runtime/broker/"),
    ("axum", "axum", "runtime/api/"),
];

/// What Weir is measured against is written with the libraries themselves.
const COMPARED: &str = "tests/bench/";

const CONFIG: &str = "runtime/weir/src/config";

fn dependency_direction(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (krate, may) in MAY_NAME {
        let path = format!("runtime/{krate}/Cargo.toml");
        let Some(manifest) = tree.files.get(&path) else { continue };
        for (name, line) in dependencies(&String::from_utf8_lossy(manifest)) {
            let ours = name.strip_prefix("weir-").unwrap_or(&name);
            let is_ours = MAY_NAME.iter().any(|(krate, _)| *krate == ours);
            if is_ours && !may.contains(&ours) {
                let advice = format!("{krate} must not depend on {ours}: let weir bring the two together");
                findings.push(Finding::new(&path, line, advice));
            }
        }
    }
    findings
}

fn library_owners(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (package, module, owner) in OWNERS {
        let is_free = |path: &str| path.starts_with(owner) || path.starts_with(COMPARED);
        for (path, text) in tree.texts("/Cargo.toml").filter(|(path, _)| !is_free(path)) {
            let named = dependencies(&text).into_iter().filter(|(name, _)| name == package);
            let advice = format!("only {owner} depends on {package}");
            findings.extend(named.map(|(_, line)| Finding::new(path, line, advice.as_str())));
        }
        for source in tree.sources.iter().filter(|source| !is_free(&source.path)) {
            let advice = format!("only {owner} names {module}");
            findings.extend(at_code(source, &[module], &advice, |_| true));
        }
    }
    findings
}

fn environment(tree: &Tree) -> Vec<Finding> {
    let reads = ["env::var", "env::vars", "env::var_os", "env::vars_os", "env::set_var", "env::remove_var"];
    let judged = ["runtime/", "examples/", "sdk/", "plugins/"];
    let judged = |source: &&Source| judged.iter().any(|folder| source.path.starts_with(folder));
    let mut findings = Vec::new();
    for source in tree.sources.iter().filter(judged).filter(|source| !source.path.starts_with(CONFIG)) {
        let advice = format!("only {CONFIG} reads the environment");
        findings.extend(at_code(source, &reads, &advice, |at| !source.is_test(at)));
        findings.extend(
            clap_environment(source)
                .map(|at| Finding::new(&source.path, source.line_of(at), advice.as_str())),
        );
    }
    findings
}

/// Where a command-line argument falls back to the environment.
fn clap_environment(source: &Source) -> impl Iterator<Item = usize> {
    let attributes = source.find("#[arg").into_iter();
    attributes.filter(|at| {
        let end = source.closing(at + 1).unwrap_or(source.code.len());
        let words: String = source.code[*at..end].iter().collect();
        words.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "env")
    })
}

fn model_is_pure(tree: &Tree) -> Vec<Finding> {
    let impure = [
        "std::fs",
        "std::net",
        "std::io",
        "std::time",
        "std::thread",
        "std::process",
        "std::env",
        "tokio",
        "rand",
    ];
    let model = tree.sources.iter().filter(|source| source.path.starts_with("runtime/model/"));
    let advice = "model is plain data: no I/O, no clock, no randomness, no threads";
    model.flat_map(|source| at_code(source, &impure, advice, |_| true)).collect()
}

/// Where code may be unsafe: in the sandbox, and where a guest in Rust meets it, since exports, imports and
/// memory that the host writes are beyond the compiler.
const UNSAFE: &[&str] = &["runtime/engine/", "sdk/rust/src/core_module.rs"];

fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        if !UNSAFE.iter().any(|place| source.path.starts_with(place)) {
            let advice = format!("only {} may have unsafe code", UNSAFE.join(" and "));
            findings.extend(at_code(source, &["unsafe"], &advice, |_| true));
            continue;
        }
        let advice = "say in a comment '// SAFETY:' right above why this is sound";
        let is_excused = |at: usize| {
            let above = source.lines[..source.line_of(at)].iter().rev().skip(1);
            let mut comment = above.take_while(|line| line.trim_start().starts_with("//"));
            comment.any(|line| line.contains("SAFETY:"))
        };
        findings.extend(at_code(source, &["unsafe"], advice, |at| !is_excused(at)));
    }
    findings
}

/// A finding for each place where one of `words` stands in the code and `counts`.
pub(crate) fn at_code(
    source: &Source,
    words: &[&str],
    advice: &str,
    counts: impl Fn(usize) -> bool,
) -> Vec<Finding> {
    let hits = words.iter().flat_map(|word| source.find(word)).filter(|at| counts(*at));
    hits.map(|at| Finding::new(&source.path, source.line_of(at), advice)).collect()
}

/// The packages on which a manifest makes its own package depend, and where it names each.
fn dependencies(manifest: &str) -> Vec<(String, usize)> {
    let table: toml::Table = manifest.parse().expect("cargo has read this manifest before");
    let mut names = Vec::new();
    let mut tables: Vec<&toml::Table> = vec![&table];
    tables.extend(
        table
            .get("target")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(|targets| targets.values().filter_map(toml::Value::as_table)),
    );
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(list) = table.get(kind).and_then(toml::Value::as_table) else { continue };
            for (key, value) in list {
                let name = value.get("package").and_then(toml::Value::as_str).unwrap_or(key);
                let line = manifest.lines().position(|line| line.starts_with(key.as_str()));
                names.push((name.to_owned(), line.map_or(0, |at| at + 1)));
            }
        }
    }
    names
}

#[test]
fn dependencies_point_one_way() {
    holds(dependency_direction);
    let broken = "[dependencies]\nmodel.workspace = true\nengine.workspace = true\n";
    let renamed =
        "[target.'cfg(unix)'.dev-dependencies]\nx = { package = \"weir-api\", path = \"../api\" }\n";
    let files = [("runtime/broker/Cargo.toml", broken), ("runtime/store/Cargo.toml", renamed)];
    let expected = [("runtime/store/Cargo.toml", 2), ("runtime/broker/Cargo.toml", 3)];
    speaks_at(dependency_direction, &files, &expected);
}

#[test]
fn each_great_library_has_one_owner() {
    holds(library_owners);
    let files = [
        ("runtime/weir/Cargo.toml", "[dependencies]\naxum = \"1\"\n"),
        (
            "runtime/weir/src/main.rs",
            "// wasmtime in a comment\nuse wasmtime::Store;\nlet wasmtime_x = \"axum\";\n",
        ),
        ("runtime/broker/src/lib.rs", "use async_nats::Client;\n"),
        ("tests/bench/native/src/relay.rs", "use async_nats::Client;\n"),
    ];
    speaks_at(library_owners, &files, &[("runtime/weir/src/main.rs", 2), ("runtime/weir/Cargo.toml", 2)]);
}

#[test]
fn only_the_configuration_reads_the_environment() {
    holds(environment);
    let files = [
        (
            "runtime/api/src/lib.rs",
            "fn f() { std::env::var(\"X\"); }\n#[cfg(test)]\nmod t { use std::env::var; }\n",
        ),
        (
            "runtime/weir/src/cli.rs",
            "struct A {\n    #[arg(long, env = \"X\")]\n    x: u8,\n    #[arg(long)]\n    env: u8,\n}\n",
        ),
        ("runtime/weir/src/config/mod.rs", "fn f() { std::env::var(\"X\"); }\n"),
    ];
    speaks_at(environment, &files, &[("runtime/api/src/lib.rs", 1), ("runtime/weir/src/cli.rs", 2)]);
}

#[test]
fn the_model_is_plain_data() {
    holds(model_is_pure);
    let files = [("runtime/model/src/a.rs", "//! std::fs\nuse std::time::Instant;\nuse std::fmt;\n")];
    speaks_at(model_is_pure, &files, &[("runtime/model/src/a.rs", 2)]);
}

#[test]
fn unsafe_code_is_where_it_may_be_and_explained() {
    holds(unsafe_code);
    let files = [
        ("runtime/api/src/a.rs", "fn f() { unsafe { g() } }\n"),
        ("sdk/rust/src/wire.rs", "unsafe { g() }\n"),
        ("sdk/rust/src/core_module.rs", "// SAFETY: g is fine.\nunsafe { g() }\nunsafe { h() }\n"),
        ("runtime/engine/src/a.rs", "// SAFETY: g is fine.\nunsafe { g() }\n\nunsafe { h() }\n"),
    ];
    let findings = [
        ("runtime/api/src/a.rs", 1),
        ("runtime/engine/src/a.rs", 4),
        ("sdk/rust/src/core_module.rs", 3),
        ("sdk/rust/src/wire.rs", 1),
    ];
    speaks_at(unsafe_code, &files, &findings);
}
