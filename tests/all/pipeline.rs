//! Pipelines from event to record: what comes out, in which place, with which headers; swapped, paused,
//! deleted.

use model::record::{DEAD_REASON_HEADER, EXPECTED_HEADER, ID_HEADER, PLAN_HEADER, SOURCE_HEADER};
use model::{RecordKind, Revision};
use serde_json::json;
use weir_tests::stream::{self, Placed};
use weir_tests::{Message, NatsVersion, Pipeline, eventually, oracle};

use crate::answers;
use crate::world::{World, messages, of_kind};

fn payloads(count: usize) -> Vec<String> {
    (0..count).map(|at| if at % 11 == 10 { format!("no {at}") } else { format!("event {at}") }).collect()
}

/// Several blocks of events through `multi` come out as the oracle says, and the oracle would see it if not.
fn comes_out_right(mut world: World) {
    let module = world.push("multi");
    let last = world.put(&payloads(100));
    let applied = world.apply(&Pipeline::new("p").line("block = 16").step(module)).expect(201).json();
    assert_eq!((&applied["outcome"], &applied["generation"]), (&json!("created"), &json!(1)));
    let status = world.settle("p", last);
    assert_eq!((&status["lag"], &status["error"]), (&json!(0), &json!(null)));
    assert_eq!(status["plan"], applied["plan"]);
    assert_eq!(status["counts"]["events"], 100);

    let events = stream::events(&mut world.client, "IN");
    let records = world.records("p", "OUT");
    let account = oracle::check(&events, &records, answers::multi).expect("the chain is right");
    assert_eq!((account.events, account.revisions, account.receipts), (100, 1, 6));
    assert_eq!(account.dead_letters, 9);
    assert_eq!(status["records"], records.len());
    let receipt = of_kind(&records, RecordKind::Receipt).last().map(|placed| placed.sequence);
    assert_eq!(status["last_receipt"]["record"].as_u64(), receipt);

    // Messages that come later go on where the others ended.
    let last = world.put(&payloads(20));
    world.settle("p", last);
    let events = stream::events(&mut world.client, "IN");
    let longer = world.records("p", "OUT");
    assert_eq!(longer[..records.len()], records);
    oracle::check(&events, &longer, answers::multi).expect("the chain is right");
    the_oracle_sees_what_is_wrong(&events, &longer);
}

fn the_oracle_sees_what_is_wrong(events: &[model::Event], records: &[Placed]) {
    let wrong = |what: &str, change: &dyn Fn(&mut Vec<Placed>)| {
        let mut records = records.to_vec();
        change(&mut records);
        (1..).zip(&mut records).for_each(|(sequence, placed)| placed.sequence = sequence);
        assert!(oracle::check(events, &records, answers::multi).is_err(), "{what} is not seen");
    };
    let nth = |kind: RecordKind| {
        records.iter().position(|placed| placed.record.kind == kind).expect("there is one")
    };
    let (message, dead, receipt) =
        (nth(RecordKind::Message), nth(RecordKind::Dead), nth(RecordKind::Receipt));
    for at in [message, dead, receipt] {
        wrong("a missing record", &|records| drop(records.remove(at)));
        wrong("a record twice", &|records| records.insert(at, records[at].clone()));
        wrong("two records that changed places", &|records| records.swap(at, at + 1));
        wrong("another payload", &|records| records[at].record.payload = b"{}".as_slice().into());
        wrong("another subject", &|records| records[at].record.subject = "out.other".to_owned());
        wrong("another plan", &|records| records[at].record.plan = model::Digest::of(b"other"));
    }
    wrong("a missing end", &|records| records.truncate(records.len() - 2));
}

#[test]
fn events_come_out_once_and_in_order() {
    comes_out_right(World::new());
}

#[test]
fn events_come_out_once_and_in_order_on_the_oldest_server() {
    if NatsVersion::Oldest.is_there("events_come_out_once_and_in_order_on_the_oldest_server") {
        comes_out_right(World::of(NatsVersion::Oldest));
    }
}

#[test]
fn records_say_where_they_come_from_and_what_made_them() {
    let mut world = World::new();
    let module = world.push("upper");
    let applied = world.apply(&Pipeline::new("p").step(module)).json();
    let event = Message::new("in.b", "hello").with("Trace", "7").with("Nats-Msg-Id", "x").with("weir-x", "y");
    let last = world.client.store([event]).expect("the event is stored");
    world.settle("p", last);
    let raw = world.client.read_stream("OUT").expect("the output can be read");
    let [genesis, message] = raw.as_slice() else { panic!("two records, not {raw:?}") };

    assert_eq!(genesis.subject, "weir.p.revision");
    let revision: Revision = serde_json::from_slice(&genesis.payload).expect("a revision is JSON");
    assert_eq!((revision.number, revision.from_sequence, revision.previous), (1, 1, None));
    assert_eq!(revision.plan_digest.to_string(), applied["plan"]);

    assert_eq!((message.subject.as_str(), message.text().as_str()), ("out.in.b", "HELLO"));
    let headers: Vec<_> =
        message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let plan = revision.plan_digest.to_string();
    let expected =
        [(PLAN_HEADER, plan.as_str()), (SOURCE_HEADER, "1/0"), ("Trace", "7"), (EXPECTED_HEADER, "1")];
    for pair in expected {
        assert!(headers.contains(&pair), "{pair:?} is not in {headers:?}");
    }
    // The record's own id is there beside them, and not the event's.
    assert!(headers.iter().any(|(name, value)| *name == ID_HEADER && value.ends_with("/2")), "{headers:?}");
    assert_eq!(headers.len(), expected.len() + 1, "reserved headers are not passed on: {headers:?}");
}

#[test]
fn all_kinds_of_modules_give_the_same_answers() {
    let mut world = World::new();
    let last = world.put(&payloads(60));
    let modules = [("multi", "OUT_A"), ("multi-c", "OUT_B"), ("multi-zig", "OUT_C")];
    let mut answers = modules.iter().map(|(module, out)| {
        let (name, digest) = (module.to_owned(), world.push(module));
        world
            .apply(
                &Pipeline::new(name)
                    .line("block = 16")
                    .step_with(digest, "name = \"step\"")
                    .sink(out, &format!("{}.{{subject}}", out.to_lowercase())),
            )
            .expect(201);
        world.settle(name, last);
        let records = world.records(name, out);
        let plain = |placed: &Placed| {
            let record = &placed.record;
            (
                record.kind,
                record.position,
                record.payload.clone(),
                record.headers.get("Part").map(str::to_owned),
                record.headers.get(DEAD_REASON_HEADER).map(str::to_owned),
            )
        };
        let answered = records
            .iter()
            .filter(|placed| matches!(placed.record.kind, RecordKind::Message | RecordKind::Dead));
        answered.map(plain).collect::<Vec<_>>()
    });
    let first = answers.next().expect("there are three");
    assert!(first.len() > 60);
    for other in answers {
        assert_eq!(first, other);
    }
}

#[test]
fn a_changed_pipeline_is_swapped_at_an_event_by_a_record() {
    let mut world = World::new();
    let (multi, core, upper) = (world.push("multi"), world.push("multi-c"), world.push("upper"));
    let pipeline = Pipeline::new("p").line("block = 16");
    world.apply(&pipeline.clone().step(multi)).expect(201);
    let last = world.put(&payloads(40));
    world.settle("p", last);
    let changed = world.apply(&pipeline.clone().step(core).step(upper)).expect(200).json();
    assert_eq!((&changed["outcome"], &changed["generation"]), (&json!("changed"), &json!(2)));
    eventually("the second plan is in force", || {
        let status = world.status("p");
        if status["revision"] == 2 && status["plan"] == changed["plan"] { Ok(()) } else { Err(status) }
    });
    let last = world.put(&payloads(40));
    world.settle("p", last);
    let again = world.apply(&pipeline.step(core).step(upper)).expect(200).json();
    assert_eq!((&again["outcome"], &again["generation"]), (&json!("unchanged"), &json!(2)));

    let events = stream::events(&mut world.client, "IN");
    let records = world.records("p", "OUT");
    let account = oracle::check(&events, &records, answers::multi_then_upper).expect("the chain is right");
    assert_eq!((account.events, account.revisions), (80, 2));
    let revision: Revision = of_kind(&records, RecordKind::Revision)
        .get(1)
        .map(|placed| serde_json::from_slice(&placed.record.payload).expect("a revision is JSON"))
        .expect("the second revision");
    assert_eq!(
        (revision.from_sequence, revision.closes.map(|receipt| receipt.last_sequence)),
        (41, Some(40))
    );
}

#[test]
fn a_paused_pipeline_takes_no_events_until_it_is_resumed() {
    let mut world = World::new();
    let module = world.push("upper");
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    let last = world.put(&["a"]);
    world.settle("p", last);
    world.api().post("/v1/pipelines/p/pause").expect(200);
    world.wait_state("p", "paused");
    let last = world.put(&["b"]);
    // Another pipeline over the same source gets past the event, so this one had every chance.
    world.apply(&Pipeline::new("q").step(module).sink("OUT_Q", "q.{subject}")).expect(201);
    world.settle("q", last);
    assert_eq!(messages(&world.records("p", "OUT")), ["A"]);
    // It stays paused on a node that starts later.
    world.node.kill9();
    world.node.launch();
    world.node.wait_ready();
    world.wait_state("p", "paused");
    assert_eq!(messages(&world.records("p", "OUT")), ["A"]);
    world.api().post("/v1/pipelines/p/resume").expect(200);
    world.settle("p", last);
    assert_eq!(messages(&world.records("p", "OUT")), ["A", "B"]);
}

#[test]
fn a_deleted_pipeline_is_gone_and_its_output_stays_unless_asked() {
    let mut world = World::new();
    let module = world.push("upper");
    let pipeline = Pipeline::new("p").step(module);
    let etag = world.apply(&pipeline).header("etag").expect("a pipeline has an ETag").to_owned();
    let last = world.put(&["a"]);
    world.settle("p", last);
    let stale = world.api().request("DELETE", "/v1/pipelines/p").header("if-match", "\"77\"").send(b"");
    assert_eq!(stale.expect(412).code(), "precondition-failed");
    world.api().request("DELETE", "/v1/pipelines/p").header("if-match", &etag).send(b"").expect(204);
    assert_eq!(world.api().get("/v1/pipelines/p").expect(404).code(), "pipeline-not-found");
    assert_eq!(messages(&world.records("p", "OUT")), ["A"]);
    // Applied again, it goes on where its chain ended.
    let last = world.put(&["b"]);
    world.apply(&pipeline).expect(201);
    world.settle("p", last);
    assert_eq!(messages(&world.records("p", "OUT")), ["A", "B"]);
    world.api().delete("/v1/pipelines/p?output=delete").expect(204);
    eventually("the output stream is gone", || match stream::state(&mut world.client, "OUT") {
        Err(error) if error.contains("not found") => Ok(()),
        other => Err(other),
    });
}

#[test]
fn messages_go_where_template_and_module_say() {
    let mut world = World::new();
    let module = world.push("upper");
    let spec = Pipeline::new("p").source("stream = \"IN\"\nsubjects = [\"in.*.keep\"]").step(module);
    world.apply(&spec.sink("OUT", "clean.{2}.of.{1}")).expect(201);
    let events = ["in.a.keep", "in.b.drop", "in.c.keep"].map(|subject| Message::new(subject, "x"));
    let last = world.client.store(events).expect("the events are stored");
    world.settle("p", last);
    let records = world.records("p", "OUT");
    let subjects: Vec<_> =
        of_kind(&records, RecordKind::Message).iter().map(|m| m.record.subject.clone()).collect();
    assert_eq!(subjects, ["clean.a.of.in", "clean.c.of.in"]);
}

#[test]
fn dead_letters_are_listed_with_their_reasons_page_by_page() {
    let mut world = World::new();
    let module = world.push("multi");
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    let last = world.put(&["no 1", "yes", "no 2", "no 3"]);
    world.settle("p", last);
    let page =
        |query: &str| world.api().get(&format!("/v1/pipelines/p/dead-letters?{query}")).expect(200).json();
    let first = page("limit=2");
    let letters = first["dead_letters"].as_array().expect("a list").clone();
    assert_eq!(letters.len(), 2);
    for (letter, payload) in letters.iter().zip(["no 1", "no 2"]) {
        assert_eq!(letter["code"], "rejected");
        assert_eq!(letter["reason"], "the payload begins with no");
        assert_eq!(letter["module"], module.to_string());
        assert_eq!(letter["payload"]["text"], payload);
        assert_eq!(letter["subject"], "in.a");
    }
    let second = page(&format!("limit=2&cursor={}", first["next"].as_str().expect("there is more")));
    assert_eq!(second["dead_letters"][0]["position"], 4);
    assert_eq!(second["next"], json!(null));
}

#[test]
fn two_nodes_append_one_chain() {
    let mut world = World::new();
    let other = weir_tests::Node::start(&world.nats);
    let module = world.push("multi");
    world.apply(&Pipeline::new("p").line("block = 16").step(module)).expect(201);
    let last = world.put(&payloads(2_000));
    world.settle("p", last);
    eventually("the other node knows the same", || {
        let status = other.api().get("/v1/pipelines/p/status").expect(200).json();
        if status["position"] == last { Ok(()) } else { Err(status) }
    });
    let events = stream::events(&mut world.client, "IN");
    let records = world.records("p", "OUT");
    oracle::check(&events, &records, answers::multi).expect("the chain is right");
}

#[test]
fn metrics_count_what_was_done() {
    let mut world = World::new();
    let module = world.push("multi");
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    let last = world.put(&payloads(30));
    world.settle("p", last);
    let metrics = world.api().get("/metrics").expect(200);
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(text.lines().any(|line| line.contains("pipeline=\"p\"") && line.ends_with(" 30")), "{text}");
    assert!(text.contains(&module.to_string()), "the module's digest is a label:\n{text}");
}
