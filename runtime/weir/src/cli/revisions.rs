//! `weir revisions`: which plans were in force from which event on, who applied them, and what each changed.

use api::dto::{PlanChange, RevisionDescription, RevisionList};
use clap::Args;
use comfy_table::Table;
use model::{Digest, PipelineName};
use serde_json::Value;

use super::Session;
use super::output::{self, Output};

/// The most characters of a value that a table shows.
const VALUE_CHARS_MAX: usize = 60;

/// The arguments of `weir revisions`.
#[derive(Args)]
pub(crate) struct RevisionsArgs {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    name: PipelineName,
    /// How many to list, oldest first
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Where to go on, as the last list said
    #[arg(long, value_name = "CURSOR", value_parser = super::dead::cursor)]
    cursor: Option<String>,
    #[command(flatten)]
    pub(crate) remote: super::Remote,
}

/// Lists revisions. Their number is their name.
pub(crate) fn list(session: &Session, args: &RevisionsArgs) -> anyhow::Result<()> {
    let cursor = args.cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    let path = format!("/v1/pipelines/{}/revisions?limit={}{cursor}", args.name, args.limit);
    let answer = session.client.get(&path)?;
    let list: RevisionList = answer.read()?;
    let names = || list.revisions.iter().map(|revision| revision.number.to_string()).collect();
    output::show(session.output, &answer, names, || table(&list.revisions))?;
    if let (Some(next), Output::Table) = (&list.next, session.output) {
        let (name, limit) = (&args.name, args.limit);
        output::talk(&format!("there are more: weir revisions {name} --limit {limit} --cursor {next}"));
    }
    Ok(())
}

fn table(revisions: &[RevisionDescription]) -> Table {
    let mut table =
        output::table(["REVISION", "FROM EVENT", "RECORD", "PLAN", "WHEN", "BY", "HOW", "CHANGED"]);
    for revision in revisions {
        let (by, how) = match &revision.applied {
            Some(applied) => (applied.by.as_str(), applied.how.as_str()),
            None => ("-", "-"),
        };
        let changed = output::list(revision.changes.iter().map(described));
        let (number, from, record) = (revision.number, revision.from_sequence, revision.record);
        let plan = revision.plan.short();
        table.add_row(output::row([&number, &from, &record, &plan, &revision.time, &by, &how, &changed]));
    }
    table
}

fn described(change: &PlanChange) -> String {
    format!("{}: {} -> {}", change.key, value(change.before.as_ref()), value(change.after.as_ref()))
}

/// What differs between two plans, key by key.
pub(crate) fn changes(changes: &[PlanChange]) -> Table {
    let mut table = output::table(["KEY", "BEFORE", "AFTER"]);
    for change in changes {
        let (before, after) = (value(change.before.as_ref()), value(change.after.as_ref()));
        table.add_row(output::row([&change.key, &before, &after]));
    }
    table
}

/// A value on one line and not too long; digests are short.
fn value(value: Option<&Value>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    let text = match value {
        Value::String(text) => match text.parse::<Digest>() {
            Ok(digest) => digest.short(),
            Err(_) => text.clone(),
        },
        value => value.to_string(),
    };
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    let start: String = text.chars().take(VALUE_CHARS_MAX).collect();
    format!("{start}…")
}
