//! In what the outcome of a case differs from what was expected, as somebody reads it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Answer, Fault, GuestFault, Headers, Message};
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::run::Ran;
use super::{Case, Expectation, Expected, ExpectedMessage};

/// Texts up to this many bytes are compared line by line.
const DIFF_BYTES_MAX: usize = 32 << 10;
/// So many lines of a difference are shown.
const DIFF_LINES_MAX: usize = 60;
/// So many characters of a line are shown.
const LINE_CHARS_MAX: usize = 400;
/// So many bytes are shown on each side of the first one that differs.
const AROUND_BYTES: usize = 40;
/// The most bytes of something that is no text which are shown.
const BINARY_BYTES_MAX: usize = 240;

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Difference {
    /// What it is about, such as `message 1, payload`.
    pub(crate) what: String,
    /// What differs: lines that begin with `-` for what was expected, `+` for what came, a blank for both.
    pub(crate) lines: Vec<String>,
}

/// All that is not as expected; nothing where the case passes.
pub(crate) fn differences(case: &Case, ran: &Ran) -> Vec<Difference> {
    let mut found = match (&case.expectation, &ran.outcome) {
        (_, Err(Fault::Host(fault))) => vec![note("the machine", &format!("host fault: {fault}"))],
        (None, _) => vec![note("expectation", "nothing is written down yet")],
        (Some(Expectation::Messages(expected)), Ok(Answer::Messages(messages))) => {
            compare_messages(expected, messages)
        }
        (Some(Expectation::Count(count)), Ok(Answer::Messages(messages))) => {
            let found = messages.len() as u64;
            if *count == found {
                vec![]
            } else {
                vec![sides("messages", &count.to_string(), &found.to_string())]
            }
        }
        (Some(Expectation::Reject(part)), Ok(Answer::Reject(reason))) => {
            contained("reason of the rejection", part, reason)
        }
        (Some(Expectation::Fault { code, contains }), Err(Fault::Guest(fault))) if fault.code() == *code => {
            contains.as_ref().map_or(vec![], |part| contained("reason of the fault", part, fault.reason()))
        }
        (Some(expected), outcome) => vec![sides("outcome", &expectation(expected), &shown(outcome))],
    };
    if let Some(part) = case.log.as_ref().filter(|_| lacks_log(case, ran)) {
        found.push(note("log", &format!("no line holds {part:?}")));
    }
    found
}

/// Whether a line of the log is expected that did not come.
pub(crate) fn lacks_log(case: &Case, ran: &Ran) -> bool {
    case.log.as_ref().is_some_and(|part| !ran.log.iter().any(|line| line.contains(part.as_str())))
}

/// Whether the machine failed, which says nothing about the module.
pub(crate) fn is_host_fault(ran: &Ran) -> bool {
    matches!(ran.outcome, Err(Fault::Host(_)))
}

fn note(what: &str, line: &str) -> Difference {
    Difference { what: what.to_owned(), lines: vec![format!("  {line}")] }
}

fn sides(what: &str, expected: &str, found: &str) -> Difference {
    Difference { what: what.to_owned(), lines: diff(expected, found) }
}

fn contained(what: &str, part: &str, found: &str) -> Vec<Difference> {
    if found.contains(part) {
        return vec![];
    }
    vec![Difference { what: what.to_owned(), lines: vec![format!("- … {part} …"), format!("+ {found}")] }]
}

/// What was expected, in a line.
fn expectation(expected: &Expectation) -> String {
    match expected {
        Expectation::Messages(messages) => of_messages(messages.len() as u64),
        Expectation::Count(count) => of_messages(*count),
        Expectation::Reject(reason) => format!("rejected: … {reason} …"),
        Expectation::Fault { code, contains: None } => format!("fault {code}"),
        Expectation::Fault { code, contains: Some(part) } => format!("fault {code}: … {part} …"),
    }
}

/// What came, in a line.
pub(crate) fn shown(outcome: &Result<Answer, Fault>) -> String {
    match outcome {
        Ok(Answer::Messages(messages)) => of_messages(messages.len() as u64),
        Ok(Answer::Reject(reason)) => format!("rejected: {reason}"),
        Err(Fault::Guest(fault)) => fault_line(fault),
        Err(Fault::Host(fault)) => format!("host fault: {fault}"),
    }
}

fn fault_line(fault: &GuestFault) -> String {
    format!("fault {}: {}", fault.code(), fault.reason())
}

fn of_messages(count: u64) -> String {
    match count {
        0 => "no message".into(),
        1 => "1 message".into(),
        count => format!("{count} messages"),
    }
}

fn compare_messages(expected: &[ExpectedMessage], found: &[Message]) -> Vec<Difference> {
    let mut differences = Vec::new();
    if expected.len() != found.len() {
        let (expected, found) = (of_messages(expected.len() as u64), of_messages(found.len() as u64));
        differences.push(sides("messages", &expected, &found));
    }
    for (number, (expected, found)) in (1..).zip(expected.iter().zip(found)) {
        compare_message(&format!("message {number}"), expected, found, &mut differences);
    }
    // What is too much or too little is shown as far as it says something.
    for (number, message) in (1..).zip(found).skip(expected.len()).take(3) {
        let lines = text_of(&message.payload).lines().map(|line| format!("+ {line}")).collect();
        differences.push(Difference { what: format!("message {number}, payload"), lines: clipped(lines) });
    }
    differences
}

fn compare_message(
    what: &str,
    expected: &ExpectedMessage,
    found: &Message,
    differences: &mut Vec<Difference>,
) {
    if let Some(payload) = &expected.payload
        && !payload.is_met_by(&found.payload)
    {
        let lines = compare_payload(payload, &found.payload);
        differences.push(Difference { what: format!("{what}, payload"), lines });
    }
    let subject = |subject: &Option<String>| subject.clone().unwrap_or_else(|| "(none of its own)".into());
    if let Some(own) = &expected.subject
        && *own != found.subject
    {
        differences.push(sides(&format!("{what}, subject"), &subject(own), &subject(&found.subject)));
    }
    if let Some(headers) = &expected.headers
        && *headers != found.headers
    {
        differences.push(sides(
            &format!("{what}, headers"),
            &of_headers(headers),
            &of_headers(&found.headers),
        ));
    }
}

fn of_headers(headers: &Headers) -> String {
    if headers.is_empty() {
        return "(none)".into();
    }
    let lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    lines.join("\n")
}

fn compare_payload(expected: &Expected, found: &[u8]) -> Vec<String> {
    match expected {
        Expected::Bytes(bytes) | Expected::File { bytes, .. } => compare_bytes(bytes, found),
        Expected::Contains(part) => {
            let lines = text_of(found).lines().map(|line| format!("+ {line}")).collect();
            let mut lines: Vec<String> = clipped(lines);
            lines.insert(0, format!("- … {} …", text_of(part)));
            lines
        }
        Expected::Json(value) => match serde_json::from_slice::<serde_json::Value>(found) {
            Ok(found) => diff(&format!("{value:#}"), &format!("{found:#}")),
            Err(error) => {
                let mut lines = vec![format!("  what came is not JSON: {error}")];
                lines.extend(diff(&format!("{value:#}"), &text_of(found)));
                lines
            }
        },
    }
}

fn compare_bytes(expected: &[u8], found: &[u8]) -> Vec<String> {
    if expected.len().max(found.len()) <= DIFF_BYTES_MAX {
        return diff(&text_of(expected), &text_of(found));
    }
    let at = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
    let around = |bytes: &[u8]| {
        let from = at.saturating_sub(AROUND_BYTES).min(bytes.len());
        let part = &bytes[from..(at + AROUND_BYTES).min(bytes.len())];
        format!("… {} …", String::from_utf8_lossy(part).escape_debug())
    };
    vec![
        format!(
            "  {} bytes were expected, {} came; they differ from byte {at} on",
            expected.len(),
            found.len()
        ),
        format!("- {}", around(expected)),
        format!("+ {}", around(found)),
    ]
}

/// Bytes as text: themselves, or as base64 where they are none.
fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok("") => "(empty)".into(),
        Ok(text) => text.to_owned(),
        Err(_) => {
            let (shown, more) = match bytes.len() {
                count if count > BINARY_BYTES_MAX => (&bytes[..BINARY_BYTES_MAX], "…"),
                _ => (bytes, ""),
            };
            format!("({} bytes that are no text; base64) {}{more}", bytes.len(), STANDARD.encode(shown))
        }
    }
}

/// Two texts, line by line: `-` for what was expected, `+` for what came.
fn diff(expected: &str, found: &str) -> Vec<String> {
    let changes = TextDiff::from_lines(expected, found);
    let mut lines = Vec::new();
    for change in changes.iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        lines.push(format!("{sign} {}", visible(change.value())));
        let ends_early = change.missing_newline() && sign != ' ';
        if ends_early && expected.ends_with('\n') != found.ends_with('\n') {
            lines.push(format!("{sign} (without a line end)"));
        }
    }
    clipped(around_changes(&lines))
}

/// A line without its end; where it ends in something that nobody sees, that is shown.
fn visible(line: &str) -> String {
    let line = line.strip_suffix('\n').unwrap_or(line);
    if line.ends_with([' ', '\t', '\r']) { format!("{}⏎", line.escape_debug()) } else { line.to_owned() }
}

/// Of what is the same, only the three lines next to a change.
fn around_changes(lines: &[String]) -> Vec<String> {
    let is_change = |line: &String| !line.starts_with(' ');
    let near = |at: usize| lines[at.saturating_sub(3)..(at + 4).min(lines.len())].iter().any(is_change);
    let mut kept: Vec<String> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if near(at) {
            kept.push(line.clone());
        } else if kept.last().is_none_or(|last| last != "  …") {
            kept.push("  …".into());
        }
    }
    kept
}

fn clipped(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(DIFF_LINES_MAX);
    lines.truncate(DIFF_LINES_MAX);
    for line in &mut lines {
        if let Some((at, _)) = line.char_indices().nth(LINE_CHARS_MAX) {
            line.truncate(at);
            line.push('…');
        }
    }
    if more > 0 {
        lines.push(format!("  … and {more} lines more"));
    }
    lines
}
