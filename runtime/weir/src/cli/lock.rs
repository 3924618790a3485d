//! `weir lock` and `weir plan`: what a pipeline file comes to, written down or held against what is in force.

use std::path::PathBuf;

use api::dto::PipelineDescription;
use clap::Args;
use engine::{Engine, EngineOptions};
use model::{Digest, Plan};

use super::apply::read;
use super::exit::{Ended, Exit};
use super::output::{self, Output};
use super::resolve::{PlanFiles, ResolveFlags, check_lock, read_lock, resolve, sizes};
use super::{Remote, Session};
use crate::client::ClientError;
use crate::spec::{LOCK_FILE, Lock, PlanChange, plan_changes};

/// The arguments of `weir lock`.
#[derive(Args)]
pub(crate) struct LockArgs {
    /// The pipeline file, TOML or JSON; - reads standard input
    file: PathBuf,
    /// Where the lock goes; - writes to standard output
    #[arg(long, value_name = "FILE", default_value = LOCK_FILE)]
    out: PathBuf,
    #[command(flatten)]
    resolve: ResolveFlags,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// The arguments of `weir plan`.
#[derive(Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    files: PlanFiles,
    #[command(flatten)]
    resolve: ResolveFlags,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// What an apply would change.
#[derive(serde::Serialize)]
pub(crate) struct Planned {
    /// The pipeline.
    pub(crate) pipeline: String,
    /// The plan that the file makes.
    pub(crate) plan: Digest,
    /// The plan that was applied last; none if there is no such pipeline.
    pub(crate) applied: Option<Digest>,
    /// The plan in force at the end of the chain.
    pub(crate) in_force: Option<Digest>,
    /// What differs between the plan that was applied and this one.
    pub(crate) changes: Vec<PlanChange>,
}

/// Locks a pipeline file. A node is asked only for what no file stands for.
pub(crate) fn lock(args: &LockArgs, connect: impl FnOnce() -> anyhow::Result<Session>) -> anyhow::Result<()> {
    let spec = read(&args.file)?;
    let local = args.resolve.modules.read()?;
    let session = if local.suffice(&spec) { None } else { Some(connect()?) };
    let session = session.as_ref();
    let plan = resolve(&spec, &args.resolve, &local, session)?;
    let sizes = sizes(&plan, &local, session)?;
    let engine = match session {
        Some(session) => session.info()?.engine,
        None => Engine::new(EngineOptions::DEFAULT)?.fingerprint().to_owned(),
    };
    let digest = plan.digest();
    let text = Lock::new(&spec, plan, &sizes, engine).text();
    if args.out == std::path::Path::new("-") {
        output::talk(&format!("plan {digest}"));
        return output::data(text.trim_end());
    }
    let unusable = |error| Ended::new(Exit::Config, format!("cannot write {}: {error}", args.out.display()));
    crate::files::replace(&args.out, text.as_bytes()).map_err(unusable)?;
    output::talk(&format!("pipeline {} is locked in {}", spec.name, args.out.display()));
    output::data(&digest.to_string())
}

/// Shows what an apply would change.
pub(crate) fn plan(session: &Session, args: &PlanArgs) -> anyhow::Result<()> {
    let planned = planned(session, &args.files, &args.resolve)?;
    match session.output {
        Output::Json => output::data(&crate::client::json_text(&planned)),
        Output::Name => output::data(&planned.plan.to_string()),
        Output::Table => output::lines(&planned.lines()),
    }
}

/// Compares the plan of the files with the one that was applied.
pub(crate) fn planned(session: &Session, files: &PlanFiles, flags: &ResolveFlags) -> anyhow::Result<Planned> {
    let plan = plan_of(session, files, flags)?;
    let applied = match session.client.get(&format!("/v1/pipelines/{}", plan.pipeline)) {
        Ok(answer) => Some(answer.read::<PipelineDescription>()?),
        Err(ClientError::Refused(problem)) if problem.status == 404 => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Planned {
        pipeline: plan.pipeline.to_string(),
        plan: plan.digest(),
        applied: applied.as_ref().map(|applied| applied.plan_digest),
        in_force: applied.as_ref().and_then(|applied| applied.status.plan),
        changes: applied.map_or(Vec::new(), |applied| plan_changes(&applied.plan, &plan)),
    })
}

fn plan_of(session: &Session, files: &PlanFiles, flags: &ResolveFlags) -> anyhow::Result<Plan> {
    if let Some(path) = &files.locked {
        let lock = read_lock(path)?;
        files.file.as_ref().map_or(Ok(()), |file| check_lock(&lock, path, file))?;
        return Ok(lock.plan);
    }
    let file = files.file.as_ref().expect("without a lock the command line has a file");
    resolve(&read(file)?, flags, &flags.modules.read()?, Some(session))
}

impl Planned {
    /// Whether an apply would change nothing.
    pub(crate) fn is_no_change(&self) -> bool {
        self.applied == Some(self.plan)
    }

    /// What would change, for people: one line for each value.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Self { pipeline, plan, applied, in_force, changes } = self;
        let Some(applied) = applied else {
            return vec![format!("pipeline {pipeline} would be created, with plan {plan}")];
        };
        let mut lines = vec![match (self.is_no_change(), in_force) {
            (true, Some(in_force)) if in_force == plan => {
                format!("pipeline {pipeline}: no change; plan {plan} is in force")
            }
            (true, _) => {
                format!("pipeline {pipeline}: no change; plan {plan} is applied and not in force yet")
            }
            (false, _) => format!("pipeline {pipeline} would change: plan {applied} -> {plan}"),
        }];
        lines.extend(changes.iter().map(PlanChange::to_string));
        lines
    }
}
