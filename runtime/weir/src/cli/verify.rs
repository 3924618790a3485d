//! `weir verify`: is a chain what its source, its plans and its modules give? Here, by whoever reaches NATS,
//! or on a node.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use api::dto::{Verification, VerificationState, VerifyRequest};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use model::{PipelineName, StreamName};
use pipeline::verify::{Identical, Scope, Verdict, Verified, VerifyProgress};

use super::Session;
use super::attest::Offline;
use super::exit::{Ended, Exit};
use super::output::{self, Output};
use super::resolve::ModuleFlags;
use crate::app::verification::{self, VerifyCheckpoint};
use crate::app::workbench::Workbench;
use crate::client::{Sent, json_text};
use crate::config::{ExternalNats, LocalConfig, LocalFlags, NatsFlags};
use crate::logging;

/// How often the progress is shown, and the checkpoint written.
const TICK: Duration = Duration::from_millis(200);
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// The arguments of `weir verify`.
#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE", required_unless_present = "attestation")]
    name: Option<PipelineName>,
    /// Begin with the unit of this source sequence [default: the chain's first]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) from: Option<u64>,
    /// End with the unit of this source sequence [default: the chain's last]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) to: Option<u64>,
    /// Have this node verify it, over its API
    #[arg(long, value_name = "URL", conflicts_with_all = ["servers", "context", "stream", "checkpoint"])]
    pub(crate) node: Option<String>,
    /// The output stream, where the pipeline was removed
    #[arg(long, value_name = "STREAM")]
    pub(crate) stream: Option<StreamName>,
    /// Keep in this file how far it has come, and go on from there
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Check this attestation instead, without node and broker
    #[arg(long, value_name = "FILE", requires = "public_key", conflicts_with_all = ["name", "from", "to"])]
    #[arg(help_heading = "Attestation")]
    attestation: Option<PathBuf>,
    /// The Ed25519 public key that it has to be signed with, PEM
    #[arg(long, value_name = "FILE", requires = "attestation", help_heading = "Attestation")]
    public_key: Option<PathBuf>,
    /// The events that it is about, as `weir export` writes them; without them only the signature is checked
    #[arg(long, value_name = "FILE", requires = "attestation", help_heading = "Attestation")]
    input: Option<PathBuf>,
    /// What the verdict looks like [default: table]
    #[arg(short, long, value_enum, value_name = "FORMAT", conflicts_with = "attestation")]
    pub(crate) output: Option<Output>,
    #[command(flatten)]
    modules: ModuleFlags,
    #[command(flatten)]
    pub(crate) local: LocalFlags,
    #[command(flatten)]
    pub(crate) nats: NatsFlags,
}

impl VerifyArgs {
    /// What is to be checked without node and broker, if that was asked for.
    pub(crate) fn offline(&self) -> Option<Offline<'_>> {
        let (attestation, public_key) = (self.attestation.as_deref()?, self.public_key.as_deref()?);
        Some(Offline { attestation, public_key, input: self.input.as_deref(), modules: &self.modules })
    }

    fn name(&self) -> &PipelineName {
        self.name.as_ref().expect("without an attestation the command line has a name")
    }
}

/// Verifies a chain in this process.
pub(crate) fn run(
    args: &VerifyArgs,
    output: Output,
    config: &LocalConfig,
    nats: ExternalNats,
) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    let request = VerifyRequest { from: args.from, to: args.to };
    let began = verification::began(args.name(), request);
    let bench = Workbench::new(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (verdict, elapsed) = runtime.block_on(Box::pin(verify(args, &bench, nats)))?;
    if output == Output::Json {
        output::data(&json_text(&verification::judged(began, &verdict)))?;
    }
    match verdict {
        Verdict::Identical(identical) => tell(&identical, output, elapsed),
        Verdict::Differs(difference) => Err(Ended::new(Exit::Difference, difference.to_string()).into()),
    }
}

/// Has a node verify a chain, and waits for what comes of it.
pub(crate) fn on_node(session: &Session, args: &VerifyArgs) -> anyhow::Result<()> {
    let path = format!("/v1/pipelines/{}/verification", args.name());
    let request = json_text(&VerifyRequest { from: args.from, to: args.to });
    session.client.post(&path, Sent::Text("application/json", &request))?;
    let bar = progress_bar();
    let (answer, report) = loop {
        let answer = session.client.get(&path)?;
        let report: Verification = answer.read()?;
        if report.state != VerificationState::Running {
            break (answer, report);
        }
        bar.set_length(report.records_total);
        bar.set_position(report.records);
        std::thread::sleep(TICK);
    };
    bar.finish_and_clear();
    if session.output == Output::Json {
        output::data(answer.text.trim_end())?;
    }
    let Verification { receipts, events, difference, error, inputs, outputs, .. } = &report;
    match (report.state, difference) {
        (VerificationState::Identical, _) => {
            for (name, digest) in [("outputs", outputs), ("inputs ", inputs)] {
                output::talk(&format!(
                    "{name} {}",
                    digest.map(|digest| digest.to_string()).unwrap_or_default()
                ));
            }
            match session.output {
                Output::Json => Ok(()),
                Output::Table | Output::Name => {
                    output::data(&format!("{receipts} receipts, {events} events, identical"))
                }
            }
        }
        (VerificationState::Differs, Some(found)) => {
            let event =
                found.event.map(|event| format!(", of event {event} output {}", found.index.unwrap_or(0)));
            let receipt = found.receipt.map(|receipt| format!(", under receipt {receipt}"));
            let message = format!(
                "record {}{}{}: its {} differs\n  expected {}\n  found    {}\n  likely   {}",
                found.record,
                event.unwrap_or_default(),
                receipt.unwrap_or_default(),
                found.what,
                found.expected,
                found.found,
                found.detail
            );
            Err(Ended::new(Exit::Difference, message).into())
        }
        _ => {
            let why = error.as_deref().unwrap_or("the node does not say why");
            Err(Ended::new(Exit::Failed, format!("the verification could not be brought to an end: {why}"))
                .into())
        }
    }
}

/// Verifies, and gives how long that took with the modules loaded.
async fn verify(
    args: &VerifyArgs,
    bench: &Workbench,
    nats: ExternalNats,
) -> anyhow::Result<(Verdict, Duration)> {
    let connection = verification::connect(bench, nats.options).await?;
    let stream = match &args.stream {
        Some(stream) => stream.clone(),
        None => verification::output_stream(connection, args.name()).await?,
    };
    let scope = scope(args, &stream)?;
    let world = verification::world(connection, bench.loader(), &stream).await?;
    // What is loaded now is not loaded when its turn comes, and what cannot be is told then.
    let _ = verification::load_all(&world, args.name(), &scope).await;
    let started = Instant::now();
    let progress = VerifyProgress::default();
    let mut kept = Instant::now();
    let reached = |at: &Verified| {
        let Some(path) = args.checkpoint.as_ref().filter(|_| kept.elapsed() >= CHECKPOINT_INTERVAL) else {
            return;
        };
        kept = Instant::now();
        if let Err(error) = VerifyCheckpoint::new(args.name(), &stream, *at).write(path) {
            tracing::warn!(%error, path = %path.display(), "The checkpoint is not kept");
        }
    };
    let work = verification::run(&world, args.name(), &bench.workers, &scope, &progress, reached);
    let verdict = watched(work, &progress).await;
    if let (Ok(Verdict::Identical(_)), Some(path)) = (&verdict, &args.checkpoint) {
        // What it was for is done. Where it stays, nothing is lost but the time of the next verification.
        let _ = std::fs::remove_file(path);
    }
    verdict.map(|verdict| (verdict, started.elapsed()))
}

fn scope(args: &VerifyArgs, stream: &StreamName) -> anyhow::Result<Scope> {
    let found = match &args.checkpoint {
        Some(path) => VerifyCheckpoint::read(path, args.name(), stream)?,
        None => None,
    };
    if let Some(progress) = found {
        output::talk(&format!("going on after source sequence {}", progress.through));
        return Ok(Scope::After { progress, to: args.to });
    }
    Ok(match (args.from, args.to) {
        (None, None) => Scope::All,
        (from, to) => Scope::Events { from, to },
    })
}

/// Waits for the verdict, and shows how far it is.
async fn watched(
    work: impl Future<Output = anyhow::Result<Verdict>>,
    progress: &VerifyProgress,
) -> anyhow::Result<Verdict> {
    let bar = progress_bar();
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            verdict = &mut work => {
                bar.finish_and_clear();
                return verdict;
            }
            _ = ticks.tick() => {
                let (done, total) = progress.records();
                bar.set_length(total);
                bar.set_position(done);
            }
        }
    }
}

fn progress_bar() -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let template = "{bar:30} record {pos} of {len}, {per_sec}, {eta} to go";
    bar.set_style(ProgressStyle::with_template(template).expect("the template names only known keys"));
    bar
}

fn tell(identical: &Identical, output: Output, elapsed: Duration) -> anyhow::Result<()> {
    let Identical { totals, receipts, records, range, other_engines } = identical;
    if let Some((first, last)) = range {
        output::talk(&format!("events  {first} to {last}"));
    }
    output::talk(&format!("outputs {}", totals.outputs));
    output::talk(&format!("inputs  {}", totals.inputs));
    for engine in other_engines {
        output::talk(&format!("note: there are receipts of another engine, {engine}"));
    }
    let seconds = elapsed.as_secs_f64();
    let rate = (*records as f64 / seconds.max(1e-9)).round();
    output::talk(&format!("{records} records in {seconds:.2} s, {rate} a second"));
    match output {
        Output::Json => Ok(()),
        Output::Table | Output::Name => {
            output::data(&format!("{receipts} receipts, {} events, identical", totals.events))
        }
    }
}
