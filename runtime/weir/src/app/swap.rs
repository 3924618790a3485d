//! Putting another plan in place of the one that is applied: other modules, or an older revision. Everything
//! that can be wrong is found here, before anything is changed; then it is an application like any other.

use std::collections::BTreeMap;

use api::dto::{AppliedHow, PlanChange, RollbackRequest, SwapOutcome, SwapRequest, SwapResult};
use api::{Caller, Code, NodeError, Preconditions};
use model::{Digest, PipelineName, Plan, plan_changes};
use pipeline::chain::{self, Chain};
use pipeline::ports::PortError;

use super::apply::{check_modules, ensure_output};
use super::catalog::{Application, Catalog, no_pipeline, no_tag};
use super::connection::Connection;
use super::errors::chain_error;
use super::library::Library;
use super::revisions;
use crate::spec::ModuleRef;

/// Where the plan that is applied stands, seen from the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is in force, or will be as soon as it can.
    Applied,
    /// It waits for an event that is still to come.
    Waits(u64),
    /// The chain passed its event without it, so that another plan is in force.
    Missed,
}

impl Standing {
    /// Looks at the chain.
    ///
    /// # Errors
    /// When the chain cannot be read.
    pub(crate) async fn look(connection: &Connection, application: &Application) -> Result<Self, NodeError> {
        let plan = &application.plan;
        if application.at.is_none() {
            return Ok(Self::Applied);
        }
        match chain::read(&connection.sink(plan), &plan.pipeline).await {
            Ok(chain) => Ok(Self::of(application, chain.as_ref())),
            // Such as a stream that was lost, which applying makes again.
            Err(PortError::Stop(_)) => Ok(Self::Applied),
            Err(error) => Err(chain_error(error)),
        }
    }

    fn of(application: &Application, chain: Option<&Chain>) -> Self {
        let Some((chain, at)) = chain.zip(application.at) else { return Self::Applied };
        let is_carried_out = chain.revision.generation >= application.generation
            || chain.revision.plan_digest == application.plan.digest();
        match (is_carried_out, chain.has_passed(at)) {
            (true, _) => Self::Applied,
            (false, true) => Self::Missed,
            (false, false) => Self::Waits(at),
        }
    }

    /// Whether the plan is not in force because of its event.
    pub(crate) fn is_bound_to_an_event(self) -> bool {
        self != Self::Applied
    }
}

/// Modules, each a digest or a tag, by the names of steps.
type Modules = BTreeMap<String, String>;

/// A pipeline whose plan is about to be changed.
pub(crate) struct Swapping<'a> {
    connection: &'a Connection,
    library: &'a Library,
    caller: &'a Caller,
    current: Application,
    revision: u64,
    chain: Option<Chain>,
}

/// What is to be put in place of the plan that is applied.
pub(crate) struct Successor {
    /// The plan.
    pub(crate) plan: Plan,
    /// The first sequence that it is to govern, if it matters.
    pub(crate) at: Option<u64>,
    /// The revision that it is taken from, if any.
    pub(crate) revision: Option<u64>,
    /// How it came about.
    pub(crate) how: AppliedHow,
}

impl<'a> Swapping<'a> {
    /// Looks at what is there.
    ///
    /// # Errors
    /// When there is no such pipeline, or its generation is not as the conditions say.
    pub(crate) async fn begin(
        connection: &'a Connection,
        library: &'a Library,
        name: &PipelineName,
        conditions: &Preconditions,
        caller: &'a Caller,
    ) -> Result<Self, NodeError> {
        let found = Catalog(&connection.state).pipeline(name).await?;
        let (current, revision) = found.ok_or_else(|| no_pipeline(name))?;
        conditions.check(Some(current.generation))?;
        let sink = connection.sink(&current.plan);
        let chain = chain::read(&sink, name).await.map_err(chain_error)?;
        Ok(Self { connection, library, caller, current, revision, chain })
    }

    /// Puts other modules into steps.
    ///
    /// # Errors
    /// What is wrong with the request; nothing is changed then.
    pub(crate) async fn swap(self, request: &SwapRequest) -> Result<SwapResult, NodeError> {
        self.require_no_wait()?;
        let plan = self.with_modules(&request.modules).await?;
        if let Some(at) = request.at {
            self.check_place(at)?;
        }
        let successor = Successor { plan, at: request.at, revision: None, how: AppliedHow::Swap };
        if request.dry_run { self.planned(&successor) } else { self.put(successor).await }
    }

    /// The plan that is applied, and the same with other modules in some steps.
    ///
    /// # Errors
    /// What is wrong with the modules.
    pub(crate) async fn candidate(&self, modules: &Modules) -> Result<(Plan, Plan), NodeError> {
        self.require_no_wait()?;
        Ok((self.base().clone(), self.with_modules(modules).await?))
    }

    /// Refuses where another plan than this one is applied.
    ///
    /// # Errors
    /// [`Code::PipelineConflict`].
    pub(crate) fn require_plan(&self, plan: &Plan) -> Result<(), NodeError> {
        if self.current.plan == *plan {
            return Ok(());
        }
        let (name, found) = (&plan.pipeline, self.current.plan.digest());
        let detail = format!("another plan was applied to pipeline '{name}' meanwhile: {found}");
        Err(NodeError::new(Code::PipelineConflict, detail))
    }

    fn require_no_wait(&self) -> Result<(), NodeError> {
        if let Standing::Waits(at) = self.standing() {
            let number = self.chain.as_ref().map_or(0, |chain| chain.revision.number);
            let name = &self.current.plan.pipeline;
            let detail = format!(
                "another swap of pipeline '{name}' waits for source sequence {at}: wait for it, or call it off by \
                 going back to the revision in force, `weir rollback {name} {number}`"
            );
            return Err(NodeError::new(Code::SwapWaiting, detail).with("at", at));
        }
        Ok(())
    }

    /// Goes back to the plan of an older revision.
    ///
    /// # Errors
    /// What is wrong with the request; nothing is changed then.
    pub(crate) async fn roll_back(self, request: RollbackRequest) -> Result<SwapResult, NodeError> {
        let broker = &self.connection.broker;
        let found = match (request.revision, &self.chain) {
            (Some(number), _) => revisions::numbered(broker, &self.current.plan, number).await?,
            (None, None) => None,
            (None, Some(chain)) => revisions::last_other(broker, &chain.revision).await?,
        };
        let found = found.ok_or_else(|| self.no_revision(request.revision))?;
        let (revision, how) = (Some(found.number), AppliedHow::Rollback);
        let successor = Successor { plan: found.plan, at: None, revision, how };
        if request.dry_run { self.planned(&successor) } else { self.put(successor).await }
    }

    /// Puts a plan in place of the one that is applied.
    ///
    /// # Errors
    /// When it cannot run here, or somebody else changed the pipeline meanwhile.
    pub(crate) async fn put(self, successor: Successor) -> Result<SwapResult, NodeError> {
        let is_applied = successor.plan == self.current.plan && !self.standing().is_bound_to_an_event();
        let digest = successor.plan.digest();
        let is_in_force = self.chain.as_ref().is_some_and(|chain| chain.revision.plan_digest == digest);
        if is_applied && (successor.at.is_none() || is_in_force) {
            return Ok(self.result(&successor, self.current.generation, SwapOutcome::Unchanged));
        }
        check_modules(self.library, &successor.plan).await?;
        ensure_output(self.connection, &successor.plan).await?;
        let known = self.chain.as_ref().map_or(0, |chain| chain.revision.generation);
        let generation = self.current.generation.max(known) + 1;
        let result = self.result(&successor, generation, SwapOutcome::Changed);
        let Successor { plan, at, how, .. } = successor;
        let name = plan.pipeline.clone();
        let application = self.current.next(generation, plan, at, how, self.caller);
        Catalog(&self.connection.state).put_pipeline(&name, &application, Some(self.revision)).await?;
        Ok(result)
    }

    fn planned(&self, successor: &Successor) -> Result<SwapResult, NodeError> {
        Ok(self.result(successor, self.current.generation, SwapOutcome::Planned))
    }

    fn result(&self, successor: &Successor, generation: u64, outcome: SwapOutcome) -> SwapResult {
        SwapResult {
            name: successor.plan.pipeline.clone(),
            plan: successor.plan.digest(),
            generation,
            outcome,
            at: successor.at,
            position: self.chain.as_ref().map_or(0, |chain| chain.last.position.sequence),
            revision: successor.revision,
            changes: changes(self.base(), &successor.plan),
        }
    }

    fn standing(&self) -> Standing {
        Standing::of(&self.current, self.chain.as_ref())
    }

    /// The plan that is changed: the one that is applied, or the one in force where that waits for an event,
    /// or missed it.
    fn base(&self) -> &Plan {
        match &self.chain {
            Some(chain) if self.standing().is_bound_to_an_event() => &chain.revision.plan,
            _ => &self.current.plan,
        }
    }

    async fn with_modules(&self, modules: &Modules) -> Result<Plan, NodeError> {
        let mut plan = self.base().clone();
        for (name, module) in modules {
            let digest = self.digest(module).await?;
            let names: Vec<_> = plan.steps.iter().map(|step| step.name.clone()).collect();
            let step = plan.steps.iter_mut().find(|step| step.name == *name).ok_or_else(|| {
                let (pipeline, names) = (&self.current.plan.pipeline, names.join(", "));
                let detail = format!("pipeline '{pipeline}' has no step '{name}'; its steps are: {names}");
                NodeError::new(Code::UnknownStep, detail).with("step", name.as_str())
            })?;
            step.module = digest;
        }
        Ok(plan)
    }

    async fn digest(&self, module: &str) -> Result<Digest, NodeError> {
        match module.parse::<ModuleRef>() {
            Ok(ModuleRef::Digest(digest)) => Ok(digest),
            Ok(ModuleRef::Tag(tag)) => {
                let found = Catalog(&self.connection.state).tag(&tag).await?;
                let unknown =
                    || NodeError::new(Code::UnknownTag, no_tag(&tag).detail()).with("tag", tag.as_str());
                found.map(|(digest, _)| digest).ok_or_else(unknown)
            }
            Err(why) => Err(NodeError::new(Code::InvalidBody, format!("'{module}': {why}"))),
        }
    }

    /// Whether the new plan can still take over exactly at `at`.
    fn check_place(&self, at: u64) -> Result<(), NodeError> {
        let name = &self.current.plan.pipeline;
        let Some(chain) = &self.chain else {
            let detail = format!(
                "pipeline '{name}' has no record yet, so there is no plan to take over from: leave 'at' out, and the \
                 new plan begins the output stream"
            );
            return Err(NodeError::new(Code::PipelineConflict, detail));
        };
        if !chain.has_passed(at) {
            return Ok(());
        }
        let (position, record) = (chain.last.position.sequence, chain.last_sequence);
        let detail = format!(
            "pipeline '{name}' has come to source sequence {position} (record {record}), so no plan can take over at \
             {at} any more: choose a later sequence, or none"
        );
        Err(NodeError::new(Code::SwapPassed, detail).with("position", position).with("record", record))
    }

    fn no_revision(&self, number: Option<u64>) -> NodeError {
        let name = &self.current.plan.pipeline;
        let last = self.chain.as_ref().map_or(0, |chain| chain.revision.number);
        let detail = match number {
            Some(number) => {
                format!(
                    "pipeline '{name}' has no revision {number}; the last one is {last}: see `weir revisions {name}`"
                )
            }
            None => format!(
                "no other plan was ever in force in pipeline '{name}': there is nothing to go back to"
            ),
        };
        NodeError::new(Code::RevisionNotFound, detail)
    }
}

/// What differs between two plans, for the API.
pub(crate) fn changes(before: &Plan, after: &Plan) -> Vec<PlanChange> {
    let change = |change: model::PlanChange| {
        let model::PlanChange { key, before, after } = change;
        PlanChange { key, before, after }
    };
    plan_changes(before, after).into_iter().map(change).collect()
}
