//! `weir shadow`: a candidate beside the modules in force, compared event by event and not published.

use api::dto::{Shadow, ShadowGate, ShadowRequest, ShadowSample, ShadowSides};
use clap::Args;
use comfy_table::Table;
use model::PipelineName;

use super::output::{self, Output};
use super::swap::{StepArg, modules};
use super::{Remote, Session};
use crate::client::{Answer, Sent, json_text};

/// The arguments of `weir shadow`.
#[derive(Args)]
#[command(after_help = "\
The candidate executes the same events in the same blocks, with fresh instances, and its records are
compared with those of the plan in force. It takes at most one worker's share of a node; events that it
cannot keep up with are skipped and counted.

Examples:
  weir shadow flights mask=mask-pii:1.3                 try it, until it is promoted or stopped
  weir shadow flights mask=mask-pii:1.3 --max-differences 0 --max-faults 0 --for-events 100000
                                                        promote or drop it by itself
  weir shadow flights                                   what it has come to
  weir promote flights                                  put it in force
  weir shadow flights --stop                            stop it")]
pub(crate) struct ShadowArgs {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    name: PipelineName,
    /// A step and the module to try: digest, beginning of a digest, or tag
    #[arg(value_name = "STEP=MODULE", conflicts_with = "stop")]
    modules: Vec<StepArg>,
    /// Drop it when the records of more events than this differ
    #[arg(long, value_name = "N", requires = "modules")]
    max_differences: Option<u64>,
    /// Drop it when it fails at more events than this at which the modules in force do not
    #[arg(long, value_name = "N", requires = "modules")]
    max_faults: Option<u64>,
    /// Promote it when this many events were compared
    #[arg(long, value_name = "N", requires = "modules", value_parser = clap::value_parser!(u64).range(1..))]
    for_events: Option<u64>,
    /// Stop it
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Starts, shows or stops a shadow.
pub(crate) fn run(session: &Session, args: &ShadowArgs) -> anyhow::Result<()> {
    let path = format!("/v1/pipelines/{}/shadow", args.name);
    if args.stop {
        return show(session, &session.client.delete(&path)?);
    }
    if args.modules.is_empty() {
        return show(session, &session.client.get(&path)?);
    }
    let gate = ShadowGate {
        max_differences: args.max_differences,
        max_faults: args.max_faults,
        for_events: args.for_events,
    };
    let request = ShadowRequest { modules: modules(session, &args.modules)?, gate };
    let answer = session.client.post(&path, Sent::Text("application/json", &json_text(&request)))?;
    show(session, &answer)
}

fn show(session: &Session, answer: &Answer) -> anyhow::Result<()> {
    let shadow: Shadow = answer.read()?;
    output::show(session.output, answer, || vec![shadow.pipeline.to_string()], || sheet(&shadow))?;
    if session.output == Output::Table && !shadow.report.samples.is_empty() {
        output::data("")?;
        output::print(samples(&shadow.report.samples))?;
    }
    Ok(())
}

fn sheet(shadow: &Shadow) -> Table {
    let report = &shadow.report;
    let state = match &shadow.why {
        Some(why) => format!("{}: {why}", shadow.state.as_str()),
        None => shadow.state.as_str().to_owned(),
    };
    let modules = shadow.modules.iter().map(|(step, module)| format!("{step} ({})", module.short()));
    let mut rows = vec![
        ("pipeline", shadow.pipeline.to_string()),
        ("state", state),
        ("tries", output::list(modules)),
        ("plan", format!("{} beside {}", shadow.candidate.short(), shadow.live.short())),
        ("gate", gate(&shadow.gate)),
        ("started", format!("{} by {}", shadow.started, shadow.by)),
    ];
    rows.extend(shadow.ended.iter().map(|ended| ("ended", ended.clone())));
    rows.extend([
        (
            "compared",
            format!("{} events, through {}; {} skipped", report.events, report.through, report.skipped),
        ),
        ("differences", report.differences.to_string()),
        ("faults", format!("{}; {} of them new", sides(&report.faults), report.new_faults)),
        ("messages", sides(&report.messages)),
        ("fuel", each(&report.fuel, report.events, "")),
        ("time", each(&report.time_us, report.events, " us")),
    ]);
    output::sheet(rows)
}

fn gate(gate: &ShadowGate) -> String {
    let part = |what: &str, bound: Option<u64>| bound.map(|bound| format!("{what} {bound}"));
    output::list(
        [
            part("dropped at differences beyond", gate.max_differences),
            part("dropped at new faults beyond", gate.max_faults),
            part("promoted at events", gate.for_events),
        ]
        .into_iter()
        .flatten(),
    )
}

fn sides(sides: &ShadowSides) -> String {
    format!("{} in force, {} tried", sides.live, sides.candidate)
}

/// What one event took on average.
fn each(sides: &ShadowSides, events: u64, unit: &str) -> String {
    if events == 0 {
        return "-".to_owned();
    }
    let each = |sum: u64| sum as f64 / events as f64;
    format!("{:.1}{unit} an event in force, {:.1}{unit} tried", each(sides.live), each(sides.candidate))
}

fn samples(samples: &[ShadowSample]) -> Table {
    let mut table = output::table(["EVENT", "WHAT", "IN FORCE", "TRIED"]);
    for sample in samples {
        let one_line = |text: &str| text.replace('\n', " ");
        let (live, candidate) = (one_line(&sample.live), one_line(&sample.candidate));
        table.add_row(output::row([&sample.sequence, &sample.what, &live, &candidate]));
    }
    table
}
