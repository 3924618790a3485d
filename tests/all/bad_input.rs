//! Bad input and what it gets: a clear error, and everything that ran before still runs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use weir_tests::stream;
use weir_tests::{Message, Node, Pipeline, Reply};

use crate::world::{World, messages};

/// A world in which a pipeline `healthy` runs from `FINE` to `FINE_OUT` beside whatever a test does.
fn healthy() -> World {
    let mut world = World::new();
    stream::create(&mut world.client, "FINE", &["fine.>"]);
    let module = world.push("upper");
    let pipeline = Pipeline::new("healthy").source("stream = \"FINE\"").step(module);
    world.apply(&pipeline.sink("FINE_OUT", "well.{subject}")).expect(201);
    world
}

/// Asserts that the healthy pipeline still takes events.
fn still_runs(world: &mut World) {
    let last = stream::put(&mut world.client, "fine.a", &["on"]);
    world.settle("healthy", last);
    assert!(messages(&world.records("healthy", "FINE_OUT")).ends_with(&["ON".to_owned()]));
}

fn refused(reply: &Reply, status: u16, code: &str, says: &[&str]) {
    assert_eq!((reply.status, reply.code().as_str()), (status, code), "{reply}");
    for part in says {
        assert!(reply.detail().contains(part), "'{part}' is not in: {}", reply.detail());
    }
}

#[test]
fn a_pipeline_that_names_what_is_not_there_is_refused() {
    let mut world = healthy();
    let (api, module) = (world.api(), world.push("upper"));
    let nowhere = model::Digest::of(b"nowhere");
    refused(&api.apply(&Pipeline::new("p").step(nowhere)), 422, "unknown-module", &[&nowhere.to_string()]);
    refused(&api.apply(&Pipeline::new("p").step("absent:1")), 422, "unknown-tag", &["absent:1"]);
    let sourceless = Pipeline::new("p").source("stream = \"NOWHERE\"").step(module);
    refused(&api.apply(&sourceless), 422, "source-not-found", &["NOWHERE"]);
    assert_eq!(api.get("/v1/pipelines/p").expect(404).code(), "pipeline-not-found");
    assert!(stream::state(&mut world.client, "OUT").is_err(), "a refused pipeline leaves no stream behind");
    still_runs(&mut world);
}

#[test]
fn a_bad_file_is_told_line_and_key() {
    let mut world = healthy();
    let module = world.push("upper");
    let reply = world.api().apply(&Pipeline::new("p").line("blok = 3").step(module)).expect(422);
    assert_eq!(reply.code(), "invalid-pipeline");
    let json = reply.json();
    assert_eq!((&json["line"], &json["key"]), (&2.into(), &"blok".into()), "{reply}");
    let other = Pipeline::new("other").step(module).toml();
    let request = world.api().request("PUT", "/v1/pipelines/p").header("content-type", "application/toml");
    refused(&request.send(other.as_bytes()), 422, "invalid-pipeline", &["other"]);
    let untyped = world.api().request("PUT", "/v1/pipelines/p").header("content-type", "text/html");
    assert_eq!(untyped.send(other.as_bytes()).expect(415).code(), "unsupported-media-type");
    still_runs(&mut world);
}

#[test]
fn a_pipeline_that_would_read_what_it_writes_is_refused() {
    let mut world = healthy();
    let module = world.push("upper");
    let same_subjects = Pipeline::new("p").step(module).sink("OUT", "in.{subject}");
    refused(&world.api().apply(&same_subjects), 422, "subject-overlap", &["in."]);
    let allowed = Pipeline::new("p").step(module).allow("in.back");
    refused(&world.api().apply(&allowed), 422, "subject-overlap", &["in."]);
    still_runs(&mut world);
}

#[test]
fn an_output_stream_of_somebody_else_is_refused() {
    let mut world = healthy();
    let module = world.push("upper");
    let taken = Pipeline::new("p").step(module).sink("FINE_OUT", "other.{subject}");
    refused(&world.api().apply(&taken), 409, "sink-conflict", &["FINE_OUT", "healthy"]);
    stream::create(&mut world.client, "THEIRS", &["theirs.>"]);
    stream::put(&mut world.client, "theirs.x", &["precious"]);
    let theirs = Pipeline::new("p").step(module).sink("THEIRS", "theirs.{subject}");
    refused(&world.api().apply(&theirs), 409, "sink-conflict", &["THEIRS"]);
    assert_eq!(stream::state(&mut world.client, "THEIRS"), Ok((1, 1)));
    still_runs(&mut world);
}

#[test]
fn a_sink_subject_that_another_stream_holds_is_refused() {
    let mut world = healthy();
    let module = world.push("upper");
    let reply = world.api().apply(&Pipeline::new("p").step(module).sink("OUT", "fine.{subject}")).expect(422);
    assert_eq!(reply.code(), "sink-subject");
    assert!(reply.detail().contains("fine."), "{reply}");
    still_runs(&mut world);
}

#[test]
fn a_foreign_message_in_the_output_stops_the_pipeline_and_is_named() {
    let mut world = healthy();
    let module = world.push("upper");
    world.apply(&Pipeline::new("p").step(module)).expect(201);
    let last = world.put(&["a"]);
    world.settle("p", last);
    let at = world.client.store([Message::new("out.in.intruder", "hello")]).expect("the server takes it");
    world.put(&["b"]);
    let status = world.wait_state("p", "stopped");
    let detail = status["error"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(&at.to_string()) && detail.contains("out.in.intruder"), "{detail}");
    still_runs(&mut world);
}

#[test]
fn two_pipelines_of_one_name_are_told_apart() {
    let mut world = healthy();
    let module = world.push("identity");
    let other = Pipeline::new("healthy").step(module);
    let request = world.api().request("PUT", &other.path()).header("if-none-match", "*");
    refused(&request.toml(&other), 412, "precondition-failed", &[]);
    still_runs(&mut world);
}

#[test]
fn a_start_whose_events_are_gone_is_said_and_not_skipped() {
    let mut world = healthy();
    let module = world.push("upper");
    world.put(&["a", "b", "c", "d"]);
    world.client.api("STREAM.PURGE.IN", r#"{"seq": 4}"#).expect("the stream can be purged");
    let spec = Pipeline::new("p").source("stream = \"IN\"\nstart = { sequence = 2 }").step(module);
    refused(&world.api().apply(&spec), 422, "source-gone", &["2", "4"]);
    still_runs(&mut world);
}

#[test]
fn events_that_are_gone_before_they_were_read_stop_the_pipeline() {
    let mut world = healthy();
    let module = world.push("upper");
    world.apply(&Pipeline::new("p").line("block = 1").step(module)).expect(201);
    let last = world.put(&["a"]);
    world.settle("p", last);
    world.api().post("/v1/pipelines/p/pause").expect(200);
    world.wait_state("p", "paused");
    world.put(&["b", "c", "d"]);
    world.client.api("STREAM.PURGE.IN", r#"{"seq": 4}"#).expect("the stream can be purged");
    world.api().post("/v1/pipelines/p/resume").expect(200);
    let status = world.wait_state("p", "stopped");
    let detail = status["error"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains('2') && detail.contains('4'), "which are gone, and where it goes on: {detail}");
    assert_eq!(messages(&world.records("p", "OUT")), ["A"]);
    still_runs(&mut world);
}

#[test]
fn an_old_server_is_refused_with_one_clear_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let url = format!("nats://{}", listener.local_addr().expect("it is bound"));
    let server = std::thread::spawn(move || {
        // One node asks, perhaps more than once; the last connection is this test's own, to end the thread.
        for socket in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(socket.try_clone().expect("a socket can be cloned"));
            let mut socket = socket;
            let info = r#"INFO {"server_id":"OLD","version":"2.8.4","headers":true,"jetstream":true,"max_payload":1048576}"#;
            let mut line = format!("{info}\r\n");
            loop {
                let answer = match line.split_whitespace().next() {
                    Some("INFO") => line.clone(),
                    Some("PING") => "PONG\r\n".to_owned(),
                    Some("END") => return,
                    _ => String::new(),
                };
                line.clear();
                if socket.write_all(answer.as_bytes()).is_err()
                    || !matches!(reader.read_line(&mut line), Ok(1..))
                {
                    break;
                }
            }
        }
    });
    let mut node = Node::stopped(&["--nats", &url]);
    node.launch();
    let (status, log) = node.ended();
    let mut end =
        std::net::TcpStream::connect(url.trim_start_matches("nats://")).expect("the listener is there");
    end.write_all(b"END\r\n").expect("the listener reads");
    server.join().expect("the server ends");
    assert!(!status.success());
    let line =
        log.lines().find(|line| line.contains("2.8.4")).unwrap_or_else(|| panic!("no line names it:\n{log}"));
    assert!(line.contains("2.9"), "what is needed: {line}");
}
