//! `weir swap` and `weir rollback`: another plan in place of the one in force, from one exact event on.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use api::dto::{PipelineStatus, RollbackRequest, SwapOutcome, SwapRequest, SwapResult};
use clap::Args;
use model::PipelineName;

use super::module_arg::ModuleArg;
use super::output::{self, Output};
use super::{Remote, Session, revisions};
use crate::client::{Answer, Sent, json_text};

/// How long a swap that takes over as soon as it can is watched.
const WATCH_MAX: Duration = Duration::from_secs(5);
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// The arguments of `weir swap`.
#[derive(Args)]
#[command(after_help = "\
The module is fetched, verified and compiled before the swap is accepted. A swap at a sequence takes
over exactly there, on every node, or not at all: if the pipeline comes to that event before its nodes
know of the swap, it is missed, and `weir status` says so.

Examples:
  weir swap flights mask=mask-pii:1.3              as soon as it can
  weir swap flights mask=sha256:9f2c… --at 50000   with the event of source sequence 50000
  weir swap flights mask=mask-pii:1.3 --plan       only show what would change")]
pub(crate) struct SwapArgs {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    name: PipelineName,
    /// A step and its new module: digest, beginning of a digest, or tag
    #[arg(value_name = "STEP=MODULE", required = true)]
    modules: Vec<StepArg>,
    /// The source sequence from which the new module is to be in force: a number, or now
    #[arg(long, value_name = "SEQ", default_value = "now")]
    at: At,
    /// Only show what would change
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// The arguments of `weir rollback`.
#[derive(Args)]
pub(crate) struct RollbackArgs {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    name: PipelineName,
    /// The revision to go back to [default: the last one with another plan than the one in force]
    #[arg(value_name = "REVISION", value_parser = clap::value_parser!(u64).range(1..))]
    revision: Option<u64>,
    /// Only show what would change
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// A step and a module.
#[derive(Clone, Debug)]
pub(crate) struct StepArg {
    step: String,
    module: ModuleArg,
}

impl FromStr for StepArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (step, module) = text.split_once('=').ok_or("write the step, '=', and its module")?;
        Ok(Self { step: step.to_owned(), module: module.parse()? })
    }
}

/// Where a swap takes place.
#[derive(Clone, Copy, Debug)]
enum At {
    Now,
    Sequence(u64),
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "now" => Ok(Self::Now),
            Ok(sequence) if sequence > 0 => Ok(Self::Sequence(sequence)),
            _ => Err("a source sequence of 1 or more, or now".to_owned()),
        }
    }
}

/// The modules by step, as they stand on the line.
pub(crate) fn modules(session: &Session, arguments: &[StepArg]) -> anyhow::Result<BTreeMap<String, String>> {
    let resolve = |argument: &StepArg| {
        let digest = session.digest(&argument.module)?;
        Ok((argument.step.clone(), digest.to_string()))
    };
    arguments.iter().map(resolve).collect()
}

/// Swaps modules.
pub(crate) fn swap(session: &Session, args: &SwapArgs) -> anyhow::Result<()> {
    let at = match args.at {
        At::Now => None,
        At::Sequence(sequence) => Some(sequence),
    };
    let modules = modules(session, &args.modules)?;
    let request = SwapRequest { modules, at, dry_run: args.plan };
    let path = format!("/v1/pipelines/{}/swap", args.name);
    let answer = session.client.post(&path, Sent::Text("application/json", &json_text(&request)))?;
    show(session, &answer)
}

/// Goes back to an older revision. What is shown is what is applied: somebody else's change in between makes
/// the node refuse.
pub(crate) fn roll_back(session: &Session, args: &RollbackArgs) -> anyhow::Result<()> {
    let path = format!("/v1/pipelines/{}/rollback", args.name);
    let request = |dry_run| json_text(&RollbackRequest { revision: args.revision, dry_run });
    let planned = session.client.post(&path, Sent::Text("application/json", &request(true)))?;
    if args.plan {
        return show(session, &planned);
    }
    let plan: SwapResult = planned.read()?;
    if session.output == Output::Table {
        output::print(revisions::changes(&plan.changes))?;
    }
    let body = request(false);
    let answer = session.client.post_if(&path, plan.generation, Sent::Text("application/json", &body))?;
    match session.output {
        Output::Table => told(session, &answer.read()?),
        _ => show(session, &answer),
    }
}

/// Puts a shadow's plan in force.
pub(crate) fn promote(session: &Session, name: &PipelineName) -> anyhow::Result<()> {
    show(session, &session.client.post(&format!("/v1/pipelines/{name}/shadow/promote"), Sent::Nothing)?)
}

fn show(session: &Session, answer: &Answer) -> anyhow::Result<()> {
    let result: SwapResult = answer.read()?;
    output::show(
        session.output,
        answer,
        || vec![result.name.to_string()],
        || revisions::changes(&result.changes),
    )?;
    if session.output == Output::Table { told(session, &result) } else { Ok(()) }
}

/// Says what became of it.
fn told(session: &Session, result: &SwapResult) -> anyhow::Result<()> {
    let (name, plan, position) = (&result.name, result.plan.short(), result.position);
    let of = result.revision.map(|number| format!(" (as in revision {number})")).unwrap_or_default();
    let text = match (result.outcome, result.at) {
        (SwapOutcome::Planned, _) => format!("nothing was done; it would be plan {plan}{of}"),
        (SwapOutcome::Unchanged, _) => format!("pipeline {name} has plan {plan}{of} already"),
        (SwapOutcome::Changed, Some(at)) => {
            format!("plan {plan} takes over pipeline {name} at source sequence {at}; it is at {position} now")
        }
        (SwapOutcome::Changed, None) => match watch(session, result) {
            Some(status) => {
                format!("plan {plan}{of} is in force in pipeline {name}, as revision {}", status.revision)
            }
            None => format!(
                "plan {plan}{of} takes over pipeline {name} as soon as it can: see `weir status {name}`"
            ),
        },
    };
    output::talk(&text);
    Ok(())
}

/// Waits a little until the plan is in force. That it is not may have many reasons, which the status knows.
fn watch(session: &Session, result: &SwapResult) -> Option<PipelineStatus> {
    let started = Instant::now();
    while started.elapsed() < WATCH_MAX {
        let answer = session.client.get(&format!("/v1/pipelines/{}/status", result.name)).ok()?;
        let status: PipelineStatus = answer.read().ok()?;
        if status.swap.is_none() {
            return Some(status);
        }
        if status.error.is_some() || status.state == api::dto::PipelineState::Paused {
            return None;
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
    None
}
