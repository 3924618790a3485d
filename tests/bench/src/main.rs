//! `make bench`: how fast Weir is, against what one would write by hand instead, both in one run.
//!
//! Each row is a comparison whose two sides take turns (A B A B …); what counts is the median of the pairs'
//! ratios, with the spread between the quartiles beside it, so that a slow spell of the machine meets both
//! sides. The other sides, the hand-written relays and the plain calls, are in the crate `native` and in
//! [`rows::sandbox`], written as well as we can: a row that looks good because the other side is bad is worth
//! nothing.
//!
//! It needs a release build of `weir` beside it, the native sides built by their own profile, the guests, and
//! a nats-server; the Makefile sees to all of them. It leaves `report.json` and `report.svg` in the folder
//! that it is told.

mod cost;
mod count;
mod languages;
mod limits;
mod pairs;
mod plot;
mod process;
mod ready_made;
mod report;
mod rows;
mod streams;
mod world;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// What is measured, and where the report goes.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    suite: Suite,
}

/// The suite's settings.
#[derive(clap::Args, Clone)]
struct Suite {
    /// A short run of every row, for a first look: about two minutes.
    #[arg(long)]
    quick: bool,
    /// Only these rows, such as 1,2,14.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<u32>,
    /// Pairs of each comparison.
    #[arg(long)]
    pairs: Option<usize>,
    /// The other revision's `weir`: the rows that run the program then compare the two.
    #[arg(long)]
    base: Option<PathBuf>,
    /// Where report.json and report.svg go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// The full flights file, a JSON object a line; without it, the committed sample over and over.
    #[arg(long)]
    flights: Option<PathBuf>,
}

/// Parts of the suite that run as processes of their own.
#[derive(Subcommand)]
enum Part {
    /// Measures a transform in each language, and writes the README's table.
    Languages(languages::Options),
    /// Measures the ready-made modules, and writes the table in plugins/README.md.
    ReadyMade,
    /// Runs one of the pure parts so many times, to be counted by callgrind.
    Count(count::Options),
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Languages(options)) => languages::run(&options),
        Some(Part::ReadyMade) => ready_made::run(),
        Some(Part::Count(options)) => count::run(&options),
        None => rows::run(&arguments.suite),
    }
}
