//! `weir test`: runs a project's cases through its module, in the sandbox that pipelines use.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, ValueEnum};
use engine::{EngineOptions, Module};
use model::Digest;

use super::exit::{Ended, Exit};
use super::output;
use crate::app::workbench::Workbench;
use crate::config::{LocalConfig, LocalFlags};
use crate::logging;
use crate::project::cases::read::{Missing, read};
use crate::project::cases::rewrite::{Rewritten, rewrite};
use crate::project::cases::run::{Ran, run as run_cases};
use crate::project::cases::{Suite, compare};
use crate::project::report::Report;
use crate::project::{PROJECT_FILE, Project, junit};

const HELP: &str = "\
A project has a file weir.toml, which names its module and its folder of cases. Any other folder of
cases, or a single file, is run against the module that --module names.

A file of cases, YAML or JSON:

  config: {field: name}             # optional; a case may have its own
  limits: {fuel_per_event: 1000000} # optional; as in a pipeline's [steps.limits]; a case may have
                                    # its own, each in place of the file's of that name
  output: lines                     # optional; of a command, as in a pipeline's step;
                                    # a case may have its own
  cases:
    - name: shouts
      event:                        # subject, payload, headers, sequence, timestamp; all optional
        subject: demo.text
        payload: hello              # or {json: …}, {base64: …}, {file: x.bin},
                                    # {repeat: {text: x, times: 9}}
        headers: [[Trace, a]]
      expect:                       # or count: 3, reject: part of the reason, fault: out-of-fuel
        - payload: HELLO            # the same, {json: …} compared as a value; or {contains: …}
          subject: null             # looked at only if given; null: none of its own
          headers: [[Trace, a]]     # looked at only if given
      log: part of a line           # optional

Each case gets a fresh instance. --update writes what came out in place of the expectations that
differ, and adds those that are missing; comments within a replaced expectation are lost, all else
in the file stays as it is.

It ends with code 2 where a case differs from what it expects.";

/// The arguments of `weir test`.
#[derive(Args)]
#[command(after_long_help = HELP)]
pub(crate) struct TestArgs {
    /// The project's folder; or a folder or a file of cases
    #[arg(value_name = "DIR", default_value = ".")]
    place: PathBuf,
    /// The module [default: the one that the project builds]
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
    /// Write what came out into the cases that differ
    #[arg(long)]
    update: bool,
    /// What the report looks like
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    pub(crate) local: LocalFlags,
}

/// What a report looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// Text for people.
    Table,
    /// JSON for programs.
    Json,
    /// JUnit XML for CI.
    Junit,
}

/// Runs the cases, and says how they went.
pub(crate) fn run(args: &TestArgs, config: &LocalConfig) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    let (module, cases) = places(args)?;
    let missing = if args.update { Missing::WillBeWritten } else { Missing::IsAnError };
    let bench = Workbench::new(config)?;
    let Tested { suite, ran, report } = test(&bench, config, &module, &cases, missing)?;
    match args.output {
        ReportFormat::Table => output::data(&output::clean(&report.text()))?,
        ReportFormat::Json => output::data(&crate::client::json_text(&report))?,
        ReportFormat::Junit => output::data(&junit::document(&report))?,
    }
    if args.update {
        return update(&suite, &ran);
    }
    verdict(&report)
}

/// Cases, what came of them, and how that is to be seen.
pub(crate) struct Tested {
    suite: Suite,
    ran: Vec<Vec<Ran>>,
    /// How they went.
    pub(crate) report: Report,
}

/// Runs the cases that lie in a place through the module in a file.
///
/// # Errors
/// Where cases or module cannot be used; that a case differs is no error.
pub(crate) fn test(
    bench: &Workbench,
    config: &LocalConfig,
    module: &Path,
    cases: &Path,
    missing: Missing,
) -> anyhow::Result<Tested> {
    let suite = read(cases, missing)?;
    let (digest, module) = load(bench, module)?;
    let ran = run_cases(&module, &suite, config.workers.get());
    let report = Report::new(digest, bench.library.engine().fingerprint(), &suite, &ran);
    Ok(Tested { suite, ran, report })
}

/// Ends as the report says.
///
/// # Errors
/// Where a case did not pass.
pub(crate) fn verdict(report: &Report) -> anyhow::Result<()> {
    if report.failed > 0 {
        return Err(Ended::new(Exit::Failed, report.summary()).into());
    }
    if report.differing > 0 {
        let message = format!(
            "{} of the cases differ from what they expect; `weir test --update` writes down what came out",
            report.differing
        );
        return Err(Ended::new(Exit::Difference, message).into());
    }
    Ok(())
}

/// The module and where its cases lie.
fn places(args: &TestArgs) -> anyhow::Result<(PathBuf, PathBuf)> {
    let project = if args.place.is_dir() { Project::open(&args.place)? } else { None };
    match (project, &args.module) {
        (Some(project), None) => Ok((project.module, project.tests)),
        (Some(project), Some(module)) => Ok((module.clone(), project.tests)),
        (None, Some(module)) => Ok((module.clone(), args.place.clone())),
        (None, None) => {
            let place = args.place.display();
            let message = format!(
                "there is no {PROJECT_FILE} in {place}: name the project's folder, or the module with --module"
            );
            Err(Ended::new(Exit::Config, message).into())
        }
    }
}

/// Loads a module from its file, by way of the cache of compiled code.
///
/// # Errors
/// Where there is none, or it is refused.
pub(crate) fn load(bench: &Workbench, path: &Path) -> anyhow::Result<(Digest, Module)> {
    let name = path.display();
    let most = EngineOptions::DEFAULT.module_bytes_max as u64;
    let bytes = match std::fs::metadata(path) {
        Ok(found) if found.len() > most => {
            let message = format!("{name}: {} bytes; a module has at most {most}", found.len());
            return Err(Ended::new(Exit::Failed, message).into());
        }
        _ => std::fs::read(path).map_err(|error| {
            let hint =
                if error.kind() == std::io::ErrorKind::NotFound { "; `weir build` makes it" } else { "" };
            Ended::new(Exit::Config, format!("cannot read {name}: {error}{hint}"))
        })?,
    };
    let bytes = Bytes::from(bytes);
    bench.keep(&bytes)?;
    let digest = Digest::of(&bytes);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let module = runtime.block_on(bench.library.load(digest));
    let module = module.map_err(|error| Ended::new(Exit::Failed, format!("{name}: {error}")))?;
    Ok((digest, module))
}

/// Takes over what came out; all files, or none where one cannot be rewritten.
fn update(suite: &Suite, ran: &[Vec<Ran>]) -> anyhow::Result<()> {
    let rewrite = |(file, ran): (_, &Vec<Ran>)| rewrite(file, ran);
    let rewritten = suite.files.iter().zip(ran).map(rewrite).collect::<Result<Vec<_>, _>>();
    let rewritten = rewritten.map_err(|why| Ended::new(Exit::Failed, why))?;
    for (file, new) in suite.files.iter().zip(rewritten) {
        let Some(Rewritten { text, payloads, count }) = new else { continue };
        for (path, bytes) in payloads {
            write(&path, &bytes)?;
        }
        write(&file.path, text.as_bytes())?;
        output::talk(&format!("{}: {count} cases rewritten", file.path.display()));
    }
    let lacking = suite.files.iter().zip(ran).flat_map(|(file, ran)| file.cases.iter().zip(ran));
    let lacking = lacking.filter(|(case, ran)| compare::lacks_log(case, ran)).count();
    if lacking > 0 {
        let message =
            format!("{lacking} cases expect a line in the log that does not come; that is not rewritten");
        return Err(Ended::new(Exit::Difference, message).into());
    }
    Ok(())
}

/// Writes a file aside, and lets it take its name when it is whole.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let refuse = |error: &dyn std::fmt::Display| {
        Ended::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut aside = tempfile::NamedTempFile::new_in(folder).map_err(|error| refuse(&error))?;
    std::io::Write::write_all(&mut aside, bytes).map_err(|error| refuse(&error))?;
    if let Ok(found) = std::fs::metadata(path) {
        std::fs::set_permissions(aside.path(), found.permissions()).map_err(|error| refuse(&error))?;
    }
    aside.persist(path).map_err(|error| refuse(&error))?;
    Ok(())
}
