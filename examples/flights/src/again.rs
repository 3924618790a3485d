//! The same once more, and once more: the pipeline over the file, without NATS, and the output stream
//! verified from its first record on. Both come to the same digest of outputs, or the demo fails.

use std::path::Path;
use std::process::Output;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::Arguments;
use crate::node::Place;

/// What the stream and the file came to.
pub(crate) struct Again {
    /// The digest of all outputs, the same for both.
    pub(crate) outputs: String,
    /// How many receipts of the stream were found right.
    pub(crate) receipts: u64,
    /// How many of its records.
    pub(crate) records: u64,
}

/// Executes everything twice more.
///
/// # Errors
/// When one of them fails, or comes to something else.
pub(crate) async fn run(
    arguments: &Arguments,
    place: &Place,
    modules: &[(&str, &str)],
) -> anyhow::Result<Again> {
    eprintln!("executing the output stream again, and the file without NATS");
    let verified =
        weir(arguments, place, &["verify", "flights", "--nats", &place.nats, "-o", "json"]).await?;
    let verified: Value = serde_json::from_slice(&verified.stdout).context("weir verify gives JSON")?;
    let outputs = verified["outputs"].as_str().context("weir verify names no outputs")?.to_owned();
    let from_file = outputs_of_file(arguments, place, modules).await?;
    ensure!(
        outputs == from_file,
        "the stream's outputs are {outputs}, and the file's {from_file}: they have to be the same"
    );
    let number = |name: &str| verified[name].as_u64().unwrap_or_default();
    Ok(Again { outputs, receipts: number("receipts"), records: number("records") })
}

/// The digest of the outputs that `weir run` makes of the file.
async fn outputs_of_file(
    arguments: &Arguments,
    place: &Place,
    modules: &[(&str, &str)],
) -> anyhow::Result<String> {
    let text = |path: &Path| path.display().to_string();
    let mut words = vec!["run".to_owned(), text(&arguments.pipeline)];
    for (name, file) in modules {
        words.extend(["--module".to_owned(), format!("{name}={}", text(&arguments.modules.join(file)))]);
    }
    let output = text(&place.directory.join("clean.ndjson"));
    words.extend(["--input".to_owned(), text(&arguments.data), "--output".to_owned(), output]);
    words.extend(["--subject".to_owned(), "flights.{carrier}.{origin}".to_owned()]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ran = weir(arguments, place, &words).await?;
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let outputs = said.lines().find_map(|line| line.strip_prefix("outputs ")).map(str::to_owned);
    outputs.with_context(|| format!("weir run names no outputs: {said}"))
}

async fn weir(arguments: &Arguments, place: &Place, words: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(&arguments.weir);
    command.args(words).arg("--cache-dir").arg(place.directory.join("cache")).kill_on_drop(true);
    let output = command.output().await;
    let output = output.with_context(|| format!("cannot start {}", arguments.weir.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "weir {} failed: {said}", words[0]);
    Ok(output)
}
