//! Building a project: the commands of its file, in order, in its folder, without a shell.

use std::io::ErrorKind;
use std::process::{Command, ExitStatus, Stdio};

use super::{Project, Step};

/// Why a build came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// There is nothing to run.
    #[error("{}: there is no [[build]], so nothing makes {module}", .file)]
    Nothing {
        /// The project's file.
        file: String,
        /// The module.
        module: String,
    },
    /// A program is not there.
    #[error("the build needs '{program}', which is not on PATH\n  {get}")]
    Missing {
        /// Which.
        program: String,
        /// How to get it.
        get: String,
    },
    /// A program cannot be run.
    #[error("cannot run '{command}': {error}")]
    Unrunnable {
        /// The whole command.
        command: String,
        /// Why.
        error: std::io::Error,
    },
    /// A program failed, and has said why.
    #[error("'{command}' failed ({status})")]
    Failed {
        /// The whole command.
        command: String,
        /// How.
        status: ExitStatus,
    },
    /// All went well, and there is no module.
    #[error("the build made no {0}, which {1} names as the module")]
    NoModule(String, String),
}

/// Builds. What the programs say goes to standard error, for it is talk.
///
/// # Errors
/// The first command that does not work; see [`BuildError`].
pub(crate) fn build(project: &Project, mut told: impl FnMut(&str)) -> Result<(), BuildError> {
    let file = project.root.join(super::PROJECT_FILE).display().to_string();
    let module = project.module.display().to_string();
    if project.build.is_empty() && !project.module.is_file() {
        return Err(BuildError::Nothing { file, module });
    }
    for step in &project.build {
        told(&step.run.join(" "));
        run(project, step)?;
    }
    if project.module.is_file() { Ok(()) } else { Err(BuildError::NoModule(module, file)) }
}

fn run(project: &Project, step: &Step) -> Result<(), BuildError> {
    let (program, arguments) = step.run.split_first().expect("the file was checked for a program");
    let mut command = Command::new(program);
    command.args(arguments).envs(&step.env).current_dir(&project.root).stdin(Stdio::null());
    command.stdout(std::io::stderr());
    let line = || step.run.join(" ");
    let status = command.status().map_err(|error| match error.kind() {
        ErrorKind::NotFound => BuildError::Missing {
            program: program.clone(),
            get: step.get.clone().unwrap_or_else(|| "install it, then run this again".into()),
        },
        _ => BuildError::Unrunnable { command: line(), error },
    })?;
    if status.success() { Ok(()) } else { Err(BuildError::Failed { command: line(), status }) }
}
