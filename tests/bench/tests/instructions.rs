//! What the pure parts of the data path cost, in instructions as callgrind counts them: the same number on
//! a busy machine and on a quiet one, so that a part that has become dearer shows. Counted in the build
//! that is tested, whose workspace crates are not optimised; with valgrind there are no SHA instructions
//! either.

use std::io::Write as _;
use std::process::Command;

/// The parts, and the most instructions that one run of each may take: a tenth more than it took when this
/// was written. Where a change has its price, and is worth it, count anew.
const PARTS: [(&str, u64); 5] = [
    ("digest-input", 26_000),
    ("digest-output", 27_800),
    ("record-headers", 20_800),
    ("component", 100_400),
    ("core", 43_000),
];

/// Instructions of a part run so many times; start and end included.
fn instructions(part: &str, times: u32) -> u64 {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            env!("CARGO_BIN_EXE_weir-bench"),
            "count",
        ])
        .args([part, &times.to_string()])
        .output()
        .expect("valgrind was started before");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{part} fails under callgrind: {said}");
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let number = line.and_then(|(_, rest)| rest.trim().parse().ok());
    number.unwrap_or_else(|| panic!("callgrind gives no count for {part}: {said}"))
}

#[test]
fn no_pure_part_takes_more_instructions_than_it_did() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        let message = "NOT RUN: the count of instructions: there is no valgrind on PATH";
        assert!(std::env::var_os("CI").is_none(), "{message}");
        writeln!(std::io::stderr(), "{message}").expect("standard error can be written to");
        return;
    }
    let mut over = Vec::new();
    for (part, most) in PARTS {
        let each = (instructions(part, 1_100) - instructions(part, 100)) / 1_000;
        println!("{part}: {each} instructions, at most {most}");
        if each > most {
            over.push(format!("{part} takes {each} instructions, and {most} are its most"));
        }
    }
    assert!(over.is_empty(), "{over:?}");
}
