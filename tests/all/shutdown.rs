//! The end of a node: SIGTERM drains and exits with 0, and what is left is done by whoever comes next, once.

use weir_tests::stream;
use weir_tests::{Pipeline, eventually, oracle};

use crate::answers;
use crate::world::World;

#[test]
fn sigterm_drains_and_another_node_goes_on() {
    let mut world = World::new();
    let module = world.push("multi");
    let payloads: Vec<String> = (0..20_000).map(|at| format!("event {at}")).collect();
    let last = world.put(&payloads);
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    eventually("the pipeline is on its way", || match stream::state(&mut world.client, "OUT") {
        Ok((records, _)) if records > 100 => Ok(()),
        other => Err(other),
    });
    let status = world.node.terminate();
    assert_eq!(status.code(), Some(0), "{}", world.node.log());
    let left = world.records("p", "OUT");
    world.node.launch();
    world.node.wait_ready();
    world.settle("p", last);
    let events = stream::events(&mut world.client, "IN");
    let records = world.records("p", "OUT");
    assert_eq!(records[..left.len()], left);
    oracle::check(&events, &records, answers::multi).expect("the chain is right");
}

#[test]
fn sigterm_at_rest_ends_at_once_with_success() {
    let mut world = World::new();
    assert_eq!(world.node.terminate().code(), Some(0));
    let mut alone = weir_tests::Node::stopped(&["--nats", &world.nats.url()]);
    world.nats.stop();
    alone.launch();
    eventually("the node lives", || alone.api().request("GET", "/livez").try_send(b""));
    assert_eq!(alone.terminate().code(), Some(0), "even while it waits for the server: {}", alone.log());
}
