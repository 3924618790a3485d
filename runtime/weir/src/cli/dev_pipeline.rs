//! The pipeline of `weir dev`: the file that it makes, and its output as it comes.

use api::dto::{OutputTrace, PipelineStatus};
use model::{PipelineName, StreamName, TagName};
use serde_json::{Value, json};

use super::{Session, output};
use crate::project::ProjectName;
use crate::project::samples::shown;

/// So many records are shown at each look; there is no point in more.
const SHOWN_MAX: u64 = 20;

/// What the pipeline of a project is called.
///
/// # Errors
/// When the project's name is too long for it.
pub(crate) fn name(project: &ProjectName) -> anyhow::Result<PipelineName> {
    let name = format!("dev-{}", project.as_str()).parse();
    name.map_err(|error| anyhow::anyhow!("the name of the project is too long for `weir dev`: {error}"))
}

/// The pipeline's file, as JSON.
pub(crate) fn file(project: &ProjectName, tag: &TagName, config: &Value) -> String {
    let project = project.as_str();
    let mut step = json!({"name": project, "module": tag.as_str()});
    if !config.is_null() {
        step["config"] = config.clone();
    }
    let file = json!({
        "name": format!("dev-{project}"),
        "source": {"subject": format!("dev.{project}.in.>"), "start": "now"},
        "steps": [step],
        "sink": {
            "stream": format!("DEV_{project}"),
            "subject": format!("dev.{project}.out"),
            "allow": [format!("dev.{project}.out.>")],
        },
    });
    file.to_string()
}

/// The output of a pipeline, from some record on.
pub(crate) struct Output {
    pipeline: PipelineName,
    stream: StreamName,
    /// The last record that is shown, or older.
    seen: u64,
}

impl Output {
    /// The records that come from now on.
    ///
    /// # Errors
    /// When the node does not say how far the pipeline is.
    pub(crate) fn from_here(session: &Session, pipeline: &PipelineName) -> anyhow::Result<Self> {
        let status = status(session, pipeline)?;
        Ok(Self { pipeline: pipeline.clone(), stream: status.sink, seen: status.records })
    }

    /// Shows the records that are new, as far as there are not too many.
    ///
    /// # Errors
    /// When the node does not show them.
    pub(crate) fn show_new(&mut self, session: &Session) -> anyhow::Result<()> {
        let last = status(session, &self.pipeline)?.records;
        if last > self.seen + SHOWN_MAX {
            output::talk(&format!("… {} records more", last - self.seen - SHOWN_MAX));
            self.seen = last - SHOWN_MAX;
        }
        while self.seen < last {
            let place = format!("/v1/trace/output?stream={}&sequence={}", self.stream, self.seen + 1);
            let trace: OutputTrace = session.client.get(&place)?.read()?;
            output::data(&output::clean(&line(&trace)))?;
            self.seen += 1;
        }
        Ok(())
    }
}

fn status(session: &Session, pipeline: &PipelineName) -> anyhow::Result<PipelineStatus> {
    Ok(session.client.get(&format!("/v1/pipelines/{pipeline}/status"))?.read()?)
}

/// A record on a line.
fn line(trace: &OutputTrace) -> String {
    let record = &trace.record;
    let payload = record.payload.clone().map(api::dto::Payload::into_bytes).unwrap_or_default();
    let payload = shown(&String::from_utf8_lossy(&payload));
    let header = |name: &str| {
        let found = record.headers.iter().find(|header| header.name == name);
        found.map(|header| header.value.clone()).unwrap_or_default()
    };
    let what = match record.kind.as_str() {
        "message" => format!("{} {payload}", record.subject),
        "dead" => format!("dead letter: {}: {} ({payload})", header("Weir-Fault"), header("Weir-Reason")),
        "revision" => format!("revision: from event {} on, {}", record.source_sequence, record.plan.short()),
        kind => kind.to_owned(),
    };
    format!("{}/{} {what}", record.source_sequence, record.index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::PipelineSpec;

    #[test]
    fn the_pipeline_that_it_makes_is_one() {
        let project: ProjectName = "mask-it".parse().expect("a name");
        let tag: TagName = "mask-it:dev".parse().expect("a tag");
        for config in [Value::Null, json!({"rules": []})] {
            let text = file(&project, &tag, &config);
            let spec = PipelineSpec::parse(&text, "dev").unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(spec.name, name(&project).expect("short enough"));
            assert_eq!(spec.steps[0].config, config);
            assert!(spec.tags().contains(&tag));
        }
    }
}
