//! The files of the tree, and what a rule says about them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::source::Source;

/// All files that are, or are about to be, in version control.
pub(crate) struct Tree {
    /// Path to bytes; paths have `/` between their parts.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// The Rust files among them, read.
    pub(crate) sources: Vec<Source>,
}

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file.
    pub(crate) path: String,
    /// The line, from 1; 0 where the whole file is meant.
    pub(crate) line: usize,
    /// What to do.
    pub(crate) advice: String,
}

impl Finding {
    /// A finding at a line of a file.
    pub(crate) fn new(path: &str, line: usize, advice: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, advice: advice.into() }
    }
}

impl Tree {
    /// The tree that this test was built from.
    pub(crate) fn real() -> Self {
        let root = root();
        let paths = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .expect("git is needed to know which files belong to the tree");
        assert!(paths.status.success(), "git ls-files: {}", String::from_utf8_lossy(&paths.stderr));
        let paths = String::from_utf8(paths.stdout).expect("paths are UTF-8");
        let read = |path: &str| Some((path.to_owned(), std::fs::read(root.join(path)).ok()?));
        Self::of(paths.split('\0').filter(|path| !path.is_empty()).filter_map(read))
    }

    /// A tree of the given files.
    pub(crate) fn of(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let files: BTreeMap<_, _> = files.into_iter().collect();
        let rust = files.iter().filter(|(path, _)| path.ends_with(".rs"));
        let mut sources: Vec<_> =
            rust.map(|(path, bytes)| Source::new(path, &String::from_utf8_lossy(bytes))).collect();
        let test_files: Vec<_> = sources.iter().flat_map(test_files_of).collect();
        for source in &mut sources {
            let is_under = |test: &String| {
                source.path == format!("{test}.rs") || source.path.starts_with(&format!("{test}/"))
            };
            source.is_test_file |= test_files.iter().any(is_under);
        }
        Self { files, sources }
    }

    /// The files whose path ends in `suffix`, as text.
    pub(crate) fn texts<'a>(&'a self, suffix: &'a str) -> impl Iterator<Item = (&'a str, String)> {
        let wanted = self.files.iter().filter(move |(path, _)| path.ends_with(suffix));
        wanted.map(|(path, bytes)| (path.as_str(), String::from_utf8_lossy(bytes).into_owned()))
    }
}

/// The folder that holds the whole tree.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("this package lies in a folder of the tree").to_owned()
}

/// The paths, without `.rs`, of the modules that a source declares for tests only.
fn test_files_of(source: &Source) -> Vec<String> {
    let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let folder = match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    source.test_modules().iter().map(|name| format!("{folder}/{name}")).collect()
}

/// Holds a rule against the real tree.
pub(crate) fn holds(rule: fn(&Tree) -> Vec<Finding>) {
    static REAL: OnceLock<Tree> = OnceLock::new();
    let findings = rule(REAL.get_or_init(Tree::real));
    let lines: Vec<_> = findings.iter().map(|f| format!("  {}:{}: {}", f.path, f.line, f.advice)).collect();
    assert!(findings.is_empty(), "{} to put right:\n{}", findings.len(), lines.join("\n"));
}

/// Holds a rule against a made-up tree and asserts at which lines it speaks.
pub(crate) fn speaks_at(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)], expected: &[(&str, usize)]) {
    let tree = Tree::of(files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())));
    let findings = rule(&tree);
    let found: Vec<_> = findings.iter().map(|f| (f.path.as_str(), f.line)).collect();
    assert_eq!(found, expected, "{findings:?}");
}

#[test]
fn a_file_is_for_tests_when_its_parent_says_so() {
    let parent = "#[cfg(test)]\nmod sim;\nmod real;".to_owned();
    let files = [("a/src/lib.rs", parent), ("a/src/sim.rs", String::new()), ("a/src/real.rs", String::new())];
    let tree = Tree::of(files.map(|(path, text)| (path.to_owned(), text.into_bytes())));
    let tests: Vec<_> = tree.sources.iter().filter(|s| s.is_test_file).map(|s| s.path.as_str()).collect();
    assert_eq!(tests, ["a/src/sim.rs"]);
}
