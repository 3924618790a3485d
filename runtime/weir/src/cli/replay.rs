//! `weir replay`: outputs again, by the plan of then or by another one, into a stream beside the live one.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use model::{PipelineName, StreamName};
use pipeline::StatusCell;

use super::output;
use super::resolve::read_lock;
use crate::app::replay::{self, Moment, Replay, WhichPlan};
use crate::app::verification;
use crate::app::workbench::Workbench;
use crate::config::{ExternalNats, LocalConfig, LocalFlags, NatsFlags};
use crate::logging;
use crate::spec::humane;

/// The arguments of `weir replay`.
#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    name: PipelineName,
    /// The plan: a digest or a revision's number of this pipeline's chain, or a lock [default: the plan in
    /// force]
    #[arg(long, value_name = "DIGEST|N|LOCK")]
    plan: Option<String>,
    /// The first event, by source sequence or time [default: the first that the source has]
    #[arg(long, value_name = "SEQ|TIME", value_parser = moment)]
    from: Option<Moment>,
    /// The last event, by source sequence or time [default: the last that the source has now]
    #[arg(long, value_name = "SEQ|TIME", value_parser = moment)]
    to: Option<Moment>,
    /// The stream that takes the records; it is made if there is none
    #[arg(long, value_name = "STREAM")]
    into: StreamName,
    /// The live output stream, where the pipeline was removed
    #[arg(long, value_name = "STREAM")]
    stream: Option<StreamName>,
    #[command(flatten)]
    pub(crate) local: LocalFlags,
    #[command(flatten)]
    pub(crate) nats: NatsFlags,
}

/// Reads a sequence or a time.
fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(sequence) = text.parse::<u64>() {
        return if sequence == 0 {
            Err("sequences begin at 1".into())
        } else {
            Ok(Moment::Sequence(sequence))
        };
    }
    humane::Moment::try_from(text.to_owned()).map(|moment| Moment::Time(moment.unix_ns()))
}

/// Replays.
pub(crate) fn run(args: &ReplayArgs, config: &LocalConfig, nats: ExternalNats) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    let bench = Workbench::new(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(Box::pin(replay(args, &bench, nats)))
}

async fn replay(args: &ReplayArgs, bench: &Workbench, nats: ExternalNats) -> anyhow::Result<()> {
    let which = which(args.plan.as_deref())?;
    let connection = verification::connect(bench, nats.options).await?;
    let stream = match &args.stream {
        Some(stream) => stream.clone(),
        None => verification::output_stream(connection, &args.name).await?,
    };
    let plan = replay::find_plan(connection, &args.name, &stream, which).await?;
    let (from, through) = replay::range(connection, &plan.source.stream, args.from, args.to).await?;
    let digest = plan.digest();
    let started = Instant::now();
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(through) } else { ProgressBar::hidden() };
    let template = "{bar:30} event {pos} of {len}, {per_sec}, {eta} to go";
    bar.set_style(ProgressStyle::with_template(template).expect("the template names only known keys"));
    let watch = |status: &StatusCell, _: u64| bar.set_position(status.read().through);
    let what = Replay { plan, from, through, into: args.into.clone() };
    let last = replay::run(bench, connection, what, watch).await;
    bar.finish_and_clear();
    let last = last?;
    output::talk(&format!("plan    {digest}"));
    output::talk(&format!(
        "{last} records in stream {} in {:.2} s",
        args.into,
        started.elapsed().as_secs_f64()
    ));
    output::data(&format!("events {from} to {through} are replayed into {}", args.into))
}

fn which(text: Option<&str>) -> anyhow::Result<WhichPlan> {
    let Some(text) = text else { return Ok(WhichPlan::InForce) };
    if let Ok(number) = text.parse() {
        return Ok(WhichPlan::Revision(number));
    }
    if text.starts_with("sha256:") {
        return Ok(WhichPlan::Digest(text.parse()?));
    }
    Ok(WhichPlan::Given(Box::new(read_lock(Path::new(text))?.plan)))
}
