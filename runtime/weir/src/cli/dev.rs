//! `weir dev`: builds and tests a project at each save, and with a node swaps what passes into a pipeline.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use api::dto::{ApplyOutcome, ApplyResult};
use clap::Args;
use model::{PipelineName, TagName};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::dev_pipeline::{self, Output};
use super::exit::{Ended, Exit};
use super::new::{build_project, project};
use super::push::push_project;
use super::test::{load, test};
use super::trial;
use super::{Remote, Session, output};
use crate::app::workbench::Workbench;
use crate::client::{ClientError, Sent};
use crate::config::{LocalConfig, LocalFlags};
use crate::logging;
use crate::project::cases::read::Missing;
use crate::project::watch::{Sources, Watch};
use crate::project::{Project, samples};
use crate::spec::PipelineSpec;

/// Changes come in flocks: editors write several files, and some of them twice.
const QUIET: Duration = Duration::from_millis(200);
/// How often the pipeline's output is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The arguments of `weir dev`.
#[derive(Args)]
#[command(after_help = "\
At each save it builds the project, runs its cases, and shows what becomes of samples/events.ndjson.
Where a node answers, a build that passes is uploaded under the tag NAME:dev and swapped into a
pipeline, whose records are shown as they come:

  nats pub dev.NAME.in.x hello

Without --pipeline that is the pipeline dev-NAME, from the subjects dev.NAME.in.> to dev.NAME.out,
which it makes; `weir rm pipeline dev-NAME --with-output` removes it. Ctrl-C ends.")]
pub(crate) struct DevArgs {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    place: PathBuf,
    /// A pipeline file in place of the one that it makes; a step has to name the module NAME:dev
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pipeline: Option<PathBuf>,
    /// The module's configuration, for samples and pipeline: JSON, or a file of JSON or TOML
    #[arg(long, value_name = "JSON|FILE")]
    config: Option<String>,
    #[command(flatten)]
    pub(crate) local: LocalFlags,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Goes on until it is told to end.
pub(crate) fn run(session: &Session, args: &DevArgs, config: &LocalConfig) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    let project = project(&args.place)?;
    let mut watch = Watch::begin(&project).context("watch the project's folder")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = Signals::new(&runtime)?;
    let mut loop_ = Loop::new(session, args, config, project)?;
    loop {
        let before = watch.sources().context("watch the project's folder")?;
        loop_.round()?;
        output::talk("== waiting for a change; Ctrl-C ends");
        if let Woken::Ended = wait(&runtime, &mut signals, &mut watch, before, &mut loop_)? {
            return Ok(());
        }
        // A change of weir.toml is one too.
        loop_.project = self::project(&args.place)?;
    }
}

/// The signals that end it.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new(runtime: &Runtime) -> std::io::Result<Self> {
        let _inside = runtime.enter();
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn ended(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Why the waiting is over.
enum Woken {
    Ended,
    Changed,
    Looking,
}

/// Waits for a change, and meanwhile shows what the pipeline gives.
fn wait(
    runtime: &Runtime,
    signals: &mut Signals,
    watch: &mut Watch,
    before: Sources,
    loop_: &mut Loop<'_>,
) -> anyhow::Result<Woken> {
    let mut next_look = Instant::now() + LOOK_EVERY;
    loop {
        let woken = runtime.block_on(async {
            tokio::select! {
                () = signals.ended() => Woken::Ended,
                () = watch.happened() => {
                    while tokio::time::timeout(QUIET, watch.happened()).await.is_ok() {}
                    Woken::Changed
                }
                () = tokio::time::sleep_until(next_look), if loop_.output.is_some() => Woken::Looking,
            }
        });
        match woken {
            Woken::Looking => {
                loop_.look();
                next_look = Instant::now() + LOOK_EVERY;
            }
            Woken::Changed if watch.sources().context("watch the project's folder")? == before => {}
            woken => return Ok(woken),
        }
    }
}

/// What is kept from round to round.
struct Loop<'a> {
    session: &'a Session,
    bench: Workbench,
    config: &'a LocalConfig,
    module_config: serde_json::Value,
    pipeline: Option<PathBuf>,
    project: Project,
    tag: TagName,
    /// The output of the pipeline, once it runs.
    output: Option<Output>,
}

impl<'a> Loop<'a> {
    fn new(
        session: &'a Session,
        args: &DevArgs,
        config: &'a LocalConfig,
        project: Project,
    ) -> anyhow::Result<Self> {
        let bench = Workbench::new(config)?;
        let module_config = args.config.as_deref().map(trial::config).transpose()?.unwrap_or_default();
        let tag = format!("{}:dev", project.name.as_str()).parse().map_err(anyhow::Error::msg)?;
        let pipeline = args.pipeline.clone();
        Ok(Self { session, bench, config, module_config, pipeline, project, tag, output: None })
    }

    /// One build, with all that follows. What the author can mend is told and waits for the next save.
    fn round(&mut self) -> anyhow::Result<()> {
        if let Err(error) = self.try_round() {
            let is_ours = error.chain().any(|cause| cause.is::<std::io::Error>());
            let reader_is_gone = is_ours && super::exit::report(&error) == Exit::Ok;
            if reader_is_gone {
                return Err(error);
            }
            if !is_ours {
                output::talk(&format!("error: {error:#}"));
            }
        }
        Ok(())
    }

    fn try_round(&mut self) -> anyhow::Result<()> {
        build_project(&self.project)?;
        let project = &self.project;
        let report =
            test(&self.bench, self.config, &project.module, &project.tests, Missing::IsAnError)?.report;
        self.show_samples()?;
        if !report.is_passed() {
            output::talk(&format!("== {}", report.text()));
            return Ok(());
        }
        output::talk(&format!("== {}", report.summary()));
        let swapped = push_project(self.session, &self.project, Some(&report), Some(&self.tag))
            .and_then(|_| self.swap());
        match swapped {
            Err(error) if is_unreachable(&error) => {
                output::talk("no node answers, so nothing is swapped in; `weir up` starts one");
                self.output = None;
                Ok(())
            }
            done => done,
        }
    }

    fn show_samples(&self) -> anyhow::Result<()> {
        let (_, module) = load(&self.bench, &self.project.module)?;
        let config =
            if self.module_config.is_null() { String::new() } else { self.module_config.to_string() };
        let lines = samples::run(&module, &self.project, &config);
        if lines.is_empty() { Ok(()) } else { output::data(&output::clean(&lines.join("\n"))) }
    }

    /// Applies the pipeline: made at first, and from then on swapped, since its tag names another module.
    fn swap(&mut self) -> anyhow::Result<()> {
        let (name, text) = self.pipeline_file()?;
        let media_type =
            if text.trim_start().starts_with('{') { "application/json" } else { "application/toml" };
        let place = format!("/v1/pipelines/{name}");
        let result: ApplyResult = self.session.client.put(&place, Sent::Text(media_type, &text))?.read()?;
        let how = match result.outcome {
            ApplyOutcome::Created => "runs it",
            ApplyOutcome::Changed => "has swapped it in",
            ApplyOutcome::Unchanged => "runs it already",
        };
        output::talk(&format!("== pipeline {name} {how} (generation {})", result.generation));
        if self.output.is_none() {
            self.output = Some(Output::from_here(self.session, &name)?);
        }
        Ok(())
    }

    fn pipeline_file(&self) -> anyhow::Result<(PipelineName, String)> {
        let Some(path) = &self.pipeline else {
            let text = dev_pipeline::file(&self.project.name, &self.tag, &self.module_config);
            return Ok((dev_pipeline::name(&self.project.name)?, text));
        };
        let spec: PipelineSpec = super::apply::read(path)?;
        if !spec.tags().contains(&self.tag) {
            let message = format!(
                "{}: no step has the module '{}', so nothing is swapped in",
                path.display(),
                self.tag
            );
            return Err(Ended::new(Exit::Config, message).into());
        }
        Ok((spec.name.clone(), spec.text().to_owned()))
    }

    /// Shows what is new in the pipeline's output. A node that is away for a while is no reason to end.
    fn look(&mut self) {
        let Some(output) = &mut self.output else { return };
        if let Err(error) = output.show_new(self.session) {
            output::talk(&format!("the output cannot be shown: {error:#}"));
            self.output = None;
        }
    }
}

fn is_unreachable(error: &anyhow::Error) -> bool {
    let client = error.chain().find_map(|cause| cause.downcast_ref::<ClientError>());
    client.is_some_and(ClientError::is_unreachable)
}
