//! A pipeline over files: the same pipeline as on a node, with other ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use model::{Digest, DigestBuilder, Plan, Revision};
use pipeline::service::World;
use pipeline::{BatchEnd, Desired, Options, Pipeline};
use tokio_util::sync::CancellationToken;

use super::workbench::Workbench;
use crate::files::{FileSink, FileSource, Finished, InputOptions, Place, SinkFiles};

/// The threads of the scheduler: one reads and one writes, and modules run on workers.
const SCHEDULER_THREADS: usize = 2;

/// What a run reads, does and writes.
pub(crate) struct Batch {
    /// What it does.
    pub(crate) plan: Plan,
    /// The first sequence that is worked through.
    pub(crate) start_sequence: u64,
    /// What it reads.
    pub(crate) input: InputOptions,
    /// What it writes.
    pub(crate) files: SinkFiles,
}

/// How a run went.
pub(crate) struct BatchReport {
    /// What it came to.
    pub(crate) finished: Finished,
    /// How long it took, with the modules loaded.
    pub(crate) elapsed: Duration,
}

/// Runs a batch to its end.
///
/// # Errors
/// Why it cannot go on; what is written stays aside, and a later run goes on there.
pub(crate) fn run(bench: &Workbench, batch: Batch, progress: &ProgressBar) -> anyhow::Result<BatchReport> {
    let Batch { plan, start_sequence, input, files } = batch;
    let input_digest = input_digest(&input, start_sequence);
    let sink = FileSink::open(&files, &plan, input_digest, &genesis(&plan, start_sequence))?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(SCHEDULER_THREADS).enable_all().build()?;
    let mut started = Instant::now();
    if !sink.is_finished() {
        let events_before = sink.totals().events;
        if events_before > 0 {
            tracing::warn!(events = events_before, "An earlier run was ended; this one goes on where it was");
        }
        let outcome = runtime.block_on(async {
            let modules = plan.modules().collect::<std::collections::BTreeSet<_>>();
            for module in modules {
                bench.library.load(module).await?;
            }
            started = Instant::now();
            let source = FileSource::new(input, progress.clone());
            let read_through = source.read_through();
            let world = World { source, sink: sink.clone(), loader: bench.loader() };
            let options = Options::for_workers(bench.workers.count());
            let name = plan.pipeline.clone();
            let meters = bench.meters(&name);
            let pipeline = Pipeline::new(name, world, Arc::clone(&bench.workers), options, meters);
            let ended = pipeline.run_to_end(desired(plan, start_sequence), CancellationToken::new()).await;
            anyhow::Ok((ended, read_through.load(std::sync::atomic::Ordering::Relaxed)))
        })?;
        // A read that waits for standard input does not keep the process.
        runtime.shutdown_background();
        if let Some(error) = sink.take_error() {
            return Err(error.into());
        }
        let anew = match &files.output {
            Place::File(path) if events_before > 0 => {
                format!("; to begin anew, remove {}.checkpoint", path.display())
            }
            _ => String::new(),
        };
        let (outcome, read_through) = outcome;
        match outcome {
            Ok(BatchEnd::Done) if read_through < sink.position() => anyhow::bail!(
                "the input ends before event {}, which an earlier run had read: it is not the same{anew}",
                sink.position()
            ),
            Ok(BatchEnd::Done) => {}
            Ok(BatchEnd::Stopped) => anyhow::bail!("the run was ended before its input"),
            Err(reason) => anyhow::bail!("{reason} ({}){anew}", reason.code),
        }
    }
    let finished = sink.finish()?;
    Ok(BatchReport { finished, elapsed: started.elapsed() })
}

fn desired(plan: Plan, start_sequence: u64) -> Desired {
    Desired { generation: 1, plan, at: None, start_sequence, paused: false, attempt: 0 }
}

/// The first record of the chain of a batch, which stands in no file.
fn genesis(plan: &Plan, start_sequence: u64) -> Revision {
    Revision {
        version: model::revision::REVISION_VERSION,
        pipeline: plan.pipeline.clone(),
        number: 1,
        generation: 1,
        from_sequence: start_sequence,
        plan_digest: plan.digest(),
        plan: plan.clone(),
        closes: None,
        previous: None,
    }
}

/// The digest of all that decides which events an input gives, but for the bytes in it.
fn input_digest(input: &InputOptions, start_sequence: u64) -> Digest {
    let mut digest = DigestBuilder::new();
    digest.field(format!("{:?}", input.place).as_bytes());
    digest.field(format!("{:?}", input.format).as_bytes());
    digest.field(format!("{:?}", input.subject).as_bytes());
    digest.number(input.timestamp_ns);
    digest.number(start_sequence);
    digest.finish()
}
