//! Row 13: the relay of row 1 on a cluster of three servers, and what it costs to sync each write.

use native::relay::{Kind, Work};
use weir_tests::{NatsServer, Pipeline, SyncWrites};

use super::Bench;
use super::append::pipeline;
use crate::pairs;
use crate::report::{Goal, Row};
use crate::streams::{self, Storage};
use crate::world;

/// Servers, and copies of each stream.
const SERVERS: u32 = 3;

/// Row 13.
pub(crate) fn measure(bench: &Bench) -> anyhow::Result<Vec<Row>> {
    Ok(vec![
        replicated(bench, "13a", SyncWrites::Lazily, bench.size(60_000, 15_000))?,
        replicated(bench, "13b", SyncWrites::Always, bench.size(10_000, 3_000))?,
        single(bench)?,
    ])
}

/// The identity component on three copies, against the bare append there.
fn replicated(bench: &Bench, id: &str, sync: SyncWrites, events: u64) -> anyhow::Result<Row> {
    let servers = NatsServer::cluster(SERVERS, sync);
    let nats = &servers[0];
    let mut client = nats.client();
    streams::create(&mut client, "IN", &["in.>"], Storage::File, SERVERS);
    streams::fill(&mut client, "in.a", &[vec![b'x'; 256]], usize::try_from(events)?);
    let node = world::node(&world::weir(), nats, &[]);
    let pipeline = pipeline("relay").step(world::push(&node, "identity"));
    let weir = || {
        // Weir takes over a stream that is empty, with the copies that it has.
        streams::create(&mut nats.client(), "OUT", &["out.>", "weir.relay.>"], Storage::File, SERVERS);
        Ok(world::run_pipeline(nats, &node, &pipeline, events).events_per_second)
    };
    let bare = || Ok(world::run_relay(nats, Kind::Chain, Work::Nothing, events, SERVERS).events_per_second);
    let compared = pairs::compare(bench.pairs(bench.size(5, 1)), weir, bare)?;
    let synced = if sync == SyncWrites::Always { ", sync_interval: always" } else { "" };
    let name = format!("row 1 on {SERVERS} servers, R{SERVERS}{synced}, against the bare append there");
    Ok(Row::compared(id, &name, &compared, Goal::AtLeast(0.95), "events/s"))
}

/// What syncing each write costs on one server.
fn single(bench: &Bench) -> anyhow::Result<Row> {
    let events = bench.size(20_000, 5_000);
    let worlds = [SyncWrites::Always, SyncWrites::Lazily].map(|sync| {
        let nats = NatsServer::start_syncing(sync);
        let mut client = nats.client();
        streams::create(&mut client, "IN", &["in.>"], Storage::File, 1);
        let events = usize::try_from(events).expect("events fit the memory");
        streams::fill(&mut client, "in.a", &[vec![b'x'; 256]], events);
        let node = world::node(&world::weir(), &nats, &[]);
        let pipeline: Pipeline = pipeline("relay").step(world::push(&node, "identity"));
        (nats, node, pipeline)
    });
    let run = |at: usize| {
        let (nats, node, pipeline) = &worlds[at];
        Ok(world::run_pipeline(nats, node, pipeline, events).events_per_second)
    };
    let compared = pairs::compare(bench.pairs(3), || run(0), || run(1))?;
    let row = Row::told(
        "13c",
        "row 1 on one server with sync_interval: always, against without",
        compared.ratio,
        "times",
    );
    let note = format!("{} against {} events/s", pairs::round(compared.first), pairs::round(compared.second));
    Ok(row.spread(compared.spread).noted(&note))
}
