//! The project file, `weir.toml`: from its text to a project that is known to make sense.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::spec::{Document, KeyPath, SpecError};

/// What the file is called.
pub(crate) const PROJECT_FILE: &str = "weir.toml";

/// A project as its file says it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectTable {
    name: String,
    language: Option<String>,
    module: PathBuf,
    #[serde(default = "tests")]
    tests: PathBuf,
    #[serde(default)]
    build: Vec<Step>,
}

/// Why a project cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    /// Its file cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Its file makes no sense.
    #[error(transparent)]
    Invalid(#[from] SpecError),
}

/// One command of the build.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// The program and its arguments; no shell is between.
    pub(crate) run: Vec<String>,
    /// What the environment has besides.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// How to get the program.
    pub(crate) get: Option<String>,
}

/// A project.
#[derive(Debug)]
pub(crate) struct Project {
    /// The folder that everything lies in.
    pub(crate) root: PathBuf,
    /// Its name.
    pub(crate) name: ProjectName,
    /// The language it is written in, for people.
    pub(crate) language: Option<String>,
    /// The module that a build makes, with the folder.
    pub(crate) module: PathBuf,
    /// The folder of cases, with the folder.
    pub(crate) tests: PathBuf,
    /// The commands that make the module, in order.
    pub(crate) build: Vec<Step>,
}

/// The name of a project: a lower-case letter, then letters, digits and dashes, at most 64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectName(String);

impl ProjectName {
    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as most languages write one in code: with `_` for `-`.
    pub(crate) fn identifier(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl std::str::FromStr for ProjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let begins = text.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if begins && text.len() <= 64 && text.bytes().all(rest) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is not the name of a project: a letter of a-z, then a-z, 0-9 and '-', at most 64"
        ))
    }
}

impl Project {
    /// Makes a project of the text of its file; `folder` is where that lies.
    ///
    /// # Errors
    /// The first thing that is wrong in it, with its place.
    pub(crate) fn parse(text: &str, folder: &Path) -> Result<Self, SpecError> {
        // Paths below the current folder are named without it.
        let folder = folder.strip_prefix(".").unwrap_or(folder);
        let document = Document::new(text, &folder.join(PROJECT_FILE).display().to_string());
        let table: ProjectTable = document.read()?;
        let at = |key: &str| KeyPath::root().name(key);
        let name = table.name.parse().map_err(|why: String| document.error(&at("name"), &why))?;
        let given = |key: &str, path: &Path| {
            if path.as_os_str().is_empty() {
                return Err(document.error(&at(key), "this has to be a path below the project's folder"));
            }
            Ok(folder.join(path))
        };
        for (index, step) in table.build.iter().enumerate() {
            if step.run.first().is_none_or(String::is_empty) {
                let path = at("build").index(index).name("run");
                return Err(document.error(&path, "a step of the build needs a program to run"));
            }
        }
        Ok(Self {
            root: if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() },
            name,
            language: table.language,
            module: given("module", &table.module)?,
            tests: given("tests", &table.tests)?,
            build: table.build,
        })
    }

    /// Reads the project in a folder; none where there is none.
    ///
    /// # Errors
    /// When its file cannot be read, or makes no sense.
    pub(crate) fn open(folder: &Path) -> Result<Option<Self>, ProjectError> {
        let path = folder.join(PROJECT_FILE);
        match super::read_text(&path) {
            Ok(text) => Ok(Some(Self::parse(&text, folder)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ProjectError::Unreadable { path, error }),
        }
    }
}

fn tests() -> PathBuf {
    PathBuf::from("tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"mask\"\nmodule = \"out/mask.wasm\"\n[[build]]\nrun = [\"make\"]\n";

    #[test]
    fn a_project_is_read_or_refused_with_the_key() {
        let project = Project::parse(TEXT, Path::new("p")).expect("it makes sense");
        assert_eq!(project.module, Path::new("p/out/mask.wasm"));
        assert_eq!(project.tests, Path::new("p/tests"));
        for (from, to, says) in [
            ("mask\"\nm", "Mask\"\nm", "p/weir.toml:1:8: name: 'Mask' is not the name"),
            ("out/mask.wasm", "", "module: this has to be a path below"),
            ("[\"make\"]", "[]", "4:7: build[0].run: a step of the build needs a program"),
            ("module", "modul", "unknown key 'modul'; did you mean 'module'?"),
        ] {
            let error = Project::parse(&TEXT.replacen(from, to, 1), Path::new("p")).expect_err("refused");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
