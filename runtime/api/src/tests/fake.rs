//! A node in memory, which does what the port says as simply as can be.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{pending, ready};
use model::{Digest, PipelineName, StreamName, TagName};

use crate::dto::*;
use crate::*;

/// See the module.
#[derive(Default)]
pub(crate) struct FakeNode {
    state: Mutex<State>,
    /// Uploads that were begun and neither finished nor dropped.
    pub(crate) open_uploads: Arc<AtomicUsize>,
}

#[derive(Default)]
struct State {
    modules: BTreeMap<Digest, Bytes>,
    tests: BTreeMap<Digest, PassedTests>,
    tags: BTreeMap<TagName, Tag>,
    pipelines: BTreeMap<PipelineName, (String, u64)>,
    not_ready: bool,
}

struct FakeUpload {
    node: Arc<FakeNode>,
    bytes: Vec<u8>,
}

/// A handle, so that uploads can outlive the call.
pub(crate) struct Shared(pub(crate) Arc<FakeNode>);

impl FakeNode {
    pub(crate) fn holding(modules: &[&'static [u8]]) -> Arc<Self> {
        let node = Self::default();
        for bytes in modules {
            node.state().modules.insert(Digest::of(bytes), Bytes::from_static(bytes));
        }
        Arc::new(node)
    }

    pub(crate) fn close_the_latch(&self) {
        self.state().not_ready = true;
    }

    pub(crate) fn module_count(&self) -> usize {
        self.state().modules.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the state")
    }

    fn describe(&self, digest: Digest) -> Result<Module, NodeError> {
        let state = self.state();
        let bytes = state.modules.get(&digest).ok_or_else(|| no_module(digest))?;
        let tags = state.tags.values().filter(|tag| tag.digest == digest);
        Ok(Module {
            digest,
            kind: ModuleKind::Component,
            state: ModuleState::Ready,
            reason: None,
            size_bytes: bytes.len() as u64,
            imports: vec![],
            exports: vec!["process".into()],
            tags: tags.map(|tag| tag.name.clone()).collect(),
            used_by: vec![],
            tests: state.tests.get(&digest).cloned(),
        })
    }

    fn status(&self, name: &PipelineName, state: PipelineState) -> Result<PipelineStatus, NodeError> {
        let pipelines = &self.state().pipelines;
        let (_, generation) = pipelines.get(name).ok_or_else(no_pipeline)?;
        Ok(PipelineStatus {
            name: name.clone(),
            state,
            plan: None,
            generation: *generation,
            revision: 1,
            source: None,
            sink: "OUT".parse().expect("a valid name"),
            position: 0,
            records: 0,
            lag: 0,
            counts: Counts::default(),
            last_receipt: None,
            last_dead_letter: None,
            swap: None,
            error: None,
            steps: vec![],
        })
    }
}

impl FakeNode {
    fn shadowed(&self, pipeline: PipelineName, caller: &Caller) -> Result<Shadow, NodeError> {
        self.status(&pipeline, PipelineState::Running)?;
        Ok(Shadow {
            pipeline,
            state: ShadowState::Running,
            why: None,
            modules: BTreeMap::new(),
            live: Digest::of(b"live"),
            candidate: Digest::of(b"candidate"),
            gate: ShadowGate::default(),
            by: caller.0.clone(),
            started: "2026-01-01T00:00:00Z".into(),
            ended: None,
            report: ShadowReport::default(),
        })
    }

    /// Says who asked in place of a change, so that a test can see it.
    fn swapped(
        &self,
        name: PipelineName,
        conditions: &Preconditions,
        at: Option<u64>,
        caller: &Caller,
    ) -> Result<SwapResult, NodeError> {
        let mut state = self.state();
        let (_, generation) = state.pipelines.get_mut(&name).ok_or_else(no_pipeline)?;
        conditions.check(Some(*generation))?;
        *generation += 1;
        let changes = vec![PlanChange { key: caller.0.clone(), before: None, after: None }];
        let (plan, outcome) = (Digest::of(b"plan"), SwapOutcome::Changed);
        let generation = *generation;
        Ok(SwapResult { name, plan, generation, outcome, at, position: 5, revision: None, changes })
    }
}

fn no_module(digest: Digest) -> NodeError {
    NodeError::new(Code::ModuleNotFound, "push it first").with("digest", digest.to_string())
}

fn no_pipeline() -> NodeError {
    NodeError::new(Code::PipelineNotFound, "apply it first")
}

fn now<T: Send + 'static>(answer: Result<T, NodeError>) -> Reply<'static, T> {
    ready(answer).boxed()
}

impl Node for Shared {
    fn upload_module(&self) -> Reply<'_, Box<dyn ModuleUpload>> {
        self.0.open_uploads.fetch_add(1, Ordering::SeqCst);
        now(Ok(Box::new(FakeUpload { node: self.0.clone(), bytes: vec![] })))
    }

    fn modules(&self) -> Reply<'_, Vec<Module>> {
        let digests: Vec<_> = self.0.state().modules.keys().copied().collect();
        now(digests.into_iter().map(|digest| self.0.describe(digest)).collect())
    }

    fn module(&self, digest: Digest) -> Reply<'_, Module> {
        now(self.0.describe(digest))
    }

    fn module_content(&self, digest: Digest) -> Reply<'_, Bytes> {
        now(self.0.state().modules.get(&digest).cloned().ok_or_else(|| no_module(digest)))
    }

    fn delete_module(&self, digest: Digest) -> Reply<'_, ()> {
        let described = self.0.describe(digest);
        now(described.and_then(|module| {
            if let Some(tag) = module.tags.first() {
                return Err(NodeError::new(Code::ModuleInUse, "a tag needs it").with("tag", tag.as_str()));
            }
            self.0.state().modules.remove(&digest);
            Ok(())
        }))
    }

    fn put_module_tests(&self, digest: Digest, tests: PassedTests) -> Reply<'_, Module> {
        now(self.0.describe(digest).map(|module| {
            self.0.state().tests.insert(digest, tests.clone());
            Module { tests: Some(tests), ..module }
        }))
    }

    fn try_module(&self, digest: Digest, request: TryRequest) -> Reply<'_, TryResult> {
        match request.subject.as_str() {
            "hang" => return pending().boxed(),
            "panic" => return async { panic!("as asked") }.boxed(),
            "fail" => return now(Err(NodeError::internal("the cause is for the log"))),
            "away" => return now(Err(NodeError::new(Code::BrokerUnavailable, "it is away"))),
            _ => {}
        }
        let message = TryMessage { subject: None, payload: request.payload, headers: request.headers };
        now(self.0.describe(digest).map(|module| TryResult {
            module: module.digest,
            outcome: TryOutcome::Messages { messages: vec![message] },
            logs: vec![],
            fuel_used: 1,
            memory_bytes: 2,
            time_us: 3,
            engine: "fake".into(),
        }))
    }

    fn tags(&self) -> Reply<'_, Vec<Tag>> {
        now(Ok(self.0.state().tags.values().cloned().collect()))
    }

    fn tag(&self, name: TagName) -> Reply<'_, Tag> {
        let tag = self.0.state().tags.get(&name).cloned();
        now(tag.ok_or_else(|| NodeError::new(Code::TagNotFound, "tag it first")))
    }

    fn put_tag(&self, name: TagName, digest: Digest, conditions: Preconditions) -> Reply<'_, (Tag, Written)> {
        let mut state = self.0.state();
        let before = state.tags.get(&name).map(|tag| tag.revision);
        if let Err(error) = conditions.check(before) {
            return now(Err(error));
        }
        if !state.modules.contains_key(&digest) {
            return now(Err(NodeError::new(Code::UnknownModule, "push it first")));
        }
        let tag = Tag { name: name.clone(), digest, revision: before.unwrap_or(0) + 1 };
        state.tags.insert(name, tag.clone());
        now(Ok((tag, if before.is_some() { Written::Existed } else { Written::Created })))
    }

    fn delete_tag(&self, name: TagName, conditions: Preconditions) -> Reply<'_, ()> {
        let mut state = self.0.state();
        let Some(revision) = state.tags.get(&name).map(|tag| tag.revision) else {
            return now(Err(NodeError::new(Code::TagNotFound, "tag it first")));
        };
        now(conditions.check(Some(revision)).map(|()| drop(state.tags.remove(&name))))
    }

    fn apply_pipeline(
        &self,
        name: PipelineName,
        file: PipelineFile,
        conditions: Preconditions,
        _: Caller,
    ) -> Reply<'_, ApplyResult> {
        let mut state = self.0.state();
        let before = state.pipelines.get(&name).cloned();
        if let Err(error) = conditions.check(before.as_ref().map(|(_, generation)| *generation)) {
            return now(Err(error));
        }
        if file.text.contains("wrong") {
            let error = NodeError::new(Code::InvalidPipeline, "unknown key 'wrong'");
            return now(Err(error.with("line", 1).with("column", 1).with("key", "wrong")));
        }
        let plan = Digest::of(file.text.as_bytes());
        if file.expected_plan.is_some_and(|expected| expected != plan) {
            return now(Err(NodeError::new(Code::PlanDiffers, "it makes another plan")));
        }
        let (outcome, generation) = match before {
            None => (ApplyOutcome::Created, 1),
            Some((text, generation)) if text == file.text => (ApplyOutcome::Unchanged, generation),
            Some((_, generation)) => (ApplyOutcome::Changed, generation + 1),
        };
        state.pipelines.insert(name.clone(), (file.text, generation));
        now(Ok(ApplyResult { name, plan, generation, outcome }))
    }

    fn swap_pipeline(
        &self,
        name: PipelineName,
        request: SwapRequest,
        conditions: Preconditions,
        caller: Caller,
    ) -> Reply<'_, SwapResult> {
        if request.at == Some(1) {
            return now(Err(NodeError::new(Code::SwapPassed, "it is at 5").with("position", 5)));
        }
        now(self.0.swapped(name, &conditions, request.at, &caller))
    }

    fn roll_back_pipeline(
        &self,
        name: PipelineName,
        request: RollbackRequest,
        conditions: Preconditions,
        caller: Caller,
    ) -> Reply<'_, SwapResult> {
        if request.revision == Some(77) {
            return now(Err(NodeError::new(Code::RevisionNotFound, "the last one is 2")));
        }
        now(self.0.swapped(name, &conditions, None, &caller))
    }

    fn revisions(&self, name: PipelineName, after: u64, limit: u32) -> Reply<'_, Revisions> {
        const LAST: u64 = 3;
        if let Err(error) = self.0.status(&name, PipelineState::Running) {
            return now(Err(error));
        }
        let revisions: Vec<_> = (after + 1..=LAST).take(limit as usize).map(revision).collect();
        let next = revisions.last().map(|revision| revision.record).filter(|last| *last < LAST);
        now(Ok(Revisions { revisions, next }))
    }

    fn pipelines(&self) -> Reply<'_, Vec<PipelineStatus>> {
        let names: Vec<_> = self.0.state().pipelines.keys().cloned().collect();
        now(names.iter().map(|name| self.0.status(name, PipelineState::Running)).collect())
    }

    fn pipeline(&self, name: PipelineName) -> Reply<'_, PipelineDescription> {
        now(self.0.status(&name, PipelineState::Running).map(|status| {
            let spec = self.0.state().pipelines[&name].0.clone();
            let plan = plan(name.clone());
            let (plan_digest, generation) = (plan.digest(), status.generation);
            let applied = "2026-01-01T00:00:00Z".into();
            PipelineDescription { name, spec, plan, plan_digest, generation, applied, status }
        }))
    }

    fn pipeline_status(&self, name: PipelineName) -> Reply<'_, PipelineStatus> {
        now(self.0.status(&name, PipelineState::Running))
    }

    fn pause_pipeline(&self, name: PipelineName) -> Reply<'_, PipelineStatus> {
        now(self.0.status(&name, PipelineState::Paused))
    }

    fn resume_pipeline(&self, name: PipelineName) -> Reply<'_, PipelineStatus> {
        now(self.0.status(&name, PipelineState::Running))
    }

    fn delete_pipeline(
        &self,
        name: PipelineName,
        output: OutputStream,
        conditions: Preconditions,
    ) -> Reply<'_, ()> {
        let mut state = self.0.state();
        let Some((_, generation)) = state.pipelines.get(&name) else { return now(Err(no_pipeline())) };
        if output == OutputStream::Delete {
            return now(Err(NodeError::new(Code::BrokerRefused, "this user may not delete streams")));
        }
        now(conditions.check(Some(*generation)).map(|()| drop(state.pipelines.remove(&name))))
    }

    fn dead_letters(&self, name: PipelineName, after: u64, limit: u32) -> Reply<'_, DeadLetters> {
        const LAST: u64 = 5;
        if let Err(error) = self.0.status(&name, PipelineState::Running) {
            return now(Err(error));
        }
        let dead_letters: Vec<_> = (after + 1..=LAST).take(limit as usize).map(dead_letter).collect();
        let next = dead_letters.last().map(|dead| dead.sequence).filter(|last| *last < LAST);
        now(Ok(DeadLetters { dead_letters, next }))
    }

    fn begin_verification(&self, name: PipelineName, request: VerifyRequest) -> Reply<'_, Verification> {
        now(self.0.status(&name, PipelineState::Running).map(|_| Verification {
            pipeline: name,
            request,
            state: VerificationState::Running,
            started: "2026-01-01T00:00:00Z".into(),
            records: 0,
            records_total: 0,
            events: 0,
            receipts: 0,
            inputs: None,
            outputs: None,
            other_engines: vec![],
            difference: None,
            error: None,
        }))
    }

    fn verification(&self, name: PipelineName) -> Reply<'_, Verification> {
        let detail = format!("'{name}' was not verified here");
        now(Err(NodeError::new(Code::VerificationNotFound, detail)))
    }

    fn shadow(&self, name: PipelineName) -> Reply<'_, Shadow> {
        now(self.0.shadowed(name, &Caller::anonymous()))
    }

    fn start_shadow(&self, name: PipelineName, request: ShadowRequest, caller: Caller) -> Reply<'_, Shadow> {
        if request.modules.contains_key("running") {
            return now(Err(NodeError::new(Code::ShadowRunning, "stop it first")));
        }
        now(self.0.shadowed(name, &caller))
    }

    fn stop_shadow(&self, name: PipelineName) -> Reply<'_, Shadow> {
        now(self.0.shadowed(name, &Caller::anonymous()))
    }

    fn promote_shadow(&self, name: PipelineName, caller: Caller) -> Reply<'_, SwapResult> {
        now(self.0.swapped(name, &Preconditions::NONE, None, &caller))
    }

    fn trace_output(&self, stream: StreamName, sequence: u64) -> Reply<'_, OutputTrace> {
        if sequence > 1 {
            return now(Err(NodeError::new(Code::EntryNotFound, "it ends at 1")));
        }
        let (plan, time) = (Digest::of(b"plan"), "2026-01-01T00:00:00Z".to_owned());
        let record = TracedRecord {
            stream,
            sequence,
            kind: "message".into(),
            subject: "out".into(),
            source_sequence: 1,
            index: 0,
            plan,
            time: time.clone(),
            headers: vec![],
            payload: None,
        };
        let revision = TracedRevision { number: 1, record: 1, from_sequence: 1, plan, time, applied: None };
        let pipeline: PipelineName = "p".parse().expect("a valid name");
        let plan = self::plan(pipeline.clone());
        now(Ok(OutputTrace { pipeline, record, receipt: None, revision, plan, steps: vec![], event: None }))
    }

    fn trace_source(&self, _: StreamName, sequence: u64) -> Reply<'_, SourceTrace> {
        if sequence > 1 {
            return now(Err(NodeError::new(Code::EntryNotFound, "it ends at 1")));
        }
        now(Ok(SourceTrace { event: None, pipelines: vec![] }))
    }

    fn info(&self) -> Reply<'_, NodeInfo> {
        now(Ok(NodeInfo {
            version: "0.1.0".into(),
            api: "v1".into(),
            engine: "fake".into(),
            name: "node".into(),
            workers: 1,
            nats_server_version: None,
            record_bytes: None,
            nats_url: "nats://localhost".into(),
            started: "2026-01-01T00:00:00Z".into(),
        }))
    }

    fn readiness(&self) -> Readiness {
        let open = !self.0.state().not_ready;
        let detail = (!open).then(|| "no connection; trying again".to_owned());
        Readiness::of(vec![
            LatchState { name: "store".into(), open: true, detail: None },
            LatchState { name: "broker".into(), open, detail },
        ])
    }

    fn metrics(&self) -> Reply<'_, String> {
        now(Ok("# EOF\n".into()))
    }
}

impl ModuleUpload for FakeUpload {
    fn write(&mut self, chunk: Bytes) -> Reply<'_, ()> {
        self.bytes.extend_from_slice(&chunk);
        now(Ok(()))
    }

    fn finish(
        mut self: Box<Self>,
        expected: Option<Digest>,
        wait: Duration,
    ) -> Reply<'static, (Module, Written)> {
        let found = Digest::of(&self.bytes);
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            let error = NodeError::new(Code::DigestMismatch, "the bytes differ");
            return now(Err(error.with("expected", expected.to_string()).with("found", found.to_string())));
        }
        if self.bytes.starts_with(b"not wasm") {
            return now(Err(NodeError::new(Code::ModuleRefused, "it does not begin as WebAssembly does")));
        }
        let bytes = std::mem::take(&mut self.bytes);
        let before = self.node.state().modules.insert(found, bytes.into());
        let written = if before.is_some() { Written::Existed } else { Written::Created };
        // Compiling takes a minute here, so that a test can see whether it is waited for.
        let is_waited_for = wait >= Duration::from_secs(60) || wait == crate::upload::WAIT_DEFAULT;
        let state = if is_waited_for { ModuleState::Ready } else { ModuleState::Compiling };
        now(self.node.describe(found).map(|module| (Module { state, ..module }, written)))
    }
}

impl Drop for FakeUpload {
    fn drop(&mut self) {
        self.node.open_uploads.fetch_sub(1, Ordering::SeqCst);
    }
}

fn revision(number: u64) -> RevisionDescription {
    RevisionDescription {
        number,
        generation: number,
        from_sequence: number * 10,
        record: number,
        plan: Digest::of(b"plan"),
        time: "2026-01-01T00:00:00Z".into(),
        applied: None,
        changes: vec![],
    }
}

fn dead_letter(sequence: u64) -> DeadLetter {
    DeadLetter {
        sequence,
        position: sequence * 10,
        subject: "a".into(),
        step: "mask".into(),
        module: Digest::of(b"module"),
        code: "rejected".into(),
        reason: "no field".into(),
        payload: Some(Payload::from_bytes(b"{}")),
        payload_omitted: None,
        headers: vec![],
        plan: Digest::of(b"plan"),
        time: "2026-01-01T00:00:00Z".into(),
    }
}

fn plan(pipeline: PipelineName) -> model::Plan {
    model::Plan {
        version: model::plan::PLAN_VERSION,
        pipeline,
        source: model::SourcePlan {
            stream: "IN".parse().expect("a valid name"),
            subjects: vec![],
            format: None,
        },
        steps: vec![],
        sink: model::SinkPlan {
            stream: "OUT".parse().expect("a valid name"),
            subject: "out.{subject}".parse().expect("a valid template"),
            allow: vec![],
            record_bytes: 1000,
            pack: None,
        },
        block: 256,
        on_guest_fault: model::OnGuestFault::DeadLetter,
    }
}
