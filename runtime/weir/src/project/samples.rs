//! A project's sample events: each line of `samples/events.ndjson` is the payload of one, sent through the
//! module to see what comes of it.

use engine::Module;
use model::{Answer, Event, Fault, Headers, Limits};

use super::cases::run::{Ran, run_event};
use super::{Project, read_text};

/// Where samples lie, below the project's folder.
const SAMPLES_FILE: &str = "samples/events.ndjson";
/// So many of them are sent.
const SAMPLES_MAX: usize = 20;
/// So many characters of a payload are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// Sends the samples through a module, each through a fresh instance; what came of them, as lines.
pub(crate) fn run(module: &Module, project: &Project, config: &str) -> Vec<String> {
    let Ok(text) = read_text(&project.root.join(SAMPLES_FILE)) else { return Vec::new() };
    let mut lines = Vec::new();
    let samples = text.lines().filter(|line| !line.trim().is_empty());
    for (sequence, payload) in (1..).zip(samples.take(SAMPLES_MAX)) {
        let event = Event {
            subject: format!("sample.{sequence}"),
            payload: payload.to_owned().into(),
            headers: Headers::new(),
            sequence,
            timestamp_ns: 1_767_225_600_000_000_000 + sequence,
        };
        let ran = run_event(module, config, &Limits::DEFAULT, &event);
        lines.push(shown(payload));
        lines.extend(outcome(&ran).into_iter().map(|line| format!("  -> {line}")));
    }
    lines
}

/// What came of an event, a line for each message.
fn outcome(ran: &Ran) -> Vec<String> {
    match &ran.outcome {
        Ok(Answer::Messages(messages)) if messages.is_empty() => vec!["(no message)".into()],
        Ok(Answer::Messages(messages)) => {
            let line = |message: &model::Message| {
                let subject =
                    message.subject.as_ref().map(|subject| format!("{subject}: ")).unwrap_or_default();
                format!("{subject}{}", shown(&String::from_utf8_lossy(&message.payload)))
            };
            messages.iter().take(SAMPLES_MAX).map(line).collect()
        }
        Ok(Answer::Reject(reason)) => vec![format!("rejected: {reason}")],
        Err(Fault::Guest(fault)) => vec![format!("{fault}")],
        Err(Fault::Host(fault)) => vec![format!("host fault: {fault}")],
    }
}

/// A text on one line, not too long.
pub(crate) fn shown(text: &str) -> String {
    let line: String = text.chars().take(SHOWN_CHARS_MAX).map(|c| if c == '\n' { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() { format!("{line}…") } else { line }
}
