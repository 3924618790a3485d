//! Finding the files of cases in a folder, and reading them.

use std::path::{Path, PathBuf};

use super::check::check;
pub(crate) use super::content::Missing;
use super::file::CasesFile;
use super::{CaseFile, Suite};
use crate::spec::{Document, SpecError};

/// So deep below the folder that is asked for, and so many of them, files are looked for.
const DEPTH_MAX: usize = 16;
const FILES_MAX: usize = 10_000;

/// Why cases cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CasesError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file makes no sense.
    #[error(transparent)]
    Invalid(#[from] SpecError),
    /// There is no file of cases.
    #[error(
        "there are no cases in {}: a file of cases ends in .yaml or .yml, or is called case.json, cases.json \
         or *.cases.json", .0.display()
    )]
    None(PathBuf),
    /// There are too many files, or they lie too deep.
    #[error("{}: more than {FILES_MAX} files, or folders more than {DEPTH_MAX} deep", .0.display())]
    TooMany(PathBuf),
}

/// Reads a file of cases, or all of a folder and the folders in it.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn read(place: &Path, missing: Missing) -> Result<Suite, CasesError> {
    let mut paths = Vec::new();
    if place.is_file() {
        paths.push(place.to_owned());
    } else {
        find(place, DEPTH_MAX, &mut paths)?;
    }
    paths.sort_unstable();
    if paths.is_empty() {
        return Err(CasesError::None(place.to_owned()));
    }
    let files = paths.iter().map(|path| {
        let name = path.strip_prefix(place).ok().filter(|name| !name.as_os_str().is_empty());
        let name = name.unwrap_or_else(|| Path::new(path.file_name().unwrap_or_default()));
        read_file(path, &name.display().to_string(), missing)
    });
    Ok(Suite { files: files.collect::<Result<_, _>>()? })
}

/// Makes cases of a text.
///
/// # Errors
/// The first thing that is wrong in it.
pub(super) fn parse(text: &str, path: &Path, name: &str, missing: Missing) -> Result<CaseFile, SpecError> {
    let document = Document::yaml(text, &path.display().to_string());
    let file: CasesFile = document.read()?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let cases = check(file, folder, missing).map_err(|(path, why)| document.error(&path, &why))?;
    let (path, name, text) = (path.to_owned(), name.to_owned(), text.to_owned());
    Ok(CaseFile { path, name, text, cases })
}

fn read_file(path: &Path, name: &str, missing: Missing) -> Result<CaseFile, CasesError> {
    let text = crate::project::read_text(path)
        .map_err(|error| CasesError::Unreadable { path: path.to_owned(), error })?;
    Ok(parse(&text, path, name, missing)?)
}

fn find(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), CasesError> {
    let unreadable = |error| CasesError::Unreadable { path: folder.to_owned(), error };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(unreadable)?);
        if depth == 0 || paths.len() >= FILES_MAX {
            return Err(CasesError::TooMany(folder.to_owned()));
        }
        if kind.is_dir() {
            find(&path, depth - 1, paths)?;
        } else if is_case_file(&path) {
            paths.push(path);
        }
    }
    Ok(())
}

/// Whether a file holds cases, by its name: any YAML, and JSON where it says so, since data is JSON as well.
fn is_case_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with('.') {
        return false;
    }
    let by_name = ["case.json", "cases.json"].contains(&name.as_ref());
    by_name || [".yaml", ".yml", ".cases.json"].iter().any(|end| name.ends_with(end))
}
