//! Rows 9 and 10: the past executed again, from a file and from the chain.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use weir_tests::guests::guest_path;
use weir_tests::node::command_of;

use super::Bench;
use super::append::{self, flights, pipeline};
use crate::pairs;
use crate::report::{Goal, Row};
use crate::world;

/// The same selection and reshaping for jq and for `json-select`, which has jq's language.
const FILTER: &str = "select(.dep_delay != null and .dep_delay > 15) | {carrier, flight, route: \"\\(.origin)-\\(.dest)\", \
                      delay: .dep_delay}";

/// Row 9.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let (input, lines) = input(bench, folder.path())?;
    let config = format!("[steps.config]\nfilter = {}\n", serde_json::to_string(FILTER)?);
    let select = Batch::new(folder.path(), &input, lines, "json-select", "json_select", &config)?;
    let typed = Batch::new(folder.path(), &input, lines, "late-flights", "late-flights-core", "")?;
    let native = || {
        let mut command = Command::new(world::native());
        command.arg("late-flights").arg(&input);
        rate(command, lines)
    };
    let jq = || {
        let mut command = Command::new("jq");
        command.args(["-c", FILTER]).arg(&input);
        rate(command, lines)
    };
    let has_jq = Command::new("jq").arg("--version").stdout(Stdio::null()).status().is_ok();
    let against_jq = |id: &str, batch: &Batch, goal: Goal| -> anyhow::Result<Row> {
        let name = format!("weir run on flights with {}, against jq -c on one core", batch.name);
        if !has_jq {
            let row = Row::missing(id, &name, goal, "times");
            return Ok(row.noted("no jq on PATH: install the package jq"));
        }
        let compared = pairs::compare(bench.pairs(3), || batch.rate(), jq)?;
        Ok(Row::compared(id, &name, &compared, goal, "events/s"))
    };
    let rows = vec![
        against_jq("9a", &select, Goal::AtLeast(3.0))?,
        against_jq("9b", &typed, Goal::AtLeast(8.0))?,
        {
            let name = "weir run with a typed Rust module, against the same code native on one core";
            let compared = pairs::compare(bench.pairs(3), || typed.rate(), native)?;
            Row::compared("9c", name, &compared, Goal::AtLeast(0.6), "events/s")
        },
    ];
    Ok(rows)
}

/// A pipeline over the file of flights.
struct Batch {
    name: &'static str,
    folder: PathBuf,
    file: PathBuf,
    module: PathBuf,
    input: PathBuf,
    lines: u64,
}

impl Batch {
    fn new(
        folder: &Path,
        input: &Path,
        lines: u64,
        name: &'static str,
        module: &str,
        config: &str,
    ) -> anyhow::Result<Self> {
        let file = folder.join(format!("{name}.toml"));
        std::fs::write(
            &file,
            format!(
                "name = \"{name}\"\n[source]\nstream = \"IN\"\n[[steps]]\nmodule = \"{name}\"\n{config}\
                 [sink]\nstream = \"OUT\"\nsubject = \"out.{{subject}}\"\n"
            ),
        )?;
        let (folder, input, module) = (folder.to_owned(), input.to_owned(), guest_path(module));
        Ok(Self { name, folder, file, module, input, lines })
    }

    fn rate(&self) -> anyhow::Result<f64> {
        let mut command = command_of(&world::weir());
        command.env("HOME", &self.folder).arg("run").arg(&self.file).arg("--module");
        command.arg(format!("{}={}", self.name, self.module.display()));
        command.arg("--input").arg(&self.input).args(["--output", "-"]);
        rate(command, self.lines)
    }
}

/// Row 10.
pub(crate) fn verify(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let events = bench.size(200_000, 60_000);
    let (nats, node) = append::world_with(&[vec![b'x'; 256]], events);
    let pipeline = pipeline("past").step(world::push(&node, "identity"));
    let live = world::run_pipeline_and_keep(&nats, &node, &pipeline, events);
    let mut rates = Vec::new();
    for _ in 0..bench.pairs(3) {
        let mut command = command_of(&world::weir());
        command.env("HOME", node.folder()).args(["verify", "past", "--nats", &nats.url()]);
        rates.push(rate(command, events)? / live.events_per_second);
    }
    let spread = pairs::spread(&mut rates);
    let ratio = pairs::median(&mut rates);
    let name = "weir verify, against the live pipeline's own rate";
    let note = format!(
        "{} against {} events/s",
        pairs::round(ratio * live.events_per_second),
        pairs::round(live.events_per_second)
    );
    Ok(vec![Row::new("10", name, ratio, Goal::AtLeast(3.0), "times").spread(spread).noted(&note)])
}

/// Flights in a file, in a full run all that there are and at least a hundred thousand lines, and how many.
fn input(bench: &Bench, folder: &Path) -> anyhow::Result<(PathBuf, u64)> {
    let (flights, path) = (flights(bench)?, folder.join("flights.ndjson"));
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    let least = bench.size(100_000, 20_000);
    let mut lines = 0;
    let most = bench.size(flights.len(), least as usize);
    while lines < least {
        for flight in flights.iter().take(most) {
            file.write_all(flight)?;
            file.write_all(b"\n")?;
        }
        lines += flights.len().min(most) as u64;
    }
    file.flush()?;
    Ok((path, lines))
}

/// Events a second of a program that works through `events` of them, its start and end included.
fn rate(mut command: Command, events: u64) -> anyhow::Result<f64> {
    let started = Instant::now();
    let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?} failed: {said}", command.get_program());
    Ok(events as f64 / started.elapsed().as_secs_f64())
}
