//! One instance of a module: a store of its own, into which events go one after the other.

use std::sync::Arc;

use model::{Answer, Event, Fault, HostFault, Limits};
use wasmtime::Store;

use crate::command::Process;
use crate::compile::{Linked, Module};
use crate::component::ComponentInstance;
use crate::core_module::CoreInstance;
use crate::engine::Engine;
use crate::fault::{Circumstances, Phase};
use crate::log::LogLine;
use crate::state::State;
use crate::ticker::{self, AwakeGuard};

/// How much more fuel and wall clock starting gets than an event.
const START_FACTOR: u32 = 10;

/// Handles that a component may have open between its own parts.
const COMPONENT_HANDLES_MAX: usize = 10_000;

/// An instance of a module. Events go into it in order; what it keeps from one to the next is its own
/// business.
pub struct Instance {
    // Fields drop in this order: the ticker has to outlive the store, and the module's engine the ticker's
    // guard.
    body: Body,
    _awake: AwakeGuard,
    _engine: Engine,
    limits: Limits,
    poisoned: bool,
    last_call: CallStats,
}

/// What stays between two events.
enum Body {
    Resident(Box<Resident>),
    /// Nothing but what a store of its own is made of for each event.
    Command(Module, Arc<str>),
}

/// A guest in its store, called once for each event.
struct Resident {
    store: Store<State>,
    guest: Guest,
}

enum Guest {
    Component(ComponentInstance),
    CoreModule(Box<CoreInstance>),
}

/// What a call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// Fuel that the call used up. The same for the same call, except where it ended in a fault.
    pub fuel_used: u64,
    /// Memories and tables of the instance after the call, in bytes.
    pub memory_bytes: u64,
}

impl Instance {
    pub(crate) fn start(
        module: &Module,
        config: Arc<str>,
        limits: &Limits,
        log: &mut dyn FnMut(LogLine),
    ) -> Result<Self, Fault> {
        let (engine, awake) = (module.engine(), module.engine().keep_awake());
        let (body, last_call) = match module.linked() {
            Linked::Command(_) => (Body::Command(module.clone(), config), CallStats::default()),
            _ => {
                let (resident, stats) = Resident::start(module, config, limits, log)?;
                (Body::Resident(Box::new(resident)), stats)
            }
        };
        let (limits, engine) = (*limits, engine.clone());
        Ok(Self { body, _awake: awake, _engine: engine, limits, poisoned: false, last_call })
    }

    /// Gives the guest one event and returns its answer. What it logs meanwhile goes to `log`, also when the
    /// call ends in a fault.
    ///
    /// # Errors
    /// The guest's or the machine's fault. After either the instance is spent: drop it, and go on with a
    /// fresh one. A further call is a host fault.
    pub fn process(&mut self, event: &Event, log: &mut dyn FnMut(LogLine)) -> Result<Answer, Fault> {
        if self.poisoned {
            return Err(
                HostFault::new("this instance is poisoned by an earlier fault: start a fresh one").into()
            );
        }
        let (answer, stats) = match &mut self.body {
            Body::Resident(resident) => resident.process(event, &self.limits, log),
            Body::Command(module, config) => run(module, config, event, &self.limits, log),
        };
        self.last_call = stats;
        self.poisoned = answer.is_err();
        answer
    }

    /// What the last call took; before the first one, what starting took.
    pub const fn last_call(&self) -> CallStats {
        self.last_call
    }
}

impl Resident {
    fn start(
        module: &Module,
        config: Arc<str>,
        limits: &Limits,
        log: &mut dyn FnMut(LogLine),
    ) -> Result<(Self, CallStats), Fault> {
        let fuel = limits.fuel_per_event.saturating_mul(START_FACTOR.into());
        let mut store = new_store(module, config, limits);
        let started =
            allow(&mut store, fuel, limits.deadline_ms.saturating_mul(START_FACTOR)).and_then(|()| {
                match module.linked() {
                    Linked::Component(module) => module.instantiate(&mut store).map(Guest::Component),
                    Linked::CoreModule(module) => {
                        module.instantiate(&mut store).map(|guest| Guest::CoreModule(Box::new(guest)))
                    }
                    Linked::Command(_) => Err(wasmtime::Error::msg("a command does not stay")),
                }
            });
        let stats = stats(&store, fuel);
        let guest = started.map_err(|error| fault(&store, Phase::Start, limits, fuel, &error));
        store.data_mut().log.drain(log);
        Ok((Self { store, guest: guest? }, stats))
    }

    fn process(
        &mut self,
        event: &Event,
        limits: &Limits,
        log: &mut dyn FnMut(LogLine),
    ) -> (Result<Answer, Fault>, CallStats) {
        let (store, fuel) = (&mut self.store, limits.fuel_per_event);
        store.data_mut().begin_event(event);
        let answer = allow(store, fuel, limits.deadline_ms).and_then(|()| match &mut self.guest {
            Guest::Component(guest) => guest.process(store, event, limits),
            Guest::CoreModule(guest) => guest.process(store, event, limits),
        });
        let stats = stats(store, fuel);
        let answer = answer.map_err(|error| fault(store, Phase::Event, limits, fuel, &error));
        store.data_mut().log.drain(log);
        (answer, stats)
    }
}

/// Runs a command on one event, from its load to its end, under the event's own limits.
fn run(
    module: &Module,
    config: &Arc<str>,
    event: &Event,
    limits: &Limits,
    log: &mut dyn FnMut(LogLine),
) -> (Result<Answer, Fault>, CallStats) {
    let Linked::Command(command) = module.linked() else {
        return (Err(HostFault::new("this module is no command").into()), CallStats::default());
    };
    let fuel = limits.fuel_per_event;
    let mut store = new_store(module, Arc::clone(config), limits);
    store.data_mut().begin_event(event);
    store.data_mut().process = Some(Process::new(event.clone(), Arc::clone(config), *limits));
    let loaded = allow(&mut store, fuel, limits.deadline_ms).and_then(|()| command.instantiate(&mut store));
    let ended = match loaded {
        Err(error) => Err((Phase::Start, error)),
        Ok(program) => program.run(&mut store).map_err(|error| (Phase::Event, error)),
    };
    let stats = stats(&store, fuel);
    let answer = match ended {
        Err((phase, error)) => Err(fault(&store, phase, limits, fuel, &error)),
        Ok(code) => {
            let State { process, log, .. } = store.data_mut();
            let process = process.take().expect("it was put there above");
            process.answer(code, &log.stderr(), module.output()).map_err(Fault::from)
        }
    };
    store.data_mut().log.drain(log);
    (answer, stats)
}

fn new_store(module: &Module, config: Arc<str>, limits: &Limits) -> Store<State> {
    let state = State::new(module.digest(), config, limits);
    let mut store = Store::new(module.engine().wasmtime(), state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(hostcall_fuel(limits));
    store.set_max_component_handles(COMPONENT_HANDLES_MAX);
    store
}

/// What one lift out of a component may copy, in wasmtime's units: bytes of text and payload, and the host's
/// own size of each record. It stops an answer whose parts point to the same memory over and over before the
/// copies are made; the exact bound is kept afterwards.
fn hostcall_fuel(limits: &Limits) -> usize {
    let bytes = usize::try_from(limits.bytes_per_event).unwrap_or(usize::MAX);
    let messages = usize::try_from(limits.messages_per_event).unwrap_or(usize::MAX);
    bytes.saturating_mul(4).saturating_add(messages.saturating_mul(256)).saturating_add(1 << 16)
}

fn fault(store: &Store<State>, phase: Phase, limits: &Limits, fuel: u64, error: &wasmtime::Error) -> Fault {
    let State { limiter, log, .. } = store.data();
    let memory_refused = limiter.refused();
    Circumstances { phase, limits, fuel, memory_refused, stderr: log.stderr(), last_error: log.last_error() }
        .fault(error)
}

fn allow(store: &mut Store<State>, fuel: u64, deadline_ms: u32) -> wasmtime::Result<()> {
    store.set_epoch_deadline(ticker::epochs(deadline_ms));
    store.set_fuel(fuel)
}

fn stats(store: &Store<State>, fuel: u64) -> CallStats {
    let left = store.get_fuel().unwrap_or(0);
    let memory_bytes = store.data().limiter.used_bytes() as u64;
    CallStats { fuel_used: fuel.saturating_sub(left), memory_bytes }
}
