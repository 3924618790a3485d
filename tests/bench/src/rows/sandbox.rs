//! Rows 4 to 6: the engine alone, one event, against the same function native and plain wasmtime.
//!
//! The plain side has the same compiler's settings as the engine (fuel, epochs, canonical NaN), since these
//! are what determinism costs, and the same pool; it sets fuel once and never looks at limits, faults or
//! logs.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use engine::{Engine, EngineOptions, Instance, Module};
use model::{Answer, Event, Headers, Limits};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, PoolingAllocationConfig, Store};
use weir_tests::guest;

use super::Bench;
use crate::pairs::{self, Compared};
use crate::report::{Goal, Row};

/// Events in a block, as by default.
const BLOCK: u32 = 256;

/// Rows 4 to 6.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let calls = bench.size(200_000, 40_000);
    let pairs = bench.pairs(15);
    let event = event();
    let ours = Ours::new()?;
    let plain = Plain::new(&guest("upper")).expect("plain wasmtime takes the guest");
    let mut rows = Vec::new();

    let mut component = ours.start(&ours.component)?;
    let mut core = ours.start(&ours.core)?;
    let mut reused = plain.start(&event).expect("plain wasmtime starts the guest");
    let native = || Ok(per_call(calls, || drop(black_box(native_upper(black_box(&event))))));
    let compared = pairs::compare(pairs, || Ok(per_call(calls, || process(&mut component, &event))), native)?;
    rows.push(over_native("4a", "component, one event, over the function native", &compared, 1_200.0));
    let compared = pairs::compare(
        pairs,
        || Ok(per_call(calls, || process(&mut component, &event))),
        || Ok(per_call(calls, || reused.call())),
    )?;
    let name = "component, one event, against a plain wasmtime component call";
    rows.push(Row::compared("4b", name, &compared, Goal::AtMost(1.15), "ns"));
    let compared = pairs::compare(pairs, || Ok(per_call(calls, || process(&mut core, &event))), native)?;
    rows.push(over_native("5", "core module, one event, over the function native", &compared, 350.0));

    let fresh = calls / 100;
    let compared = pairs::compare(
        pairs,
        || Ok(per_call(fresh, || ours.fresh(&event, 1))),
        || Ok(per_call(fresh, || plain.fresh(&event))),
    )?;
    let name = "fresh instance for each event, against plain instantiate and call";
    rows.push(Row::compared("6a", name, &compared, Goal::AtMost(1.1), "ns"));
    let blocks = calls / BLOCK;
    let compared = pairs::compare(
        pairs,
        || Ok(per_call(blocks, || ours.fresh(&event, BLOCK)) / f64::from(BLOCK)),
        || Ok(per_call(calls, || process(&mut component, &event))),
    )?;
    let name = "fresh instance for each block of 256, against a reused instance";
    rows.push(Row::compared("6b", name, &compared, Goal::AtMost(1.3), "ns an event"));
    Ok(rows)
}

/// Plain wasmtime and an instance of the guest `upper` in it: a call of that is what machines, and a
/// machine's moments, can be told apart by.
pub(crate) struct Yardstick {
    plain: PlainInstance,
    quickest_ns: f64,
}

impl Yardstick {
    /// Compiles and starts it.
    pub(crate) fn new() -> Self {
        let plain = Plain::new(&guest("upper")).expect("plain wasmtime takes the guest");
        let plain = plain.start(&event()).expect("plain wasmtime starts the guest");
        Self { plain, quickest_ns: f64::INFINITY }
    }

    /// Makes so many calls, and says how many nanoseconds one took.
    pub(crate) fn per_call(&mut self, calls: u32) -> f64 {
        let took_ns = per_call(calls, || self.plain.call());
        self.quickest_ns = self.quickest_ns.min(took_ns);
        took_ns
    }

    /// The least of what [`per_call`](Self::per_call) has given.
    pub(crate) fn quickest_ns(&self) -> f64 {
        self.quickest_ns
    }
}

/// The event that every side is given: 256 bytes under a short subject, with one header.
pub(crate) fn event() -> Event {
    Event {
        subject: "in.a".to_owned(),
        payload: Bytes::from(vec![b'x'; 256]),
        headers: Headers::canonical([("trace".to_owned(), "0123456789abcdef".to_owned())]),
        sequence: 1_234_567,
        timestamp_ns: 1_795_400_377_363_678_063,
    }
}

fn over_native(id: &str, name: &str, compared: &Compared, goal_ns: f64) -> Row {
    let over = compared.first - compared.second;
    let note = format!("{} against {} ns", pairs::round(compared.first), pairs::round(compared.second));
    Row::new(id, name, over, Goal::AtMost(goal_ns), "ns")
        .spread(compared.spread * compared.second)
        .noted(&note)
}

/// Nanoseconds that one call takes.
fn per_call(calls: u32, mut call: impl FnMut()) -> f64 {
    let started = Instant::now();
    for _ in 0..calls {
        call();
    }
    started.elapsed().as_nanos() as f64 / f64::from(calls)
}

/// What the guest `upper` does, native, on events of the SDK as the guest sees them.
fn native_upper(event: &Event) -> weir_sdk::Message {
    let mut seen = weir_sdk::Event::new(event.subject.clone(), event.payload.to_vec());
    seen.headers = event.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    seen.message(seen.payload.to_ascii_uppercase())
}

fn process(instance: &mut Instance, event: &Event) {
    let answer = instance.process(black_box(event), &mut |_| {}).expect("the guest answers");
    assert!(matches!(black_box(answer), Answer::Messages(messages) if messages.len() == 1));
}

/// Our engine, with the guest as a component and as a core module.
pub(crate) struct Ours {
    component: Module,
    core: Module,
}

impl Ours {
    /// Compiles both.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let engine = Engine::new(EngineOptions { instances_max: 2, ..EngineOptions::DEFAULT })?;
        let component = engine.compile_and_load(&guest("upper"))?;
        Ok(Self { component, core: engine.compile_and_load(&guest("upper-c"))? })
    }

    /// Runs one of the two on the event, so many times.
    pub(crate) fn run(&self, core: CoreOrComponent, times: u32) -> anyhow::Result<()> {
        let module = if core == CoreOrComponent::Core { &self.core } else { &self.component };
        let (mut instance, event) = (self.start(module)?, event());
        (0..times).for_each(|_| process(&mut instance, &event));
        Ok(())
    }

    fn start(&self, module: &Module) -> anyhow::Result<Instance> {
        Ok(module.instantiate("", &Limits::DEFAULT, &mut |_| {})?)
    }

    fn fresh(&self, event: &Event, events: u32) {
        let mut instance = self.start(&self.component).expect("an instance");
        (0..events).for_each(|_| process(&mut instance, event));
    }
}

/// Which contract.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoreOrComponent {
    /// Exports and MessagePack.
    Core,
    /// The world in `wit/`.
    Component,
}

/// What wasmtime's own macro makes of the contract.
#[allow(unsafe_code, missing_docs, unreachable_pub, reason = "the macro writes it")]
mod bindings {
    wasmtime::component::bindgen!({ path: "../../wit", world: "weir:transform/transform" });
}

/// wasmtime as one would use it, with the same settings and nothing of ours.
struct Plain {
    linked: bindings::TransformPre<()>,
}

struct PlainInstance {
    store: Store<()>,
    transform: bindings::Transform,
    event: bindings::Event,
}

impl Plain {
    fn new(component: &[u8]) -> wasmtime::Result<Self> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(8)
            .total_core_instances(64)
            .total_memories(16)
            .total_tables(32)
            .max_core_instance_size(4 << 20)
            .max_component_instance_size(4 << 20)
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(32 << 10);
        let mut config = Config::new();
        config
            .consume_fuel(true)
            .epoch_interruption(true)
            .cranelift_nan_canonicalization(true)
            .concurrency_support(false)
            .memory_init_cow(true)
            .allocation_strategy(pool);
        let engine = wasmtime::Engine::new(&config)?;
        let component = Component::new(&engine, component)?;
        let mut linker = Linker::new(&engine);
        linker.define_unknown_imports_as_traps(&component)?;
        Ok(Self { linked: bindings::TransformPre::new(linker.instantiate_pre(&component)?)? })
    }

    fn start(&self, event: &Event) -> wasmtime::Result<PlainInstance> {
        let mut store = Store::new(self.linked.engine(), ());
        store.set_fuel(u64::MAX / 2)?;
        store.set_epoch_deadline(1_000_000);
        let transform = self.linked.instantiate(&mut store)?;
        let event = bindings::Event {
            subject: event.subject.clone(),
            payload: event.payload.to_vec(),
            headers: event.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            sequence: event.sequence,
            timestamp_ns: event.timestamp_ns,
        };
        Ok(PlainInstance { store, transform, event })
    }

    fn fresh(&self, event: &Event) {
        self.start(event).expect("an instance").call();
    }
}

impl PlainInstance {
    fn call(&mut self) {
        let answer = self.transform.call_process(&mut self.store, black_box(&self.event));
        let messages = black_box(answer).expect("the guest answers").expect("it does not reject");
        assert_eq!((messages.len(), messages[0].payload.len()), (1, 256));
        assert!(messages[0].subject.is_none() && messages[0].headers.len() == 1);
    }
}
