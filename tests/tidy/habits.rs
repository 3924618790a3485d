//! What no code of ours does: queues without a bound, tests left out, work left undone, results dropped.

use crate::architecture::at_code;
use crate::source::Source;
use crate::tree::{Finding, Tree, holds, speaks_at};

/// The one file of the tests that may wait for time to pass.
const WAITS: &str = "tests/src/eventually.rs";

fn bounded_queues(tree: &Tree) -> Vec<Finding> {
    let advice = "give the queue a bound: tokio's mpsc::channel(n) or std's mpsc::sync_channel(n)";
    let mut findings = Vec::new();
    for source in &tree.sources {
        findings.extend(at_code(source, &["unbounded_channel", "unbounded"], advice, |_| true));
        // tokio's channel takes its bound; std's takes nothing and has none.
        let empty = |at: usize| {
            let open = source.code[at..].iter().position(|c| *c == '(').map(|open| at + open);
            open.and_then(|open| source.next_solid(open + 1)).is_some_and(|(_, c)| c == ')')
        };
        findings.extend(at_code(source, &["mpsc::channel"], advice, empty));
    }
    findings
}

fn no_ignored_tests(tree: &Tree) -> Vec<Finding> {
    let advice = "do not leave a test out: make it hold, or assert what is so today and say why";
    tree.sources.iter().flat_map(|source| at_code(source, &["#[ignore"], advice, |_| true)).collect()
}

fn nothing_undone(tree: &Tree) -> Vec<Finding> {
    let macros = ["todo!", "unimplemented!", "dbg!"];
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X"].concat()];
    let mut findings = Vec::new();
    for source in &tree.sources {
        findings.extend(at_code(source, &macros, "finish it or take it out", |_| true));
        for (at, line) in source.lines.iter().enumerate() {
            let comment = line.find("//").map_or("", |at| &line[at..]);
            let mut words = comment.split(|c: char| !c.is_alphanumeric());
            if words.any(|word| marks.iter().any(|mark| mark == word)) {
                findings.push(Finding::new(&source.path, at + 1, "do it, or say what is so and why"));
            }
        }
    }
    findings
}

fn no_unwrap(tree: &Tree) -> Vec<Finding> {
    let advice = "return the error, or say with expect(\"…\") why it cannot happen";
    let unwraps = |source: &Source| at_code(source, &[".unwrap()"], advice, |at| !source.is_test(at));
    tree.sources.iter().flat_map(unwraps).collect()
}

fn no_sleeping_tests(tree: &Tree) -> Vec<Finding> {
    let advice = "wait for the thing itself: weir_tests::eventually, a channel, or tokio's paused time";
    let judged = tree.sources.iter().filter(|source| source.path != WAITS);
    let sleeps =
        |source: &Source| at_code(source, &["thread::sleep", "time::sleep"], advice, |at| source.is_test(at));
    judged.flat_map(sleeps).collect()
}

fn every_task_is_joined(tree: &Tree) -> Vec<Finding> {
    let spawns = ["tokio::spawn", "task::spawn", "thread::spawn", "spawn_blocking"];
    let advice = "keep what spawn gives back, and join it";
    let mut findings = Vec::new();
    for source in &tree.sources {
        let dropped = |at: usize| is_dropped(source, at);
        findings.extend(at_code(source, &spawns, advice, dropped));
    }
    findings
}

/// Whether the call at `at` is a statement of its own, or is bound to `_`.
fn is_dropped(source: &Source, at: usize) -> bool {
    let is_path = |c: &char| c.is_alphanumeric() || "_:".contains(*c);
    let start = at - source.code[..at].iter().rev().take_while(|c| is_path(c)).count();
    let Some(open) = source.code[at..].iter().position(|c| *c == '(').map(|open| at + open) else {
        return false;
    };
    let after = source.closing(open).and_then(|close| source.next_solid(close + 1));
    if after.is_none_or(|(_, c)| c != ';') {
        return false;
    }
    let before: String = source.code[..start].iter().collect();
    let before: Vec<&str> = before.split_whitespace().rev().take(3).collect();
    let to_nothing = before.starts_with(&["=", "_"]);
    to_nothing || source.previous_solid(start).is_none_or(|(_, c)| ";{}".contains(c))
}

#[test]
fn every_queue_has_a_bound() {
    holds(bounded_queues);
    let text = "use tokio::sync::mpsc::unbounded_channel;\nlet a = mpsc::channel();\nlet b = mpsc::channel::<u8>( );\nlet c = mpsc::channel(8);\n// unbounded_channel\n";
    speaks_at(bounded_queues, &[("a.rs", text)], &[("a.rs", 1), ("a.rs", 2), ("a.rs", 3)]);
}

#[test]
fn no_test_is_left_out() {
    holds(no_ignored_tests);
    let text = "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n// #[ignore]\n";
    speaks_at(no_ignored_tests, &[("a.rs", text)], &[("a.rs", 2)]);
}

#[test]
fn nothing_is_left_undone() {
    holds(nothing_undone);
    let text = ["todo!()\n", "\"todo!\"\n", "// TO", "DO: later\n", "dbg!(x)\n"].concat();
    speaks_at(nothing_undone, &[("a.rs", &text)], &[("a.rs", 1), ("a.rs", 4), ("a.rs", 3)]);
}

#[test]
fn nothing_unwraps_outside_tests() {
    holds(no_unwrap);
    let text = "/// a.unwrap()\nfn f() { a.unwrap() }\n#[cfg(test)]\nmod t { fn g() { a.unwrap() } }\n";
    speaks_at(no_unwrap, &[("a.rs", text)], &[("a.rs", 2)]);
}

#[test]
fn no_test_sleeps() {
    holds(no_sleeping_tests);
    let text = "fn f() { tokio::time::sleep(d); }\n#[test]\nfn g() {\n    std::thread::sleep(d);\n}\n";
    let files = [
        ("a.rs", text),
        ("tests/b.rs", "fn f() { time::sleep(d) }\n"),
        (WAITS, "fn f() { thread::sleep(d) }"),
    ];
    speaks_at(no_sleeping_tests, &files, &[("a.rs", 4), ("tests/b.rs", 1)]);
}

#[test]
fn no_task_runs_on_unjoined() {
    holds(every_task_is_joined);
    let text = "fn f() {\n    tokio::spawn(async { 1; });\n    let a = tokio::spawn(x);\n    let _ = std::thread::spawn(x);\n    set.spawn(x);\n    tokio::task::spawn(x).await;\n    tokio::spawn(x)\n}\n";
    speaks_at(every_task_is_joined, &[("a.rs", text)], &[("a.rs", 2), ("a.rs", 4)]);
}
