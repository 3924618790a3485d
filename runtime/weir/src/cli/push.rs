//! `weir push`: uploads modules under the digest of their bytes.
//!
//! The digest is made here, before anything is sent, so what the node keeps is what was read, or nothing. A
//! project's module is built and tested first, and refused here if a case differs.

use std::fs::File;
use std::io::{IsTerminal as _, Read, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use api::dto::PassedTests;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use model::{Digest, DigestBuilder, TagName};

use super::exit::{Ended, Exit};
use super::new::{build_project, project};
use super::output::{self, Output};
use super::test::{test, verdict};
use super::{Remote, Session, compiling, tags};
use crate::app::workbench::Workbench;
use crate::client::{Sent, json_text};
use crate::config::{Environment, LocalConfig, LocalFlags};
use crate::logging;
use crate::project::Project;
use crate::project::cases::read::Missing;
use crate::project::report::Report;

/// What a node answers that has a module and still compiles it.
const ACCEPTED: u16 = 202;

/// The arguments of `weir push`.
#[derive(Args)]
#[command(after_help = "\
Without FILE, in the folder of a project, it builds the project, runs its cases and uploads its module
only if all pass; the digest of the cases is kept with the module, see `weir inspect`.

Examples:
  weir push --tag mask                     a project: build, test, upload
  weir push mask.wasm --tag mask-pii:1.2   a file, as it is")]
pub(crate) struct PushArgs {
    /// The modules: components or core modules [default: the one of the project in this folder]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Let this tag name the module
    #[arg(long, value_name = "TAG")]
    tag: Option<TagName>,
    /// Upload the project's module as it is, without building it first
    #[arg(long, conflicts_with = "files")]
    no_build: bool,
    /// Upload the project's module without running its cases
    #[arg(long, conflicts_with = "files")]
    no_test: bool,
    #[command(flatten)]
    local: LocalFlags,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Uploads files, or the module of the project in this folder.
pub(crate) fn run(session: &Session, args: &PushArgs, environment: &dyn Environment) -> anyhow::Result<()> {
    if !args.files.is_empty() {
        return push(session, &args.files, args.tag.as_ref());
    }
    let project = project(Path::new(""))?;
    if !args.no_build {
        build_project(&project)?;
    }
    let passed = if args.no_test {
        None
    } else {
        let config = LocalConfig::new(&args.local, environment)?;
        logging::start(&config.log)?;
        let bench = Workbench::new(&config)?;
        Some(passed(&bench, &config, &project)?)
    };
    push_project(session, &project, passed.as_ref(), args.tag.as_ref())
}

/// Runs a project's cases; says which passed.
///
/// # Errors
/// Where not all do: nothing is to be uploaded then.
fn passed(bench: &Workbench, config: &LocalConfig, project: &Project) -> anyhow::Result<Report> {
    let report = test(bench, config, &project.module, &project.tests, Missing::IsAnError)?.report;
    if report.is_passed() {
        output::talk(&report.summary());
    } else {
        output::talk(&report.text());
        verdict(&report).context("nothing was uploaded; --no-test uploads it nevertheless")?;
    }
    Ok(report)
}

/// Uploads a project's module, and keeps the digest of the cases that it passed with it.
///
/// # Errors
/// Where the node refuses, or the module is not the one that was tested.
pub(crate) fn push_project(
    session: &Session,
    project: &Project,
    passed: Option<&Report>,
    tag: Option<&TagName>,
) -> anyhow::Result<()> {
    let named = || format!("push {}", project.module.display());
    let digest = upload(session, &project.module).with_context(named)?;
    if let Some(report) = passed {
        if report.module != digest {
            let message = format!("the module was {} when it was tested: push again", report.module);
            return Err(Ended::new(Exit::Failed, message)).with_context(named);
        }
        let tests = json_text(&PassedTests { digest: report.tests, cases: report.count() });
        let place = format!("/v1/modules/{digest}/tests");
        session.client.put(&place, Sent::Text("application/json", &tests)).with_context(named)?;
    }
    tag.map_or(Ok(()), |tag| set_tag(session, tag, digest))
}

/// Uploads modules, one after the other.
fn push(session: &Session, files: &[PathBuf], tag: Option<&TagName>) -> anyhow::Result<()> {
    if tag.is_some() && files.len() > 1 {
        let message = "a tag names one module: push the files one by one, or without --tag";
        return Err(Ended::new(Exit::Usage, message).into());
    }
    for path in files {
        let digest = upload(session, path).with_context(|| format!("push {}", path.display()))?;
        tag.map_or(Ok(()), |tag| set_tag(session, tag, digest))?;
    }
    Ok(())
}

fn set_tag(session: &Session, tag: &TagName, digest: Digest) -> anyhow::Result<()> {
    tags::set(session, tag, digest)?;
    output::talk(&format!("tag {tag} names {digest}"));
    Ok(())
}

fn upload(session: &Session, path: &Path) -> anyhow::Result<Digest> {
    let mut file = open(path)?;
    let (digest, length) = digest(&mut file)?;
    file.rewind()?;
    let bar = bar(path, length);
    // What grows while it is sent is cut, and then refused for its digest.
    let mut reader = bar.wrap_read(file.take(length));
    let sent = Sent::Stream("application/wasm", length, &mut reader);
    let answer = session.client.put(&format!("/v1/modules/{digest}"), sent);
    bar.finish_and_clear();
    let mut answer = answer?;
    let how = if answer.status == 200 { "was there already" } else { "pushed" };
    if answer.status == ACCEPTED {
        answer = compiling::wait(session, &path.display().to_string(), digest)?;
    }
    output::talk(&format!("{} {how} ({})", path.display(), output::bytes(length)));
    match session.output {
        Output::Json => output::data(answer.text.trim_end())?,
        Output::Table | Output::Name => output::data(&digest.to_string())?,
    }
    Ok(digest)
}

fn open(path: &Path) -> anyhow::Result<File> {
    let unusable = |why: String| Ended::new(Exit::Config, why);
    let file = File::open(path).map_err(|error| unusable(format!("cannot read the file: {error}")))?;
    let metadata = file.metadata().map_err(|error| unusable(format!("cannot read the file: {error}")))?;
    if !metadata.is_file() {
        return Err(unusable("this is not a file".into()).into());
    }
    Ok(file)
}

fn digest(file: &mut File) -> std::io::Result<(Digest, u64)> {
    let (mut builder, mut length) = (DigestBuilder::new(), 0);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((builder.finish(), length)),
            count => {
                builder.update(&buffer[..count]);
                length += count as u64;
            }
        }
    }
}

fn bar(path: &Path, length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{msg} {bar:30} {binary_bytes} of {binary_total_bytes}";
    let style = ProgressStyle::with_template(template).expect("the template names only known keys");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ProgressBar::new(length).with_style(style).with_message(output::clean(&name))
}
