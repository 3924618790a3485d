//! Modules that do wrong: each fault has its code, becomes a dead letter that names the module, and leaves
//! the next event, the pipeline and the node as they were.

use model::RecordKind;
use model::record::{DEAD_FAULT_HEADER, DEAD_MODULE_HEADER, DEAD_REASON_HEADER, DEAD_STEP_HEADER};
use weir_tests::{NatsServer, Pipeline};

use crate::world::{World, messages, of_kind};

/// Runs each payload through a guest, with a harmless event after each; returns the codes.
fn faults(guest: &str, payloads: &[&str], harmless: &str) -> Vec<String> {
    let mut world = World::new();
    let module = world.push(guest);
    let limits = "limits = { fuel_per_event = 50_000_000, memory_bytes = \"32 MiB\" }";
    world.apply(&Pipeline::new("p").step_with(module, &format!("name = \"step\"\n{limits}"))).expect(201);
    let events: Vec<&str> = payloads.iter().flat_map(|payload| [*payload, harmless]).collect();
    let last = world.put(&events);
    let status = world.settle("p", last);
    assert_eq!(status["state"], "running");
    let records = world.records("p", "OUT");
    let dead = of_kind(&records, RecordKind::Dead);
    let bad = dead.iter().filter(|placed| placed.record.position.sequence % 2 == 1);
    let codes = bad.map(|placed| {
        let header = |name: &str| placed.record.headers.get(name).unwrap_or_default().to_owned();
        assert_eq!(header(DEAD_MODULE_HEADER), module.to_string());
        assert_eq!(header(DEAD_STEP_HEADER), "step");
        assert!(!header(DEAD_REASON_HEADER).is_empty(), "{placed:?}");
        let payload = payloads[(placed.record.position.sequence as usize - 1) / 2];
        assert_eq!(placed.record.payload, payload.as_bytes());
        format!("{payload}: {}", header(DEAD_FAULT_HEADER))
    });
    let codes = codes.collect();
    if guest == "hostile" {
        assert_eq!(messages(&records), vec![harmless; payloads.len()], "the next event is untouched");
        assert_eq!(dead.len(), payloads.len());
    }
    assert_eq!(world.node.ready().map(|reply| reply.status), Ok(200));
    codes
}

#[test]
fn each_fault_of_a_component_has_its_code() {
    let expected = [
        ("panic", "trap"),
        ("divide", "trap"),
        ("loop", "out-of-fuel"),
        ("memory", "out-of-memory"),
        ("stack", "stack-overflow"),
        ("exit", "denied-import"),
        ("socket", "denied-import"),
        ("reject", "rejected"),
        ("giant", "output-too-large"),
        ("record", "message-too-large"),
        ("many", "too-many-messages"),
        ("header", "bad-header"),
        ("value", "bad-header"),
        ("reserved", "bad-header"),
        ("subject", "bad-subject"),
        ("outside", "subject-not-allowed"),
    ];
    let payloads = expected.map(|(payload, _)| payload);
    let codes = expected.map(|(payload, code)| format!("{payload}: {code}"));
    assert_eq!(faults("hostile", &payloads, "harmless"), codes);
}

#[test]
fn each_fault_of_a_core_module_has_its_code() {
    let expected = [
        ("pointer", "bad-pointer"),
        ("length", "bad-pointer"),
        ("nothing", "bad-answer"),
        ("code", "bad-answer"),
        ("shape", "bad-answer"),
        ("truncated", "too-many-messages"),
        ("extra", "bad-answer"),
        ("utf8", "bad-utf8"),
        ("kind", "bad-answer"),
    ];
    let payloads = expected.map(|(payload, _)| payload);
    let codes = expected.map(|(payload, code)| format!("{payload}: {code}"));
    assert_eq!(faults("hostile-c", &payloads, "harmless"), codes);
}

#[test]
fn a_module_that_talks_too_much_is_cut_short_and_goes_on() {
    let mut world = World::new();
    let module = world.push("hostile");
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    let last = world.put(&["chatter"]);
    world.settle("p", last);
    assert_eq!(messages(&world.records("p", "OUT")), ["x"]);
    assert!(world.node.log().len() < 1 << 20, "the node's log is bounded");
}

#[test]
fn a_record_that_the_server_would_not_take_becomes_a_dead_letter() {
    let mut world = World::on(NatsServer::start_with("max_payload: 8192"));
    let module = world.push("upper");
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    let large = "x".repeat(8_100);
    let last = world.put(&[large.as_str(), "small"]);
    world.settle("p", last);
    let records = world.records("p", "OUT");
    assert_eq!(messages(&records), ["SMALL"]);
    let dead = of_kind(&records, RecordKind::Dead);
    assert_eq!(dead.len(), 1);
    let headers = &dead[0].record.headers;
    assert_eq!(headers.get(DEAD_FAULT_HEADER), Some("message-too-large"));
    let omitted = format!("{} 8100", model::Digest::of(large.as_bytes()));
    assert_eq!(headers.get(model::record::DEAD_OMITTED_HEADER), Some(omitted.as_str()));
}

#[test]
fn a_pipeline_that_is_to_stop_at_a_fault_stops_before_the_event() {
    let mut world = World::new();
    let (module, other) = (world.push("hostile"), world.push("upper"));
    let pipeline = Pipeline::new("p").line("on_guest_fault = \"stop\"");
    world.apply(&pipeline.clone().step(module)).expect(201);
    world.put(&["fine", "panic", "later"]);
    let status = world.wait_state("p", "stopped");
    let detail = status["error"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains('2') && detail.contains("trap"), "which event and why: {detail}");
    assert_eq!(messages(&world.records("p", "OUT")), ["fine"]);
    // A person puts another module in; the event is done by that one.
    world.apply(&pipeline.step(other)).expect(200);
    world.api().post("/v1/pipelines/p/resume").expect(200);
    world.settle("p", 3);
    assert_eq!(messages(&world.records("p", "OUT")), ["fine", "PANIC", "LATER"]);
}
