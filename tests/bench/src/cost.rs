//! What an event costs in a module: in blocks of 256 with a fresh instance each, its share included, against
//! a plain wasmtime call at the same moment.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use engine::Module;
use model::{Event, Limits};

use crate::pairs;
use crate::rows::sandbox::Yardstick;

/// Events in a block, as by default.
const BLOCK: u32 = 256;
/// Spells that a figure is made of, and how long blocks are run in one.
const SPELLS: usize = 15;
const SPELL: Duration = Duration::from_millis(100);
/// Plain calls that a spell is held against.
const PLAIN_CALLS: u32 = 20_000;

/// What an event costs.
pub(crate) struct Cost {
    /// In the quickest spell, since others on the machine only ever add to it.
    pub(crate) event_ns: f64,
    /// The median of the ratios of neighbouring spells.
    pub(crate) of_plain: f64,
    /// Fuel that the last event of a block used up.
    pub(crate) fuel: u64,
}

impl Cost {
    /// Measures a module with this configuration on this event.
    pub(crate) fn measure(
        module: &Module,
        config: &str,
        event: &Event,
        yardstick: &mut Yardstick,
    ) -> anyhow::Result<Self> {
        let mut ratios = Vec::new();
        let mut cost = Self { event_ns: f64::INFINITY, of_plain: f64::NAN, fuel: 0 };
        for _ in 0..SPELLS {
            let (started, mut events) = (Instant::now(), 0_u32);
            while started.elapsed() < SPELL {
                let mut instance = module.instantiate(config, &Limits::DEFAULT, &mut |_| {})?;
                for _ in 0..BLOCK {
                    instance.process(event, &mut |_| {})?;
                }
                events += BLOCK;
                cost.fuel = instance.last_call().fuel_used;
            }
            let ours = started.elapsed().as_nanos() as f64 / f64::from(events);
            ratios.push(ours / yardstick.per_call(PLAIN_CALLS));
            cost.event_ns = cost.event_ns.min(ours);
        }
        cost.of_plain = pairs::median(&mut ratios);
        Ok(cost)
    }

    /// As a cell of a table: microseconds, and the ratio to a plain call.
    pub(crate) fn cells(&self) -> String {
        format!("{:.2} µs | {:.2}", self.event_ns / 1e3, self.of_plain)
    }
}

/// Puts a table in place of the one in `file` that stands between the marks of `what`.
pub(crate) fn write_table(file: &Path, what: &str, lines: &[String]) -> anyhow::Result<()> {
    let begin = format!("<!-- {what}: written by make languages -->");
    let end = format!("<!-- end of {what} -->");
    let text = std::fs::read_to_string(file)?;
    let (Some(from), Some(to)) = (text.find(&begin), text.find(&end)) else {
        bail!("{} has not both marks, '{begin}' and '{end}'", file.display());
    };
    let (before, after) = (&text[..from], &text[to..]);
    std::fs::write(file, format!("{before}{begin}\n\n{}\n\n{after}", lines.join("\n")))?;
    Ok(())
}
