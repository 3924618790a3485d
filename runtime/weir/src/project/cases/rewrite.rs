//! `--update`: what came out is taken over into the file, as what has to come out from now on.
//!
//! Of a file's text only the expectations that did not hold are replaced; all else stays, comments and order
//! too, but for comments within a replaced expectation. A text is taken only if it reads as the same cases in
//! everything else, so whatever cannot be rewritten safely is told instead.

use std::ops::Range;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::{Answer, Fault, Message};
use serde::Serialize;
use serde_json::Value;

use super::check::EXPECTATIONS;
use super::compare::differences;
use super::content::Missing;
use super::read::parse;
use super::run::Ran;
use super::{Case, CaseFile, Expectation, Expected, ExpectedMessage};
use crate::spec::yaml::{self, Node, NodeKind};

/// Payloads up to this many bytes are written into the file of cases.
const INLINE_BYTES_MAX: usize = 16 << 10;

/// What a file becomes.
#[derive(Debug)]
pub(crate) struct Rewritten {
    /// Its new text.
    pub(crate) text: String,
    /// Files that expectations name, with what they hold from now on.
    pub(crate) payloads: Vec<(PathBuf, Bytes)>,
    /// How many cases expect something else now.
    pub(crate) count: usize,
}

/// The expectation of a case as it is written.
#[derive(Default, Serialize)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    expect: Option<Vec<WrittenMessage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<WrittenFault>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WrittenFault {
    Code(&'static str),
    WithReason { code: &'static str, contains: String },
}

#[derive(Serialize)]
struct WrittenMessage {
    payload: WrittenPayload,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Vec<(String, String)>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum WrittenPayload {
    Json(Value),
    Base64(String),
    File(String),
    #[serde(untagged)]
    Text(String),
}

/// Takes over what came out, where it is not as expected. None if all is.
///
/// # Errors
/// Which case cannot be taken over, and why; nothing is changed then.
pub(crate) fn rewrite(file: &CaseFile, ran: &[Ran]) -> Result<Option<Rewritten>, String> {
    let root = yaml::tree(&file.text);
    let nodes =
        root.as_ref().and_then(|root| root.entry("cases")).map_or(&[][..], |(_, cases)| cases.elements());
    let (mut edits, mut payloads) = (Vec::new(), Vec::new());
    for (at, (case, ran)) in file.cases.iter().zip(ran).enumerate() {
        // A log that lacks a line is for the author: there is nothing to take over.
        let without_log = Case { log: None, ..case.clone() };
        if differences(&without_log, ran).is_empty() {
            continue;
        }
        let unable = |why: &str| format!("{}: case '{}': {why}", file.path.display(), case.name);
        let written = written(case, ran, &mut payloads).map_err(|why| unable(&why))?;
        let node = nodes.get(at).ok_or_else(|| unable("cannot be found in the text again"))?;
        edits.push(edit(&file.text, node, &written).ok_or_else(|| unable("write its expectation by hand"))?);
    }
    if edits.is_empty() {
        return Ok(None);
    }
    let (count, mut text) = (edits.len(), file.text.clone());
    for (range, new) in edits.into_iter().rev() {
        text.replace_range(range, &new);
    }
    confirm(file, &text)?;
    Ok(Some(Rewritten { text, payloads, count }))
}

/// Whether the new text reads as the same cases but for what they expect.
fn confirm(file: &CaseFile, text: &str) -> Result<(), String> {
    let unable = || {
        let path = file.path.display();
        format!(
            "{path}: its expectations cannot be replaced without changing something else; edit it by hand"
        )
    };
    let new = parse(text, &file.path, &file.name, Missing::WillBeWritten).map_err(|_| unable())?;
    let rest = |case: &Case| Case { expectation: None, ..case.clone() };
    let same = new.cases.len() == file.cases.len()
        && new.cases.iter().zip(&file.cases).all(|(a, b)| rest(a) == rest(b))
        && new.cases.iter().all(|case| case.expectation.is_some());
    if same { Ok(()) } else { Err(unable()) }
}

fn written(case: &Case, ran: &Ran, payloads: &mut Vec<(PathBuf, Bytes)>) -> Result<Written, String> {
    match &ran.outcome {
        Err(Fault::Host(fault)) => Err(format!("the machine failed, which is not to be expected: {fault}")),
        Err(Fault::Guest(fault)) => {
            let code = fault.code().as_str();
            let with_reason = matches!(&case.expectation,
                Some(Expectation::Fault { code, contains: Some(_) }) if *code == fault.code());
            let fault = match with_reason {
                true => WrittenFault::WithReason { code, contains: fault.reason().to_owned() },
                false => WrittenFault::Code(code),
            };
            Ok(Written { fault: Some(fault), ..Written::default() })
        }
        Ok(Answer::Reject(reason)) => Ok(Written { reject: Some(reason.clone()), ..Written::default() }),
        Ok(Answer::Messages(messages)) => {
            if let Some(Expectation::Count(_)) = case.expectation {
                return Ok(Written { count: Some(messages.len() as u64), ..Written::default() });
            }
            let old = match &case.expectation {
                Some(Expectation::Messages(old)) => old.as_slice(),
                _ => &[],
            };
            let message = |(at, message)| written_message(message, old.get(at), payloads);
            let messages = messages.iter().enumerate().map(message).collect::<Result<_, _>>()?;
            Ok(Written { expect: Some(messages), ..Written::default() })
        }
    }
}

/// A message with all that the old expectation looked at; where there was none, with all that it has.
fn written_message(
    message: &Message,
    old: Option<&ExpectedMessage>,
    payloads: &mut Vec<(PathBuf, Bytes)>,
) -> Result<WrittenMessage, String> {
    let pairs = || message.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (subject, headers) = match old {
        Some(old) => (old.subject.is_some(), old.headers.is_some()),
        None => (message.subject.is_some(), !message.headers.is_empty()),
    };
    Ok(WrittenMessage {
        payload: written_payload(&message.payload, old.and_then(|old| old.payload.as_ref()), payloads)?,
        subject: subject.then(|| message.subject.clone()),
        headers: headers.then(pairs),
    })
}

fn written_payload(
    payload: &Bytes,
    old: Option<&Expected>,
    payloads: &mut Vec<(PathBuf, Bytes)>,
) -> Result<WrittenPayload, String> {
    if let Some(Expected::File { name, path, .. }) = old {
        payloads.push((path.clone(), payload.clone()));
        return Ok(WrittenPayload::File(name.clone()));
    }
    if payload.len() > INLINE_BYTES_MAX {
        return Err(format!(
            "a payload of {} bytes is not written into the file of cases; expect {{file: NAME}} in its place, \
             and it is written there",
            payload.len()
        ));
    }
    if let Some(Expected::Json(_)) = old
        && let Ok(value) = serde_json::from_slice(payload)
    {
        return Ok(WrittenPayload::Json(value));
    }
    Ok(match std::str::from_utf8(payload) {
        Ok(text) => WrittenPayload::Text(text.to_owned()),
        Err(_) => WrittenPayload::Base64(STANDARD.encode(payload)),
    })
}

/// What to put where in the text, so that a case expects this. None where its place is not to be found.
fn edit(text: &str, case: &Node, written: &Written) -> Option<(Range<usize>, String)> {
    if let Some((key, value)) = EXPECTATIONS.iter().find_map(|key| case.entry(key)) {
        let new = rendered(text, key.range.start, case.flow, written)?;
        return Some((key.range.start..value.range.end.max(key.range.end), new));
    }
    let NodeKind::Mapping(entries) = &case.kind else { return None };
    let (first, last) = (entries.first()?, entries.last()?);
    let end = last.1.range.end.max(last.0.range.end);
    let new = rendered(text, first.0.range.start, case.flow, written)?;
    let column = " ".repeat(column(text, first.0.range.start));
    let (comma, lines) = (if case.flow { "," } else { "" }, text[case.range.clone()].contains('\n'));
    let separator = if lines || !case.flow { format!("{comma}\n{column}") } else { format!("{comma} ") };
    // What follows the last value on its line, a comment, stays there.
    let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at);
    let at = if case.flow { end } else { line_end };
    Some((at..at, format!("{separator}{new}")))
}

/// The expectation as text that stands at `start`, in the style of what is around it.
fn rendered(text: &str, start: usize, flow: bool, written: &Written) -> Option<String> {
    let lines = if flow {
        let json = serde_json::to_string_pretty(written).ok()?;
        let inner = json.strip_prefix("{\n")?.strip_suffix("\n}")?;
        inner.lines().map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned()).collect::<Vec<_>>()
    } else {
        let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
        let yaml = serde_saphyr::to_string_with_options(written, options).ok()?;
        yaml.trim_end_matches('\n').split('\n').map(str::to_owned).collect()
    };
    let indent = " ".repeat(column(text, start));
    let mut new = String::new();
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            new.push('\n');
            if !line.is_empty() {
                new.push_str(&indent);
            }
        }
        new.push_str(line);
    }
    Some(new)
}

/// How many characters stand before this place on its line.
fn column(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    text[line..at].chars().count()
}
