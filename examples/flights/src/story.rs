//! The story: upload, apply, publish, wait, look at what came of it, compare.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use broker::{Broker, ConnectOptions, StoredMessage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use model::{Digest, Headers, PipelineName, StreamName};
use serde_json::Value;

use crate::client::Client;
use crate::data::{self, Tally};
use crate::node::Place;
use crate::{Arguments, again, report};

/// The modules, by the names under which `flights.toml` has them, and their files.
const MODULES: [(&str, &str); 2] = [("json-select", "json_select.wasm"), ("mask-pii", "mask_pii.wasm")];
const POLL: Duration = Duration::from_millis(100);
/// How long the pipeline may stand still before the demo gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most dead letters that the API gives at once.
const PAGE: u64 = 1000;

/// The names that the pipeline file uses.
pub(crate) struct Names {
    /// The pipeline.
    pub(crate) pipeline: PipelineName,
    /// The source stream.
    pub(crate) source: StreamName,
    /// The output stream.
    pub(crate) sink: StreamName,
}

/// A module that is uploaded.
pub(crate) struct Module {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its digest, as the node answered it.
    pub(crate) digest: Digest,
    /// Its size.
    pub(crate) bytes: u64,
}

/// All that came of it.
pub(crate) struct Outcome {
    /// The modules, in the order of the steps.
    pub(crate) modules: Vec<Module>,
    /// The digest of the plan.
    pub(crate) plan: String,
    /// What the pipeline says that it did.
    pub(crate) tally: Tally,
    /// The dead letters by step, code and reason.
    pub(crate) dead: BTreeMap<[String; 3], u64>,
    /// From the first publish to the last record.
    pub(crate) elapsed: Duration,
    /// One message as the output stream keeps it, and the event that it was made of.
    pub(crate) example: Option<(StoredMessage, StoredMessage)>,
    /// The last receipt; none if there was no whole block.
    pub(crate) receipt: Option<StoredMessage>,
}

/// Runs the story on a node, prints what came of it, and compares it with what has to.
pub(crate) async fn run(arguments: &Arguments, place: &Place) -> anyhow::Result<()> {
    let expected = data::tally(&arguments.data)?;
    if arguments.full {
        let (found, file) = (expected.events, arguments.data.display());
        ensure!(found == data::FULL, "{file} has {found} flights; the year had {}", data::FULL);
    }
    let names =
        Names { pipeline: "flights".parse()?, source: "FLIGHTS".parse()?, sink: "FLIGHTS_CLEAN".parse()? };
    let modules = upload(&place.client, &arguments.modules).await?;
    let broker = connect(&place.nats).await?;
    // A pipeline's source has to be there before it.
    let subjects = ["flights.>".parse()?];
    broker.ensure_landing_stream(&names.pipeline, &names.source, &subjects, None).await?;
    let plan = apply(place, &arguments.pipeline, &modules).await?;
    let elapsed = flow(&place.client, &broker, &arguments.data, expected.events).await?;
    let outcome = collect(&place.client, &broker, &names, modules, plan, elapsed).await?;
    broker.close().await;
    let again = again::run(arguments, place, &MODULES).await?;
    report::print(arguments, place, &names, &outcome, &again);
    compare(&expected, &outcome.tally)
}

async fn connect(nats: &str) -> anyhow::Result<Broker> {
    let options = ConnectOptions {
        servers: vec![nats.to_owned()],
        name: "flights-demo".to_owned(),
        ..Default::default()
    };
    Ok(Broker::connect(options).await?)
}

async fn upload(client: &Client, directory: &Path) -> anyhow::Result<Vec<Module>> {
    let mut modules = Vec::new();
    for (name, file) in MODULES {
        let path = directory.join(file);
        let content = std::fs::read(&path)
            .with_context(|| format!("cannot read {}; `make guests` builds it", path.display()))?;
        let bytes = content.len() as u64;
        let answer = client.send("POST", "/v1/modules", "application/wasm", content).await?;
        let digest =
            answer["digest"].as_str().context("the answer to the upload names no digest")?.parse()?;
        modules.push(Module { name, digest, bytes });
    }
    Ok(modules)
}

/// Applies the pipeline with the digests in place of the modules' names; gives the plan's digest.
async fn apply(place: &Place, file: &Path, modules: &[Module]) -> anyhow::Result<String> {
    let mut text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    for Module { name, digest, .. } in modules {
        let (tag, pinned) = (format!("module = \"{name}\""), format!("module = \"{digest}\""));
        ensure!(text.contains(&tag), "{} has no step with {tag}", file.display());
        text = text.replace(&tag, &pinned);
    }
    // Kept, so that it can be changed and applied again by hand.
    std::fs::write(place.directory.join("flights.toml"), &text)?;
    let body = text.into_bytes();
    let answer = place.client.send("PUT", "/v1/pipelines/flights", "application/toml", body).await?;
    Ok(answer["plan"].as_str().context("the answer to the pipeline names no plan")?.to_owned())
}

/// Publishes all events while the pipeline works, and waits until it has done the last one.
async fn flow(client: &Client, broker: &Broker, data: &Path, events: u64) -> anyhow::Result<Duration> {
    let bars = MultiProgress::new();
    let (published, done) = (bar(&bars, "published", events), bar(&bars, "processed", events));
    if bars.is_hidden() {
        eprintln!("publishing {events} events while the pipeline runs");
    }
    let begin = Instant::now();
    tokio::try_join!(publish(broker, data, &published), follow(client, events, &done))?;
    let elapsed = begin.elapsed();
    bars.clear()?;
    Ok(elapsed)
}

fn bar(bars: &MultiProgress, what: &'static str, events: u64) -> ProgressBar {
    let template = "{prefix} {wide_bar:.cyan/blue} {human_pos:>7} of {human_len} ({per_sec})";
    let style = ProgressStyle::with_template(template).expect("the template is valid");
    bars.add(ProgressBar::new(events)).with_style(style).with_prefix(what)
}

async fn publish(broker: &Broker, data: &Path, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut publisher = broker.publisher().await?;
    for flight in data::flights(data)? {
        let flight = flight?;
        publisher.publish(&flight.subject, &Headers::new(), flight.payload).await?;
        bar.inc(1);
    }
    publisher.flush().await?;
    Ok(())
}

/// Waits until the pipeline has appended the records of the last event.
async fn follow(client: &Client, events: u64, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut moved = (0, Instant::now());
    loop {
        let status = client.get("/v1/pipelines/flights/status").await?;
        let error = status["error"]["detail"].as_str().unwrap_or("it does not say why");
        let position = number(&status["position"]);
        bar.set_position(position.min(events));
        if position >= events && number(&status["lag"]) == 0 {
            return Ok(());
        }
        if status["state"] == "stopped" {
            bail!("the pipeline stopped at event {position}: {error}");
        }
        if position != moved.0 {
            moved = (position, Instant::now());
        } else if moved.1.elapsed() > PATIENCE {
            let state = status["state"].as_str().unwrap_or("silent");
            bail!("the pipeline stands still at event {position}, {state}: {error}");
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn collect(
    client: &Client,
    broker: &Broker,
    names: &Names,
    modules: Vec<Module>,
    plan: String,
    elapsed: Duration,
) -> anyhow::Result<Outcome> {
    let status = client.get("/v1/pipelines/flights/status").await?;
    let count = |name: &str| number(&status["counts"][name]);
    let dead = dead_letters(client).await?;
    let mut reasons = BTreeMap::new();
    for ([_, _, reason], letters) in &dead {
        *reasons.entry(reason.clone()).or_default() += letters;
    }
    let tally = Tally { events: count("events"), messages: count("messages"), dead: reasons };
    let (said, listed) = (count("dead_letters"), tally.dead_letters());
    ensure!(said == listed, "the pipeline counts {said} dead letters and lists {listed}");
    let example = match broker.last_on(&names.sink, "clean.>").await? {
        Some(message) => Some((source_of(broker, names, &message).await?, message)),
        None => None,
    };
    let receipt = broker.last_on(&names.sink, "weir.flights.receipt").await?;
    Ok(Outcome { modules, plan, tally, dead, elapsed, example, receipt })
}

/// The event that a record was made of.
async fn source_of(broker: &Broker, names: &Names, record: &StoredMessage) -> anyhow::Result<StoredMessage> {
    let position = record.headers.get(model::record::SOURCE_HEADER).context("a record names no source")?;
    let position: model::Position =
        position.parse().ok().with_context(|| format!("'{position}' is no position"))?;
    broker.get(&names.source, position.sequence).await?.context("the source has lost an event")
}

/// All dead letters, counted by step, code and reason.
async fn dead_letters(client: &Client) -> anyhow::Result<BTreeMap<[String; 3], u64>> {
    let mut dead = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("/v1/pipelines/flights/dead-letters?limit={PAGE}{cursor}")).await?;
        for letter in page["dead_letters"].as_array().into_iter().flatten() {
            let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
            *dead.entry([text("step"), text("code"), text("reason")]).or_default() += 1;
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(dead),
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// Compares what has to be with what is.
fn compare(expected: &Tally, found: &Tally) -> anyhow::Result<()> {
    let mut differences = Vec::new();
    let mut check = |what: &str, expected: u64, found: u64| {
        if expected != found {
            differences.push(format!("{what}: {expected} expected, {found} found"));
        }
    };
    check("events", expected.events, found.events);
    check("messages", expected.messages, found.messages);
    let reasons: std::collections::BTreeSet<_> = expected.dead.keys().chain(found.dead.keys()).collect();
    for reason in reasons {
        let of = |tally: &Tally| tally.dead.get(reason).copied().unwrap_or_default();
        check(&format!("dead letters with '{reason}'"), of(expected), of(found));
    }
    ensure!(differences.is_empty(), "the counts are not what the data says: {}", differences.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(events: u64, messages: u64, dead: &[(&str, u64)]) -> Tally {
        Tally { events, messages, dead: dead.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect() }
    }

    #[test]
    fn every_difference_is_named() {
        let expected = tally(3, 2, &[("cancelled", 1)]);
        assert!(compare(&expected, &tally(3, 2, &[("cancelled", 1)])).is_ok());
        let error = compare(&expected, &tally(3, 1, &[("trap", 2)])).expect_err("they differ").to_string();
        for part in ["messages: 2 expected, 1 found", "'cancelled': 1 expected, 0", "'trap': 0 expected, 2"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
