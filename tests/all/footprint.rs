//! How much memory a node takes: little at rest, and not more because the source is far ahead.

use weir_tests::{Node, Pipeline, eventually};

use crate::world::World;

/// A number of the process's status, in bytes: `VmRSS` is what it takes now, `VmHWM` the most it ever took.
fn memory(node: &Node, name: &str) -> u64 {
    let path = format!("/proc/{}/status", node.id());
    let status = std::fs::read_to_string(path).expect("the system tells of its processes");
    let line = status.lines().find(|line| line.starts_with(name)).expect("it tells of their memory");
    let number = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    number.expect("a number of KiB") << 10
}

#[test]
fn a_node_at_rest_is_small() {
    let world = World::new();
    let bytes = memory(&world.node, "VmRSS");
    assert!(bytes < 60_000_000, "{bytes} bytes at rest");
}

#[test]
fn a_source_that_is_a_million_events_ahead_does_not_fill_the_memory() {
    let mut world = World::new();
    let module = world.push("upper");
    let payload = "x".repeat(100);
    for _ in 0..100 {
        world.put(&vec![payload.as_str(); 10_000]);
    }
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    let lag = eventually("the pipeline is well on its way", || {
        let status = world.status("p");
        if status["position"].as_u64() > Some(20_000) { Ok(status["lag"].clone()) } else { Err(status) }
    });
    assert!(lag.as_u64() > Some(100_000), "still far behind: {lag}");
    let bytes = memory(&world.node, "VmHWM");
    assert!(bytes < 300_000_000, "{bytes} bytes at the most");
}
