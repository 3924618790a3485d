//! What people asked for, in the shared state: pipelines as they were applied, and tags.

use api::dto::{Applied, AppliedHow};
use api::{Caller, Code, NodeError, Preconditions};
use broker::StateBucket;
use model::{Digest, PipelineName, Plan, TagName};
use pipeline::Desired;
use serde::{Deserialize, Serialize};

use super::errors::state_error;

/// The keys of pipelines begin so.
pub(crate) const PIPELINES: &str = "pipeline";
const TAGS: &str = "tag";
/// How often a change is tried again that somebody else was quicker with.
const TRIES: u32 = 8;
/// So many applications of a pipeline are remembered, so that its entry stays small.
const HISTORY_MAX: usize = 256;

/// A pipeline as it was applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Application {
    /// Counts the applications that changed something.
    pub(crate) generation: u64,
    /// The pipeline file's text.
    pub(crate) spec: String,
    /// What it was resolved to.
    pub(crate) plan: Plan,
    /// Where the chain begins in the source, should it not exist yet.
    pub(crate) start_sequence: u64,
    /// Whether it is to rest.
    pub(crate) paused: bool,
    /// Changes when a person asks to try again.
    pub(crate) attempt: u64,
    /// When it was applied, in RFC 3339.
    pub(crate) applied: String,
    /// The first sequence that the plan is to govern, if it matters.
    #[serde(default)]
    pub(crate) at: Option<u64>,
    /// Who applied what, oldest first; the last of them only.
    #[serde(default)]
    pub(crate) history: Vec<HistoryEntry>,
}

/// One application of a pipeline, as people know it. None of it is in the chain, since it does not decide
/// what a record is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HistoryEntry {
    /// Which one.
    pub(crate) generation: u64,
    /// Who, when and how.
    #[serde(flatten)]
    pub(crate) applied: Applied,
}

impl Application {
    /// What a pipeline has to know of it.
    pub(crate) fn desired(&self) -> Desired {
        Desired {
            generation: self.generation,
            plan: self.plan.clone(),
            start_sequence: self.start_sequence,
            paused: self.paused,
            attempt: self.attempt,
            at: self.at,
        }
    }

    /// The next application of the same pipeline: another plan, by somebody, now.
    pub(crate) fn next(
        mut self,
        generation: u64,
        plan: Plan,
        at: Option<u64>,
        how: AppliedHow,
        caller: &Caller,
    ) -> Self {
        let mut history = std::mem::take(&mut self.history);
        if history.len() >= HISTORY_MAX {
            history.drain(..=history.len() - HISTORY_MAX);
        }
        let applied = Applied { how, by: caller.0.clone(), time: jiff::Timestamp::now().to_string() };
        let time = applied.time.clone();
        history.push(HistoryEntry { generation, applied });
        Self { generation, plan, at, applied: time, history, ..self }
    }

    /// Who carried out the application of this generation, if it is still known.
    pub(crate) fn applied_by(&self, generation: u64) -> Option<Applied> {
        let found = self.history.iter().find(|entry| entry.generation == generation)?;
        Some(found.applied.clone())
    }

    /// Reads the value of a key.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(value: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(value)
    }
}

#[derive(Serialize, Deserialize)]
struct TagValue {
    digest: Digest,
}

/// Typed access to the shared state.
pub(crate) struct Catalog<'a>(pub(crate) &'a StateBucket);

impl Catalog<'_> {
    /// A pipeline, with the revision of its key.
    pub(crate) async fn pipeline(
        &self,
        name: &PipelineName,
    ) -> Result<Option<(Application, u64)>, NodeError> {
        let Some((value, revision)) =
            self.0.get(&pipeline_key(name)).await.map_err(|error| state_error(&error))?
        else {
            return Ok(None);
        };
        let application = Application::parse(&value).map_err(NodeError::internal)?;
        Ok(Some((application, revision)))
    }

    /// All pipelines, sorted by name.
    pub(crate) async fn pipelines(&self) -> Result<Vec<(PipelineName, Application)>, NodeError> {
        let mut all = Vec::new();
        for key in self.0.keys(PIPELINES).await.map_err(|error| state_error(&error))? {
            let Some(name) = pipeline_name(&key) else { continue };
            if let Some((application, _)) = self.pipeline(&name).await? {
                all.push((name, application));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    /// Writes a pipeline whose key still has this revision; `None` stands for one that is not there.
    pub(crate) async fn put_pipeline(
        &self,
        name: &PipelineName,
        application: &Application,
        revision: Option<u64>,
    ) -> Result<(), NodeError> {
        let value = serde_json::to_vec(application).map_err(NodeError::internal)?;
        let key = pipeline_key(name);
        let written = match revision {
            Some(revision) => self.0.update(&key, value, revision).await,
            None => self.0.create(&key, value).await,
        };
        written.map(|_| ()).map_err(|error| state_error(&error))
    }

    /// Changes a pipeline, whoever else does so at the same time.
    pub(crate) async fn change_pipeline(
        &self,
        name: &PipelineName,
        change: impl Fn(&mut Application),
    ) -> Result<(), NodeError> {
        for _ in 0..TRIES {
            let (mut application, revision) = self.pipeline(name).await?.ok_or_else(|| no_pipeline(name))?;
            change(&mut application);
            match self.put_pipeline(name, &application, Some(revision)).await {
                Err(error) if error.code() == Code::PreconditionFailed => {}
                written => return written,
            }
        }
        Err(NodeError::new(
            Code::Overloaded,
            format!("pipeline '{name}' is changed by too many at once: try again"),
        ))
    }

    /// Takes a pipeline away.
    pub(crate) async fn delete_pipeline(&self, name: &PipelineName) -> Result<(), NodeError> {
        self.0.delete(&pipeline_key(name)).await.map_err(|error| state_error(&error))
    }

    /// A tag, with its revision.
    pub(crate) async fn tag(&self, name: &TagName) -> Result<Option<(Digest, u64)>, NodeError> {
        let Some((value, revision)) =
            self.0.get(&tag_key(name)).await.map_err(|error| state_error(&error))?
        else {
            return Ok(None);
        };
        let value: TagValue = serde_json::from_slice(&value).map_err(NodeError::internal)?;
        Ok(Some((value.digest, revision)))
    }

    /// All tags, sorted by name.
    pub(crate) async fn tags(&self) -> Result<Vec<(TagName, Digest, u64)>, NodeError> {
        let mut all = Vec::new();
        for key in self.0.keys(TAGS).await.map_err(|error| state_error(&error))? {
            let Some(name) = tag_name(&key) else { continue };
            if let Some((digest, revision)) = self.tag(&name).await? {
                all.push((name, digest, revision));
            }
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all)
    }

    /// Sets a tag, if its revision is as the conditions say. Gives the new revision, and whether it was
    /// there.
    pub(crate) async fn put_tag(
        &self,
        name: &TagName,
        digest: Digest,
        conditions: &Preconditions,
    ) -> Result<(u64, bool), NodeError> {
        let current = self.tag(name).await?.map(|(_, revision)| revision);
        conditions.check(current)?;
        let value = serde_json::to_vec(&TagValue { digest }).map_err(NodeError::internal)?;
        let written = match current {
            Some(revision) => self.0.update(&tag_key(name), value, revision).await,
            None => self.0.create(&tag_key(name), value).await,
        };
        Ok((written.map_err(|error| state_error(&error))?, current.is_some()))
    }

    /// Takes a tag away, if its revision is as the conditions say.
    pub(crate) async fn delete_tag(
        &self,
        name: &TagName,
        conditions: &Preconditions,
    ) -> Result<(), NodeError> {
        let Some((_, revision)) = self.tag(name).await? else { return Err(no_tag(name)) };
        conditions.check(Some(revision))?;
        self.0.delete(&tag_key(name)).await.map_err(|error| state_error(&error))
    }
}

/// The error for a pipeline that is not there.
pub(crate) fn no_pipeline(name: &PipelineName) -> NodeError {
    NodeError::new(
        Code::PipelineNotFound,
        format!("there is no pipeline '{name}'; `weir pipelines` lists those there are"),
    )
}

/// The error for a tag that is not there.
pub(crate) fn no_tag(name: &TagName) -> NodeError {
    NodeError::new(Code::TagNotFound, format!("there is no tag '{name}'; `weir tag` lists those there are"))
}

/// The pipeline whose key this is.
pub(crate) fn pipeline_name(key: &str) -> Option<PipelineName> {
    key.strip_prefix(PIPELINES)?.strip_prefix('.')?.parse().ok()
}

fn pipeline_key(name: &PipelineName) -> String {
    format!("{PIPELINES}.{name}")
}

/// Keys take no colon, and tags no equals sign.
fn tag_key(name: &TagName) -> String {
    format!("{TAGS}.{}", name.as_str().replace(':', "="))
}

fn tag_name(key: &str) -> Option<TagName> {
    key.strip_prefix(TAGS)?.strip_prefix('.')?.replace('=', ":").parse().ok()
}
