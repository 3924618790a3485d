//! The verbs on pipelines that are there: `pipelines`, `status`, `pause`, `resume` and `rm pipeline`.

use api::dto::{NodeInfo, PipelineList, PipelineStatus};
use clap::Args;
use comfy_table::Table;
use model::PipelineName;

use super::output::{self, Output};
use super::{Remote, Session, dead};
use crate::client::Sent;

/// The arguments of `weir status`.
#[derive(Args)]
pub(crate) struct StatusArgs {
    /// The pipeline; all of them, and the node, if left out
    #[arg(value_name = "PIPELINE")]
    pub(crate) name: Option<PipelineName>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// The arguments of `weir rm pipeline`.
#[derive(Args)]
pub(crate) struct RemoveArgs {
    /// The pipeline's name
    #[arg(value_name = "PIPELINE")]
    name: PipelineName,
    /// Delete the output stream too, with all its records
    #[arg(long)]
    with_output: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Lists the pipelines.
pub(crate) fn list(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/v1/pipelines")?;
    let list: PipelineList = answer.read()?;
    let names = || list.pipelines.iter().map(|pipeline| pipeline.name.to_string()).collect();
    output::show(session.output, &answer, names, || table(&list.pipelines))
}

/// Shows how one pipeline is doing, or the node and all of them.
pub(crate) fn status(session: &Session, name: Option<&PipelineName>) -> anyhow::Result<()> {
    let Some(name) = name else {
        if session.output == Output::Table {
            let node: NodeInfo = session.client.get("/v1/node")?.read()?;
            output::talk(&described(&node));
        }
        return list(session);
    };
    let answer = session.client.get(&format!("/v1/pipelines/{name}/status"))?;
    let status: PipelineStatus = answer.read()?;
    output::show(session.output, &answer, || vec![status.name.to_string()], || sheet(&status))
}

/// Pauses a pipeline.
pub(crate) fn pause(session: &Session, name: &PipelineName) -> anyhow::Result<()> {
    order(session, name, "pause")
}

/// Lets a pipeline go on.
pub(crate) fn resume(session: &Session, name: &PipelineName) -> anyhow::Result<()> {
    order(session, name, "resume")
}

/// Removes a pipeline.
pub(crate) fn remove(session: &Session, args: &RemoveArgs) -> anyhow::Result<()> {
    let name = &args.name;
    let (output, stream) = if args.with_output { ("delete", "is gone too") } else { ("keep", "stays") };
    session.client.delete(&format!("/v1/pipelines/{name}?output={output}"))?;
    if session.output == Output::Name {
        return output::data(name.as_str());
    }
    output::talk(&format!("removed pipeline {name}; its output stream {stream}"));
    Ok(())
}

fn order(session: &Session, name: &PipelineName, what: &str) -> anyhow::Result<()> {
    let answer = session.client.post(&format!("/v1/pipelines/{name}/{what}"), Sent::Nothing)?;
    let status: PipelineStatus = answer.read()?;
    let names = || vec![status.name.to_string()];
    output::show(session.output, &answer, names, || table(std::slice::from_ref(&status)))
}

fn described(node: &NodeInfo) -> String {
    let server = match &node.nats_server_version {
        Some(version) => format!("nats-server {version}"),
        None => "not connected to NATS".to_owned(),
    };
    let (version, name, engine) = (&node.version, &node.name, &node.engine);
    format!("node {name}: weir {version}, {} workers, {engine}, {server} at {}", node.workers, node.nats_url)
}

fn table(pipelines: &[PipelineStatus]) -> Table {
    let mut table = output::table(["NAME", "STATE", "POSITION", "LAG", "RECORDS", "DEAD", "SINK", "ERROR"]);
    for status in pipelines {
        let error = status.error.as_ref().map_or("-", |error| error.code.as_str());
        let state = status.state.as_str();
        let (position, dead) = (status.position, status.counts.dead_letters);
        let (name, lag, records, sink) = (&status.name, status.lag, status.records, &status.sink);
        table.add_row(output::row([name, &state, &position, &lag, &records, &dead, sink, &error]));
    }
    table
}

/// Everything about one pipeline.
fn sheet(status: &PipelineStatus) -> Table {
    let none = || "-".to_owned();
    let source = status.source.as_ref().map_or_else(none, |source| {
        format!("{}, sequences {} to {}", source.stream, source.first_sequence, source.last_sequence)
    });
    let receipt = status.last_receipt.as_ref().map_or_else(none, |receipt| {
        let (first, last) = (receipt.first_sequence, receipt.last_sequence);
        format!("record {}: events {first} to {last}, {}, {}", receipt.record, receipt.digest, receipt.engine)
    });
    let steps = status.steps.iter().map(|step| format!("{} ({})", step.name, step.module.short()));
    let counts = &status.counts;
    let mut rows = vec![
        ("name", status.name.to_string()),
        ("state", status.state.as_str().to_owned()),
        ("plan", status.plan.map_or_else(none, |plan| plan.to_string())),
        ("generation", format!("{}, revision {}", status.generation, status.revision)),
        ("steps", output::list(steps)),
        ("source", source),
        ("sink", format!("{}, {} records", status.sink, status.records)),
        ("position", format!("{}, {} events behind", status.position, status.lag)),
        ("this node", {
            let (events, messages, dead) = (counts.events, counts.messages, counts.dead_letters);
            format!("{events} events, {messages} messages, {dead} dead letters since it started")
        }),
        ("retries", format!("{} host faults, {} conflicts", counts.faults, counts.conflicts)),
        ("last receipt", receipt),
    ];
    if let Some(dead) = &status.last_dead_letter {
        let (record, module) = (dead.record, dead.module);
        rows.push(("last dead", format!("record {record}: event {}, step {}", dead.position, dead.step)));
        rows.push(("  module", module.to_string()));
        rows.push(("  fault", format!("{}: {}", dead.code, dead.reason)));
        rows.push(("  run again", dead::run_again(&status.name, record)));
    }
    if let Some(swap) = &status.swap {
        let at = swap.at.map_or("as soon as it can".to_owned(), |at| format!("at source sequence {at}"));
        rows.push(("swap", format!("{} (generation {}) takes over {at}", swap.plan, swap.generation)));
    }
    if let Some(error) = &status.error {
        rows.push(("error", format!("{} ({})", error.detail, error.code)));
    }
    output::sheet(rows)
}
