//! What lies where: the top level, no built files, commands that exist, nothing of one machine.

use std::collections::BTreeSet;

use crate::tree::{Finding, Tree, holds, speaks_at};

/// All that may lie at the top of the tree.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE",
    "Makefile",
    "runtime",
    "sdk",
    "plugins",
    "wit",
    "tests",
    "examples",
    ".ci",
    ".cargo",
    ".gitattributes",
    ".gitignore",
    ".clippy.toml",
    ".rustfmt.toml",
    ".deny.toml",
];

/// What built and packed files end in.
const BUILT: &[&str] = &[".wasm", ".cwasm", ".o", ".a", ".so", ".dll", ".exe", ".whl", ".deb", ".pyc"];
/// What they begin with: a WebAssembly binary, a program of Linux.
const BUILT_MAGIC: &[&[u8]] = &[b"\0asm", b"\x7fELF"];

fn top_level(tree: &Tree) -> Vec<Finding> {
    let tops: BTreeSet<_> = tree.files.keys().filter_map(|path| path.split('/').next()).collect();
    let strangers = tops.into_iter().filter(|top| !TOP_LEVEL.contains(top));
    strangers.map(|top| Finding::new(top, 0, "move it into one of the folders that are there")).collect()
}

fn no_built_files(tree: &Tree) -> Vec<Finding> {
    let built = tree.files.iter().filter(|(path, bytes)| {
        BUILT.iter().any(|end| path.ends_with(end))
            || BUILT_MAGIC.iter().any(|magic| bytes.starts_with(magic))
    });
    built.map(|(path, _)| Finding::new(path, 0, "keep the source and build this from it")).collect()
}

fn make_commands_exist(tree: &Tree) -> Vec<Finding> {
    let makefile = tree.files.get("Makefile").map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
    let targets: BTreeSet<_> =
        makefile.lines().filter_map(|line| line.split_once(':').map(|(t, _)| t)).collect();
    let mut findings = Vec::new();
    for (path, text) in tree.texts(".md") {
        for (line, command) in commands(&text) {
            let unknown =
                |word: &&str| !word.contains('=') && !word.starts_with('-') && !targets.contains(word);
            if let Some(word) = command.strip_prefix("make ").and_then(|words| words.split(' ').find(unknown))
            {
                findings.push(Finding::new(path, line, format!("the Makefile has no target '{word}'")));
            }
        }
    }
    if !tree.files.contains_key("README.md") {
        findings.push(Finding::new("README.md", 0, "say what this is and which two commands run it"));
    }
    findings
}

/// What a Markdown text shows as commands: lines of fenced blocks, and spans of code; with their lines.
fn commands(text: &str) -> Vec<(usize, String)> {
    let mut commands = Vec::new();
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            let line = line.trim().trim_start_matches("$ ");
            let command = line.split('#').next().expect("split gives at least one part");
            commands.push((at + 1, command.trim().to_owned()));
        } else {
            commands.extend(line.split('`').skip(1).step_by(2).map(|span| (at + 1, span.to_owned())));
        }
    }
    commands
}

fn nothing_of_one_machine(tree: &Tree) -> Vec<Finding> {
    // Written in two parts, so that this file does not name what it forbids.
    let folders = [("/wo", "rk/"), ("/ro", "ot/"), ("/ho", "me/"), ("/Us", "ers/"), ("/tmp/br", "ief")];
    let hosts =
        [("py", "pi.org"), ("static.crates", ".io"), ("registry.np", "mjs.org"), ("deb.deb", "ian.org")];
    let forbidden: Vec<_> = folders.iter().chain(&hosts).map(|(a, b)| format!("{a}{b}")).collect();
    let mut findings = Vec::new();
    for (path, bytes) in tree.files.iter().filter(|(path, _)| !path.ends_with(".lock")) {
        let text = String::from_utf8_lossy(bytes);
        for (at, line) in text.lines().enumerate() {
            if let Some(found) = forbidden.iter().find(|forbidden| line.contains(forbidden.as_str())) {
                findings.push(Finding::new(
                    path,
                    at + 1,
                    format!("'{found}' is one machine's; say it without"),
                ));
            }
        }
    }
    findings
}

#[test]
fn the_top_level_is_as_it_was_laid_out() {
    holds(top_level);
    let files = [("runtime/a.rs", ""), ("notes.txt", ""), ("scripts/x.sh", ""), ("Makefile", "")];
    speaks_at(top_level, &files, &[("notes.txt", 0), ("scripts", 0)]);
}

#[test]
fn nothing_built_is_kept() {
    holds(no_built_files);
    let files = [("a/b.wasm", ""), ("c", "\0asm\u{1}"), ("d.wat", "(module)")];
    speaks_at(no_built_files, &files, &[("a/b.wasm", 0), ("c", 0)]);
}

#[test]
fn commands_that_are_written_down_exist() {
    holds(make_commands_exist);
    let readme = "`make demo`\n```sh\n$ make test # all\nmake demo ARGS=--once\nmake cake\n```\nwe make `make bread`\n";
    let files = [("Makefile", "demo: x\ntest:\n"), ("README.md", readme)];
    speaks_at(make_commands_exist, &files, &[("README.md", 5), ("README.md", 7)]);
}

#[test]
fn no_file_belongs_to_one_machine() {
    holds(nothing_of_one_machine);
    let text = ["fine /usr/bin\n", "cd /ho", "me/me\n"].concat();
    speaks_at(nothing_of_one_machine, &[("a.md", &text), ("b.lock", &text)], &[("a.md", 2)]);
}
