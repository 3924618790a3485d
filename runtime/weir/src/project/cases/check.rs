//! What a file of cases must keep beyond the shape of each value, and what it comes to.

use std::collections::BTreeSet;
use std::path::Path;

use model::{CommandOutput, Event, GuestFaultCode, Headers, Limits};
use serde_json::Value;

use super::content::Missing;
use super::file::{CaseTable, CasesFile, EventTable, FaultTable, MessageTable};
use super::{Case, Expectation, ExpectedMessage};
use crate::spec::{CONFIG_BYTES_MAX, KeyPath, LimitsTable, check_limits, nearest};

/// When events come that say nothing else: 2026-01-01T00:00:00Z.
const TIMESTAMP_NS: u64 = 1_767_225_600_000_000_000;

/// A value that does not go with the others: where, and why.
pub(super) type Misfit = (KeyPath, String);

/// The keys of which a case has exactly one.
pub(super) const EXPECTATIONS: [&str; 4] = ["expect", "count", "reject", "fault"];

/// What a file says for all its cases.
struct Usual {
    config: String,
    limits: LimitsTable,
    output: CommandOutput,
}

/// Makes cases of a file. What they name besides is read from `folder`.
///
/// # Errors
/// The first value that makes no sense.
pub(super) fn check(file: CasesFile, folder: &Path, missing: Missing) -> Result<Vec<Case>, Misfit> {
    let usual = Usual {
        config: config(&file.config).map_err(|why| (KeyPath::root().name("config"), why))?,
        limits: file.limits,
        output: file.output,
    };
    // By themselves as well, so that what is wrong is said of the file and not of a case.
    limits(usual.limits, &KeyPath::root())?;
    if file.cases.is_empty() {
        return Err((KeyPath::root().name("cases"), "there is no case".into()));
    }
    let mut taken = BTreeSet::new();
    let mut cases = Vec::with_capacity(file.cases.len());
    for (at, table) in file.cases.into_iter().enumerate() {
        let path = KeyPath::root().name("cases").index(at);
        if table.name.trim().is_empty() {
            return Err((path.name("name"), "a case needs a name".into()));
        }
        if !taken.insert(table.name.clone()) {
            return Err((path.name("name"), format!("another case is already called '{}'", table.name)));
        }
        let name = table.name.clone();
        let named = |(path, why)| (path, format!("case '{name}': {why}"));
        cases.push(check_case(table, &usual, folder, missing, &path).map_err(named)?);
    }
    Ok(cases)
}

fn check_case(
    table: CaseTable,
    usual: &Usual,
    folder: &Path,
    missing: Missing,
    path: &KeyPath,
) -> Result<Case, Misfit> {
    let at = |key: &str| path.clone().name(key);
    let config = match &table.config {
        None => usual.config.clone(),
        Some(own) => config(own).map_err(|why| (at("config"), why))?,
    };
    let limits = limits(table.limits.or(usual.limits), path)?;
    let output = table.output.unwrap_or(usual.output);
    let event = check_event(&table.event, folder, &at("event"))?;
    let (name, log) = (table.name.clone(), table.log.clone());
    let expectation = check_expectation(table, folder, missing, path)?;
    Ok(Case { name, config, limits, output, event, expectation, log })
}

/// The limits of the file or of the case at `path`.
fn limits(table: LimitsTable, path: &KeyPath) -> Result<Limits, Misfit> {
    check_limits(table).map_err(|(key, why)| (path.clone().name("limits").name(key), why))
}

/// The configuration as a module is given it.
fn config(value: &Value) -> Result<String, String> {
    if value.is_null() {
        return Ok(String::new());
    }
    if !value.is_object() {
        return Err("a configuration is a table".into());
    }
    let text = value.to_string();
    if text.len() > CONFIG_BYTES_MAX {
        return Err(format!("{} bytes as JSON; a configuration has at most {CONFIG_BYTES_MAX}", text.len()));
    }
    Ok(text)
}

fn check_event(table: &EventTable, folder: &Path, path: &KeyPath) -> Result<Event, Misfit> {
    let at = |key: &str| path.clone().name(key);
    let subject = table.subject.clone().unwrap_or_else(|| "test".into());
    let is_sendable = |subject: &str| {
        let ends = subject.split('.').all(|token| !token.is_empty());
        ends && !subject.contains(|c: char| c.is_whitespace() || c.is_control() || "*>".contains(c))
    };
    if !is_sendable(&subject) {
        return Err((at("subject"), format!("'{subject}' is no subject that a message can have")));
    }
    if table.sequence == Some(0) {
        return Err((at("sequence"), "sequences begin at 1".into()));
    }
    Ok(Event {
        subject,
        payload: table.payload.bytes(folder).map_err(|why| (at("payload"), why))?,
        headers: Headers::canonical(table.headers.iter().cloned()).without_reserved(),
        sequence: table.sequence.unwrap_or(1),
        timestamp_ns: table.timestamp.map_or(TIMESTAMP_NS, crate::spec::humane::Moment::unix_ns),
    })
}

fn check_expectation(
    table: CaseTable,
    folder: &Path,
    missing: Missing,
    path: &KeyPath,
) -> Result<Option<Expectation>, Misfit> {
    let at = |key: &str| path.clone().name(key);
    let mut found = Vec::new();
    if let Some(messages) = table.expect {
        let message = |(index, message): (usize, MessageTable)| {
            check_message(message, folder, missing, &at("expect").index(index))
        };
        let messages = messages.into_iter().enumerate().map(message).collect::<Result<_, _>>()?;
        found.push(("expect", Expectation::Messages(messages)));
    }
    if let Some(count) = table.count {
        found.push(("count", Expectation::Count(count)));
    }
    if let Some(reason) = table.reject {
        found.push(("reject", Expectation::Reject(reason)));
    }
    if let Some(fault) = table.fault {
        found.push(("fault", check_fault(fault).map_err(|why| (at("fault"), why))?));
    }
    if let Some((second, _)) = found.get(1) {
        let why =
            format!("a case has only one of {}; this one has '{}' too", EXPECTATIONS.join(", "), found[0].0);
        return Err((at(second), why));
    }
    match found.pop() {
        Some((_, expectation)) => Ok(Some(expectation)),
        None if missing == Missing::WillBeWritten => Ok(None),
        None => {
            let all = EXPECTATIONS.join(", ");
            let why = format!("nothing is expected: add one of {all}, or let `weir test --update` write it");
            Err((path.clone(), why))
        }
    }
}

fn check_message(
    table: MessageTable,
    folder: &Path,
    missing: Missing,
    path: &KeyPath,
) -> Result<ExpectedMessage, Misfit> {
    let payload = table.payload.map(|content| content.expected(folder, missing)).transpose();
    Ok(ExpectedMessage {
        payload: payload.map_err(|why| (path.clone().name("payload"), why))?,
        subject: table.subject,
        headers: table.headers.map(Headers::canonical),
    })
}

fn check_fault(table: FaultTable) -> Result<Expectation, String> {
    let (code, contains) = match table {
        FaultTable::Code(code) => (code, None),
        FaultTable::WithReason(fault) => (fault.code, fault.contains),
    };
    if code == GuestFaultCode::Rejected.as_str() {
        return Err(
            "a module that refuses an event does not fail: write 'reject: a part of the reason'".into()
        );
    }
    let known = GuestFaultCode::ALL.iter().filter(|known| **known != GuestFaultCode::Rejected);
    if let Some(code) = known.clone().find(|known| known.as_str() == code) {
        return Ok(Expectation::Fault { code: *code, contains });
    }
    let known: Vec<&str> = known.map(|known| known.as_str()).collect();
    Err(match nearest(&code, &known) {
        Some(near) => format!("there is no fault '{code}'; did you mean '{near}'?"),
        None => format!("there is no fault '{code}'; known are {}", known.join(", ")),
    })
}
