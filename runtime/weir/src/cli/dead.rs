//! `weir dead`: the events that no step could process, and why.

use api::dto::DeadLetterList;
use clap::Args;
use model::PipelineName;

use super::output::{self, Output};
use super::{Remote, Session};

/// The arguments of `weir dead`.
#[derive(Args)]
pub(crate) struct DeadArgs {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    name: PipelineName,
    /// How many to list, oldest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Where to go on, as the last list said
    #[arg(long, value_name = "CURSOR", value_parser = cursor)]
    cursor: Option<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Lists dead letters. The output stream's sequence is their name.
pub(crate) fn list(session: &Session, args: &DeadArgs) -> anyhow::Result<()> {
    let cursor = args.cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    let path = format!("/v1/pipelines/{}/dead-letters?limit={}{cursor}", args.name, args.limit);
    let answer = session.client.get(&path)?;
    let list: DeadLetterList = answer.read()?;
    let names = || list.dead_letters.iter().map(|dead| dead.sequence.to_string()).collect();
    let table = || {
        let mut table = output::table(["RECORD", "EVENT", "SUBJECT", "STEP", "MODULE", "CODE", "REASON"]);
        for dead in &list.dead_letters {
            let module = dead.module.short();
            let cells = [&dead.sequence as &dyn std::fmt::Display, &dead.position, &dead.subject, &dead.step];
            let [record, event, subject, step] = output::row(cells);
            let [module, code, reason] = output::row([&module, &dead.code, &dead.reason]);
            table.add_row([record, event, subject, step, module, code, reason]);
        }
        table
    };
    output::show(session.output, &answer, names, table)?;
    if let (Some(dead), Output::Table) = (list.dead_letters.last(), session.output) {
        let (event, module) = (dead.position, dead.module);
        output::talk(&format!(
            "the last of these was event {event}, module {module}; to run it again here:\n  {}",
            run_again(&args.name, dead.sequence)
        ));
    }
    if let (Some(next), Output::Table) = (&list.next, session.output) {
        output::talk(&format!(
            "there are more: weir dead {} --limit {} --cursor {next}",
            args.name, args.limit
        ));
    }
    Ok(())
}

/// The command that runs a dead letter's event again.
pub(crate) fn run_again(pipeline: &PipelineName, record: u64) -> String {
    format!("weir try --from-dead-letter {pipeline}@{record}")
}

/// A cursor goes into an address as it is, so it may hold nothing that means something there.
pub(crate) fn cursor(text: &str) -> Result<String, String> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.~".contains(&c);
    match !text.is_empty() && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("this is not a cursor; take it from the list before".into()),
    }
}
