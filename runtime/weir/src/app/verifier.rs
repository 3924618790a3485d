//! The verifications of a node: one at a time, beside the pipelines, on the same workers.

use std::sync::{Arc, Mutex, MutexGuard};

use api::dto::{Verification, VerificationState, VerifyRequest};
use api::{Code, NodeError};
use model::{PipelineName, StreamName};
use pipeline::Workers;
use pipeline::verify::{Scope, Verdict, VerifyProgress};
use tokio::task::JoinHandle;

use super::connection::Connection;
use super::errors::admin_error;
use super::library::Library;
use super::verification;
use crate::adapters::ModuleLoader;

/// The last verification of a node, if there was one.
pub(crate) struct Verifier {
    library: Arc<Library>,
    workers: Arc<Workers>,
    last: Mutex<Option<Last>>,
}

struct Last {
    began: Verification,
    progress: Arc<VerifyProgress>,
    outcome: Arc<Mutex<Option<Result<Verdict, String>>>>,
    /// Kept so that it can be ended with the node.
    task: JoinHandle<()>,
}

impl Verifier {
    /// A verifier that has verified nothing yet.
    pub(crate) fn new(library: Arc<Library>, workers: Arc<Workers>) -> Self {
        Self { library, workers, last: Mutex::default() }
    }

    /// Begins to verify the chain of `pipeline` in `stream`.
    ///
    /// # Errors
    /// [`Code::VerificationRunning`] while another one is at work.
    pub(crate) async fn begin(
        &self,
        connection: &Connection,
        pipeline: PipelineName,
        stream: &StreamName,
        request: VerifyRequest,
    ) -> Result<Verification, NodeError> {
        let loader = ModuleLoader(self.library.clone());
        let world = verification::world(connection, loader, stream).await;
        let world = world.map_err(|error| admin_error(&error))?;
        let mut last = self.lock();
        if let Some(running) = last.as_ref().filter(|last| !last.task.is_finished()) {
            let detail = format!(
                "this node is verifying pipeline '{}': wait for its end, or ask another node",
                running.began.pipeline
            );
            return Err(NodeError::new(Code::VerificationRunning, detail));
        }
        let began = verification::began(&pipeline, request);
        let scope = match request {
            VerifyRequest { from: None, to: None } => Scope::All,
            VerifyRequest { from, to } => Scope::Events { from, to },
        };
        let (progress, outcome) = (Arc::<VerifyProgress>::default(), Arc::<Mutex<_>>::default());
        let (workers, told, kept) = (self.workers.clone(), progress.clone(), outcome.clone());
        let task = tokio::spawn(async move {
            let verdict = verification::run(&world, &pipeline, &workers, &scope, &told, |_| ()).await;
            *lock(&kept) = Some(verdict.map_err(|error| format!("{error:#}")));
        });
        *last = Some(Last { began: began.clone(), progress, outcome, task });
        Ok(began)
    }

    /// The last verification of `pipeline`.
    ///
    /// # Errors
    /// [`Code::VerificationNotFound`] if this node has none.
    pub(crate) fn last(&self, pipeline: &PipelineName) -> Result<Verification, NodeError> {
        let last = self.lock();
        let found = last.as_ref().filter(|last| last.began.pipeline == *pipeline);
        found.map(Last::report).ok_or_else(|| {
            let detail = format!("this node has not verified pipeline '{pipeline}', or another one since");
            NodeError::new(Code::VerificationNotFound, detail)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Last>> {
        lock(&self.last)
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        if let Some(last) = self.lock().take() {
            last.task.abort();
        }
    }
}

impl Last {
    fn report(&self) -> Verification {
        let (records, records_total) = self.progress.records();
        let (events, receipts) = (self.progress.events(), self.progress.receipts());
        let report = Verification { records, records_total, events, receipts, ..self.began.clone() };
        match &*lock(&self.outcome) {
            None if self.task.is_finished() => Verification {
                state: VerificationState::Failed,
                error: Some("the verification's task panicked, which is a bug in Weir".to_owned()),
                ..report
            },
            None => report,
            Some(Ok(verdict)) => verification::judged(report, verdict),
            Some(Err(why)) => {
                Verification { state: VerificationState::Failed, error: Some(why.clone()), ..report }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds this lock")
}
