//! Verifying a pipeline's chain over NATS: on a node, or by a process that has nothing but the server's
//! address.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use api::dto::{Verification, VerificationDifference, VerificationState, VerifyRequest};
use broker::{AdminError, Broker, ConnectOptions};
use model::{PipelineName, StreamName};
use pipeline::Workers;
use pipeline::ports::{Loader as _, PortError};
use pipeline::verify::{
    Difference, Scope, Verdict, Verified, VerifyProgress, VerifyWorld, history_range, verify,
};
use serde::{Deserialize, Serialize};

use super::catalog::Catalog;
use super::connection::Connection;
use super::workbench::Workbench;
use crate::adapters::{ModuleLoader, NatsArchive, NatsSource, Prefix};

const CHECKPOINT_VERSION: u32 = 1;

/// The world of a verification over NATS.
pub(crate) type NatsWorld = VerifyWorld<NatsSource, NatsArchive, ModuleLoader>;

/// How far a verification had come when it was ended, as a small file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyCheckpoint {
    version: u32,
    pipeline: PipelineName,
    stream: StreamName,
    progress: Verified,
}

impl VerifyCheckpoint {
    /// How far `pipeline`'s chain in `stream` was found right.
    pub(crate) fn new(pipeline: &PipelineName, stream: &StreamName, progress: Verified) -> Self {
        let (pipeline, stream) = (pipeline.clone(), stream.clone());
        Self { version: CHECKPOINT_VERSION, pipeline, stream, progress }
    }

    /// Reads the file; none if there is none yet.
    ///
    /// # Errors
    /// When it cannot be read, or is of another chain.
    pub(crate) fn read(
        path: &Path,
        pipeline: &PipelineName,
        stream: &StreamName,
    ) -> anyhow::Result<Option<Verified>> {
        let named = || format!("the checkpoint {}", path.display());
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(named)?,
        };
        let found: Self = serde_json::from_slice(&bytes).with_context(named)?;
        if (found.version, &found.pipeline, &found.stream) != (CHECKPOINT_VERSION, pipeline, stream) {
            anyhow::bail!("{} is not of pipeline {pipeline} and stream {stream}; name another file", named());
        }
        Ok(Some(found.progress))
    }

    /// Writes the file so that it is there whole, or as it was.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec(self).expect("a checkpoint has only strings as keys");
        crate::files::replace(path, &text)
    }
}

/// Reaches NATS, once.
///
/// # Errors
/// When it is not there, or refuses.
pub(crate) async fn connect(bench: &Workbench, mut options: ConnectOptions) -> anyhow::Result<&Connection> {
    options.name = "weir".to_owned();
    bench.connecting.connect_once(options).await?;
    Ok(bench.connecting.get()?)
}

/// Reaches NATS, for a look at its streams.
///
/// # Errors
/// When it is not there, or refuses.
pub(crate) async fn reach(mut options: ConnectOptions) -> anyhow::Result<Broker> {
    options.name = "weir".to_owned();
    Ok(Broker::connect(options).await?)
}

/// The output stream of a pipeline, by what was applied.
///
/// # Errors
/// When there is no such pipeline.
pub(crate) async fn output_stream(
    connection: &Connection,
    pipeline: &PipelineName,
) -> anyhow::Result<StreamName> {
    let found = Catalog(&connection.state).pipeline(pipeline).await?;
    let gone = || {
        format!("there is no pipeline '{pipeline}'; if it was removed, say with --stream where its chain is")
    };
    Ok(found.with_context(gone)?.0.plan.sink.stream)
}

/// The chain in a stream, be it live or a replay.
///
/// # Errors
/// When there is no such stream, or it cannot be asked for.
pub(crate) async fn archive(broker: &Broker, stream: &StreamName) -> Result<NatsArchive, AdminError> {
    let state = broker.stream_state(stream).await?;
    let state = state.ok_or_else(|| AdminError::StreamGone { stream: stream.clone() })?;
    let prefix = Prefix::of(stream, &state.subjects);
    Ok(NatsArchive { broker: broker.clone(), stream: stream.clone(), prefix })
}

/// The world of the chain in `stream`.
///
/// # Errors
/// When there is no such stream, or it cannot be asked for.
pub(crate) async fn world(
    connection: &Connection,
    loader: ModuleLoader,
    stream: &StreamName,
) -> Result<NatsWorld, AdminError> {
    let archive = archive(&connection.broker, stream).await?;
    let source = Arc::new(NatsSource(connection.broker.clone()));
    Ok(VerifyWorld { source, archive, loader: Arc::new(loader) })
}

/// Loads the modules of every plan that a range of the chain needs.
///
/// # Errors
/// When the chain cannot be read, or a module is not to be had.
pub(crate) async fn load_all(
    world: &NatsWorld,
    pipeline: &PipelineName,
    scope: &Scope,
) -> Result<(), PortError> {
    for revision in history_range(&world.archive, pipeline, scope).await?.revisions {
        world.loader.load(&revision.plan).await?;
    }
    Ok(())
}

/// Verifies a chain.
///
/// # Errors
/// What keeps it from being verified.
pub(crate) async fn run(
    world: &NatsWorld,
    pipeline: &PipelineName,
    workers: &Workers,
    scope: &Scope,
    progress: &VerifyProgress,
    reached: impl FnMut(&Verified) + Send,
) -> anyhow::Result<Verdict> {
    let verdict = Box::pin(verify(world, pipeline, workers, scope, progress, reached)).await;
    verdict.map_err(|error| match error {
        PortError::Unavailable(why) => anyhow::anyhow!("{why}"),
        PortError::Stop(reason) => anyhow::anyhow!("{} ({})", reason.detail, reason.code),
    })
}

/// The report of a verification that begins now.
pub(crate) fn began(pipeline: &PipelineName, request: VerifyRequest) -> Verification {
    Verification {
        pipeline: pipeline.clone(),
        request,
        state: VerificationState::Running,
        started: jiff::Timestamp::now().to_string(),
        records: 0,
        records_total: 0,
        events: 0,
        receipts: 0,
        inputs: None,
        outputs: None,
        other_engines: Vec::new(),
        difference: None,
        error: None,
    }
}

/// A report, with what came of it.
pub(crate) fn judged(report: Verification, verdict: &Verdict) -> Verification {
    match verdict {
        Verdict::Identical(identical) => Verification {
            state: VerificationState::Identical,
            records: identical.records,
            records_total: report.records_total.max(identical.records),
            events: identical.totals.events,
            receipts: identical.receipts,
            inputs: Some(identical.totals.inputs),
            outputs: Some(identical.totals.outputs),
            other_engines: identical.other_engines.iter().cloned().collect(),
            ..report
        },
        Verdict::Differs(found) => {
            Verification { state: VerificationState::Differs, difference: Some(difference(found)), ..report }
        }
    }
}

fn difference(found: &Difference) -> VerificationDifference {
    VerificationDifference {
        record: found.record,
        event: found.position.map(|position| position.sequence),
        index: found.position.map(|position| position.index),
        receipt: found.receipt,
        what: found.what.clone(),
        expected: found.expected.clone(),
        found: found.found.clone(),
        cause: found.cause.code().to_owned(),
        detail: found.cause.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use model::Totals;

    use super::*;

    #[test]
    fn a_checkpoint_is_of_one_chain() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("c");
        let name = |name: &str| name.parse::<PipelineName>().expect("a name");
        let stream = |name: &str| name.parse::<StreamName>().expect("a name");
        let read = |pipeline: &str, from: &str| VerifyCheckpoint::read(&path, &name(pipeline), &stream(from));
        assert_eq!(read("p", "OUT").expect("no file is fine"), None);
        let progress = Verified { through: 64, record: 66, link: None, totals: Totals::NONE };
        VerifyCheckpoint::new(&name("p"), &stream("OUT"), progress).write(&path).expect("it is written");
        assert_eq!(read("p", "OUT").expect("it can be read"), Some(progress));
        for (pipeline, from) in [("q", "OUT"), ("p", "OTHER")] {
            let error = read(pipeline, from).expect_err("another chain").to_string();
            assert!(error.contains("name another file"), "{error}");
        }
        std::fs::write(&path, "{").expect("written");
        assert!(read("p", "OUT").is_err());
    }
}
