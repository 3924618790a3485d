//! `make languages`: what an event costs in each ready-made module, for the table in `plugins/README.md`: the
//! first event of its own README, with the configuration that stands there.

use std::path::Path;

use anyhow::Context as _;
use engine::{Engine, EngineOptions};
use model::{Event, Headers};
use serde::Deserialize;
use weir_tests::process::root;

use crate::cost::{Cost, write_table};
use crate::rows::sandbox::{self, Yardstick};

/// The modules, by their folders in `plugins`.
const MODULES: &[&str] = &[
    "cloudevents",
    "csv-to-json",
    "enrich",
    "json-select",
    "mask-pii",
    "route",
    "sample",
    "split",
    "validate",
];

/// What a module's README shows, as `weir test` reads it.
#[derive(Deserialize)]
struct Shown {
    config: Option<serde_json::Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    config: Option<serde_json::Value>,
    event: Given,
}

#[derive(Deserialize)]
struct Given {
    subject: Option<String>,
    payload: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
}

/// Measures all of them, and writes the table.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut yardstick = Yardstick::new();
    let mut lines = vec![
        "| module | payload of its README's first event | fuel | an event | of a plain call |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for name in MODULES {
        lines.push(row(name, &mut yardstick).with_context(|| format!("measure {name}"))?);
        println!("{}", lines[lines.len() - 1]);
    }
    write_table(Path::new("plugins/README.md"), "costs", &lines)
}

fn row(name: &str, yardstick: &mut Yardstick) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(root().join("plugins").join(name).join("tests/readme.yaml"))?;
    let shown: Shown = serde_saphyr::from_str(&text)?;
    let case = shown.cases.into_iter().next().context("a README shows an event")?;
    let config = case.config.or(shown.config).map_or_else(String::new, |config| config.to_string());
    let event = Event {
        subject: case.event.subject.unwrap_or_else(|| "test".to_owned()),
        payload: case.event.payload.into(),
        headers: Headers::canonical(case.event.headers),
        ..sandbox::event()
    };
    let file = format!("target/guests/wasm32-wasip2/release/{}.wasm", name.replace('-', "_"));
    let engine = Engine::new(EngineOptions { instances_max: 4, ..EngineOptions::DEFAULT })?;
    let module = engine.compile_and_load(&std::fs::read(root().join(file))?)?;
    let cost = Cost::measure(&module, &config, &event, yardstick)?;
    Ok(format!("| `{name}` | {} bytes | {} | {} |", event.payload.len(), cost.fuel, cost.cells()))
}
