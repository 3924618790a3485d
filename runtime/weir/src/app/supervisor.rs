//! Runs on this node what the shared state asks for: one pipeline service for each pipeline there, and none
//! for those that are not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context as _;
use broker::Change;
use model::PipelineName;
use pipeline::meters::PipelineMeters;
use pipeline::service::World;
use pipeline::shadow::Tap;
use pipeline::{Desired, Meters, Options, Pipeline, State, Status, StatusCell, Workers};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::catalog::{self, Application};
use super::connection::Connection;
use super::library::Library;
use crate::adapters::{ModuleLoader, NatsSource};

/// How long an accepted swap waits for the pipeline on this node to take note of it, and how often it looks.
const NOTE_MAX: Duration = Duration::from_secs(2);
const NOTE_INTERVAL: Duration = Duration::from_millis(5);

/// The pipelines of a node.
pub(crate) struct Supervisor {
    library: Arc<Library>,
    workers: Arc<Workers>,
    meters: Meters,
    running: Mutex<BTreeMap<PipelineName, Running>>,
    listed: watch::Sender<bool>,
}

struct Running {
    desired: watch::Sender<Desired>,
    status: Arc<StatusCell>,
    tap: Arc<Tap>,
    meters: PipelineMeters,
    shutdown: CancellationToken,
}

/// A pipeline as it runs on this node.
pub(crate) struct Observed {
    /// Where it stands.
    pub(crate) status: Status,
    /// What this node did for it.
    pub(crate) meters: PipelineMeters,
}

impl Supervisor {
    /// A supervisor that runs nothing yet.
    pub(crate) fn new(library: Arc<Library>, workers: Arc<Workers>, meters: Meters) -> Self {
        Self { library, workers, meters, running: Mutex::default(), listed: watch::channel(false).0 }
    }

    /// Whether all pipelines that were there at start have been seen.
    pub(crate) fn has_listed(&self) -> bool {
        *self.listed.borrow()
    }

    /// How a pipeline is doing here, if it runs here.
    pub(crate) fn observe(&self, name: &PipelineName) -> Option<Observed> {
        let running = self.lock();
        let found = running.get(name)?;
        Some(Observed { status: found.status.read(), meters: found.meters.clone() })
    }

    /// Waits a little until the pipeline here has taken note of an application, so that whoever is told that
    /// a swap is accepted knows that at least this node does not pass its place. One that rests has time.
    pub(crate) async fn take_note(&self, name: &PipelineName, generation: u64) {
        let has_noted = || {
            let status = self.observe(name).map(|observed| observed.status);
            status.is_none_or(|status| {
                let rests = matches!(status.state, State::Paused | State::Stopped(_));
                rests || status.known_generation >= generation
            })
        };
        let until = tokio::time::Instant::now() + NOTE_MAX;
        while !has_noted() && tokio::time::Instant::now() < until {
            tokio::time::sleep(NOTE_INTERVAL).await;
        }
    }

    /// Where a shadow can listen to a pipeline, if it runs here.
    pub(crate) fn tap(&self, name: &PipelineName) -> Option<Arc<Tap>> {
        Some(self.lock().get(name)?.tap.clone())
    }

    /// Brings the gauges up to date, for whoever reads them next.
    pub(crate) fn refresh_gauges(&self) {
        for running in self.lock().values() {
            let status = running.status.read();
            running.meters.lag.set(status.lag);
            running.meters.position.set(status.through);
        }
    }

    /// Follows the shared state until `shutdown`, then drains every pipeline.
    ///
    /// # Errors
    /// When the shared state can no longer be followed.
    pub(crate) async fn run(
        &self,
        connection: &Connection,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut services = JoinSet::new();
        let followed = self.follow(connection, &mut services, &shutdown).await;
        for running in self.lock().values() {
            running.shutdown.cancel();
        }
        while services.join_next().await.is_some() {}
        followed
    }

    async fn follow(
        &self,
        connection: &Connection,
        services: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut watch = connection.state.watch(catalog::PIPELINES)?;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                // What has ended is joined as it ends. One that panicked is a bug of ours: the node ends, and
                // what starts it again starts all pipelines from where their chains stand.
                Some(ended) = services.join_next() => ended.context("a pipeline's task panicked")?,
                change = watch.next() => match change? {
                    Change::InitialEnd => { self.listed.send_replace(true); }
                    Change::Entry { key, value, .. } => {
                        let Some(name) = catalog::pipeline_name(&key) else { continue };
                        match value {
                            Some(value) => self.put(connection, services, name, &value),
                            None => self.remove(&name),
                        }
                    }
                },
            }
        }
    }

    fn put(&self, connection: &Connection, services: &mut JoinSet<()>, name: PipelineName, value: &[u8]) {
        let application = match Application::parse(value) {
            Ok(application) => application,
            Err(error) => {
                tracing::error!(pipeline = %name, %error, "The pipeline's entry in the shared state cannot be read");
                return;
            }
        };
        let mut running = self.lock();
        if let Some(found) = running.get(&name) {
            found.desired.send_replace(application.desired());
            return;
        }
        tracing::info!(pipeline = %name, generation = application.generation, "Pipeline starts");
        let world = World {
            source: NatsSource(connection.broker.clone()),
            sink: connection.sink(&application.plan),
            loader: ModuleLoader(self.library.clone()),
        };
        let (options, meters) = (Options::for_workers(self.workers.count()), self.meters.pipeline(&name));
        let pipeline = Pipeline::new(name.clone(), world, self.workers.clone(), options, meters.clone());
        let (status, tap, shutdown) = (pipeline.status(), pipeline.tap(), CancellationToken::new());
        let (desired, receiver) = watch::channel(application.desired());
        services.spawn(pipeline.run(receiver, shutdown.clone()));
        running.insert(name, Running { desired, status, tap, meters, shutdown });
    }

    fn remove(&self, name: &PipelineName) {
        if let Some(running) = self.lock().remove(name) {
            tracing::info!(pipeline = %name, "Pipeline ends");
            running.shutdown.cancel();
            self.meters.forget(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PipelineName, Running>> {
        self.running.lock().expect("no code panics while it holds this lock")
    }
}
