//! The shape of Rust files: how they open, how long they and their functions are, how wide their lines.

use crate::tree::{Finding, Tree, holds, speaks_at};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const TEST_FUNCTION_LINES_MAX: usize = 100;
const WIDTH_MAX: usize = 110;

fn file_documents(tree: &Tree) -> Vec<Finding> {
    let opens_well = |first: Option<&String>| first.is_some_and(|line| line.starts_with("//! "));
    let advice = "open the file with '//!': what it is, what it promises, what it leaves to others";
    let silent = tree.sources.iter().filter(|source| !opens_well(source.lines.first()));
    silent.map(|source| Finding::new(&source.path, 1, advice)).collect()
}

fn file_length(tree: &Tree) -> Vec<Finding> {
    let long = tree.sources.iter().filter(|source| source.lines.len() > FILE_LINES_MAX);
    long.map(|source| {
        let advice = format!("{} lines; split the file, {FILE_LINES_MAX} is the most", source.lines.len());
        Finding::new(&source.path, FILE_LINES_MAX + 1, advice)
    })
    .collect()
}

fn function_length(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        for function in source.functions() {
            let most = if function.is_test { TEST_FUNCTION_LINES_MAX } else { FUNCTION_LINES_MAX };
            if function.length > most {
                let advice =
                    format!("fn {} has {} lines; {most} is the most", function.name, function.length);
                findings.push(Finding::new(&source.path, function.line, advice));
            }
        }
    }
    findings
}

fn width(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        for (at, line) in source.lines.iter().enumerate() {
            let columns = line.chars().count();
            // A table of long texts reads better unbroken: what counts is code and comments.
            if columns > WIDTH_MAX && !source.is_string(at + 1, WIDTH_MAX) {
                let advice = format!("{columns} columns; {WIDTH_MAX} is the most");
                findings.push(Finding::new(&source.path, at + 1, advice));
            }
        }
    }
    findings
}

#[test]
fn every_file_says_what_it_is() {
    holds(file_documents);
    let files = [("a.rs", "//! What it is.\n"), ("b.rs", "// no\n"), ("c.rs", ""), ("d.rs", "\n//! late\n")];
    speaks_at(file_documents, &files, &[("b.rs", 1), ("c.rs", 1), ("d.rs", 1)]);
}

#[test]
fn files_are_not_long() {
    holds(file_length);
    let (fits, long) = ("\n".repeat(FILE_LINES_MAX), "\n".repeat(FILE_LINES_MAX + 1));
    speaks_at(file_length, &[("a.rs", &fits), ("b.rs", &long)], &[("b.rs", FILE_LINES_MAX + 1)]);
}

#[test]
fn functions_fit_a_screen() {
    holds(function_length);
    let function = |lines: usize| format!("\nfn f() {{{}}}\n", "\n".repeat(lines - 1));
    let files = [
        ("runtime/a.rs", function(FUNCTION_LINES_MAX)),
        ("runtime/b.rs", function(FUNCTION_LINES_MAX + 1)),
        ("tests/c.rs", function(TEST_FUNCTION_LINES_MAX)),
        ("tests/d.rs", function(TEST_FUNCTION_LINES_MAX + 1)),
    ];
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    speaks_at(function_length, &files, &[("runtime/b.rs", 2), ("tests/d.rs", 2)]);
}

#[test]
fn lines_fit_a_window() {
    holds(width);
    let line = |columns: usize| format!("\n{}\n", "ü".repeat(columns));
    let (fits, wide) = (line(WIDTH_MAX), line(WIDTH_MAX + 1));
    let literal = format!("\nlet a = \"{fits}\";\n", fits = "x".repeat(WIDTH_MAX));
    let files = [("a.rs", fits.as_str()), ("b.rs", &wide), ("c.rs", &literal)];
    speaks_at(width, &files, &[("b.rs", 2)]);
}
