//! The modules that the tests run, built from source once for each run of the tests.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::process::root;

/// Where modules come from.
const FOLDERS: [&str; 4] = ["wasm32-wasip2/release/examples", "core", "wasm32-wasip2/release", "sdk"];

/// The bytes of a module: `upper` for a component of `tests/guests/examples`, `upper-c` or `multi-zig` for a
/// core module, `mask_pii` for one of `plugins`, `go` for the reference module of an SDK and `go-hello` for
/// what its template makes.
///
/// # Panics
/// When it cannot be built.
pub fn guest(name: &str) -> Vec<u8> {
    let path = guest_path(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// Where a module lies.
///
/// # Panics
/// When it cannot be built.
pub fn guest_path(name: &str) -> PathBuf {
    build();
    let target = root().join("target/guests");
    let mut paths = FOLDERS.iter().map(|folder| target.join(folder).join(format!("{name}.wasm")));
    paths.find(|path| path.is_file()).unwrap_or_else(|| panic!("no guest is called '{name}'"))
}

fn build() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = root().join("target/guests");
        std::fs::create_dir_all(&target).expect("the target directory can be written to");
        // Several test processes may run at once; one builds, and the others find all done.
        let lock = File::create(target.join(".tests-lock")).expect("the target directory can be written to");
        lock.lock().expect("a file can be locked");
        let output = Command::new("bash").arg(root().join(".ci/guests.sh")).arg("tests").output();
        let output = output.expect("bash is needed to build the guests");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the guests cannot be built:\n{log}");
    });
}

#[test]
fn guests_are_built_and_told_apart_by_their_bytes() {
    for (name, header) in [
        ("upper", b"\0asm\x0d\0\x01\0"),
        ("hostile", b"\0asm\x0d\0\x01\0"),
        ("mask_pii", b"\0asm\x0d\0\x01\0"),
        ("upper-c", b"\0asm\x01\0\0\0"),
        ("multi-zig", b"\0asm\x01\0\0\0"),
        ("rust", b"\0asm\x0d\0\x01\0"),
        ("rust-core", b"\0asm\x01\0\0\0"),
        ("assemblyscript", b"\0asm\x01\0\0\0"),
        ("go-hello", b"\0asm\x01\0\0\0"),
    ] {
        assert!(guest(name).starts_with(header), "{name}");
    }
}
