//! Golden files: texts that are public API, kept under `tests/golden`, so that a change of one is seen.

use std::path::Path;

/// Compares `text` with the file; with `UPDATE_GOLDEN=1` writes the file instead.
pub(crate) fn check(path: &Path, text: &str) {
    if crate::config::golden_update() {
        std::fs::create_dir_all(path.parent().expect("a file lies in a directory"))
            .expect("the tree is ours");
        std::fs::write(path, text).expect("the tree is ours to write");
        return;
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(golden == text, "{} is not what it was; if so it should be, UPDATE_GOLDEN=1", path.display());
}
