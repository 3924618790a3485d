//! The server goes away and comes back, with all it had or without its last minutes; files on disk change.
//! Weir waits, goes on by itself, makes again what was lost, and stops where going on would be wrong.

use std::path::Path;
use std::process::Command;

use weir_tests::stream;
use weir_tests::{Message, NatsServer, NatsVersion, Node, Pipeline, eventually, oracle};

use crate::answers;
use crate::world::{World, messages};

fn ready_status(node: &Node, expected: u16) {
    eventually("the node's readiness", || match node.ready() {
        Ok(reply) if reply.status == expected => Ok(()),
        other => Err(other.map(|reply| reply.to_string())),
    });
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.is_ok_and(|status| status.success()), "cannot copy {}", from.display());
}

#[test]
fn a_node_waits_for_a_server_that_is_not_there_yet() {
    let mut nats = NatsServer::stopped(NatsVersion::Newest, "");
    let mut node = Node::stopped(&["--nats", &nats.url()]);
    node.launch();
    ready_status(&node, 503);
    node.api().get("/livez").expect(200);
    assert_eq!(node.api().get("/v1/modules").expect(503).code(), "not-ready");
    nats.restart();
    ready_status(&node, 200);
    node.api().get("/v1/modules").expect(200);
}

#[test]
fn a_node_goes_on_by_itself_when_the_server_comes_back() {
    let mut world = World::new();
    let module = world.push("multi");
    world.apply(&Pipeline::new("p").line("block = 16").step(module)).expect(201);
    let last = world.put(&["a"; 50]);
    world.settle("p", last);
    world.nats.stop();
    ready_status(&world.node, 503);
    world.api().get("/livez").expect(200);
    world.nats.restart();
    ready_status(&world.node, 200);
    world.client = world.nats.client();
    let last = world.put(&["b"; 50]);
    world.settle("p", last);
    let events = stream::events(&mut world.client, "IN");
    let records = world.records("p", "OUT");
    oracle::check(&events, &records, answers::multi).expect("the chain is right");
}

#[test]
fn records_that_the_server_lost_come_back_identical() {
    let mut world = World::new();
    let module = world.push("multi");
    world.apply(&Pipeline::new("p").line("block = 16").step(module)).expect(201);
    let last = world.put(&["a"; 100]);
    world.settle("p", last);
    world.nats.stop();
    let aside = world.node.folder().join("OUT");
    copy(&world.nats.stream_data("OUT"), &aside);
    world.nats.restart();
    world.node.wait_ready();
    world.client = world.nats.client();
    let last = world.put(&["b"; 100]);
    world.settle("p", last);
    let before = world.records("p", "OUT");
    world.nats.stop();
    std::fs::remove_dir_all(world.nats.stream_data("OUT")).expect("the stream's folder can be removed");
    copy(&aside, &world.nats.stream_data("OUT"));
    world.nats.restart();
    world.client = world.nats.client();
    // The pipeline is at the end of the source and hears nothing: only reading the tail again tells it.
    let after = eventually("the lost records come back", || {
        let records = world.records("p", "OUT");
        if records.len() == before.len() { Ok(records) } else { Err(records.len()) }
    });
    assert_eq!(after, before);
}

#[test]
fn a_rewritten_source_event_stops_the_pipeline() {
    let mut world = World::new();
    let module = world.push("upper");
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    let last = world.put(&["a", "b", "c"]);
    world.settle("p", last);
    world.node.kill9();
    // The same sequences, other events.
    world.client.api("STREAM.DELETE.IN", "").expect("the source can be deleted");
    stream::create(&mut world.client, "IN", &["in.>"]);
    world.put(&["a", "b", "other", "d"]);
    world.node.launch();
    world.node.wait_ready();
    let status = world.wait_state("p", "stopped");
    let detail = status["error"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("3/0"), "the position that differs: {detail}");
    assert_eq!(messages(&world.records("p", "OUT")), ["A", "B", "C"]);
}

#[test]
fn a_changed_last_record_stops_the_pipeline() {
    let mut world = World::new();
    let module = world.push("upper");
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    let last = world.put(&["a", "b", "c"]);
    world.settle("p", last);
    world.node.kill9();
    // The same stream made again, but for one byte of its last record.
    let info = world.client.api("STREAM.INFO.OUT", "").expect("the output is there");
    let mut records = world.client.read_stream("OUT").expect("the output can be read");
    world.client.api("STREAM.DELETE.OUT", "").expect("the output can be deleted");
    world.client.api("STREAM.CREATE.OUT", info["config"].to_string()).expect("it can be made again");
    records.last_mut().expect("there are records").payload = "D".into();
    world.client.store(records).expect("the records are stored");
    world.put(&["d"]);
    world.node.launch();
    world.node.wait_ready();
    let status = world.wait_state("p", "stopped");
    let detail = status["error"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("3/0"), "the position that differs: {detail}");
    assert_eq!(messages(&world.records("p", "OUT")), ["A", "B", "D"]);
}

#[test]
fn a_module_file_that_was_swapped_out_on_disk_is_not_run() {
    let mut world = World::new();
    let module = world.push("upper");
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    let last = world.put(&["a"]);
    world.settle("p", last);
    world.node.kill9();
    let mut changed = 0;
    let mut folders = vec![world.node.data()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the data can be listed").map_while(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains(&module.hex()) {
                std::fs::remove_file(&path).expect("it can be removed");
                std::fs::write(&path, weir_tests::guest("identity")).expect("it can be written");
                changed += 1;
            }
        }
    }
    assert!(changed > 0, "no file of the module was found below {}", world.node.data().display());
    world.node.launch();
    world.node.wait_ready();
    let status = world.wait_state("p", "stopped");
    assert_eq!(status["error"]["code"], "module-altered");
    let detail = status["error"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&module.hex()) && detail.contains("quarantine"), "what differs: {detail}");
    // The damaged file is out of the way, so a person who has looked goes on with what NATS holds.
    world.api().post("/v1/pipelines/p/resume").expect(200);
    let last = world.put(&["b"]);
    world.settle("p", last);
    assert_eq!(messages(&world.records("p", "OUT")), ["A", "B"]);
}

#[test]
fn a_node_without_a_server_of_its_own_choice_starts_one() {
    let program = weir_tests::process::root().join(".tools/bin/nats-server");
    let port = weir_tests::process::free_port();
    let listen = format!("127.0.0.1:{port}");
    let program = program.to_str().expect("the path is UTF-8");
    let mut node = Node::stopped(&["--nats-server", program, "--nats-listen", &listen]);
    node.launch();
    node.wait_ready();
    let mut client =
        weir_tests::NatsClient::connect(&format!("nats://{listen}")).expect("its server answers");
    stream::create(&mut client, "IN", &["in.>"]);
    let module = node.api().push(&weir_tests::guest("upper"));
    node.api().apply(&Pipeline::new("p").step(module)).expect(201);
    client.store([Message::new("in.a", "hello")]).expect("the event is stored");
    eventually("the message comes out", || match stream::state(&mut client, "OUT") {
        Ok((2, _)) => Ok(()),
        other => Err(other),
    });
    assert_eq!(node.terminate().code(), Some(0), "{}", node.log());
    assert!(weir_tests::NatsClient::connect(&format!("nats://{listen}")).is_err(), "its server ends with it");
}
