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
    let name = "weir run on flights with json-select, against jq -c on one core";
    if Command::new("jq").arg("--version").stdout(Stdio::null()).status().is_err() {
        let row = Row::missing("9", name, Goal::AtLeast(3.0), "times");
        return Ok(vec![row.noted("no jq on PATH: install the package jq")]);
    }
    let folder = tempfile::tempdir()?;
    let (input, lines) = input(bench, folder.path())?;
    let file = folder.path().join("select.toml");
    let filter = serde_json::to_string(FILTER)?;
    std::fs::write(
        &file,
        format!(
            "name = \"select\"\n[source]\nstream = \"IN\"\n[[steps]]\nmodule = \"json-select\"\n[steps.config]\n\
             filter = {filter}\n[sink]\nstream = \"OUT\"\nsubject = \"out.{{subject}}\"\n"
        ),
    )?;
    let compared = pairs::compare(
        bench.pairs(3),
        || {
            let mut command = command_of(&world::weir());
            command.env("HOME", folder.path()).arg("run").arg(&file).arg("--module");
            command.arg(format!("json-select={}", guest_path("json_select").display()));
            command.arg("--input").arg(&input).args(["--output", "-"]);
            rate(command, lines)
        },
        || {
            let mut command = Command::new("jq");
            command.args(["-c", FILTER]).arg(&input);
            rate(command, lines)
        },
    )?;
    Ok(vec![Row::compared("9", name, &compared, Goal::AtLeast(3.0), "events/s")])
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

/// Flights in a file, at least a hundred thousand lines, and how many.
fn input(bench: &Bench, folder: &Path) -> anyhow::Result<(PathBuf, u64)> {
    let (flights, path) = (flights(bench)?, folder.join("flights.ndjson"));
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
    let least = bench.size(100_000, 20_000);
    let mut lines = 0;
    while lines < least {
        for flight in &flights {
            file.write_all(flight)?;
            file.write_all(b"\n")?;
        }
        lines += flights.len() as u64;
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
