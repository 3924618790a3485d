//! `weir.lock`: a plan written out for people and git, with what is needed to run it nowhere but there.
//!
//! The same pipeline, tags and limits give the same text, byte for byte. The digest of the plan stands in it
//! and is made again when it is read, so a lock that somebody edited is refused. The engine's fingerprint
//! stands in it too, but is no part of the plan: another engine is allowed, and said.

use std::collections::BTreeMap;

use model::{
    CommandOutput, Digest, Limits, OnGuestFault, Packing, PipelineName, Plan, SinkPlan, SourcePlan, StepPlan,
    StreamName, SubjectPattern, TagName,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::document::{Document, KeyPath, SpecError};
use super::file::{ModuleRef, Start};
use super::humane::TimeSpan;
use super::{Origin, PipelineSpec};

/// The name of a lock that is not called otherwise.
pub(crate) const LOCK_FILE: &str = "weir.lock";

const LOCK_VERSION: u32 = 1;
const HEAD: &str = "\
# What `weir lock` made of a pipeline file. `weir apply --locked` and `weir run --locked` take exactly this.
# Not to be edited: change the pipeline file, and lock it again.

";

/// A plan with all that is needed to apply it or to run it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lock {
    /// The plan.
    pub(crate) plan: Plan,
    /// The engine that was at hand when it was locked.
    pub(crate) engine: String,
    origin: Origin,
    start: Start,
    /// For each step, how the file names the module, and the module's size.
    modules: Vec<(ModuleRef, u64)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    version: u32,
    plan: Digest,
    engine: String,
    pipeline: PipelineName,
    block: u32,
    on_guest_fault: OnGuestFault,
    source: LockedSource,
    steps: Vec<LockedStep>,
    sink: SinkPlan,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedSource {
    stream: StreamName,
    /// The core subject that is landed in that stream.
    subject: Option<SubjectPattern>,
    max_age: Option<TimeSpan>,
    subjects: Vec<SubjectPattern>,
    format: Option<Packing>,
    start: Start,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedStep {
    name: String,
    tag: Option<TagName>,
    module: Digest,
    size_bytes: u64,
    config_digest: Option<Digest>,
    /// JSON, laid out so that a change of one value is a change of one line.
    config: Option<String>,
    /// Only where it is not the default.
    output: Option<CommandOutput>,
    limits: Limits,
}

impl Lock {
    /// The lock of a pipeline that was resolved to `plan`; `sizes` has the size in bytes of every module.
    pub(crate) fn new(
        spec: &PipelineSpec,
        plan: Plan,
        sizes: &BTreeMap<Digest, u64>,
        engine: String,
    ) -> Self {
        let named = spec.steps.iter().map(|step| step.module.clone());
        let sized = plan.modules().map(|module| sizes.get(&module).copied().unwrap_or_default());
        let modules = named.zip(sized).collect();
        Self { plan, engine, origin: spec.source.origin.clone(), start: spec.source.start, modules }
    }

    /// Reads a lock.
    ///
    /// # Errors
    /// When the text is no lock, or is not what its digests say.
    pub(crate) fn parse(text: &str, file_name: &str) -> Result<Self, SpecError> {
        let document = Document::new(text, file_name);
        let file: LockFile = document.read().map_err(|error| not_a_lock(&document, text, error))?;
        let root = KeyPath::root;
        if file.version != LOCK_VERSION {
            let why = format!("version {}, and this Weir knows version {LOCK_VERSION}", file.version);
            return Err(document.error(&root().name("version"), &why));
        }
        let named = file.plan;
        let steps = file.steps.into_iter().enumerate().map(|(at, step)| {
            step.read().map_err(|why| document.error(&root().name("steps").index(at).name("config"), &why))
        });
        let steps: Vec<(StepPlan, (ModuleRef, u64))> = steps.collect::<Result<_, _>>()?;
        let (steps, modules) = steps.into_iter().unzip();
        let LockedSource { stream, subject, max_age, subjects, format, start } = file.source;
        let origin = match subject {
            Some(pattern) => Origin::Subject { pattern, max_age: max_age.map(|span| span.0) },
            None => Origin::Stream(stream.clone()),
        };
        let plan = Plan {
            version: model::plan::PLAN_VERSION,
            pipeline: file.pipeline,
            source: SourcePlan { stream, subjects, format },
            steps,
            sink: file.sink,
            block: file.block,
            on_guest_fault: file.on_guest_fault,
        };
        let found = plan.digest();
        if found != named {
            let why = format!("the lock was edited: it makes plan {found}; lock the pipeline file again");
            return Err(document.error(&root().name("plan"), &why));
        }
        let lock = Self { plan, engine: file.engine, origin, start, modules };
        // What a pipeline file may not say, a lock may not either.
        PipelineSpec::parse(&lock.pipeline_file(), file_name).map(|_| lock)
    }

    /// The text of the lock.
    pub(crate) fn text(&self) -> String {
        let (subject, max_age) = match &self.origin {
            Origin::Stream(_) => (None, None),
            Origin::Subject { pattern, max_age } => (Some(pattern.clone()), max_age.map(TimeSpan)),
        };
        let file = LockFile {
            version: LOCK_VERSION,
            plan: self.plan.digest(),
            engine: self.engine.clone(),
            pipeline: self.plan.pipeline.clone(),
            block: self.plan.block,
            on_guest_fault: self.plan.on_guest_fault,
            source: LockedSource {
                stream: self.plan.source.stream.clone(),
                subject,
                max_age,
                subjects: self.plan.source.subjects.clone(),
                format: self.plan.source.format,
                start: self.start,
            },
            steps: self.plan.steps.iter().zip(&self.modules).map(LockedStep::new).collect(),
            sink: self.plan.sink.clone(),
        };
        let text = toml::to_string_pretty(&file).expect("a lock has only what TOML can say");
        format!("{HEAD}{text}")
    }

    /// Where a new pipeline starts in its source.
    pub(crate) fn start(&self) -> Start {
        self.start
    }

    /// Whether a pipeline file names the same source and start, as far as the plan does not say it.
    pub(crate) fn has_source_of(&self, spec: &PipelineSpec) -> bool {
        self.origin == spec.source.origin && self.start == spec.source.start
    }

    /// What each tag stood for.
    pub(crate) fn tags(&self) -> BTreeMap<TagName, Digest> {
        let steps = self.modules.iter().zip(self.plan.modules());
        steps
            .filter_map(|((named, _), digest)| match named {
                ModuleRef::Tag(tag) => Some((tag.clone(), digest)),
                ModuleRef::Digest(_) => None,
            })
            .collect()
    }

    /// The pipeline file that gives this plan, every module pinned by its digest, as JSON.
    pub(crate) fn pipeline_file(&self) -> String {
        let plan = &self.plan;
        let step = |step: &StepPlan| {
            let mut table = json!({ "name": step.name, "module": step.module, "limits": step.limits });
            if !step.config.is_null() {
                table["config"] = step.config.clone();
            }
            if step.output != CommandOutput::default() {
                table["output"] = json!(step.output);
            }
            table
        };
        let mut source = match &self.origin {
            Origin::Stream(stream) => json!({ "stream": stream, "subjects": plan.source.subjects }),
            Origin::Subject { pattern, max_age } => {
                json!({ "subject": pattern, "max_age": max_age.map(TimeSpan) })
            }
        };
        source["start"] = json!(self.start);
        source["format"] = json!(plan.source.format);
        let (stream, subject) = (&plan.sink.stream, &plan.sink.subject);
        let pack = plan.sink.pack;
        let file = json!({
            "name": plan.pipeline,
            "block": plan.block,
            "on_guest_fault": plan.on_guest_fault,
            "source": source,
            "steps": plan.steps.iter().map(step).collect::<Vec<Value>>(),
            "sink": {
                "stream": stream,
                "subject": subject,
                "allow": plan.sink.allow,
                "format": pack.map(|pack| pack.format),
                "pack_events": pack.map(|pack| pack.events),
                "pack_bytes": pack.map(|pack| pack.bytes),
            },
        });
        format!("{file:#}\n")
    }
}

impl LockedStep {
    fn new((step, (named, size_bytes)): (&StepPlan, &(ModuleRef, u64))) -> Self {
        let config = (!step.config.is_null()).then(|| format!("{:#}\n", step.config));
        Self {
            name: step.name.clone(),
            tag: if let ModuleRef::Tag(tag) = named { Some(tag.clone()) } else { None },
            module: step.module,
            size_bytes: *size_bytes,
            config_digest: config.is_some().then(|| Digest::of(&step.config_bytes())),
            config,
            output: Some(step.output).filter(|output| *output != CommandOutput::default()),
            limits: step.limits,
        }
    }

    fn read(self) -> Result<(StepPlan, (ModuleRef, u64)), String> {
        let config: Value = match &self.config {
            Some(text) => serde_json::from_str(text).map_err(|error| format!("this is not JSON: {error}"))?,
            None => Value::Null,
        };
        let Self { name, tag, module, size_bytes, config_digest, output, limits, .. } = self;
        let step = StepPlan { name, module, config, limits, output: output.unwrap_or_default() };
        let found = self.config.is_some().then(|| Digest::of(&step.config_bytes()));
        if found != config_digest {
            return Err("the lock was edited: config_digest is another; lock the pipeline file again".into());
        }
        Ok((step, (tag.map_or(ModuleRef::Digest(module), ModuleRef::Tag), size_bytes)))
    }
}

/// Whoever gives a pipeline file where a lock is wanted hears so.
fn not_a_lock(document: &Document, text: &str, error: SpecError) -> SpecError {
    let head = text.lines().map(str::trim_start).take_while(|line| !line.starts_with('['));
    if head.into_iter().any(|line| line.starts_with("name")) {
        let why = "this is a pipeline file, not a lock: `weir lock` makes a lock of it";
        return document.error(&KeyPath::root(), why);
    }
    error
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::spec::Resolution;

    const FILE: &str = "name = 'p'\nblock = 16\n[source]\nstream = 'IN'\nsubjects = ['in.>']\n\
        start = { sequence = 7 }\n[[steps]]\nmodule = 'mask:1'\n[steps.config]\nkey = \"it's '''odd'''\"\n\
        rates = [1.5, 2]\n[[steps]]\nmodule = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'\n\
        [sink]\nstream = 'OUT'\nsubject = 'out.{subject}'\n";

    /// A lock, for other tests.
    pub(crate) fn lock() -> Lock {
        lock_of(FILE)
    }

    fn lock_of(text: &str) -> Lock {
        let spec = PipelineSpec::parse(text, "p.toml").expect("a pipeline file");
        let source_stream = match &spec.source.origin {
            Origin::Stream(stream) => stream.clone(),
            Origin::Subject { .. } => "WEIR_IN_p".parse().expect("a name"),
        };
        let tags = spec.tags().into_iter().map(|tag| (tag.clone(), Digest::of(b"mask"))).collect();
        let resolution = Resolution { tags, source_stream, source_subjects: vec![], record_bytes: 1 << 20 };
        let plan = spec.resolve(&resolution).expect("it resolves");
        let sizes = plan.modules().map(|module| (module, 4)).collect();
        Lock::new(&spec, plan, &sizes, "engine-1".into())
    }

    #[test]
    fn what_is_locked_reads_back_and_gives_the_same_text() {
        let landed = FILE.replace("stream = 'IN'\nsubjects = ['in.>']", "subject = 'a.>'\nmax_age = '7d'");
        let lines = FILE.replace("module = 'mask:1'", "module = 'mask:1'\noutput = 'lines'");
        for text in [FILE, &landed, &lines] {
            let lock = lock_of(text);
            let again = Lock::parse(&lock.text(), "weir.lock").expect("a lock");
            assert_eq!(again, lock);
            assert_eq!(again.text(), lock.text());
        }
    }

    #[test]
    fn the_pipeline_file_of_a_lock_gives_its_plan() {
        let lock = lock_of(FILE);
        let spec = PipelineSpec::parse(&lock.pipeline_file(), "lock").expect("a pipeline file");
        let (source_stream, record_bytes) = (lock.plan.source.stream.clone(), 1 << 20);
        let tags = BTreeMap::new();
        let resolution = Resolution { tags, source_stream, source_subjects: vec![], record_bytes };
        assert_eq!(spec.resolve(&resolution).expect("it resolves"), lock.plan);
    }

    #[test]
    fn a_lock_that_was_edited_is_refused_and_says_where() {
        let text = lock_of(FILE).text();
        for (from, to, says) in [
            ("block = 16", "block = 32", "weir.lock:5:8: plan: the lock was edited"),
            ("1.5", "1.25", "steps[0].config: the lock was edited"),
            ("version = 1", "version = 2", "version: version 2"),
            ("fuel_per_event", "fuel", "unknown key"),
        ] {
            assert!(text.contains(from), "{from} in {text}");
            let error = Lock::parse(&text.replacen(from, to, 1), "weir.lock").expect_err(to).to_string();
            assert!(error.contains(says), "{error}");
        }
        let error = Lock::parse(FILE, "p.toml").expect_err("no lock").to_string();
        assert!(error.contains("this is a pipeline file"), "{error}");
    }
}
