//! What the demo prints when it is done: what went in, what came out, and how to go on by hand.

use std::fmt::Display;

use broker::StoredMessage;
use indicatif::{HumanBytes, HumanCount};
use model::Receipt;

use crate::Arguments;
use crate::again::Again;
use crate::node::Place;
use crate::story::{Names, Outcome};

/// The address at which the command line looks for a node by itself.
const NODE_DEFAULT: &str = "http://127.0.0.1:7676";

/// Prints everything.
pub(crate) fn print(arguments: &Arguments, place: &Place, names: &Names, outcome: &Outcome, again: &Again) {
    println!();
    what_ran(place, names, outcome);
    counts(names, outcome);
    if let Some((event, message)) = &outcome.example {
        println!("one event, as it lies in {}:\n", names.source);
        record(event);
        println!("its output, as it lies in {}:\n", names.sink);
        record(message);
    }
    if let Some(stored) = &outcome.receipt {
        receipt(stored);
    }
    executed_again(again);
    if !arguments.once {
        by_hand(arguments, place, outcome);
    }
}

fn what_ran(place: &Place, names: &Names, outcome: &Outcome) {
    row("node", place.client.base(), format_args!("with its own NATS at {}", place.nats));
    row("pipeline", &names.pipeline, format_args!("plan {}", outcome.plan));
    for module in &outcome.modules {
        row(module.name, HumanBytes(module.bytes), module.digest);
    }
    println!();
}

fn counts(names: &Names, outcome: &Outcome) {
    let (source, sink, tally) = (&names.source, &names.sink, &outcome.tally);
    count("in", tally.events, format_args!("events in {source}"));
    count("out", tally.messages, format_args!("messages in {sink}"));
    count("dead letters", tally.dead_letters(), format_args!("events in {sink}, each in its place"));
    for ([step, code, reason], letters) in &outcome.dead {
        count("", *letters, format_args!("  {code} by step '{step}': {reason}"));
    }
    let seconds = outcome.elapsed.as_secs_f64().max(f64::EPSILON);
    // Whole events a second are precise enough for people.
    let rate = (tally.events as f64 / seconds) as u64;
    count("speed", rate, format_args!("events/s, {seconds:.1} s from the first publish to the last record"));
    println!();
}

fn executed_again(Again { outputs, receipts, records }: &Again) {
    println!("executed again, with the same outputs to the last bit:\n");
    println!("  {outputs}");
    println!("  weir verify: {receipts} receipts and {records} records of the stream, identical");
    println!("  weir run: the same pipeline over the file, without NATS\n");
}

fn row(name: impl Display, value: impl Display, rest: impl Display) {
    println!("  {:<13} {:<22} {rest}", name.to_string(), value.to_string());
}

fn count(name: &str, number: u64, rest: impl Display) {
    println!("  {name:<13} {:>7} {rest}", HumanCount(number).to_string());
}

/// A record as the stream keeps it.
fn record(stored: &StoredMessage) {
    println!("  {} at sequence {}", stored.subject, stored.sequence);
    for (name, value) in stored.headers.iter() {
        println!("  {name}: {value}");
    }
    println!("  {}\n", String::from_utf8_lossy(&stored.payload));
}

/// A receipt, with its members in their own order.
fn receipt(stored: &StoredMessage) {
    println!("the last receipt, {} at sequence {}:\n", stored.subject, stored.sequence);
    let read = serde_json::from_slice::<Receipt>(&stored.payload);
    let pretty = read.and_then(|receipt| serde_json::to_string_pretty(&receipt));
    let text = pretty.unwrap_or_else(|_| String::from_utf8_lossy(&stored.payload).into_owned());
    for line in text.lines() {
        println!("  {line}");
    }
    println!();
}

/// Lines that work as they are printed, in a second terminal.
fn by_hand(arguments: &Arguments, place: &Place, outcome: &Outcome) {
    let base = place.client.base();
    let elsewhere = if base == NODE_DEFAULT { String::new() } else { format!(" --node {base}") };
    let weir = format!("{}{elsewhere}", arguments.weir.display());
    let file = place.directory.join("flights.toml");
    println!("Go on by hand, in a second terminal, from this directory:\n");
    println!("  {weir} status flights");
    println!("  {weir} dead flights --limit 5");
    println!("  curl -s {base}/v1/pipelines/flights");
    println!("  curl -s '{base}/v1/pipelines/flights/dead-letters?limit=1'");
    if let Some(mask) = outcome.modules.last() {
        let config = r#"{"rules": [{"field": "$.tailnum", "action": "redact"}]}"#;
        println!("  {weir} try {} \\", mask.digest.short());
        println!("      --payload '{{\"tailnum\": \"N14228\"}}' --config '{config}'");
    }
    println!("  {weir} apply {}    # change the file first: it is swapped in live\n", file.display());
}
