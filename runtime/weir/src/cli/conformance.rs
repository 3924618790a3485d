//! `weir check MODULE`: whether a module may be relied on, by executing samples more than once.
//!
//! The same samples go through the module twice, in new engines on threads of their own and with other work
//! around them, and once more each alone in a fresh instance. What differs in the first two is not
//! reproducible; what differs in the last leaks from event to event, which blocks make safe.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use engine::{CompileError, Engine, EngineOptions, LogLine, Module, ModuleInfo};
use model::{Answer, Event, Fault, Headers, Limits};

use super::exit::{Ended, Exit};
use super::output;

/// What every module in WebAssembly begins with.
const MAGIC: [u8; 4] = *b"\0asm";
/// The most characters of an answer that are shown.
const ANSWER_CHARS_MAX: usize = 160;
/// The samples, where none are given: text, JSON of several shapes, nothing, and bytes that are not text.
const SAMPLES: [&[u8]; 10] = [
    b"plain text",
    b"{\"id\":1,\"name\":\"Ada\",\"tags\":[\"a\",\"b\"]}",
    b"",
    b"{}",
    b"[1,2.5,-3e10,true,null]",
    b"\xff\xfe\x00\x01",
    b"{\"id\":2,\"nested\":{\"deep\":{\"deeper\":[{}]}}}",
    "gr\u{fc}n \u{1f33f}".as_bytes(),
    b"{\"id\":1,\"name\":\"Ada\",\"tags\":[\"a\",\"b\"]}",
    b"plain text",
];

/// How a module ended a call.
type Outcome = Result<Answer, Fault>;

/// What one pass over the samples gave: each outcome, with the fuel that it took.
type Pass = Vec<(Outcome, u64)>;

/// The bytes of a file that is a module by how it begins; none where it is something else, or not there.
///
/// # Errors
/// Where the module cannot be read, or is larger than modules may be.
pub(crate) fn module_at(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let Ok(mut file) = File::open(path) else { return Ok(None) };
    let mut beginning = [0; MAGIC.len()];
    if file.read_exact(&mut beginning).is_err() || beginning != MAGIC {
        return Ok(None);
    }
    let most = EngineOptions::DEFAULT.module_bytes_max as u64;
    let mut bytes = MAGIC.to_vec();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// What a module is to be given.
pub(crate) struct Conditions {
    /// Its configuration as JSON; empty for none.
    pub(crate) config: String,
    /// The payloads of the samples; its own ones if there are none.
    pub(crate) samples: Vec<Vec<u8>>,
}

/// What was found out about a module.
struct Findings {
    info: ModuleInfo,
    together: Pass,
    /// The first sample whose outcome differs on the second pass.
    unrepeatable: Option<usize>,
    /// The first sample whose outcome differs when it comes alone.
    leaky: Option<usize>,
}

/// Judges a module, and says what it found.
///
/// # Errors
/// Where the module is refused, or does not give the same twice.
pub(crate) fn check(name: &str, bytes: &[u8], conditions: &Conditions) -> anyhow::Result<()> {
    let events = events(&conditions.samples);
    let findings = examine(bytes, &conditions.config, &events)
        .map_err(|why| Ended::new(Exit::Failed, format!("{name}: refused: {why}")))?;
    output::data(&report(name, &findings, &events))?;
    match findings.unrepeatable {
        None => Ok(()),
        Some(_) => Err(Ended::new(
            Exit::Difference,
            format!("{name}: the same events gave something else: a bug in Weir or in this machine; please report it"),
        )
        .into()),
    }
}

fn examine(bytes: &[u8], config: &str, events: &[Event]) -> Result<Findings, String> {
    let engine = Engine::new(EngineOptions::DEFAULT).map_err(|error| error.to_string())?;
    let info = engine.inspect(bytes).map_err(|refusal| refusal.to_string())?;
    let first = on_a_thread(|| Ok(pass(&load(bytes)?, config, events)))?;
    let backwards: Vec<Event> = events.iter().rev().cloned().collect();
    let (second, alone) = on_a_thread(|| {
        let module = load(bytes)?;
        // Other work before it: nothing of it may be seen.
        let _ = pass(&module, config, &backwards);
        let second = pass(&module, config, events);
        let alone = events.iter().flat_map(|event| pass(&module, config, std::slice::from_ref(event)));
        Ok((second, alone.collect::<Pass>()))
    })?;
    let unrepeatable = first.iter().zip(&second).position(|(first, second)| first != second);
    let leaky = first.iter().zip(&alone).position(|((together, _), (alone, _))| together != alone);
    Ok(Findings { info, together: first, unrepeatable, leaky })
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(work);
        thread.join().map_err(|_| "the sandbox panicked, which is a bug in Weir".to_owned())?
    })
}

fn load(bytes: &[u8]) -> Result<Module, String> {
    let engine = Engine::new(EngineOptions::DEFAULT).map_err(|error| error.to_string())?;
    engine.compile_and_load(bytes).map_err(|error| match error {
        CompileError::Refused(refusal) => refusal.to_string(),
        CompileError::Host(fault) => fault.to_string(),
    })
}

/// All events through one instance; a fresh one after each fault, as in a pipeline.
fn pass(module: &Module, config: &str, events: &[Event]) -> Pass {
    let mut silent = |_: LogLine| {};
    let mut instance = None;
    let mut outcomes = Pass::new();
    for event in events {
        let running = match instance.take() {
            Some(running) => Ok(running),
            None => module.instantiate(config, &Limits::DEFAULT, &mut silent),
        };
        let outcome = match running {
            Err(fault) => (Err(fault), 0),
            Ok(mut running) => {
                let outcome = running.process(event, &mut silent);
                let fuel = running.last_call().fuel_used;
                instance = outcome.is_ok().then_some(running);
                // The fuel of a call that ended in a fault is the fault's, and not always the same.
                let fuel = if outcome.is_ok() { fuel } else { 0 };
                (outcome, fuel)
            }
        };
        outcomes.push(outcome);
    }
    outcomes
}

fn events(samples: &[Vec<u8>]) -> Vec<Event> {
    let own = SAMPLES.iter().map(|payload| payload.to_vec());
    let payloads: Vec<Vec<u8>> = if samples.is_empty() { own.collect() } else { samples.to_vec() };
    let event = |(sequence, payload): (u64, Vec<u8>)| Event {
        subject: format!("check.{sequence}"),
        payload: payload.into(),
        headers: Headers::canonical([("Sample".to_owned(), sequence.to_string())]),
        sequence,
        timestamp_ns: 1_700_000_000_000_000_000 + sequence,
    };
    (1..).zip(payloads).map(event).collect()
}

fn report(name: &str, findings: &Findings, events: &[Event]) -> String {
    let Findings { info, together, unrepeatable, leaky } = findings;
    let count = |is: fn(&Outcome) -> bool| together.iter().filter(|(outcome, _)| is(outcome)).count();
    let (answered, rejected) = (
        count(|outcome| matches!(outcome, Ok(Answer::Messages(_)))),
        count(|outcome| matches!(outcome, Ok(Answer::Reject(_)))),
    );
    let faults = together.len() - answered - rejected;
    let verdict = match (unrepeatable, leaky) {
        (Some(_), _) => "not reproducible",
        (None, Some(_)) => "leaky",
        (None, None) => "pure",
    };
    let kind = info.kind.as_str();
    let samples = together.len();
    let mut lines = vec![
        format!("{name}: {verdict}"),
        format!(
            "  accepted    {kind}, {}, imports: {}",
            output::bytes(info.size_bytes as u64),
            output::list(&info.imports)
        ),
        format!("  samples     {samples}: {answered} answered, {rejected} rejected, {faults} faults"),
    ];
    lines.push(match unrepeatable {
        None => "  repeatable  the same answers and the same fuel, twice, on two engines and two threads"
            .to_owned(),
        Some(at) => format!("  repeatable  NO: sample {} gave something else", events[*at].sequence),
    });
    lines.push(match leaky {
        None => "  state       none seen: each sample gives alone what it gives after the others".to_owned(),
        Some(at) => format!(
            "  state       sample {} gives something else alone: {}; each block of events begins with fresh \
             instances, so records stay the same on every run",
            events[*at].sequence,
            shown(&together[*at].0)
        ),
    });
    if let (0, 0, Some((Err(fault), _))) = (answered, rejected, together.first()) {
        lines.push(format!("  note        every sample ends in a fault, so little is known: {fault}; give --config or --sample"));
    }
    output::clean(&lines.join("\n"))
}

/// An outcome on one line, not too long.
fn shown(outcome: &Outcome) -> String {
    let text = match outcome {
        Ok(Answer::Messages(messages)) => match messages.first() {
            Some(message) => {
                format!(
                    "{} messages, {:?} the first",
                    messages.len(),
                    String::from_utf8_lossy(&message.payload)
                )
            }
            None => "no message".to_owned(),
        },
        Ok(Answer::Reject(reason)) => format!("rejected: {reason}"),
        Err(fault) => format!("fault: {fault}"),
    };
    text.chars().take(ANSWER_CHARS_MAX).collect()
}

/// Reads sample files.
///
/// # Errors
/// Where one cannot be read.
pub(crate) fn samples(files: &[PathBuf]) -> anyhow::Result<Vec<Vec<u8>>> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| {
            Ended::new(Exit::Config, format!("cannot read {}: {error}", path.display())).into()
        })
    };
    files.iter().map(read).collect()
}
