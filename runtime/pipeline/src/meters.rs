//! What Prometheus sees of pipelines: every name, unit and label in one place.
//!
//! Counters count what this node did since it started, work that lost a race included; the chain itself
//! says what was done.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use model::record::{DEAD_FAULT_HEADER, DEAD_MODULE_HEADER};
use model::{PipelineName, Record, RecordKind};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::shadow::Tally;
use crate::workers::ChunkResult;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Gauges = Family<Labels, Gauge<u64, AtomicU64>>;

/// The upper bounds of the latency histogram, in seconds.
const LATENCY_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0];

const KINDS: [RecordKind; 4] =
    [RecordKind::Message, RecordKind::Dead, RecordKind::Receipt, RecordKind::Revision];

/// The meters of all pipelines of a node.
#[derive(Clone)]
pub struct Meters {
    now_ns: fn() -> u64,
    events: Counters,
    module_events: Counters,
    records: Counters,
    dead_letters: Counters,
    conflicts: Counters,
    host_faults: Counters,
    restarts: Counters,
    latency: Family<Labels, Histogram>,
    lag: Gauges,
    position: Gauges,
    up: Gauges,
    shadow_events: Counters,
    shadow_differences: Counters,
    shadow_faults: Counters,
    shadow_skipped: Counters,
}

impl Meters {
    /// Registers the meters. `now_ns` tells the time in nanoseconds since 1970-01-01 UTC.
    pub fn register(registry: &mut Registry, now_ns: fn() -> u64) -> Self {
        let meters = Self {
            now_ns,
            events: Family::default(),
            module_events: Family::default(),
            records: Family::default(),
            dead_letters: Family::default(),
            conflicts: Family::default(),
            host_faults: Family::default(),
            restarts: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            lag: Family::default(),
            position: Family::default(),
            up: Family::default(),
            shadow_events: Family::default(),
            shadow_differences: Family::default(),
            shadow_faults: Family::default(),
            shadow_skipped: Family::default(),
        };
        meters.enter(registry);
        meters
    }

    fn enter(&self, registry: &mut Registry) {
        let mut counter = |name, help, family: &Counters| registry.register(name, help, family.clone());
        counter("weir_events", "Source events that went through a pipeline's steps", &self.events);
        counter("weir_module_events", "Events that a module was called for", &self.module_events);
        counter("weir_records", "Records that were sent to be appended, by kind", &self.records);
        counter("weir_dead_letters", "Dead letters, by the module and the fault's code", &self.dead_letters);
        counter("weir_conflicts", "Races for a record that another node won", &self.conflicts);
        counter("weir_host_faults", "Faults of the host or the machine, tried again", &self.host_faults);
        counter("weir_restarts", "Times that a pipeline read its chain's end and went on", &self.restarts);
        counter("weir_shadow_events", "Events that a shadow was compared on", &self.shadow_events);
        counter(
            "weir_shadow_differences",
            "Events whose records differ in a shadow",
            &self.shadow_differences,
        );
        counter("weir_shadow_faults", "Events at which only a shadow's candidate fails", &self.shadow_faults);
        counter(
            "weir_shadow_skipped_events",
            "Events that a shadow could not keep up with",
            &self.shadow_skipped,
        );
        let mut gauge = |name, help, family: &Gauges| registry.register(name, help, family.clone());
        gauge("weir_lag_events", "Source events that are known and not yet worked through", &self.lag);
        gauge("weir_position_sequence", "The last source sequence that was worked through", &self.position);
        gauge("weir_pipeline_running", "1 while the pipeline runs on this node, else 0", &self.up);
        registry.register_with_unit(
            "weir_event_latency",
            "From storing an event in the source to the answer for its records; the oldest of each burst",
            Unit::Seconds,
            self.latency.clone(),
        );
    }

    /// The meters of one pipeline.
    pub fn pipeline(&self, name: &PipelineName) -> PipelineMeters {
        let labels = vec![("pipeline", name.to_string())];
        let count = |family: &Counters| family.get_or_create_owned(&labels);
        let records = KINDS.map(|kind| {
            let labels = vec![("pipeline", name.to_string()), ("kind", kind.as_str().to_owned())];
            (kind, self.records.get_or_create_owned(&labels))
        });
        PipelineMeters {
            events: count(&self.events),
            conflicts: count(&self.conflicts),
            host_faults: count(&self.host_faults),
            restarts: count(&self.restarts),
            latency: self.latency.get_or_create_owned(&labels),
            lag: self.lag.get_or_create_owned(&labels),
            position: self.position.get_or_create_owned(&labels),
            up: self.up.get_or_create_owned(&labels),
            records: Arc::new(records),
            name: name.clone(),
            all: self.clone(),
        }
    }

    /// Counts what a pipeline's shadow has come to since it was last counted.
    pub fn shadowed(&self, name: &PipelineName, tally: &Tally) {
        let labels = vec![("pipeline", name.to_string())];
        for (family, count) in [
            (&self.shadow_events, tally.events),
            (&self.shadow_differences, tally.differences),
            (&self.shadow_faults, tally.new_faults),
            (&self.shadow_skipped, tally.skipped),
        ] {
            family.get_or_create(&labels).inc_by(count);
        }
    }

    /// Forgets a pipeline that is no more, but for what was counted by its modules.
    pub fn forget(&self, name: &PipelineName) {
        let labels = vec![("pipeline", name.to_string())];
        let own = [&self.events, &self.conflicts, &self.host_faults, &self.restarts];
        let shadow =
            [&self.shadow_events, &self.shadow_differences, &self.shadow_faults, &self.shadow_skipped];
        for family in own.into_iter().chain(shadow) {
            family.remove(&labels);
        }
        for family in [&self.lag, &self.position, &self.up] {
            family.remove(&labels);
        }
        for kind in KINDS {
            self.records.remove(&vec![("pipeline", name.to_string()), ("kind", kind.as_str().to_owned())]);
        }
        self.latency.remove(&labels);
    }
}

/// The meters of one pipeline.
#[derive(Clone)]
pub struct PipelineMeters {
    /// Races lost.
    pub conflicts: Counter,
    /// Faults of ours.
    pub host_faults: Counter,
    /// Times that the chain's end was read.
    pub restarts: Counter,
    /// Events known and not yet worked through.
    pub lag: Gauge<u64, AtomicU64>,
    /// The last source sequence worked through.
    pub position: Gauge<u64, AtomicU64>,
    /// Whether it runs.
    pub up: Gauge<u64, AtomicU64>,
    events: Counter,
    latency: Histogram,
    records: Arc<[(RecordKind, Counter); 4]>,
    name: PipelineName,
    all: Meters,
}

impl PipelineMeters {
    /// Counts what was executed.
    pub fn executed(&self, result: &ChunkResult) {
        self.events.inc_by(result.events);
        for (step, calls) in result.plan.plan.steps.iter().zip(&result.calls) {
            let labels = vec![
                ("pipeline", self.name.to_string()),
                ("step", step.name.clone()),
                ("module", step.module.to_string()),
            ];
            self.all.module_events.get_or_create(&labels).inc_by(*calls);
        }
    }

    /// Counts a record that was sent.
    pub fn appended(&self, record: &Record) {
        if let Some((_, counter)) = self.records.iter().find(|(kind, _)| *kind == record.kind) {
            counter.inc();
        }
        if record.kind == RecordKind::Dead {
            let header = |name| record.headers.get(name).unwrap_or_default().to_owned();
            let labels = vec![
                ("pipeline", self.name.to_string()),
                ("module", header(DEAD_MODULE_HEADER)),
                ("code", header(DEAD_FAULT_HEADER)),
            ];
            self.all.dead_letters.get_or_create(&labels).inc();
        }
    }

    /// How many events went through the steps on this node.
    pub fn events(&self) -> u64 {
        self.events.get()
    }

    /// How many records of a kind were sent from this node.
    pub fn records(&self, kind: RecordKind) -> u64 {
        self.records.iter().find(|(of, _)| *of == kind).map_or(0, |(_, counter)| counter.get())
    }

    /// Observes the time since an event was stored.
    pub fn observe_latency(&self, stored_ns: u64) {
        let passed_ns = (self.all.now_ns)().saturating_sub(stored_ns);
        self.latency.observe(passed_ns as f64 / 1e9);
    }
}
