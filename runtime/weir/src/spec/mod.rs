//! The pipeline file: from its text to a specification that is known to make sense, and with the tags
//! resolved, to a plan. What reads its text, [`Document`], reads the other files that people write as well.
//!
//! Everything that can be judged without a broker is judged in [`PipelineSpec::parse`]; every error names
//! file, line, column and key. What needs a broker (which digest a tag stands for, which stream holds the
//! events, how large a record may be) comes in as a [`Resolution`]. Nothing here does I/O.

mod attestation;
mod check;
mod document;
pub(crate) mod file;
pub(crate) mod humane;
mod lock;
mod plan_diff;
mod suggest;
pub(crate) mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::plan::PLAN_VERSION;
use model::{
    CommandOutput, Digest, Limits, OnGuestFault, PackPlan, Packing, PipelineName, Plan, SinkPlan, SourcePlan,
    StepPlan, StreamName, SubjectPattern, SubjectTemplate, TagName,
};

pub(crate) use attestation::{Attested, AttestedRevision, PublicKey, SigningKey};
pub(crate) use check::{CONFIG_BYTES_MAX, check_limits};
pub(crate) use document::{Document, KeyPath, SpecError, SpecErrorKind, TEXT_BYTES_MAX};
pub(crate) use file::{LimitsTable, ModuleRef, Start, schema_text};
pub(crate) use lock::{LOCK_FILE, Lock};
pub(crate) use plan_diff::{PlanChange, plan_changes, value_changes};
pub(crate) use suggest::nearest;

/// A pipeline as its file says it, valid in itself.
#[derive(Clone, Debug)]
pub(crate) struct PipelineSpec {
    /// The pipeline's name.
    pub(crate) name: PipelineName,
    /// How many source sequences make a block.
    pub(crate) block: u32,
    /// What a guest fault does.
    pub(crate) on_guest_fault: OnGuestFault,
    /// Where events come from.
    pub(crate) source: SourceSpec,
    /// What they go through; at least one.
    pub(crate) steps: Vec<StepSpec>,
    /// Where messages go.
    pub(crate) sink: SinkSpec,
    document: Document,
}

/// Where events come from.
#[derive(Clone, Debug)]
pub(crate) struct SourceSpec {
    /// The stream, or what has to be landed in one.
    pub(crate) origin: Origin,
    /// Which subjects of the stream are read; none means all.
    pub(crate) subjects: Vec<SubjectPattern>,
    /// How many events lie in one message; none where each message is one.
    pub(crate) format: Option<Packing>,
    /// Where a new pipeline starts.
    pub(crate) start: Start,
}

/// What a source is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A stream that exists.
    Stream(StreamName),
    /// A core NATS subject, which Weir lands in a stream of its own.
    Subject {
        /// What to land.
        pattern: SubjectPattern,
        /// How long the landed events are kept; `None` is for ever.
        max_age: Option<Duration>,
    },
}

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct StepSpec {
    /// Its name, unique in the pipeline.
    pub(crate) name: String,
    /// Its module.
    pub(crate) module: ModuleRef,
    /// Its configuration: an object, or null for none.
    pub(crate) config: serde_json::Value,
    /// What bounds it.
    pub(crate) limits: Limits,
    /// What the standard output of a command comes to.
    pub(crate) output: CommandOutput,
}

/// Where messages go.
#[derive(Clone, Debug)]
pub(crate) struct SinkSpec {
    /// The output stream.
    pub(crate) stream: StreamName,
    /// The subject of a message that names none.
    pub(crate) subject: SubjectTemplate,
    /// The subjects that modules may set.
    pub(crate) allow: Vec<SubjectPattern>,
    /// How messages are packed; none where each is a record.
    pub(crate) pack: Option<PackPlan>,
}

/// Reads a table of TOML or JSON alone, such as the configuration of a module.
///
/// # Errors
/// When the text is neither, or holds what modules cannot be given.
pub(crate) fn parse_table(text: &str, file_name: &str) -> Result<serde_json::Value, SpecError> {
    Document::new(text, file_name).read()
}

/// What only the broker knows and a plan has to say.
#[derive(Clone, Debug)]
pub(crate) struct Resolution {
    /// What each of [`PipelineSpec::tags`] stands for now.
    pub(crate) tags: BTreeMap<TagName, Digest>,
    /// The stream that holds the events: the source's own, or the one that Weir landed its subject in.
    pub(crate) source_stream: StreamName,
    /// The subjects that this stream listens to, where they are known.
    pub(crate) source_subjects: Vec<SubjectPattern>,
    /// The most bytes that one record may have.
    pub(crate) record_bytes: u32,
}

impl PipelineSpec {
    /// Reads a pipeline file, TOML or JSON.
    ///
    /// # Errors
    /// The first thing that is wrong in it, with its place.
    pub(crate) fn parse(text: &str, file_name: &str) -> Result<Self, SpecError> {
        let document = Document::new(text, file_name);
        let file = document.read()?;
        check::check(file, document)
    }

    /// The text that was parsed.
    pub(crate) fn text(&self) -> &str {
        self.document.text()
    }

    /// The tags that have to be resolved, each once.
    pub(crate) fn tags(&self) -> BTreeSet<&TagName> {
        let modules = self.steps.iter().map(|step| &step.module);
        modules.filter_map(|module| if let ModuleRef::Tag(tag) = module { Some(tag) } else { None }).collect()
    }

    /// The plan: every tag resolved, every default filled in.
    ///
    /// # Errors
    /// When a tag stands for nothing, the source's stream is the sink's, or what the source listens to
    /// overlaps what the sink holds.
    pub(crate) fn resolve(&self, resolution: &Resolution) -> Result<Plan, SpecError> {
        let source_path = KeyPath::root().name("source");
        if resolution.source_stream == self.sink.stream {
            let message = format!("the events' stream '{}' is also the sink's", self.sink.stream);
            return Err(self.document.error(&source_path, &message).of_loop());
        }
        check::no_loop(&self.name, &resolution.source_subjects, &self.sink)
            .map_err(|message| self.document.error(&source_path, &message).of_loop())?;
        Ok(Plan {
            version: PLAN_VERSION,
            pipeline: self.name.clone(),
            source: SourcePlan {
                stream: resolution.source_stream.clone(),
                subjects: self.source.subjects.clone(),
                format: self.source.format,
            },
            steps: self.resolve_steps(&resolution.tags)?,
            sink: SinkPlan {
                stream: self.sink.stream.clone(),
                subject: self.sink.subject.clone(),
                allow: self.sink.allow.clone(),
                record_bytes: resolution.record_bytes,
                pack: self.sink.pack,
            },
            block: self.block,
            on_guest_fault: self.on_guest_fault,
        })
    }

    fn resolve_steps(&self, tags: &BTreeMap<TagName, Digest>) -> Result<Vec<StepPlan>, SpecError> {
        let resolve = |(at, step): (usize, &StepSpec)| {
            let module = match &step.module {
                ModuleRef::Digest(digest) => *digest,
                ModuleRef::Tag(tag) => *tags.get(tag).ok_or_else(|| {
                    let path = KeyPath::root().name("steps").index(at).name("module");
                    let message = format!("no tag '{tag}'; push the module with --tag {tag} first");
                    self.document.error(&path, &message)
                })?,
            };
            let (name, config) = (step.name.clone(), step.config.clone());
            Ok(StepPlan { name, module, config, limits: step.limits, output: step.output })
        };
        self.steps.iter().enumerate().map(resolve).collect()
    }
}

/// The stream in which the core subject of a pipeline lands.
pub(crate) fn landing_stream(name: &PipelineName) -> StreamName {
    format!("WEIR_IN_{name}").parse().expect("a pipeline's name is also good within a stream's")
}

#[cfg(test)]
mod tests;
