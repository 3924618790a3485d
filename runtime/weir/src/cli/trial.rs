//! `weir try`: one event through one module, on a node, in the sandbox that pipelines use.

use std::io::Read;
use std::path::{Path, PathBuf};

use api::dto::{Header, Payload, TryMessage, TryOutcome, TryOutput, TryRequest, TryResult};
use clap::Args;

use super::exit::{Ended, Exit};
use super::module_arg::ModuleArg;
use super::output::{self, Output};
use super::rerun::DeadLetterArg;
use super::{Remote, Session};
use crate::client::{Sent, json_text};

/// The largest payload that is read, in bytes: as much as a NATS message can be made to have.
const PAYLOAD_BYTES_MAX: u64 = 64 << 20;
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// The arguments of `weir try`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  weir try mask-pii:1.2 --payload '{\"name\": \"Ada\"}' --config '{\"rules\": [{\"field\": \"$.name\", \"action\": \"redact\"}]}'
  weir try json-select:1.0 --file event.json --config select.toml --subject flights.ua
  weir try --from-dead-letter flights@4711     the very event, fetched from the node and run here

It ends with code 1 where the module refuses the event or fails.")]
pub(crate) struct TryArgs {
    /// Digest, the beginning of a digest, or tag
    #[arg(required_unless_present = "from_dead_letter")]
    module: Option<ModuleArg>,
    /// Run the event of a dead letter again, here, by the plan that was in force: of the last one, or of the
    /// one with this sequence in the output stream
    #[arg(long, value_name = "PIPELINE[@RECORD]")]
    #[arg(conflicts_with_all = ["module", "subject", "payload", "file", "headers", "config", "sequence", "lines"])]
    pub(crate) from_dead_letter: Option<DeadLetterArg>,
    /// The event's subject
    #[arg(long, default_value = "try")]
    subject: String,
    /// The event's payload, as text; - reads standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "file")]
    payload: Option<String>,
    /// The file of the event's payload; - reads standard input
    #[arg(long)]
    file: Option<PathBuf>,
    /// A header of the event; repeat for more
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = header)]
    headers: Vec<Header>,
    /// The module's configuration: JSON, or a file of JSON or TOML
    #[arg(long, value_name = "JSON|FILE")]
    config: Option<String>,
    /// The event's sequence in its source stream
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    sequence: u64,
    /// Make a message of each line that a command prints, as with output = "lines" in a pipeline
    #[arg(long)]
    lines: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// Runs the event, and shows what came of it.
pub(crate) fn run(session: &Session, args: &TryArgs) -> anyhow::Result<()> {
    let module = args.module.as_ref().expect("the command line has a module where it names no dead letter");
    let request = TryRequest {
        subject: args.subject.clone(),
        payload: Payload::from_bytes(&payload(args)?),
        headers: args.headers.clone(),
        sequence: args.sequence,
        output: if args.lines { TryOutput::Lines } else { TryOutput::Whole },
        config: args.config.as_deref().map(config).transpose()?.unwrap_or_default(),
        ..TryRequest::default()
    };
    let digest = session.digest(module)?;
    let sent = json_text(&request);
    let answer =
        session.client.post(&format!("/v1/modules/{digest}/try"), Sent::Text("application/json", &sent))?;
    let result: TryResult = answer.read()?;
    match session.output {
        Output::Json => output::data(answer.text.trim_end())?,
        Output::Name | Output::Table => show(&result)?,
    }
    let refused = |code: &str, reason: &str| {
        let message = format!("{}: {}", output::clean(code), output::clean(reason));
        Err(Ended::new(Exit::Failed, message).into())
    };
    match &result.outcome {
        TryOutcome::Messages { .. } => Ok(()),
        TryOutcome::Rejected { reason } => refused("the module refuses the event", reason),
        TryOutcome::Fault { code, reason } => refused(code, reason),
    }
}

/// Messages are data; the log and what it took are talk.
fn show(result: &TryResult) -> anyhow::Result<()> {
    for line in &result.logs {
        output::talk(&format!("log: {line}"));
    }
    if let TryOutcome::Messages { messages } = &result.outcome {
        for message in messages {
            output::data(&output::clean(&text(message)))?;
        }
        output::talk(&format!("{} messages", messages.len()));
    }
    let (fuel, memory) = (result.fuel_used, output::bytes(result.memory_bytes));
    output::talk(&format!("{fuel} fuel, {memory} memory, {} us, {}", result.time_us, result.engine));
    Ok(())
}

/// A message as NATS users write one: subject, headers, an empty line, payload.
pub(super) fn text(message: &TryMessage) -> String {
    let mut text = message.subject.clone().unwrap_or_else(|| "(the pipeline's subject)".to_owned());
    for Header { name, value } in &message.headers {
        text.push_str(&format!("\n{name}: {value}"));
    }
    let payload = message.payload.clone().into_bytes();
    text.push_str("\n\n");
    let payload = String::from_utf8(payload)
        .unwrap_or_else(|error| format!("({} bytes that are not text; see -o json)", error.as_bytes().len()));
    text.push_str(&payload);
    text.push('\n');
    text
}

fn payload(args: &TryArgs) -> anyhow::Result<Vec<u8>> {
    match (&args.payload, &args.file) {
        (Some(text), _) if text == "-" => read(Path::new("-"), PAYLOAD_BYTES_MAX),
        (Some(text), _) => Ok(text.clone().into_bytes()),
        (None, Some(path)) => read(path, PAYLOAD_BYTES_MAX),
        (None, None) => Ok(Vec::new()),
    }
}

fn read(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let standard = path == Path::new("-");
    let name = if standard { "standard input".into() } else { path.display().to_string() };
    let unusable = |error: std::io::Error| Ended::new(Exit::Config, format!("cannot read {name}: {error}"));
    let source: Box<dyn Read> = match standard {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).map_err(unusable)?),
    };
    let mut bytes = Vec::new();
    source.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unusable)?;
    if bytes.len() as u64 > bytes_max {
        let message = format!("{name} has more than {}", output::bytes(bytes_max));
        return Err(Ended::new(Exit::Config, message).into());
    }
    Ok(bytes)
}

/// A configuration: what begins as a JSON object is one, all else is the name of a file.
pub(crate) fn config(text: &str) -> anyhow::Result<serde_json::Value> {
    if text.trim_start().starts_with('{') {
        return Ok(crate::spec::parse_table(text, "--config")?);
    }
    let bytes = read(Path::new(text), CONFIG_BYTES_MAX)?;
    let unusable = |_| Ended::new(Exit::Config, format!("{text} is not UTF-8 text"));
    let content = String::from_utf8(bytes).map_err(unusable)?;
    Ok(crate::spec::parse_table(&content, text)?)
}

fn header(text: &str) -> Result<Header, String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok(Header::from((name.trim(), value.trim()))),
        _ => Err("a header is NAME:VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_json_on_the_line_or_a_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        let expected = serde_json::json!({"fields": ["a"]});
        for text in [
            " {\"fields\": [\"a\"]}".to_owned(),
            write("c.toml", "fields = ['a']"),
            write("c.json", "{\"fields\": [\"a\"]}"),
        ] {
            assert_eq!(config(&text).expect("a configuration"), expected);
        }
        let error = config("{oops").expect_err("no JSON").to_string();
        assert!(error.starts_with("--config:1:2: "), "{error}");
        assert!(
            config(&write("bad.toml", "a = = 1")).expect_err("no TOML").to_string().contains("bad.toml:1:")
        );
    }

    #[test]
    fn a_header_is_a_name_and_a_value() {
        assert_eq!(header("X-A: b:c"), Ok(Header::from(("X-A", "b:c"))));
        assert!(header("no colon").is_err() && header(": v").is_err());
    }
}
