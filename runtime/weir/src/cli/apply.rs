//! `weir apply` and `weir check`: a pipeline file, judged here and put in force by a node.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use api::dto::{ApplyOutcome, ApplyResult, PipelineDescription};
use clap::Args;
use model::Plan;

use super::exit::{Ended, Exit};
use super::module_arg::ModuleArg;
use super::output;
use super::{Remote, Session};
use crate::client::{ClientError, Sent};
use crate::spec::{ModuleRef, Origin, PipelineSpec, Resolution, Start, StepSpec, TEXT_BYTES_MAX};

/// The arguments of `weir apply`.
#[derive(Args)]
pub(crate) struct ApplyArgs {
    /// The pipeline file, TOML or JSON; - reads standard input
    file: PathBuf,
    /// Change nothing; say whether anything would change, and end with code 2 if so
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// The arguments of `weir check`.
#[derive(Args)]
pub(crate) struct CheckArgs {
    /// Pipeline files, TOML or JSON; - reads standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Applies a pipeline file. What is wrong in it is told before the node is asked.
pub(crate) fn run(session: &Session, args: &ApplyArgs) -> anyhow::Result<()> {
    let spec = read(&args.file)?;
    if args.dry_run {
        return dry_run(session, &spec);
    }
    let json = spec.text().trim_start().starts_with('{');
    let media_type = if json { "application/json" } else { "application/toml" };
    let path = format!("/v1/pipelines/{}", spec.name);
    let answer = session.client.put(&path, Sent::Text(media_type, spec.text()))?;
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

/// Checks pipeline files, all of them, and ends with the first error.
pub(crate) fn check(files: &[PathBuf]) -> anyhow::Result<()> {
    let mut first = None;
    for file in files {
        match read(file) {
            Ok(spec) => output::data(&format!("{}: {}", file.display(), summary(&spec)))?,
            Err(error) if first.is_none() => first = Some(error),
            Err(error) => output::talk(&format!("error: {error:#}")),
        }
    }
    first.map_or(Ok(()), Err)
}

/// Compares the plan that the file makes now, tags and all, with the one that is applied.
fn dry_run(session: &Session, spec: &PipelineSpec) -> anyhow::Result<()> {
    let differs = |what: String| Err(Ended::new(Exit::Difference, what).into());
    let applied = match session.client.get(&format!("/v1/pipelines/{}", spec.name)) {
        Ok(answer) => answer.read::<PipelineDescription>()?,
        Err(ClientError::Refused(problem)) if problem.status == 404 => {
            return differs(format!("there is no pipeline {} yet: it would be created", spec.name));
        }
        Err(error) => return Err(error.into()),
    };
    let plan = spec.resolve(&resolution(session, spec, &applied.plan)?)?;
    if plan.digest() == applied.plan_digest {
        return output::data(&format!("pipeline {} is as the file says", spec.name));
    }
    let changed = changed(&applied.plan, &plan);
    differs(format!("pipeline {} would change: {}", spec.name, output::list(changed)))
}

/// What the node would resolve, as far as it can be seen from here: its own part is taken from the plan that
/// it made before.
fn resolution(session: &Session, spec: &PipelineSpec, applied: &Plan) -> anyhow::Result<Resolution> {
    let resolve = |tag: &model::TagName| {
        let module = ModuleArg::Whole(ModuleRef::Tag(tag.clone()));
        Ok((tag.clone(), session.digest(&module)?))
    };
    let source_stream = match &spec.source.origin {
        Origin::Stream(stream) => stream.clone(),
        Origin::Subject { .. } => applied.source.stream.clone(),
    };
    Ok(Resolution {
        tags: spec.tags().into_iter().map(resolve).collect::<anyhow::Result<_>>()?,
        source_stream,
        source_subjects: vec![],
        record_bytes: applied.sink.record_bytes,
    })
}

/// The parts in which two plans differ.
fn changed(old: &Plan, new: &Plan) -> Vec<&'static str> {
    let parts = [
        ("source", old.source != new.source),
        ("steps", old.steps != new.steps),
        ("sink", old.sink != new.sink),
        ("block", old.block != new.block),
        ("on_guest_fault", old.on_guest_fault != new.on_guest_fault),
    ];
    parts.into_iter().filter(|(_, differs)| *differs).map(|(part, _)| part).collect()
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

fn read(path: &Path) -> anyhow::Result<PipelineSpec> {
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let unusable = |error: std::io::Error| Ended::new(Exit::Config, format!("cannot read {name}: {error}"));
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).map_err(unusable)?),
    };
    let mut text = String::new();
    // One byte more than may be there, so that the parser sees that there is too much.
    source.take(TEXT_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(unusable)?;
    Ok(PipelineSpec::parse(&text, &name)?)
}
