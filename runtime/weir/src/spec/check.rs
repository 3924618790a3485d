//! What a pipeline file must keep beyond the shape of each value: how its parts go together.

use std::collections::BTreeSet;

use model::record::own_pattern;
use model::{Limits, PackPlan, PipelineName, SubjectPattern};

use super::document::{Document, KeyPath, SpecError};
use super::file::{LimitsTable, ModuleRef, PipelineFile, SinkTable, SourceTable, Start, StepTable};
use super::{Origin, PipelineSpec, SinkSpec, SourceSpec, StepSpec};

const STEPS_MAX: usize = 16;
const PATTERNS_MAX: usize = 64;
/// The longest configuration of a step, in bytes of JSON.
pub(crate) const CONFIG_BYTES_MAX: usize = 256 << 10;
const PACK_EVENTS: u32 = 1_000;
const PACK_EVENTS_MAX: u32 = 65_536;
const PACK_BYTES: u32 = 256 << 10;

/// A value that does not go with the others: where, and why.
type Misfit = (KeyPath, String);

/// Makes a specification of a file, if it makes sense.
pub(super) fn check(file: PipelineFile, document: Document) -> Result<PipelineSpec, SpecError> {
    let (name, block, on_guest_fault, source, steps, sink) =
        check_parts(file).map_err(|(path, message)| document.error(&path, &message))?;
    check_together(&name, &source, &sink)
        .map_err(|(path, message)| document.error(&path, &message).of_loop())?;
    Ok(PipelineSpec { name, block, on_guest_fault, source, steps, sink, document })
}

type Parts = (PipelineName, u32, model::OnGuestFault, SourceSpec, Vec<StepSpec>, SinkSpec);

fn check_parts(file: PipelineFile) -> Result<Parts, Misfit> {
    if !(1..=65_536).contains(&file.block) {
        return Err((key("block"), format!("{} is not a number from 1 to 65536", file.block)));
    }
    let source = check_source(file.source)?;
    let steps = check_steps(file.steps)?;
    let sink = check_sink(file.sink)?;
    Ok((file.name, file.block, file.on_guest_fault.into(), source, steps, sink))
}

fn key(name: &str) -> KeyPath {
    KeyPath::root().name(name)
}

fn check_source(table: SourceTable) -> Result<SourceSpec, Misfit> {
    let at = |name: &str| key("source").name(name);
    if table.start == Start::Sequence(0) {
        return Err((at("start"), "sequences begin at 1; leave 'start' out to begin at the first".into()));
    }
    at_most("subjects", table.subjects.len(), PATTERNS_MAX).map_err(|why| (at("subjects"), why))?;
    let origin = match (table.stream, table.subject) {
        (Some(stream), None) if table.max_age.is_none() => Origin::Stream(stream),
        (Some(_), None) => {
            let why = "only for 'subject', whose stream Weir makes; the age of a stream's events is its own";
            return Err((at("max_age"), why.into()));
        }
        (None, Some(_)) if !table.subjects.is_empty() => {
            return Err((at("subjects"), "only with 'stream'; with 'subject' all of it is read".into()));
        }
        (None, Some(pattern)) => Origin::Subject { pattern, max_age: table.max_age.map(|span| span.0) },
        (Some(_), Some(_)) => {
            return Err((at("subject"), "a source is either a 'stream' or a 'subject', not both".into()));
        }
        (None, None) => {
            return Err((key("source"), "a source needs a 'stream' or a 'subject'".into()));
        }
    };
    let format = table.format.map(Into::into);
    Ok(SourceSpec { origin, subjects: table.subjects, format, start: table.start })
}

fn check_steps(tables: Vec<StepTable>) -> Result<Vec<StepSpec>, Misfit> {
    if tables.is_empty() {
        return Err((key("steps"), "a pipeline needs at least one step".into()));
    }
    at_most("steps", tables.len(), STEPS_MAX).map_err(|why| (key("steps").index(STEPS_MAX), why))?;
    let mut taken = BTreeSet::new();
    for (at, name) in tables.iter().enumerate().filter_map(|(at, step)| Some((at, step.name.as_ref()?))) {
        let path = || key("steps").index(at).name("name");
        if !is_step_name(name) {
            let rule = "1 to 64 characters of a-z, 0-9, '.', '-' and '_', the first a letter or digit";
            return Err((path(), format!("'{name}' is not a step name: {rule}")));
        }
        if !taken.insert(name.clone()) {
            return Err((path(), format!("another step is already named '{name}'")));
        }
    }
    tables.into_iter().enumerate().map(|(at, table)| check_step(at, table, &mut taken)).collect()
}

fn is_step_name(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-_".contains(&c);
    (1..=64).contains(&name.len()) && name.bytes().all(allowed) && name.as_bytes()[0].is_ascii_alphanumeric()
}

fn check_step(at: usize, table: StepTable, taken: &mut BTreeSet<String>) -> Result<StepSpec, Misfit> {
    let path = || key("steps").index(at);
    if !table.config.is_object() && !table.config.is_null() {
        return Err((path().name("config"), "a configuration is a table".into()));
    }
    let config_bytes = table.config.to_string().len();
    if config_bytes > CONFIG_BYTES_MAX {
        let why = format!("{config_bytes} bytes as JSON; a configuration has at most {CONFIG_BYTES_MAX}");
        return Err((path().name("config"), why));
    }
    let limits = check_limits(table.limits).map_err(|(name, why)| (path().name("limits").name(name), why))?;
    let name = table.name.unwrap_or_else(|| default_name(at, &table.module, taken));
    let StepTable { module, config, output, .. } = table;
    Ok(StepSpec { name, module, config, limits, output: output.into() })
}

/// The tag's name; where there is none or it is taken, the step's number.
fn default_name(at: usize, module: &ModuleRef, taken: &mut BTreeSet<String>) -> String {
    let tag = match module {
        ModuleRef::Tag(tag) => tag.as_str().split(':').next().map(str::to_owned),
        ModuleRef::Digest(_) => None,
    };
    let numbered = (at + 1..).map(|number| format!("step-{number}"));
    let free = tag.into_iter().chain(numbered).find(|name| taken.insert(name.clone()));
    free.expect("the numbers do not end before a free name is found")
}

/// The limits of a step; what the table leaves out has its default.
///
/// # Errors
/// The key whose value no step may have, and why.
pub(crate) fn check_limits(table: LimitsTable) -> Result<Limits, (&'static str, String)> {
    let (default, max) = (Limits::DEFAULT, Limits::MAX);
    let in_bounds = |name, wanted: Option<u64>, default: u64, max: u64| match wanted {
        None => Ok(default),
        Some(0) => Err((name, "0 leaves the module nothing; the least is 1".to_owned())),
        Some(value) if value > max => {
            Err((name, format!("{value} is more than the most a step may have, {max}")))
        }
        Some(value) => Ok(value),
    };
    let in_bounds_32 = |name, wanted, default: u32, max: u32| {
        let value = in_bounds(name, wanted, default.into(), max.into())?;
        Ok(u32::try_from(value).expect("it is at most `max`, which has 32 bits"))
    };
    let bytes = |count: Option<super::humane::ByteCount>| count.map(|count| count.0);
    let milliseconds = table.deadline_ms.map(|span| span.0);
    Ok(Limits {
        memory_bytes: in_bounds(
            "memory_bytes",
            bytes(table.memory_bytes),
            default.memory_bytes,
            max.memory_bytes,
        )?,
        fuel_per_event: in_bounds(
            "fuel_per_event",
            table.fuel_per_event,
            default.fuel_per_event,
            max.fuel_per_event,
        )?,
        messages_per_event: in_bounds_32(
            "messages_per_event",
            table.messages_per_event,
            default.messages_per_event,
            max.messages_per_event,
        )?,
        bytes_per_event: in_bounds(
            "bytes_per_event",
            bytes(table.bytes_per_event),
            default.bytes_per_event,
            max.bytes_per_event,
        )?,
        log_bytes_per_event: in_bounds_32(
            "log_bytes_per_event",
            bytes(table.log_bytes_per_event),
            default.log_bytes_per_event,
            max.log_bytes_per_event,
        )?,
        deadline_ms: in_bounds_32("deadline_ms", milliseconds, default.deadline_ms, max.deadline_ms)?,
    })
}

fn check_sink(table: SinkTable) -> Result<SinkSpec, Misfit> {
    let at = |name: &str| key("sink").name(name);
    at_most("patterns", table.allow.len(), PATTERNS_MAX).map_err(|why| (at("allow"), why))?;
    let own: SubjectPattern = "weir.>".parse().expect("a valid pattern");
    let judge = |path: KeyPath, pattern: &SubjectPattern| {
        if pattern.as_str().starts_with('$') || pattern.as_str().starts_with("_INBOX") {
            return Err((path, format!("'{pattern}' belongs to the server; choose another first token")));
        }
        if pattern.overlaps(&own) || pattern.as_str() == "weir" {
            let why = format!(
                "'{pattern}' takes in 'weir.>', where pipelines keep their own records; \
                 begin with a fixed token, such as 'clean.{{subject}}'"
            );
            return Err((path, why));
        }
        Ok(())
    };
    judge(at("subject"), &table.subject.pattern())?;
    for (index, pattern) in table.allow.iter().enumerate() {
        judge(at("allow").index(index), pattern)?;
    }
    let pack = check_pack(&table).map_err(|(name, why)| (at(name), why))?;
    Ok(SinkSpec { stream: table.stream, subject: table.subject, allow: table.allow, pack })
}

fn check_pack(table: &SinkTable) -> Result<Option<PackPlan>, (&'static str, String)> {
    let Some(format) = table.format else {
        let lone = [("pack_events", table.pack_events.is_some()), ("pack_bytes", table.pack_bytes.is_some())];
        return match lone.into_iter().find(|(_, is_there)| *is_there) {
            Some((name, _)) => Err((name, "only with 'format', which says how messages are packed".into())),
            None => Ok(None),
        };
    };
    let events = table.pack_events.unwrap_or(PACK_EVENTS);
    if !(1..=PACK_EVENTS_MAX).contains(&events) {
        return Err(("pack_events", format!("{events} is not a number from 1 to {PACK_EVENTS_MAX}")));
    }
    let bytes = table.pack_bytes.map_or(u64::from(PACK_BYTES), |count| count.0);
    match u32::try_from(bytes) {
        Ok(bytes) if bytes > 0 => Ok(Some(PackPlan { format: format.into(), events, bytes })),
        _ => Err(("pack_bytes", format!("{bytes} is not a number from 1 to {}", u32::MAX))),
    }
}

/// Whether the pipeline would read what it writes.
fn check_together(name: &PipelineName, source: &SourceSpec, sink: &SinkSpec) -> Result<(), Misfit> {
    let (path, read) = match &source.origin {
        Origin::Stream(stream) if *stream == sink.stream => {
            let why = format!("the source and the sink are both stream '{stream}': an endless loop");
            return Err((key("sink").name("stream"), why));
        }
        Origin::Stream(_) => ("subjects", source.subjects.as_slice()),
        Origin::Subject { pattern, .. } => ("subject", std::slice::from_ref(pattern)),
    };
    no_loop(name, read, sink).map_err(|why| (key("source").name(path), why))
}

/// Refuses a source that would read what the pipeline writes.
pub(super) fn no_loop(name: &PipelineName, read: &[SubjectPattern], sink: &SinkSpec) -> Result<(), String> {
    let mut written = vec![sink.subject.pattern(), own_pattern(name)];
    written.extend(sink.allow.iter().cloned());
    for source in read {
        if let Some(overlap) = written.iter().find(|pattern| pattern.overlaps(source)) {
            return Err(format!(
                "'{source}' overlaps '{overlap}', which the pipeline writes: an endless loop"
            ));
        }
    }
    Ok(())
}

fn at_most(what: &str, count: usize, max: usize) -> Result<(), String> {
    if count > max {
        return Err(format!("{count} {what} are more than the most there may be, {max}"));
    }
    Ok(())
}
