//! Where events come from: streams from their beginning, a sequence, a time or now, and core subjects.

use weir_tests::{Message, Pipeline, eventually};

use crate::world::{World, messages};

fn starting(start: &str) -> Pipeline {
    Pipeline::new("p").source(&format!("stream = \"IN\"\nstart = {start}"))
}

#[test]
fn a_pipeline_starts_where_it_is_told_to() {
    for (start, expected) in [
        ("\"beginning\"", vec!["a", "b", "c", "d"]),
        ("{ sequence = 3 }", vec!["c", "d"]),
        ("\"now\"", vec!["d"]),
        ("{ time = 2001-01-01T00:00:00Z }", vec!["a", "b", "c", "d"]),
    ] {
        let mut world = World::new();
        let module = world.push("identity");
        world.put(&["a", "b", "c"]);
        world.apply(&starting(start).step(module)).expect(201);
        // The genesis fixes the start; only then does an event come after it.
        eventually("the genesis is there", || {
            let status = world.status("p");
            if status["revision"] == 1 { Ok(()) } else { Err(status) }
        });
        let last = world.put(&["d"]);
        world.settle("p", last);
        assert_eq!(messages(&world.records("p", "OUT")), expected, "{start}");
    }
}

#[test]
fn a_stream_whose_beginning_has_expired_is_read_from_what_is_left() {
    let mut world = World::new();
    let module = world.push("identity");
    world.put(&["a", "b", "c"]);
    world.client.api("STREAM.PURGE.IN", r#"{"seq": 3}"#).expect("the stream can be purged");
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    world.settle("p", 3);
    assert_eq!(messages(&world.records("p", "OUT")), ["c"]);
}

#[test]
fn a_core_subject_is_landed_and_read() {
    let mut world = World::new();
    let module = world.push("upper");
    world.apply(&Pipeline::new("p").source("subject = \"loose.>\"").step(module)).expect(201);
    world.wait_state("p", "running");
    let event = Message::new("loose.a", "hello").with("K", "v");
    world.client.publish(&event).expect("it is sent");
    let landed = eventually("the event comes out", || {
        let records = world.records("p", "OUT");
        if messages(&records) == ["HELLO"] { Ok(records) } else { Err(records.len()) }
    });
    let message = landed.iter().find(|placed| placed.record.subject == "out.loose.a").expect("its subject");
    assert_eq!(message.record.headers.get("K"), Some("v"));
}

#[test]
fn every_event_is_a_block_of_its_own_where_asked() {
    let mut world = World::new();
    let module = world.push("leaky");
    world.apply(&Pipeline::new("p").line("block = 1").step(module)).expect(201);
    let last = world.put(&["a", "b", "c"]);
    world.settle("p", last);
    assert_eq!(messages(&world.records("p", "OUT")), ["1 a", "1 b", "1 c"]);
}
