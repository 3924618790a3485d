//! `weir run`: a pipeline over files, without node and broker.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::{Digest, Plan};

use super::apply::read;
use super::exit::{Ended, Exit};
use super::resolve::{LocalModules, PlanFiles, ResolveFlags, check_lock, read_lock, resolve};
use super::{Session, output};
use crate::app::batch::{self, Batch, BatchReport};
use crate::app::workbench::Workbench;
use crate::config::{ClientFlags, LocalConfig, LocalFlags};
use crate::files::{EventSubject, InputFormat, InputOptions, OutputFormat, Place, SinkFiles};
use crate::logging;
use crate::spec::Start;
use crate::spec::humane::Moment;

/// The arguments of `weir run`.
#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    files: PlanFiles,
    #[command(flatten)]
    resolve: ResolveFlags,
    /// What is read; - is standard input
    #[arg(long, short, value_name = "FILE", default_value = "-", help_heading = "Input and output")]
    input: PathBuf,
    /// Where messages go; - is standard output. A file is written aside, and takes its name when it is whole
    #[arg(long, value_name = "FILE", default_value = "-", help_heading = "Input and output")]
    output: PathBuf,
    /// Where receipts go, one JSON object a line; without it they are only counted
    #[arg(long, value_name = "FILE", help_heading = "Input and output")]
    receipts: Option<PathBuf>,
    /// Where dead letters go, one JSON object a line; without it they are only counted
    #[arg(long, value_name = "FILE", help_heading = "Input and output")]
    dead: Option<PathBuf>,
    /// How events lie in the input
    #[arg(long, value_name = "FORMAT", default_value = "ndjson", help_heading = "Input and output")]
    format: InputFormat,
    /// How messages lie in the output [default: msgpack for an input of msgpack, else ndjson]
    #[arg(long, value_name = "FORMAT", help_heading = "Input and output")]
    output_format: Option<OutputFormat>,
    /// The events' subject, in which {NAME} stands for a field of the event [default: that of the source,
    /// if it is a single one, else the pipeline's name]
    #[arg(long, value_name = "SUBJECT", help_heading = "Input and output")]
    subject: Option<EventSubject>,
    /// The events' time
    #[arg(long, value_name = "TIME", help_heading = "Input and output")]
    #[arg(default_value = "1970-01-01T00:00:00Z", value_parser = moment)]
    time: Moment,
    #[command(flatten)]
    pub(crate) local: LocalFlags,
    #[command(flatten)]
    pub(crate) client: ClientFlags,
}

fn moment(text: &str) -> Result<Moment, String> {
    text.to_owned().try_into()
}

/// Runs the pipeline over its input. A node is asked only for what is not here.
pub(crate) fn run(
    args: &RunArgs,
    config: &LocalConfig,
    connect: impl Fn() -> anyhow::Result<Session>,
) -> anyhow::Result<()> {
    logging::start(&config.log)?;
    check_places(args)?;
    let local = args.resolve.modules.read()?;
    let (plan, start, engine) = plan(args, &local, &connect)?;
    let bench = Workbench::new(config)?;
    fetch(&bench, &plan, &local, &connect)?;
    let here = bench.library.engine().fingerprint().to_owned();
    if let Some(engine) = engine.filter(|engine| *engine != here) {
        output::talk(&format!("the engine here is {here}; the lock was made with {engine}"));
    }
    let digest = plan.digest();
    let batch = Batch {
        start_sequence: start,
        input: InputOptions {
            place: Place::of(&args.input),
            format: args.format,
            subject: subject(args, &plan)?,
            timestamp_ns: args.time.unix_ns(),
        },
        files: SinkFiles {
            output: Place::of(&args.output),
            format: args.output_format.unwrap_or(match args.format {
                InputFormat::Msgpack => OutputFormat::Msgpack,
                InputFormat::Ndjson | InputFormat::Csv => OutputFormat::Ndjson,
            }),
            dead: args.dead.clone(),
            receipts: args.receipts.clone(),
        },
        plan,
    };
    let bar = bar(args);
    let report = batch::run(&bench, batch, &bar);
    bar.finish_and_clear();
    tell(&report?, digest, &here, args);
    Ok(())
}

/// The plan, where it starts, and the engine of the lock if there is one.
fn plan(
    args: &RunArgs,
    local: &LocalModules,
    connect: &impl Fn() -> anyhow::Result<Session>,
) -> anyhow::Result<(Plan, u64, Option<String>)> {
    let start = |start: Start| match start {
        Start::Sequence(sequence) => sequence,
        // An input has no now, and its first event is its beginning.
        Start::Beginning | Start::Now | Start::Time(_) => 1,
    };
    if let Some(path) = &args.files.locked {
        let lock = read_lock(path)?;
        args.files.file.as_ref().map_or(Ok(()), |file| check_lock(&lock, path, file))?;
        let (from, engine) = (start(lock.start()), lock.engine.clone());
        return Ok((lock.plan, from, Some(engine)));
    }
    let spec = read(args.files.file.as_ref().expect("without a lock the command line has a file"))?;
    let session = if local.suffice(&spec) { None } else { Some(connect()?) };
    let plan = resolve(&spec, &args.resolve, local, session.as_ref())?;
    Ok((plan, start(spec.source.start), None))
}

/// Brings every module of the plan into the cache: from files, or else from the node.
fn fetch(
    bench: &Workbench,
    plan: &Plan,
    local: &LocalModules,
    connect: &impl Fn() -> anyhow::Result<Session>,
) -> anyhow::Result<()> {
    for digest in plan.modules() {
        if let Some(bytes) = local.get(digest) {
            bench.keep(bytes)?;
        } else if !bench.has(digest) {
            let why = || format!("module {digest} is not here; give --module FILE, or a node that has it");
            let bytes = connect()?.module_bytes(digest).with_context(why)?;
            bench.keep(&bytes)?;
        }
    }
    Ok(())
}

/// The subject of events that come without one.
fn subject(args: &RunArgs, plan: &Plan) -> anyhow::Result<EventSubject> {
    let subjects = &plan.source.subjects;
    let single = match subjects.as_slice() {
        [pattern] if !pattern.as_str().contains(['*', '>']) => Some(pattern.as_str()),
        [] => Some(plan.pipeline.as_str()),
        _ => None,
    };
    let subject = match (&args.subject, single) {
        (Some(subject), _) => subject.clone(),
        (None, Some(single)) => single.parse().map_err(anyhow::Error::msg)?,
        // Whole events bring their own.
        (None, None) if args.format == InputFormat::Msgpack => {
            plan.pipeline.as_str().parse().map_err(anyhow::Error::msg)?
        }
        (None, None) => {
            let patterns = output::list(subjects);
            let message =
                format!("the source reads {patterns}: say with --subject under which subject the events lie");
            return Err(Ended::new(Exit::Usage, message).into());
        }
    };
    if let Some(constant) = subject.constant()
        && args.format != InputFormat::Msgpack
        && !subjects.is_empty()
        && !subjects.iter().any(|pattern| pattern.matches(constant))
    {
        let patterns = output::list(subjects);
        let message =
            format!("--subject {constant}: the source reads {patterns}, so there would be no event");
        return Err(Ended::new(Exit::Usage, message).into());
    }
    Ok(subject)
}

/// Refuses to write one file twice, or over what is read.
fn check_places(args: &RunArgs) -> anyhow::Result<()> {
    let files = [Some(&args.input), Some(&args.output), args.receipts.as_ref(), args.dead.as_ref()];
    let mut seen = Vec::new();
    for path in files.into_iter().flatten().filter(|path| *path != std::path::Path::new("-")) {
        let absolute = std::path::absolute(path)?;
        if seen.contains(&absolute) {
            let message =
                format!("{} is named twice: each input and output is a file of its own", path.display());
            return Err(Ended::new(Exit::Usage, message).into());
        }
        seen.push(absolute);
    }
    if [&args.receipts, &args.dead].into_iter().flatten().any(|path| path == std::path::Path::new("-")) {
        let message = "receipts and dead letters go to files; standard output is for messages";
        return Err(Ended::new(Exit::Usage, message).into());
    }
    Ok(())
}

fn bar(args: &RunArgs) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let length = std::fs::metadata(&args.input).ok().filter(|_| args.input != std::path::Path::new("-"));
    let target = ProgressDrawTarget::stderr_with_hz(10);
    match length {
        Some(metadata) if metadata.is_file() => {
            let template =
                "{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} to go";
            let style = ProgressStyle::with_template(template).expect("the template names only known keys");
            ProgressBar::with_draw_target(Some(metadata.len()), target).with_style(style)
        }
        _ => {
            let template = "{spinner} {binary_bytes}, {binary_bytes_per_sec}";
            let style = ProgressStyle::with_template(template).expect("the template names only known keys");
            ProgressBar::with_draw_target(None, target).with_style(style)
        }
    }
}

fn tell(report: &BatchReport, plan: Digest, engine: &str, args: &RunArgs) {
    let totals = report.finished.totals;
    let (events, dead) = (totals.events, totals.dead_letters);
    output::talk(&format!(
        "{events} events, {} messages, {dead} dead letters, {} receipts",
        totals.messages, totals.receipts
    ));
    output::talk(&format!("outputs {}", totals.outputs));
    output::talk(&format!("inputs  {}", totals.inputs));
    output::talk(&format!("plan    {plan}"));
    output::talk(&format!("engine  {engine}"));
    let seconds = report.elapsed.as_secs_f64();
    let here = events - report.finished.events_before;
    let rate = (here as f64 / seconds.max(1e-9)).round();
    let before = match report.finished.events_before {
        0 => String::new(),
        before => format!(", after {before} of an earlier run"),
    };
    output::talk(&format!("{here} events in {seconds:.2} s, {rate} a second{before}"));
    if dead > 0 && args.dead.is_none() {
        output::talk("dead letters were not kept: give --dead FILE to see them");
    }
}
