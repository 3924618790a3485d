//! Beginning a project: a folder with the files of a template, all of them or none.

use std::path::{Path, PathBuf};

use super::ProjectName;
use super::templates::{Language, TemplateFile};

/// Why a project cannot be begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScaffoldError {
    /// There is something of that name.
    #[error("there is a '{}' already, and nothing is written over; choose another name", .0.display())]
    Exists(PathBuf),
    /// The disk refuses.
    #[error("cannot write {}: {error}", .path.display())]
    Unwritable {
        /// What.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

/// Makes the folder of a project below `parent`; says where it is.
///
/// # Errors
/// See [`ScaffoldError`]; nothing is left behind then.
pub(crate) fn begin(parent: &Path, name: &ProjectName, language: Language) -> Result<PathBuf, ScaffoldError> {
    let folder = parent.join(name.as_str());
    if folder.symlink_metadata().is_ok() {
        return Err(ScaffoldError::Exists(folder));
    }
    let unwritable = |error| ScaffoldError::Unwritable { path: folder.clone(), error };
    let here = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let aside = tempfile::Builder::new().prefix(".weir-new-").tempdir_in(here).map_err(unwritable)?;
    for file in language.files() {
        write(aside.path(), file, name).map_err(unwritable)?;
    }
    // The mode of a temporary folder is its owner's alone; that of a project is the usual one.
    let project = aside.path().join(".project");
    std::fs::create_dir(&project).map_err(unwritable)?;
    for entry in std::fs::read_dir(aside.path()).map_err(unwritable)? {
        let entry = entry.map_err(unwritable)?;
        if entry.file_name() != ".project" {
            std::fs::rename(entry.path(), project.join(entry.file_name())).map_err(unwritable)?;
        }
    }
    std::fs::rename(&project, &folder).map_err(unwritable)?;
    Ok(folder)
}

fn write(folder: &Path, file: &TemplateFile, name: &ProjectName) -> std::io::Result<()> {
    let path = folder.join(file.place);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::str::from_utf8(file.bytes) {
        Ok(text) => std::fs::write(path, filled(text, name)),
        Err(_) => std::fs::write(path, file.bytes),
    }
}

fn filled(text: &str, name: &ProjectName) -> String {
    text.replace("{{name}}", name.as_str()).replace("{{name_}}", &name.identifier())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::project::Project;

    #[test]
    fn a_project_is_begun_once_and_whole() {
        for language in Language::value_variants() {
            let parent = tempfile::tempdir().expect("a folder");
            let name: ProjectName = "mask-it".parse().expect("a name");
            let folder = begin(parent.path(), &name, *language).expect("there is nothing yet");
            let project = Project::open(&folder).expect("it makes sense").expect("it is there");
            assert_eq!((project.name.as_str(), project.language), ("mask-it", Some(language.name())));
            for file in language.files() {
                let bytes = std::fs::read(folder.join(file.place)).expect("it is there");
                assert!(!String::from_utf8_lossy(&bytes).contains("{{name"), "{}", file.place);
            }
            assert!(matches!(begin(parent.path(), &name, *language), Err(ScaffoldError::Exists(_))));
            let left = std::fs::read_dir(parent.path()).expect("a folder").count();
            assert_eq!(left, 1, "nothing is left beside it");
        }
    }
}
