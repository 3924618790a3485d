//! The streams that Weir makes, takes over, and leaves alone.

use broker::{AdminError, Retention, Storage};
use serde_json::json;

use crate::harness::{TestServer, pattern, publish, servers, stream, user_stream};

#[tokio::test]
async fn an_output_stream_is_made_and_extended() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = server.broker().await;
        let (pipeline, name) = ("p".parse().expect("a valid name"), stream("OUT"));
        assert_eq!(broker.stream_state(&name).await.expect("an answer"), None);
        broker.ensure_output_stream(&pipeline, &name, &[pattern("clean.>")]).await.expect("made");
        let state = broker.stream_state(&name).await.expect("an answer").expect("it is there");
        assert_eq!(state.subjects, ["clean.>", "weir.p.>"]);
        assert!(state.deny_delete && state.deny_purge);
        assert_eq!((state.retention, state.storage), (Retention::Limits, Storage::File));
        assert_eq!((state.first_sequence, state.last_sequence, state.messages), (1, 0, 0));
        assert_eq!(state.description, "Weir: output of pipeline p");
        publish(&broker, "clean.a", 1..=1).await;
        let more = [pattern("clean.a.*"), pattern("other")];
        broker.ensure_output_stream(&pipeline, &name, &more).await.expect("extended");
        let state = broker.stream_state(&name).await.expect("an answer").expect("it is there");
        assert_eq!(state.subjects, ["clean.>", "weir.p.>", "other"]);
        assert_eq!(state.last_sequence, 1);
        broker.delete_stream(&name).await.expect("deleted");
        broker.delete_stream(&name).await.expect("deleting again is fine");
    }
}

#[tokio::test]
async fn a_stream_of_somebody_else_is_left_alone() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = server.broker().await;
        let pipeline = "p".parse().expect("a valid name");
        let ensure = async |name: &str, subject: &str| {
            broker.ensure_output_stream(&pipeline, &stream(name), &[pattern(subject)]).await
        };
        user_stream(&server, "READY", json!({ "subjects": ["ready.>", "weir.p.>"] })).await;
        ensure("READY", "ready.a").await.expect("it is empty and has all subjects");
        ensure("READY", "ready.a").await.expect("and is known from now on");
        broker.delete_stream(&stream("READY")).await.expect("deleted");

        user_stream(&server, "NARROW", json!({ "subjects": ["narrow"] })).await;
        let error = ensure("NARROW", "narrow").await.expect_err("it lacks weir.p.>");
        assert!(
            matches!(&error, AdminError::SubjectOutside { subject, .. } if subject == "weir.p.>"),
            "{error}"
        );

        user_stream(&server, "USED", json!({ "subjects": ["used", "weir.p.>"] })).await;
        publish(&broker, "used", 1..=1).await;
        let error = ensure("USED", "used").await.expect_err("somebody wrote into it");
        assert!(matches!(error, AdminError::NotOurs { .. }), "{error}");
        broker.delete_stream(&stream("USED")).await.expect("deleted");

        let other = "q".parse().expect("a valid name");
        broker.ensure_output_stream(&other, &stream("THEIRS"), &[pattern("theirs")]).await.expect("made");
        let error = ensure("THEIRS", "theirs").await.expect_err("it is q's");
        assert!(matches!(error, AdminError::NotOurs { .. }), "{error}");
        let error = ensure("MINE", "theirs").await.expect_err("q's stream has the subject");
        let named = matches!(&error, AdminError::SubjectsTaken { subject, by: Some(by) }
            if subject == "theirs" && by == "THEIRS");
        assert!(named, "{error}");
    }
}

#[tokio::test]
async fn a_core_subject_is_landed() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = server.broker().await;
        let (pipeline, name) = ("p".parse().expect("a valid name"), stream("LANDING"));
        let age = Some(std::time::Duration::from_secs(3600));
        for _ in 0..2 {
            broker.ensure_landing_stream(&pipeline, &name, &[pattern("core.>")], age).await.expect("made");
        }
        let client = async_nats::connect(server.url()).await.expect("the server is up");
        client.publish("core.a", "x".into()).await.expect("published");
        let landed = crate::harness::eventually(async || broker.get(&name, 1).await.ok().flatten()).await;
        assert_eq!((landed.subject.as_str(), &*landed.payload), ("core.a", &b"x"[..]));
    }
}

#[tokio::test]
async fn a_time_is_found_in_a_stream() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
        let (broker, name) = (server.broker().await, stream("IN"));
        assert_eq!(broker.sequence_at(&name, 0).await.expect("an answer"), 1);
        publish(&broker, "in.a", 1..=5).await;
        let third = broker.get(&name, 3).await.expect("an answer").expect("a message").timestamp_ns;
        for (time_ns, sequence) in [(0, 1), (third, 3), (third + 1, 4), (u64::MAX, 6)] {
            assert_eq!(broker.sequence_at(&name, time_ns).await.expect("an answer"), sequence, "{time_ns}");
        }
        let error = broker.sequence_at(&stream("NONE"), 0).await.expect_err("no such stream");
        assert!(matches!(error, AdminError::StreamGone { .. }), "{error}");
    }
}
