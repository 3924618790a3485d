//! `weir apply` and `weir check`: a pipeline file, judged here and put in force by a node.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use api::dto::{ApplyOutcome, ApplyResult};
use clap::Args;
use model::Plan;

use super::conformance::{self, Conditions};
use super::exit::{Ended, Exit};
use super::lock::planned;
use super::resolve::{PlanFiles, ResolveFlags, check_lock, read_lock, refuse_changes};
use super::{Remote, Session};
use super::{output, trial};
use crate::client::{Answer, ClientError, Sent};
use crate::spec::{ModuleRef, Origin, PipelineSpec, Start, StepSpec, TEXT_BYTES_MAX, plan_changes};

/// The arguments of `weir apply`.
#[derive(Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    files: PlanFiles,
    /// Change nothing; say what would change, and end with code 2 if anything would
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// The arguments of `weir check`.
#[derive(Args)]
#[command(after_help = "\
A module is executed on samples, twice and each sample alone, and found pure, leaky (it keeps state from
event to event, which fresh instances for each block make safe) or refused.

Examples:
  weir check flights.toml
  weir check mask.wasm --config '{\"rules\": []}' --sample event.json")]
pub(crate) struct CheckArgs {
    /// Pipeline files, TOML or JSON; or modules; - reads a pipeline file from standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The configuration of the modules: JSON, or a file of JSON or TOML
    #[arg(long, value_name = "JSON|FILE")]
    config: Option<String>,
    /// A file that holds the payload of a sample for the modules; repeat for more [default: ten of its own]
    #[arg(long = "sample", value_name = "FILE")]
    samples: Vec<PathBuf>,
}

/// Applies a pipeline file, or exactly what a lock says. What is wrong in it is told before a node is asked.
pub(crate) fn run(session: &Session, args: &ApplyArgs) -> anyhow::Result<()> {
    if args.dry_run {
        return dry_run(session, &args.files);
    }
    let answer = match &args.files.locked {
        Some(path) => apply_locked(session, path, args.files.file.as_deref())?,
        None => {
            let spec = read(args.files.file.as_ref().expect("without a lock the command line has a file"))?;
            let json = spec.text().trim_start().starts_with('{');
            let media_type = if json { "application/json" } else { "application/toml" };
            session
                .client
                .put(&format!("/v1/pipelines/{}", spec.name), Sent::Text(media_type, spec.text()))?
        }
    };
    let result: ApplyResult = answer.read()?;
    let names = || vec![result.name.to_string()];
    let table = || {
        let outcome = match result.outcome {
            ApplyOutcome::Created => "created",
            ApplyOutcome::Changed => "changed",
            ApplyOutcome::Unchanged => "unchanged",
        };
        let mut table = output::table(["NAME", "OUTCOME", "GENERATION", "PLAN"]);
        table.add_row(output::row([&result.name, &outcome, &result.generation, &result.plan]));
        table
    };
    output::show(session.output, &answer, names, table)
}

/// Applies what the lock says, on the condition that the node makes the same plan of it.
fn apply_locked(session: &Session, path: &Path, file: Option<&Path>) -> anyhow::Result<Answer> {
    let lock = read_lock(path)?;
    file.map_or(Ok(()), |file| check_lock(&lock, path, file))?;
    let engine = session.info()?.engine;
    if engine != lock.engine {
        let locked = &lock.engine;
        output::talk(&format!("the node's engine is {engine}; {} was made with {locked}", path.display()));
    }
    let place = format!("/v1/pipelines/{}?plan={}", lock.plan.pipeline, lock.plan.digest());
    let sent = session.client.put(&place, Sent::Text("application/json", &lock.pipeline_file()));
    if let Err(ClientError::Refused(problem)) = &sent
        && problem.code == "plan-differs"
        && let Some(plan) = problem.extensions.get("plan")
        && let Ok(made) = serde_json::from_value::<Plan>(plan.clone())
    {
        let what = format!("the node would make another plan than {} holds", path.display());
        refuse_changes(&what, &plan_changes(&lock.plan, &made))?;
    }
    Ok(sent?)
}

/// Checks pipeline files and modules, all of them, and ends with the first error.
pub(crate) fn check(args: &CheckArgs) -> anyhow::Result<()> {
    let config = args.config.as_deref().map(trial::config).transpose()?;
    let config = config.map(|config| config.to_string()).unwrap_or_default();
    let conditions = Conditions { config, samples: conformance::samples(&args.samples)? };
    let mut first = None;
    for file in &args.files {
        let name = file.display().to_string();
        let checked = match conformance::module_at(file)? {
            Some(bytes) => conformance::check(&name, &bytes, &conditions),
            None => read(file).and_then(|spec| output::data(&format!("{name}: {}", summary(&spec)))),
        };
        match checked {
            Ok(()) => {}
            Err(error) if first.is_none() => first = Some(error),
            Err(error) => output::talk(&format!("error: {error:#}")),
        }
    }
    first.map_or(Ok(()), Err)
}

/// Says what would change, and ends with a code of its own if anything would.
fn dry_run(session: &Session, files: &PlanFiles) -> anyhow::Result<()> {
    let planned = planned(session, files, &ResolveFlags::default())?;
    let lines = planned.lines();
    if planned.is_no_change() {
        return output::lines(&lines);
    }
    Err(Ended::new(Exit::Difference, lines.join("\n  ")).into())
}

/// A pipeline on one line.
fn summary(spec: &PipelineSpec) -> String {
    let source = match &spec.source.origin {
        Origin::Stream(stream) => stream.to_string(),
        Origin::Subject { pattern, .. } => pattern.to_string(),
    };
    let start = match spec.source.start {
        Start::Beginning => "the beginning".to_owned(),
        Start::Now => "now".to_owned(),
        Start::Sequence(sequence) => format!("sequence {sequence}"),
        Start::Time(moment) => String::from(moment),
    };
    let step = |step: &StepSpec| match &step.module {
        ModuleRef::Digest(digest) => format!("{} ({})", step.name, digest.short()),
        ModuleRef::Tag(tag) => format!("{} ({tag})", step.name),
    };
    let steps: Vec<String> = spec.steps.iter().map(step).collect();
    let (name, steps, sink) = (&spec.name, steps.join(" -> "), &spec.sink.stream);
    format!("pipeline {name}: {source} from {start} -> {steps} -> {sink}")
}

/// Reads and checks a pipeline file.
pub(crate) fn read(path: &Path) -> anyhow::Result<PipelineSpec> {
    let (text, name) = read_text(path)?;
    Ok(PipelineSpec::parse(&text, &name)?)
}

/// Reads a small text file, or standard input for `-`; with the name by which errors call it.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<(String, String)> {
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let unusable = |error: std::io::Error| Ended::new(Exit::Config, format!("cannot read {name}: {error}"));
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).map_err(unusable)?),
    };
    let mut text = String::new();
    // One byte more than may be there, so that the parser sees that there is too much.
    source.take(TEXT_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(unusable)?;
    Ok((text, name))
}
