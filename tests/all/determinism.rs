//! The same source and plan give the same records, byte for byte: at any parallelism, in any bursts, on any
//! node, however often it crashed, and with modules that ask for clocks and chance or leak state.

use weir_tests::stream::{self, Placed};
use weir_tests::{Node, Pipeline, oracle};

use crate::answers;
use crate::world::World;

/// All but what is not a function of source and plan: there is nothing.
fn bytes(records: &[Placed]) -> Vec<String> {
    records.iter().map(|placed| format!("{placed:?}")).collect()
}

#[test]
fn clocks_and_chance_are_functions_of_the_event() {
    let mut world = World::new();
    let module = world.push("clock_random");
    let last = world.put(&["x"; 200]);
    let pipeline = |block: u32| Pipeline::new("p").line(&format!("block = {block}")).step(module);
    world.apply(&pipeline(64)).expect(201);
    world.settle("p", last);
    let first = world.records("p", "OUT");
    let answers: std::collections::BTreeSet<_> = crate::world::messages(&first).into_iter().collect();
    assert_eq!(answers.len(), 200, "events differ from each other");
    // All of it again, by another node with another number of workers.
    world.api().delete("/v1/pipelines/p?output=delete").expect(204);
    world.node = another(&world, "1");
    world.apply(&pipeline(64)).expect(201);
    world.settle("p", last);
    assert_eq!(bytes(&same_generation(&world.records("p", "OUT"))), bytes(&same_generation(&first)));
}

#[test]
fn a_module_that_leaks_state_gives_the_same_records_at_any_parallelism() {
    let mut world = World::new();
    let module = world.push("leaky");
    let pipeline = Pipeline::new("p").line("block = 16").step(module);
    let payload = |at: usize| if at % 37 == 36 { "trap".to_owned() } else { format!("event {at}") };
    let payloads: Vec<String> = (0..1_000).map(payload).collect();
    let mut first: Option<Vec<Placed>> = None;
    world.put(&payloads[..500]);
    for workers in ["1", "2", "7"] {
        world.node = another(&world, workers);
        world.apply(&pipeline).expect(201);
        // The first time around, the second half comes in bursts while the pipeline runs.
        if first.is_none() {
            for burst in payloads[500..].chunks(23) {
                world.put(burst);
            }
        }
        world.settle("p", 1_000);
        let events = stream::events(&mut world.client, "IN");
        let records = same_generation(&world.records("p", "OUT"));
        oracle::check(&events, &records, answers::leaky).expect("the chain is right");
        let first = first.get_or_insert_with(|| records.clone());
        assert_eq!(bytes(&records), bytes(first), "{workers} workers");
        world.api().delete("/v1/pipelines/p?output=delete").expect(204);
    }
}

fn another(world: &World, workers: &str) -> Node {
    let mut node = Node::stopped(&["--nats", &world.nats.url(), "--workers", workers]);
    node.launch();
    node.wait_ready();
    node
}

/// The records with the generation of the genesis set to 1: it counts applications, and the pipeline was
/// applied more than once.
fn same_generation(records: &[Placed]) -> Vec<Placed> {
    let mut records = records.to_vec();
    let genesis: &mut Placed = &mut records[0];
    let mut revision: model::Revision =
        serde_json::from_slice(&genesis.record.payload).expect("the first record is a revision");
    revision.generation = 1;
    genesis.record.payload = revision.canonical_bytes().into();
    records
}
