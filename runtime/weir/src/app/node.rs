//! The node behind the API: each call of the port, over catalog, library, supervisor and broker.

use std::future::Future;
use std::sync::{Arc, Mutex};

use api::dto::{
    ApplyResult, LatchState, Module, NodeInfo, OutputTrace, PassedTests, PipelineDescription, PipelineStatus,
    Readiness, RollbackRequest, Shadow, ShadowRequest, SourceTrace, SwapRequest, SwapResult, Tag, TryRequest,
    TryResult, Verification, VerifyRequest,
};
use api::{
    Caller, Code, DeadLetters, ModuleUpload, Node, NodeError, OutputStream, PipelineFile, Preconditions,
    Reply, Revisions, Written,
};
use broker::StoredModule;
use bytes::Bytes;
use model::record::own_subject;
use model::{Digest, PipelineName, RecordKind, Revision, StreamName, TagName};
use prometheus_client::registry::Registry;

use super::admission::Admissions;
use super::apply;
use super::catalog::{Application, Catalog, no_pipeline, no_tag};
use super::connection::{Connecting, Connection};
use super::errors::{admin_error, load_error, not_connected, sink_error};
use super::library::Library;
use super::revisions;
use super::shadows::{ShadowDesk, Shadows};
use super::supervisor::Supervisor;
use super::swap::Swapping;
use super::trace::Tracing;
use super::trial::Trials;
use super::upload::Upload;
use super::verifier::Verifier;
use super::view::{self, FromChain};
use crate::spec::landing_stream;

/// What the node tells of itself.
pub(crate) struct Identity {
    /// Its name, for people.
    pub(crate) name: String,
    /// How many workers it has.
    pub(crate) workers: usize,
    /// The NATS server, without secrets.
    pub(crate) nats_url: String,
    /// When it started, in RFC 3339.
    pub(crate) started: String,
}

/// A node; see the head of this file.
pub(crate) struct WeirNode {
    pub(crate) identity: Identity,
    pub(crate) connecting: Arc<Connecting>,
    pub(crate) library: Arc<Library>,
    pub(crate) admissions: Arc<Admissions>,
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) shadows: Shadows,
    pub(crate) trials: Trials,
    pub(crate) verifier: Verifier,
    pub(crate) registry: Mutex<Registry>,
}

impl WeirNode {
    fn connection(&self) -> Result<&Connection, NodeError> {
        let connection = self.connecting.get().map_err(not_connected)?;
        if !connection.broker.is_connected() {
            let detail = "the NATS server is away: the node connects again by itself";
            return Err(NodeError::new(Code::BrokerUnavailable, detail));
        }
        Ok(connection)
    }

    fn catalog(&self) -> Result<Catalog<'_>, NodeError> {
        Ok(Catalog(&self.connection()?.state))
    }

    async fn application(&self, name: &PipelineName) -> Result<Application, NodeError> {
        let found = self.catalog()?.pipeline(name).await?;
        found.map(|(application, _)| application).ok_or_else(|| no_pipeline(name))
    }

    /// What the shared bucket knows of a module.
    async fn require_module(&self, digest: Digest, code: Code) -> Result<StoredModule, NodeError> {
        let found = self.connection()?.modules.describe(&digest).await;
        let found = found.map_err(|error| load_error(&super::library::module_error(error)))?;
        found.ok_or_else(|| NodeError::new(code, format!("there is no module {digest}: push it first")))
    }

    async fn describe(
        &self,
        stored: StoredModule,
        tags: &[(TagName, Digest, u64)],
        pipelines: &[(PipelineName, Application)],
    ) -> Result<Module, NodeError> {
        let digest = stored.digest;
        let info = self.library.info(digest).await.map_err(|error| load_error(&error))?;
        let mut module = view::module(digest, info);
        module.tests = stored.tests.as_ref().map(view::tests);
        module.tags = tags.iter().filter(|(_, of, _)| *of == digest).map(|(name, ..)| name.clone()).collect();
        let uses = |application: &Application| application.plan.modules().any(|used| used == digest);
        module.used_by = pipelines
            .iter()
            .filter(|(_, application)| uses(application))
            .map(|(name, _)| name.clone())
            .collect();
        Ok(module)
    }

    /// Who still needs a module: tags, plans, and the revisions of chains that can be executed again.
    async fn needed_by(&self, digest: Digest) -> Result<Vec<String>, NodeError> {
        let catalog = self.catalog()?;
        let mut needed = Vec::new();
        for (name, of, _) in catalog.tags().await? {
            if of == digest {
                needed.push(format!("tag {name}"));
            }
        }
        for (name, application) in catalog.pipelines().await? {
            if application.plan.modules().any(|module| module == digest) {
                needed.push(format!("pipeline {name}"));
            } else if let Some(number) = self.revision_with(&application, digest).await? {
                needed.push(format!("revision {number} of pipeline {name}"));
            } else if self.shadow_desk()?.find(&name).await?.is_some_and(|(entry, _)| entry.needs(digest)) {
                needed.push(format!("the shadow of pipeline {name}"));
            }
        }
        Ok(needed)
    }

    async fn revision_with(
        &self,
        application: &Application,
        digest: Digest,
    ) -> Result<Option<u64>, NodeError> {
        let (broker, plan) = (&self.connection()?.broker, &application.plan);
        let subject = own_subject(&plan.pipeline, RecordKind::Revision);
        let mut from = 1;
        while let Some(entry) =
            broker.next_on(&plan.sink.stream, &subject, from).await.map_err(|error| sink_error(&error))?
        {
            if let Ok(revision) = serde_json::from_slice::<Revision>(&entry.payload)
                && revision.plan.modules().any(|module| module == digest)
            {
                return Ok(Some(revision.number));
            }
            from = entry.sequence + 1;
        }
        Ok(None)
    }

    async fn status_of(
        &self,
        name: PipelineName,
        application: &Application,
    ) -> Result<PipelineStatus, NodeError> {
        let broker = &self.connection()?.broker;
        // The chain is looked at last: no position is told whose receipt is not.
        let observed = self.supervisor.observe(&name);
        let source = broker.stream_state(&application.plan.source.stream).await.ok().flatten();
        let chain = FromChain::look(broker, &application.plan).await;
        Ok(view::status(name, application, source, chain, observed))
    }

    fn shadow_desk(&self) -> Result<ShadowDesk<'_>, NodeError> {
        Ok(ShadowDesk { connection: self.connection()?, library: &self.library })
    }

    fn tracing(&self) -> Result<Tracing<'_>, NodeError> {
        Ok(Tracing { connection: self.connection()?, library: &self.library })
    }

    async fn swapping<'a>(
        &'a self,
        name: &PipelineName,
        conditions: &Preconditions,
        caller: &'a Caller,
    ) -> Result<Swapping<'a>, NodeError> {
        Swapping::begin(self.connection()?, &self.library, name, conditions, caller).await
    }

    /// Changes a pipeline's entry, and answers how it is doing.
    async fn change(
        &self,
        name: PipelineName,
        change: impl Fn(&mut Application) + Send,
    ) -> Result<PipelineStatus, NodeError> {
        self.catalog()?.change_pipeline(&name, change).await?;
        let application = self.application(&name).await?;
        self.status_of(name, &application).await
    }
}

/// The port wants boxed futures; this keeps the box out of each call.
fn reply<'a, T>(future: impl Future<Output = Result<T, NodeError>> + Send + 'a) -> Reply<'a, T> {
    Box::pin(future)
}

impl Node for WeirNode {
    fn upload_module(&self) -> Reply<'_, Box<dyn ModuleUpload>> {
        reply(async {
            self.connection()?;
            let upload = Upload::begin(self.admissions.clone()).await?;
            Ok(Box::new(upload) as Box<dyn ModuleUpload>)
        })
    }

    fn modules(&self) -> Reply<'_, Vec<Module>> {
        reply(async {
            let listed = self.connection()?.modules.list().await;
            let mut stored = listed.map_err(|error| load_error(&super::library::module_error(error)))?;
            stored.sort();
            let (tags, pipelines) = (self.catalog()?.tags().await?, self.catalog()?.pipelines().await?);
            let mut modules = Vec::with_capacity(stored.len());
            for found in stored {
                modules.push(self.describe(found, &tags, &pipelines).await?);
            }
            Ok(modules)
        })
    }

    fn module(&self, digest: Digest) -> Reply<'_, Module> {
        reply(async move {
            let stored = match self.require_module(digest, Code::ModuleNotFound).await {
                Ok(stored) => stored,
                Err(error) => match self.admissions.standing(digest).await {
                    Some(standing) => return Ok(view::standing(digest, standing)),
                    // It may have come into the bucket between the two looks.
                    None => self.require_module(digest, Code::ModuleNotFound).await.map_err(|_| error)?,
                },
            };
            let (tags, pipelines) = (self.catalog()?.tags().await?, self.catalog()?.pipelines().await?);
            self.describe(stored, &tags, &pipelines).await
        })
    }

    fn put_module_tests(&self, digest: Digest, tests: PassedTests) -> Reply<'_, Module> {
        reply(async move {
            self.require_module(digest, Code::ModuleNotFound).await?;
            let passed = broker::PassedTests { digest: tests.digest, cases: tests.cases };
            let kept = self.connection()?.modules.set_tests(&digest, &passed).await;
            kept.map_err(|error| load_error(&super::library::module_error(error)))?;
            self.module(digest).await
        })
    }

    fn module_content(&self, digest: Digest) -> Reply<'_, Bytes> {
        reply(async move {
            self.require_module(digest, Code::ModuleNotFound).await?;
            self.library.bytes(digest).await.map_err(|error| load_error(&error))
        })
    }

    fn delete_module(&self, digest: Digest) -> Reply<'_, ()> {
        reply(async move {
            self.require_module(digest, Code::ModuleNotFound).await?;
            let needed = self.needed_by(digest).await?;
            if !needed.is_empty() {
                let detail =
                    format!("{digest} is still needed by {}: take those away first", needed.join(", "));
                return Err(NodeError::new(Code::ModuleInUse, detail).with("needed_by", needed));
            }
            let deleted = self.connection()?.modules.delete(&digest).await;
            deleted.map_err(|error| load_error(&super::library::module_error(error)))?;
            self.library.forget(digest).await.map_err(|error| load_error(&error))
        })
    }

    fn try_module(&self, digest: Digest, request: TryRequest) -> Reply<'_, TryResult> {
        reply(self.trials.run(digest, request))
    }

    fn tags(&self) -> Reply<'_, Vec<Tag>> {
        reply(async {
            let tags = self.catalog()?.tags().await?;
            Ok(tags.into_iter().map(|(name, digest, revision)| Tag { name, digest, revision }).collect())
        })
    }

    fn tag(&self, name: TagName) -> Reply<'_, Tag> {
        reply(async move {
            let (digest, revision) = self.catalog()?.tag(&name).await?.ok_or_else(|| no_tag(&name))?;
            Ok(Tag { name, digest, revision })
        })
    }

    fn put_tag(&self, name: TagName, digest: Digest, conditions: Preconditions) -> Reply<'_, (Tag, Written)> {
        reply(async move {
            self.require_module(digest, Code::UnknownModule).await?;
            let (revision, existed) = self.catalog()?.put_tag(&name, digest, &conditions).await?;
            let written = if existed { Written::Existed } else { Written::Created };
            Ok((Tag { name, digest, revision }, written))
        })
    }

    fn delete_tag(&self, name: TagName, conditions: Preconditions) -> Reply<'_, ()> {
        reply(async move { self.catalog()?.delete_tag(&name, &conditions).await })
    }

    fn apply_pipeline(
        &self,
        name: PipelineName,
        file: PipelineFile,
        conditions: Preconditions,
        caller: Caller,
    ) -> Reply<'_, ApplyResult> {
        reply(async move {
            apply::apply(self.connection()?, &self.library, &name, &file, &conditions, &caller).await
        })
    }

    fn swap_pipeline(
        &self,
        name: PipelineName,
        request: SwapRequest,
        conditions: Preconditions,
        caller: Caller,
    ) -> Reply<'_, SwapResult> {
        reply(async move {
            let result = self.swapping(&name, &conditions, &caller).await?.swap(&request).await?;
            self.supervisor.take_note(&name, result.generation).await;
            Ok(result)
        })
    }

    fn roll_back_pipeline(
        &self,
        name: PipelineName,
        request: RollbackRequest,
        conditions: Preconditions,
        caller: Caller,
    ) -> Reply<'_, SwapResult> {
        reply(async move { self.swapping(&name, &conditions, &caller).await?.roll_back(request).await })
    }

    fn revisions(&self, name: PipelineName, after: u64, limit: u32) -> Reply<'_, Revisions> {
        reply(async move {
            let application = self.application(&name).await?;
            revisions::list(&self.connection()?.broker, &application, after, limit).await
        })
    }

    fn pipelines(&self) -> Reply<'_, Vec<PipelineStatus>> {
        reply(async {
            let mut all = Vec::new();
            for (name, application) in self.catalog()?.pipelines().await? {
                all.push(self.status_of(name, &application).await?);
            }
            Ok(all)
        })
    }

    fn pipeline(&self, name: PipelineName) -> Reply<'_, PipelineDescription> {
        reply(async move {
            let application = self.application(&name).await?;
            let status = self.status_of(name.clone(), &application).await?;
            let plan_digest = application.plan.digest();
            let Application { spec, plan, generation, applied, .. } = application;
            Ok(PipelineDescription { name, spec, plan, plan_digest, generation, applied, status })
        })
    }

    fn pipeline_status(&self, name: PipelineName) -> Reply<'_, PipelineStatus> {
        reply(async move {
            let application = self.application(&name).await?;
            self.status_of(name, &application).await
        })
    }

    fn pause_pipeline(&self, name: PipelineName) -> Reply<'_, PipelineStatus> {
        reply(self.change(name, |application| application.paused = true))
    }

    fn resume_pipeline(&self, name: PipelineName) -> Reply<'_, PipelineStatus> {
        reply(self.change(name, |application| {
            application.paused = false;
            application.attempt += 1;
        }))
    }

    fn delete_pipeline(
        &self,
        name: PipelineName,
        output: OutputStream,
        conditions: Preconditions,
    ) -> Reply<'_, ()> {
        reply(async move {
            let application = self.application(&name).await?;
            conditions.check(Some(application.generation))?;
            self.catalog()?.delete_pipeline(&name).await?;
            if output == OutputStream::Delete {
                let plan = &application.plan;
                let landing = Some(&plan.source.stream).filter(|stream| **stream == landing_stream(&name));
                for stream in [Some(&plan.sink.stream), landing].into_iter().flatten() {
                    let deleted = self.connection()?.broker.delete_stream(stream).await;
                    deleted.map_err(|error| admin_error(&error))?;
                }
            }
            Ok(())
        })
    }

    fn dead_letters(&self, name: PipelineName, after: u64, limit: u32) -> Reply<'_, DeadLetters> {
        reply(async move {
            let plan = self.application(&name).await?.plan;
            let broker = &self.connection()?.broker;
            let subject = own_subject(&name, RecordKind::Dead);
            let (mut dead_letters, mut from) = (Vec::new(), after + 1);
            let next = loop {
                let entry = broker.next_on(&plan.sink.stream, &subject, from).await;
                let Some(entry) = entry.map_err(|error| sink_error(&error))? else { break None };
                if dead_letters.len() >= limit as usize {
                    break Some(from - 1);
                }
                from = entry.sequence + 1;
                dead_letters.extend(view::dead_letter(&name, entry));
            };
            Ok(DeadLetters { dead_letters, next })
        })
    }

    fn begin_verification(&self, name: PipelineName, request: VerifyRequest) -> Reply<'_, Verification> {
        reply(async move {
            let stream = self.application(&name).await?.plan.sink.stream;
            self.verifier.begin(self.connection()?, name, &stream, request).await
        })
    }

    fn verification(&self, name: PipelineName) -> Reply<'_, Verification> {
        reply(async move { self.verifier.last(&name) })
    }

    fn shadow(&self, name: PipelineName) -> Reply<'_, Shadow> {
        reply(async move {
            self.application(&name).await?;
            Ok(self.shadow_desk()?.get(&name).await?.0.shadow)
        })
    }

    fn start_shadow(&self, name: PipelineName, request: ShadowRequest, caller: Caller) -> Reply<'_, Shadow> {
        reply(async move { self.shadow_desk()?.start(&name, &request, &caller).await })
    }

    fn stop_shadow(&self, name: PipelineName) -> Reply<'_, Shadow> {
        reply(async move { self.shadow_desk()?.stop(&name).await })
    }

    fn promote_shadow(&self, name: PipelineName, caller: Caller) -> Reply<'_, SwapResult> {
        reply(async move { self.shadow_desk()?.promote(&name, &caller).await })
    }

    fn trace_output(&self, stream: StreamName, sequence: u64) -> Reply<'_, OutputTrace> {
        reply(async move { self.tracing()?.output(stream, sequence).await })
    }

    fn trace_source(&self, stream: StreamName, sequence: u64) -> Reply<'_, SourceTrace> {
        reply(async move { self.tracing()?.source(stream, sequence).await })
    }

    fn info(&self) -> Reply<'_, NodeInfo> {
        reply(async {
            let broker = self.connecting.get().ok().map(|connection| &connection.broker);
            let record_bytes = broker.map(|broker| u32::try_from(broker.max_payload()).unwrap_or(u32::MAX));
            Ok(NodeInfo {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                api: "v1".to_owned(),
                engine: self.library.engine().fingerprint().to_owned(),
                name: self.identity.name.clone(),
                workers: u32::try_from(self.identity.workers).unwrap_or(u32::MAX),
                nats_server_version: broker.map(broker::Broker::server_version),
                record_bytes,
                nats_url: self.identity.nats_url.clone(),
                started: self.identity.started.clone(),
            })
        })
    }

    fn readiness(&self) -> Readiness {
        let latch = |name: &str, open: bool, why: &str| LatchState {
            name: name.to_owned(),
            open,
            detail: (!open).then(|| why.to_owned()),
        };
        Readiness::of(vec![
            latch("broker", self.connecting.is_up(), "the NATS server cannot be reached"),
            latch(
                "pipelines",
                self.supervisor.has_listed(),
                "the pipelines are not read from the shared state yet",
            ),
        ])
    }

    fn metrics(&self) -> Reply<'_, String> {
        reply(async {
            self.supervisor.refresh_gauges();
            let mut text = String::new();
            let registry = self.registry.lock().expect("no code panics while it holds this lock");
            prometheus_client::encoding::text::encode(&mut text, &registry).map_err(NodeError::internal)?;
            Ok(text)
        })
    }
}
