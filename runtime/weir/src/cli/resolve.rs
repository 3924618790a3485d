//! From a pipeline file, or a lock, to a plan: tags by files that are at hand or by a node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use api::dto::{Module, NodeInfo};
use bytes::Bytes;
use clap::Args;
use engine::EngineOptions;
use model::{Digest, Plan, TagName};

use super::Session;
use super::apply::{read, read_text};
use super::exit::{Ended, Exit};
use super::module_arg::ModuleArg;
use crate::spec::humane::ByteCount;
use crate::spec::{
    LOCK_FILE, Lock, ModuleRef, Origin, PipelineSpec, PlanChange, Resolution, landing_stream, plan_changes,
};

/// What a record may have where no server says so: what a NATS server takes by default.
const RECORD_BYTES_DEFAULT: u32 = 1 << 20;

/// A pipeline file, a lock, or both.
#[derive(Args, Clone, Debug)]
pub(crate) struct PlanFiles {
    /// The pipeline file, TOML or JSON; - reads standard input
    #[arg(required_unless_present = "locked")]
    pub(crate) file: Option<PathBuf>,
    /// Take exactly what this lock says [weir.lock if not named]; a pipeline file has to say the same
    #[arg(long, value_name = "LOCK", num_args = 0..=1, default_missing_value = LOCK_FILE)]
    pub(crate) locked: Option<PathBuf>,
}

/// Modules that are at hand as files.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ModuleFlags {
    /// Take a module from a file: for the tag NAME, or where its digest is pinned; repeat for more
    #[arg(long = "module", value_name = "[NAME=]FILE")]
    files: Vec<ModuleFile>,
}

/// What stands for what in a pipeline file.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ResolveFlags {
    #[command(flatten)]
    pub(crate) modules: ModuleFlags,
    /// The most bytes of one record [default: what the node's NATS server takes; without a node 1 MiB]
    #[arg(long, value_name = "SIZE")]
    record_bytes: Option<ByteCount>,
}

/// A file that holds a module, and the tag for which it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ModuleFile {
    tag: Option<TagName>,
    path: PathBuf,
}

impl FromStr for ModuleFile {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = text.split_once('=').and_then(|(name, path)| Some((name.parse().ok()?, path)));
        Ok(match named {
            Some((tag, path)) => Self { tag: Some(tag), path: path.into() },
            None => Self { tag: None, path: text.into() },
        })
    }
}

/// The modules of `--module`, read.
#[derive(Debug, Default)]
pub(crate) struct LocalModules {
    tags: BTreeMap<TagName, Digest>,
    modules: BTreeMap<Digest, Bytes>,
}

impl ModuleFlags {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or is larger than any module.
    pub(crate) fn read(&self) -> anyhow::Result<LocalModules> {
        let mut local = LocalModules::default();
        for ModuleFile { tag, path } in &self.files {
            let unusable =
                |why: String| Ended::new(Exit::Config, format!("--module {}: {why}", path.display()));
            let size = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?.len();
            let most = EngineOptions::DEFAULT.module_bytes_max as u64;
            if size > most {
                return Err(unusable(format!("{size} bytes; a module has at most {most}")).into());
            }
            let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let digest = Digest::of(&bytes);
            local.modules.insert(digest, bytes.into());
            if let Some(tag) = tag
                && local.tags.insert(tag.clone(), digest).is_some_and(|other| other != digest)
            {
                return Err(Ended::new(Exit::Usage, format!("--module names {tag} twice")).into());
            }
        }
        Ok(local)
    }
}

impl ResolveFlags {
    /// What was said about the size of records, within what a plan can hold.
    fn record_bytes(&self) -> anyhow::Result<Option<u32>> {
        let Some(ByteCount(bytes)) = self.record_bytes else { return Ok(None) };
        match u32::try_from(bytes) {
            Ok(bytes) if bytes >= 4096 => Ok(Some(bytes)),
            _ => Err(Ended::new(Exit::Usage, "--record-bytes has to be from 4 KiB to below 4 GiB").into()),
        }
    }
}

impl LocalModules {
    /// The bytes of a module.
    pub(crate) fn get(&self, digest: Digest) -> Option<&Bytes> {
        self.modules.get(&digest)
    }

    /// Whether every module of the pipeline is here.
    pub(crate) fn suffice(&self, spec: &PipelineSpec) -> bool {
        spec.steps.iter().all(|step| match &step.module {
            ModuleRef::Tag(tag) => self.tags.contains_key(tag),
            ModuleRef::Digest(digest) => self.modules.contains_key(digest),
        })
    }
}

/// Resolves a pipeline file to its plan. Tags that no file stands for are asked of the node, and so is the
/// size of records if there is a node.
///
/// # Errors
/// When a tag stands for nothing, or the node cannot be asked.
pub(crate) fn resolve(
    spec: &PipelineSpec,
    flags: &ResolveFlags,
    local: &LocalModules,
    session: Option<&Session>,
) -> anyhow::Result<Plan> {
    let mut tags = BTreeMap::new();
    for tag in spec.tags() {
        let digest = match (local.tags.get(tag), session) {
            (Some(digest), _) => *digest,
            (None, Some(session)) => session.digest(&ModuleArg::Whole(ModuleRef::Tag(tag.clone())))?,
            (None, None) => {
                let message =
                    format!("no file stands for the tag {tag}: give --module {tag}=FILE, or a node");
                return Err(Ended::new(Exit::Config, message).into());
            }
        };
        tags.insert(tag.clone(), digest);
    }
    let record_bytes = match (flags.record_bytes()?, session) {
        (Some(bytes), _) => bytes,
        (None, None) => RECORD_BYTES_DEFAULT,
        (None, Some(session)) => session.info()?.record_bytes.ok_or_else(|| {
            Ended::new(
                Exit::Failed,
                "the node is not connected to NATS, and so does not know how large a record may be",
            )
        })?,
    };
    Ok(spec.resolve(&resolution(spec, tags, record_bytes))?)
}

/// The size in bytes of every module of a plan.
///
/// # Errors
/// When the node does not have one that is not here.
pub(crate) fn sizes(
    plan: &Plan,
    local: &LocalModules,
    session: Option<&Session>,
) -> anyhow::Result<BTreeMap<Digest, u64>> {
    let mut sizes = BTreeMap::new();
    for digest in plan.modules() {
        let size = match (local.get(digest), session) {
            (Some(bytes), _) => bytes.len() as u64,
            (None, Some(session)) => {
                session.client.get(&format!("/v1/modules/{digest}"))?.read::<Module>()?.size_bytes
            }
            (None, None) => {
                let message = format!("module {digest} is not here: give --module FILE, or a node");
                return Err(Ended::new(Exit::Config, message).into());
            }
        };
        sizes.insert(digest, size);
    }
    Ok(sizes)
}

/// Reads a lock.
///
/// # Errors
/// When the file cannot be read or is no lock.
pub(crate) fn read_lock(path: &Path) -> anyhow::Result<Lock> {
    let (text, name) = read_text(path)?;
    Ok(Lock::parse(&text, &name)?)
}

/// Checks that a pipeline file still says what the lock holds.
///
/// # Errors
/// With [`Exit::Difference`] and all that differs.
pub(crate) fn check_lock(lock: &Lock, lock_path: &Path, file: &Path) -> anyhow::Result<()> {
    let spec = read(file)?;
    let tags = lock.tags();
    if let Some(tag) = spec.tags().into_iter().find(|tag| !tags.contains_key(*tag)) {
        let message =
            format!("{} names the tag {tag}, which {} does not", file.display(), lock_path.display());
        return Err(Ended::new(Exit::Difference, format!("{message}: lock it again")).into());
    }
    let plan = spec.resolve(&resolution(&spec, tags, lock.plan.sink.record_bytes))?;
    let what = format!("{} is not what {} holds", file.display(), lock_path.display());
    refuse_changes(&what, &plan_changes(&lock.plan, &plan))?;
    if !lock.has_source_of(&spec) {
        let message = format!("{what}: [source] has another start, subject or age; lock it again");
        return Err(Ended::new(Exit::Difference, message).into());
    }
    Ok(())
}

/// Ends with [`Exit::Difference`] if anything changed.
pub(crate) fn refuse_changes(what: &str, changes: &[PlanChange]) -> anyhow::Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = changes.iter().map(|change| format!("\n  {change}")).collect();
    Err(Ended::new(Exit::Difference, format!("{what}:{}", lines.concat())).into())
}

fn resolution(spec: &PipelineSpec, tags: BTreeMap<TagName, Digest>, record_bytes: u32) -> Resolution {
    let source_stream = match &spec.source.origin {
        Origin::Stream(stream) => stream.clone(),
        Origin::Subject { .. } => landing_stream(&spec.name),
    };
    Resolution { tags, source_stream, source_subjects: vec![], record_bytes }
}

impl Session {
    /// The bytes of a module, which are those of its digest.
    ///
    /// # Errors
    /// When the node does not have it, or gives something else.
    pub(crate) fn module_bytes(&self, digest: Digest) -> anyhow::Result<Bytes> {
        let most = EngineOptions::DEFAULT.module_bytes_max as u64;
        let bytes = self.client.get_bytes(&format!("/v1/modules/{digest}/content"), most)?;
        let found = Digest::of(&bytes);
        if found != digest {
            anyhow::bail!("the node gave {found} for module {digest}");
        }
        Ok(bytes.into())
    }

    /// What the node is.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub(crate) fn info(&self) -> anyhow::Result<NodeInfo> {
        Ok(self.client.get("/v1/node")?.read()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_file_may_be_named_for_a_tag() {
        let parse = |text: &str| text.parse::<ModuleFile>().expect("every text is one");
        let tag = |name: &str| Some(name.parse().expect("a tag"));
        assert_eq!(parse("mask:1=a.wasm"), ModuleFile { tag: tag("mask:1"), path: "a.wasm".into() });
        assert_eq!(parse("./a=b.wasm"), ModuleFile { tag: None, path: "./a=b.wasm".into() });
        assert_eq!(parse("a.wasm"), ModuleFile { tag: None, path: "a.wasm".into() });
    }
}
