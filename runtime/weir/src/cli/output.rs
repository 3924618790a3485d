//! How answers look: tables for people, the API's own JSON for programs, bare names for shells.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};

use crate::client::Answer;

/// What an answer looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table for people.
    Table,
    /// The API's own JSON.
    Json,
    /// Only names or digests, one on each line.
    Name,
}

/// Writes a line of data.
pub(crate) fn data(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Says something to whoever watches. It is no data, and nothing depends on its being read.
pub(crate) fn talk(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", clean(text));
}

/// Shows an answer: its JSON as it came, or what `names` and `table` make of it.
pub(crate) fn show(
    output: Output,
    answer: &Answer,
    names: impl FnOnce() -> Vec<String>,
    table: impl FnOnce() -> Table,
) -> anyhow::Result<()> {
    match output {
        Output::Json => data(answer.text.trim_end()),
        Output::Name => lines(&names()),
        Output::Table => print(table()),
    }
}

/// Writes a table.
pub(crate) fn print(table: Table) -> anyhow::Result<()> {
    data(&rendered(table))
}

/// Writes each text on its line.
pub(crate) fn lines(texts: &[String]) -> anyhow::Result<()> {
    if texts.is_empty() { Ok(()) } else { data(&texts.join("\n")) }
}

/// A table with these titles, and no lines drawn.
pub(crate) fn table<const N: usize>(titles: [&str; N]) -> Table {
    let mut table = bare();
    table.set_header(titles);
    table
}

/// A table of keys and values, for one thing.
pub(crate) fn sheet<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> Table {
    let mut table = bare();
    for (key, value) in rows {
        table.add_row([key.to_owned(), clean(&value)]);
    }
    table
}

/// A row whose cells cannot do anything to a terminal.
pub(crate) fn row<const N: usize>(cells: [&dyn Display; N]) -> [String; N] {
    cells.map(|cell| clean(&cell.to_string()))
}

/// Text without what a terminal would obey: modules and events are free to hold anything.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    crate::spec::humane::ByteCount(count).to_string()
}

/// A list on one line; a dash for none.
pub(crate) fn list(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "-".to_owned() } else { items.join(", ") }
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    // Wrapped cells are for eyes; a program that reads the table wants one row on one line.
    let wrap = std::io::stdout().is_terminal();
    table.set_content_arrangement(if wrap {
        ContentArrangement::Dynamic
    } else {
        ContentArrangement::Disabled
    });
    table
}

fn rendered(mut table: Table) -> String {
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_plain_text_that_no_cell_can_break() {
        let mut table = table(["NAME", "REASON"]);
        table.add_row(row([&"a", &"\u{1b}[31mred\u{7}"]));
        table.add_row(row([&"bb", &7]));
        assert_eq!(rendered(table), "NAME  REASON\na     \u{fffd}[31mred\u{fffd}\nbb    7");
    }

    #[test]
    fn sizes_are_for_people() {
        for (count, text) in [(0, "0 B"), (1023, "1023 B"), (1 << 20, "1.0 MiB"), (67_108_864, "64.0 MiB")] {
            assert_eq!(bytes(count), text);
        }
    }
}
