//! `weir diff`: two output streams, event by event.

use clap::Args;
use model::StreamName;

use super::exit::{Ended, Exit};
use super::output::{self, Output};
use crate::app::differ::{self, Comparison, Example, OutputDifference, Range};
use crate::app::verification::{archive, reach};
use crate::config::{ExternalNats, NatsFlags};

/// The longest part of an output that is shown.
const SHOWN_CHARS: usize = 200;

/// The arguments of `weir diff`.
#[derive(Args)]
pub(crate) struct DiffArgs {
    /// An output stream, or one that holds a replay
    #[arg(value_name = "STREAM")]
    first: StreamName,
    /// Another one
    #[arg(value_name = "STREAM")]
    second: StreamName,
    /// The first source sequence [default: the first of either]
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// The last source sequence [default: the last of either]
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// How many differences are shown
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// What the differences look like [default: table]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Output>,
    #[command(flatten)]
    pub(crate) nats: NatsFlags,
}

/// Compares two streams, and ends with code 2 if anything differs.
pub(crate) fn run(args: &DiffArgs, output: Output, nats: ExternalNats) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let found = runtime.block_on(Box::pin(compare(args, nats)))?;
    if output == Output::Json {
        output::data(&crate::client::json_text(&found))?;
    } else {
        show(args, &found)?;
    }
    if found.different.is_empty() {
        return Ok(());
    }
    let count: u64 = found.different.values().sum();
    let message = format!("{count} outputs differ between {} and {}", args.first, args.second);
    Err(Ended::new(Exit::Difference, message).into())
}

async fn compare(args: &DiffArgs, nats: ExternalNats) -> anyhow::Result<Comparison> {
    let broker = reach(nats.options).await?;
    let (first, second) = (archive(&broker, &args.first).await?, archive(&broker, &args.second).await?);
    let range = Range { from: args.from.unwrap_or(1), to: args.to.unwrap_or(u64::MAX) };
    Ok(differ::compare(&first, &second, range, args.examples).await?)
}

fn show(args: &DiffArgs, found: &Comparison) -> anyhow::Result<()> {
    let mut lines = vec![format!("{} outputs are the same", found.same)];
    for (difference, count) in &found.different {
        lines.push(format!("{count} {}", words(*difference, args)));
    }
    for example in &found.examples {
        lines.extend(example_lines(args, example));
    }
    output::lines(&lines)
}

fn words(difference: OutputDifference, args: &DiffArgs) -> String {
    match difference {
        OutputDifference::OnlyFirst => format!("are in {} alone", args.first),
        OutputDifference::OnlySecond => format!("are in {} alone", args.second),
        OutputDifference::Kind => "are a message in one and a dead letter in the other".into(),
        OutputDifference::Subject => "have another subject".into(),
        OutputDifference::Headers => "have other headers".into(),
        OutputDifference::Payload => "have another payload".into(),
        OutputDifference::JsonForm => "have the same JSON in other bytes".into(),
    }
}

fn example_lines(args: &DiffArgs, example: &Example) -> Vec<String> {
    let mut lines = vec![format!("event {} output {}:", example.event, example.output)];
    if example.changes.is_empty() {
        for (stream, shown) in [(&args.first, &example.first), (&args.second, &example.second)] {
            let text = shown.as_deref().unwrap_or("nothing");
            let cut: String = text.chars().take(SHOWN_CHARS).collect();
            lines.push(output::clean(&format!("  {stream}: {cut}")));
        }
    }
    lines.extend(example.changes.iter().map(|change| output::clean(&format!("  {change}"))));
    lines
}
