//! The events, and what has to come of them: counted in the data itself, not taken from what Weir says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// How many flights left New York in 2013, or were to.
pub(crate) const FULL: u64 = 336_776;

/// The reasons that `flights.toml` gives.
const CANCELLED: &str = "cancelled: no departure time";
const DIVERTED: &str = "diverted: no arrival at the destination";

/// One event.
pub(crate) struct Flight {
    /// Where it is published.
    pub(crate) subject: String,
    /// The line as it stands in the file.
    pub(crate) payload: String,
}

/// What has to come of all events.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many events there are.
    pub(crate) events: u64,
    /// How many messages.
    pub(crate) messages: u64,
    /// How many dead letters, by reason.
    pub(crate) dead: BTreeMap<String, u64>,
}

impl Tally {
    /// How many dead letters there are in all.
    pub(crate) fn dead_letters(&self) -> u64 {
        self.dead.values().sum()
    }

    fn add(&mut self, flight: &Value) {
        self.events += 1;
        let reason = match (flight["dep_time"].is_null(), flight["arr_delay"].is_null()) {
            (true, _) => CANCELLED,
            (false, true) => DIVERTED,
            (false, false) => {
                self.messages += 1;
                return;
            }
        };
        *self.dead.entry(reason.to_owned()).or_default() += 1;
    }
}

/// What has to come of the events in a file.
pub(crate) fn tally(path: &Path) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for line in lines(path)? {
        tally.add(&parse(path, &line?)?);
    }
    if tally.events == 0 {
        bail!("{} holds no events", path.display());
    }
    Ok(tally)
}

/// The events in a file, one after the other.
pub(crate) fn flights(path: &Path) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Flight>>> {
    let path = path.to_owned();
    Ok(lines(&path)?.map(move |line| {
        let payload = line?;
        let flight = parse(&path, &payload)?;
        let token = |name: &str| flight[name].as_str().with_context(|| format!("no {name} in {payload}"));
        let subject = format!("flights.{}.{}", token("carrier")?, token("origin")?);
        Ok(Flight { subject, payload })
    }))
}

fn lines(path: &Path) -> anyhow::Result<impl Iterator<Item = std::io::Result<String>> + use<>> {
    let file = File::open(path)
        .with_context(|| format!("cannot read {}; examples/flights/prepare.py makes it", path.display()))?;
    Ok(BufReader::new(file).lines())
}

fn parse(path: &Path, line: &str) -> anyhow::Result<Value> {
    serde_json::from_str(line).with_context(|| format!("{}: not JSON: {line}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("flights-sample.ndjson")
    }

    #[test]
    fn the_sample_is_what_the_readme_says() {
        let tally = tally(&sample()).expect("the sample can be read");
        let dead = [(CANCELLED.to_owned(), 869), (DIVERTED.to_owned(), 6)].into();
        assert_eq!(tally, Tally { events: 2546, messages: 1671, dead });
    }

    #[test]
    fn every_flight_has_a_subject() {
        let flights: anyhow::Result<Vec<_>> = flights(&sample()).expect("the sample can be read").collect();
        let flights = flights.expect("every line is an event");
        assert_eq!((flights.len(), flights[0].subject.as_str()), (2546, "flights.EV.EWR"));
    }

    #[test]
    fn the_pipeline_file_gives_the_reasons_that_are_counted() {
        let file = include_str!("../flights.toml");
        assert!([CANCELLED, DIVERTED].iter().all(|reason| file.contains(&format!("error(\"{reason}\")"))));
    }
}
