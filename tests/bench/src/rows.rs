//! The rows of the suite, one file for each kind.

mod append;
pub(crate) mod batch;
mod cluster;
mod growth;
mod latency;
pub(crate) mod sandbox;
mod start;

use std::time::Instant;

use crate::Suite;
use crate::report::{Report, Row};

/// What a row needs to know.
pub(crate) struct Bench {
    suite: Suite,
}

impl Bench {
    /// `full` in a full run, `quick` in a quick one.
    fn size<T>(&self, full: T, quick: T) -> T {
        if self.suite.quick { quick } else { full }
    }

    /// How many pairs a comparison has; `full` in a full run unless it was said.
    fn pairs(&self, full: usize) -> usize {
        self.suite.pairs.unwrap_or(self.size(full, full.min(2)))
    }
}

type Measure = fn(&Bench) -> anyhow::Result<Vec<Row>>;

/// All rows: their numbers, what they are, and what measures them.
const ROWS: &[(&[u32], &str, Measure)] = &[
    (&[1, 2], "NATS to NATS through the identity module", append::identity),
    (&[3], "NATS to NATS through mask-pii", append::mask),
    (&[4, 5, 6], "the engine alone", sandbox::measure),
    (&[7], "latency from end to end", latency::measure),
    (&[9], "from a file to a file", batch::run),
    (&[10], "the chain verified", batch::verify),
    (&[11], "starts, swaps and failures", start::start),
    (&[12], "memory", start::memory),
    (&[8], "packed messages", append::packed),
    (&[13], "a cluster of three", cluster::measure),
    (&[14], "growth", growth::measure),
    (&[15], "latency while a module compiles", latency::while_compiling),
];

/// What is measured against another revision of Weir, by the program as it is run.
const AGAINST_BASE: &[(&[u32], &str, Measure)] = &[
    (&[1, 2], "NATS to NATS through the identity module", append::identity_against_base),
    (&[3], "NATS to NATS through mask-pii", append::mask_against_base),
];

/// Runs the rows that were asked for, and reports.
pub(crate) fn run(suite: &Suite) -> anyhow::Result<()> {
    let bench = Bench { suite: suite.clone() };
    let mut report = Report { method: method(suite), rows: Vec::new() };
    let rows = if suite.base.is_some() { AGAINST_BASE } else { ROWS };
    for (numbers, what, measure) in rows {
        let wanted = suite.rows.is_empty() || numbers.iter().any(|number| suite.rows.contains(number));
        if wanted {
            eprintln!("== {what}");
            let started = Instant::now();
            report.rows.extend(measure(&bench)?);
            eprintln!("    took {:.0} s", started.elapsed().as_secs_f64());
        }
    }
    report.print();
    report.write(&suite.out)?;
    crate::plot::write(&report, &suite.out)?;
    crate::plot::write_growth(&report, &suite.out)
}

fn method(suite: &Suite) -> Vec<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    vec![
        format!("machine: {cores} cores, {model}; load before the run: {load}"),
        "method: the two sides of a comparison take turns; a value is the median of the pairs' ratios, the spread \
         lies between their quartiles; server, relays and nodes share the machine"
            .to_owned(),
        format!("length: {}", if suite.quick { "quick" } else { "full" }),
    ]
}
