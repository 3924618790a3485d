//! `weir new` and `weir build`: a plugin author's project, begun and built.

use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::{Ended, Exit};
use super::output;
use crate::project::build::{BuildError, build as run_build};
use crate::project::scaffold::begin;
use crate::project::templates::Language;
use crate::project::{PROJECT_FILE, Project, ProjectName};

/// The arguments of `weir new`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  weir new mask --lang rust && cd mask && weir build && weir test")]
pub(crate) struct NewArgs {
    /// The project's name, and that of its folder: a-z, then a-z, 0-9 and '-'
    #[arg(value_name = "NAME")]
    name: ProjectName,
    /// The language to write it in
    #[arg(long, value_name = "LANGUAGE")]
    lang: Language,
}

/// The arguments of `weir build`.
#[derive(Args)]
#[command(after_help = "\
It runs the commands under [[build]] in weir.toml, in order, in the project's folder, without a shell.")]
pub(crate) struct BuildArgs {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    place: PathBuf,
}

/// Begins a project.
pub(crate) fn new(args: &NewArgs) -> anyhow::Result<()> {
    let folder = begin(Path::new(""), &args.name, args.lang)
        .map_err(|why| Ended::new(Exit::Failed, why.to_string()))?;
    output::data(&folder.display().to_string())?;
    output::talk("its README.md has the commands: weir build, weir test, weir push");
    Ok(())
}

/// Builds a project; prints where its module is.
pub(crate) fn build(args: &BuildArgs) -> anyhow::Result<()> {
    let project = project(&args.place)?;
    build_project(&project)?;
    let module = &project.module;
    let size = std::fs::metadata(module)?.len();
    output::talk(&format!("{} ({})", module.display(), output::bytes(size)));
    output::data(&module.display().to_string())
}

/// The project in a folder.
///
/// # Errors
/// Where there is none, or its file makes no sense.
pub(crate) fn project(folder: &Path) -> anyhow::Result<Project> {
    Project::open(folder)?.ok_or_else(|| {
        let message = format!(
            "there is no {PROJECT_FILE} in {}; `weir new NAME --lang LANGUAGE` begins a project",
            if folder.as_os_str().is_empty() { ".".into() } else { folder.display().to_string() }
        );
        Ended::new(Exit::Config, message).into()
    })
}

/// Runs the commands of a project's build.
///
/// # Errors
/// The first one that does not work.
pub(crate) fn build_project(project: &Project) -> anyhow::Result<()> {
    let language = project.language.as_ref().map(|language| format!(" ({language})")).unwrap_or_default();
    output::talk(&format!("building {}{language}", project.name.as_str()));
    let done = run_build(project, |command| output::talk(&format!("+ {command}")));
    done.map_err(|error| {
        let exit = match error {
            BuildError::Failed { .. } => Exit::Failed,
            _ => Exit::Config,
        };
        Ended::new(exit, error.to_string()).into()
    })
}
