//! Swaps: how a newly applied plan comes in force, as soon as it can or from one exact event on.
//!
//! A node loads the new plan first, and only then carries it out, by a revision in the chain. Where the swap
//! has an exact place, events from there on are held back while the plan loads, so that a node that knows of
//! the swap never passes it. What decides is the chain alone: a swap whose place the chain has passed is
//! missed on every node, for good, and is said; it never takes over at another event instead.

use std::sync::Arc;

use model::{Digest, RecordKind};
use tokio::sync::{mpsc, watch};

use crate::chain::Chain;
use crate::ports::{Loader, PortError, Sink, Source, StopReason};
use crate::service::{Desired, Pipeline};
use crate::unit::LoadedPlan;

/// A plan that is ready to take over.
pub struct Swap {
    /// The plan.
    pub plan: Arc<LoadedPlan>,
    /// The application that it carries out.
    pub generation: u64,
    /// The first sequence that it is to govern; the next one, if it does not matter.
    pub at: Option<u64>,
}

/// What the reading half of a run is told about swaps. The last order counts.
pub enum Order {
    /// A plan is being loaded that is to take over at this sequence: wait before it.
    Hold(u64),
    /// A plan is ready.
    TakeOver(Swap),
    /// No other plan is to come.
    GoOn,
}

/// The plan that a run knows to be in force or on its way, and the last application that it has dealt with.
#[derive(Clone, Copy)]
pub(crate) struct InForce {
    plan: Digest,
    generation: u64,
    /// Where the plan takes over, if it is on its way to one exact event.
    at: Option<u64>,
}

/// What a run has to do about the application that it begins with.
pub(crate) struct Considered {
    /// What the reading half is told first.
    pub(crate) order: Option<Order>,
    /// What is in force then.
    pub(crate) in_force: InForce,
}

impl Chain {
    /// Whether a plan can no longer take over exactly at the sequence `at`: there are records of it, or of
    /// later events, or a revision that governs from later on.
    pub fn has_passed(&self, at: u64) -> bool {
        let position = self.last.position.sequence;
        if self.last.kind == RecordKind::Revision { position > at } else { position >= at }
    }

    fn in_force(&self) -> InForce {
        InForce { plan: self.revision.plan_digest, generation: self.revision.generation, at: None }
    }
}

impl InForce {
    fn is_behind(self, wanted: &Desired) -> bool {
        let is_elsewhere = self.at.is_some() && self.at != wanted.at;
        wanted.generation > self.generation && (wanted.plan.digest() != self.plan || is_elsewhere)
    }
}

impl<S: Source, K: Sink, L: Loader> Pipeline<S, K, L> {
    /// What is to be done about `wanted`, where the chain stands at `chain`.
    pub(crate) async fn consider(&self, wanted: &Desired, chain: &Chain) -> Considered {
        let in_force = chain.in_force();
        self.status.set_known_generation(wanted.generation);
        if !in_force.is_behind(wanted) {
            self.status.set_swap_error(None);
            return Considered { order: None, in_force };
        }
        if let Some(at) = wanted.at.filter(|at| chain.has_passed(*at)) {
            self.status.set_swap_error(Some(missed(wanted, chain, at)));
            let in_force = InForce { generation: wanted.generation, ..in_force };
            return Considered { order: None, in_force };
        }
        match self.load(&wanted.plan).await {
            Ok(plan) => {
                self.status.set_swap_error(None);
                let in_force = InForce { plan: plan.digest, generation: wanted.generation, at: wanted.at };
                let swap = Swap { plan: Arc::new(plan), generation: wanted.generation, at: wanted.at };
                Considered { order: Some(Order::TakeOver(swap)), in_force }
            }
            Err(error) => {
                // Following loads it again, and says whether there is anything to wait for.
                self.status.set_swap_error(Some(failed(&error)));
                Considered { order: wanted.at.map(Order::Hold), in_force }
            }
        }
    }

    /// Carries out what is newly desired, while a run goes on. Returns when the run is to stop.
    pub(crate) async fn follow(
        &self,
        desired: &mut watch::Receiver<Desired>,
        mut in_force: InForce,
        orders: mpsc::Sender<Order>,
    ) {
        let mut backoff = self.options.backoff_min;
        let mut held = None;
        let mut generation = desired.borrow().generation;
        loop {
            let wanted = desired.borrow_and_update().clone();
            if wanted.paused {
                return;
            }
            if wanted.generation != generation {
                generation = wanted.generation;
                self.status.set_swap_error(None);
            }
            let is_behind = in_force.is_behind(&wanted);
            let hold = wanted.at.filter(|_| is_behind);
            if held != hold {
                // The run may be over; the next one sees to it. So it is with the orders below.
                let _ = orders.send(hold.map_or(Order::GoOn, Order::Hold)).await;
                held = hold;
            }
            if held.is_some() || !is_behind {
                self.status.set_known_generation(generation);
            }
            if is_behind {
                let loaded = tokio::select! {
                    loaded = self.load(&wanted.plan) => loaded,
                    Ok(()) = desired.changed() => continue,
                };
                match loaded {
                    Ok(plan) => {
                        self.status.set_swap_error(None);
                        in_force =
                            InForce { plan: plan.digest, generation: wanted.generation, at: wanted.at };
                        let swap = Swap { plan: Arc::new(plan), generation, at: wanted.at };
                        let _ = orders.send(Order::TakeOver(swap)).await;
                        self.status.set_known_generation(generation);
                        held = None;
                    }
                    Err(error) => {
                        tracing::warn!(pipeline = %self.name, %error, "The new plan cannot take over yet");
                        self.status.set_swap_error(Some(failed(&error)));
                        if held.is_some() && matches!(error, PortError::Stop(_)) {
                            // A module that cannot be loaded never takes over: the old plan runs on.
                            let _ = orders.send(Order::GoOn).await;
                        }
                        tokio::time::sleep(backoff).await;
                        backoff = (backoff * 2).min(self.options.backoff_max);
                        continue;
                    }
                }
            }
            if desired.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

fn failed(error: &PortError) -> StopReason {
    StopReason::new("swap-failed", error.to_string())
}

fn missed(wanted: &Desired, chain: &Chain, at: u64) -> StopReason {
    StopReason::new(
        "swap-missed",
        format!(
            "plan {} was to take over at source sequence {at}, and the chain had come to {} (record {}) before \
             the nodes knew of it; the old plan runs on: swap again, with a later sequence or without one",
            wanted.plan.digest(),
            chain.last.position.sequence,
            chain.last_sequence
        ),
    )
}
