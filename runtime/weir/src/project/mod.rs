//! A plugin author's project: its file `weir.toml`, how it is begun, built and tested.
//!
//! Nothing here knows a language. What makes them differ, the commands of a build and the files that a
//! project begins with, stands in the project's own file and in the templates under `sdk/`.

pub(crate) mod build;
pub(crate) mod cases;
mod file;
pub(crate) mod junit;
pub(crate) mod report;
pub(crate) mod samples;
pub(crate) mod scaffold;
pub(crate) mod templates;
pub(crate) mod watch;

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

pub(crate) use file::{PROJECT_FILE, Project, ProjectError, ProjectName, Step};

use crate::spec::TEXT_BYTES_MAX;

/// Reads a file that a person wrote. Of one that is too long, one byte more than may be there, so that who
/// parses it sees that there is too much.
fn read_text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(TEXT_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}
