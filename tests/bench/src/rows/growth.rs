//! Row 14: how the rate goes with pipelines, steps, payload and workers.

use weir_tests::{NatsClient, NatsServer};

use super::Bench;
use super::append::{self, pipeline};
use crate::report::{Goal, Row};
use crate::streams::{self, Storage};
use crate::world;

/// Payloads from which on bytes count, and not events.
const LARGE_BYTES: usize = 64 << 10;

/// A setting, and what was measured there.
type Points = Vec<(f64, f64)>;

/// Row 14.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    let pipelines = pipelines(bench);
    let steps = steps(bench);
    let payload = payload(bench);
    let large = payload.iter().take_while(|(bytes, _)| *bytes < LARGE_BYTES as f64).count();
    let workers = workers(bench)?;
    Ok(vec![
        row("14a", "records a second of 64 pipelines together, against one", &pipelines)
            .goal(Goal::AtLeast(0.9)),
        // Each step adds one call, so four of them may take four times as long, and not more.
        row("14b", "events a second with 4 steps, against 1", &steps).goal(Goal::AtLeast(0.25)),
        row("14c", "MiB a second at payloads of 1 MiB, against 64 KiB", &payload[large..])
            .goal(Goal::AtLeast(0.9)),
        row("14d", "events a second of mask-pii on flights with 2 workers, against 1", &workers),
    ])
}

/// The last point against the first.
fn row(id: &str, name: &str, points: &[(f64, f64)]) -> Row {
    let (first, last) = (points[0].1, points[points.len() - 1].1);
    Row::told(id, name, last / first, "times").with_points(points.to_vec())
}

/// The best of some runs: what slows a run down comes from outside.
fn best(bench: &Bench, mut run: impl FnMut() -> f64) -> f64 {
    (0..bench.size(3, 1)).map(|_| run()).fold(0.0, f64::max)
}

fn filled(payload_bytes: usize, events: u64) -> NatsServer {
    filled_with(&[vec![b'x'; payload_bytes]], events)
}

fn filled_with(payloads: &[Vec<u8>], events: u64) -> NatsServer {
    let nats = NatsServer::start_with("max_payload: 4MB");
    let mut client = nats.client();
    streams::create(&mut client, "IN", &["in.>"], Storage::File, 1);
    fill(&nats, payloads, events);
    nats
}

fn fill(nats: &NatsServer, payloads: &[Vec<u8>], events: u64) {
    let events = usize::try_from(events).expect("events fit the memory");
    streams::fill(&mut nats.client(), "in.a", payloads, events);
}

/// Records a second of all pipelines together, by how many there are.
fn pipelines(bench: &Bench) -> Points {
    let total = bench.size(256_000, 64_000);
    let counts: &[u64] = bench.size(&[1, 2, 4, 8, 16, 32, 64], &[1, 64]);
    let point = |count: &u64| (*count as f64, best(bench, || together(*count, total / count)));
    counts.iter().map(point).collect()
}

/// Records a second of so many pipelines, from the first one's first record to the last one's last. They are
/// applied before there are events, and the node is stopped while those come: none begins before the others.
fn together(pipelines: u64, events: u64) -> f64 {
    let nats = filled(256, 0);
    let mut node = world::node(&world::weir(), &nats, &[]);
    let module = world::push(&node, "identity");
    for number in 0..pipelines {
        let subject = format!("out{number}.{{subject}}");
        let pipeline = pipeline(&format!("p{number}")).step(module).sink(&format!("OUT{number}"), &subject);
        node.api().apply(&pipeline).expect(201);
    }
    let mut client = nats.client();
    // A revision first, a receipt after each block, and a record for each event.
    let (first, last) = (2, 1 + events + events / 256);
    let wait = |client: &mut NatsClient, records| {
        (0..pipelines).for_each(|number| streams::wait_for(client, &format!("OUT{number}"), records, || {}));
    };
    wait(&mut client, 1);
    node.terminate();
    fill(&nats, &[vec![b'x'; 256]], events);
    node.launch();
    wait(&mut client, last);
    let (mut begin, mut end) = (f64::INFINITY, 0.0_f64);
    for number in 0..pipelines {
        let output = format!("OUT{number}");
        begin = begin.min(streams::stored_at(&mut client, &output, first));
        end = end.max(streams::stored_at(&mut client, &output, last));
    }
    (events * pipelines) as f64 / (end - begin)
}

fn steps(bench: &Bench) -> Points {
    let events = bench.size(100_000, 20_000);
    let nats = filled(256, events);
    let node = world::node(&world::weir(), &nats, &[]);
    let module = world::push(&node, "identity");
    let with = |steps: u32| (0..steps).fold(pipeline("steps"), |pipeline, _| pipeline.step(module));
    let run = |steps| world::run_pipeline(&nats, &node, &with(steps), events).events_per_second;
    [1, 2, 4].map(|steps| (f64::from(steps), best(bench, || run(steps)))).to_vec()
}

/// MiB a second by the payload's size.
fn payload(bench: &Bench) -> Points {
    let mut points = Points::new();
    let sizes: &[usize] = &[64, 4 << 10, LARGE_BYTES, 256 << 10, 1 << 20];
    for bytes in sizes.iter().copied().filter(|bytes| bench.size(true, *bytes >= LARGE_BYTES)) {
        // Some 200 MiB, but no more events than row 1 has.
        let events = (bench.size(200_u64, 40) << 20) / bytes as u64;
        let events = events.min(bench.size(300_000, 40_000));
        let nats = filled(bytes, events);
        let node = world::node(&world::weir(), &nats, &[]);
        let pipeline = pipeline("payload").step(world::push(&node, "identity"));
        let rate = best(bench, || world::run_pipeline(&nats, &node, &pipeline, events).events_per_second);
        points.push((bytes as f64, rate * bytes as f64 / f64::from(1 << 20)));
    }
    points
}

/// Events a second of `mask-pii`, by workers.
fn workers(bench: &Bench) -> anyhow::Result<Points> {
    let events = bench.size(100_000, 20_000);
    let nats = filled_with(&append::flights(bench)?, events);
    let mut points = Points::new();
    for workers in [1_u32, 2] {
        let node = world::node(&world::weir(), &nats, &["--workers", &workers.to_string()]);
        let pipeline = append::masking(&node);
        let rate = best(bench, || world::run_pipeline(&nats, &node, &pipeline, events).events_per_second);
        points.push((f64::from(workers), rate));
    }
    Ok(points)
}
