//! Reading a source: everything once, in order, whatever happens; and no silent gap.

use broker::{ReadError, Reader};
use model::{Event, Headers};
use serde_json::json;

use crate::harness::{TestServer, headers, pattern, publish, server, servers, stream, user_stream, within};

/// Reads until `count` events have come.
async fn read(reader: &mut Reader, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        let burst = within(reader.next()).await.expect("events");
        assert!(!burst.is_empty() && burst.len() <= 1024);
        events.extend(burst);
    }
    assert_eq!(events.len(), count);
    events
}

#[tokio::test]
async fn a_reader_resumes_exactly_over_kills_of_the_server() {
    for binary in servers() {
        let mut server = TestServer::start(&binary);
        user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
        let broker = server.broker().await;
        publish(&broker, "in.a", 1..=30_000).await;
        let mut reader = broker.open_reader(&stream("IN"), &[], 11).await.expect("a reader");
        let mut next = 11;
        for round in 1..=3 {
            while next < round * 8_000 {
                for event in within(reader.next()).await.expect("events") {
                    assert_eq!(event.sequence, next);
                    next += 1;
                }
            }
            server.kill();
            // Without a server there is an error or silence, and what was asked for may still come.
            while let Ok(Ok(burst)) =
                tokio::time::timeout(std::time::Duration::from_millis(50), reader.next()).await
            {
                for event in burst {
                    assert_eq!(event.sequence, next);
                    next += 1;
                }
            }
            server.restart();
        }
        while next <= 30_000 {
            for event in within(reader.next()).await.expect("events") {
                assert_eq!((event.sequence, &*event.payload), (next, format!("event {next}").as_bytes()));
                next += 1;
            }
        }
        crate::harness::eventually(async || broker.stream_state(&stream("IN")).await.ok()).await;
        publish(&broker, "in.a", 1..=1).await;
        let last = read(&mut reader, 1).await;
        assert_eq!(last[0].sequence, 30_001);
    }
}

/// Where a request for events ends by its bytes, the next one has to follow at once: nothing else would come,
/// and the reader would take the silence for a broken flow.
#[tokio::test]
async fn large_events_are_read_through_one_flow() {
    let server = TestServer::start(&server());
    user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
    let broker = server.broker().await;
    let client = async_nats::connect(server.url()).await.expect("a connection");
    let jetstream = async_nats::jetstream::new(client.clone());
    for _ in 0..256 {
        let stored = jetstream.publish("in.a", vec![b'x'; 256 << 10].into()).await.expect("published");
        stored.await.expect("stored");
    }
    let consumers = async || {
        let listed = client.request("$JS.API.CONSUMER.NAMES.IN", "".into()).await.expect("an answer");
        let listed: serde_json::Value = serde_json::from_slice(&listed.payload).expect("JSON");
        listed["consumers"].clone()
    };
    let mut reader = broker.open_reader(&stream("IN"), &[], 1).await.expect("a reader");
    let before = consumers().await;
    assert_eq!(before.as_array().map(Vec::len), Some(1), "{before}");
    for (event, sequence) in read(&mut reader, 256).await.iter().zip(1..) {
        assert_eq!((event.sequence, event.payload.len()), (sequence, 256 << 10));
    }
    assert_eq!(consumers().await, before, "the flow that was opened first is the only one");
}

#[tokio::test]
async fn dropping_the_future_loses_nothing() {
    let server = TestServer::start(&server());
    user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
    let broker = server.broker().await;
    let mut reader = broker.open_reader(&stream("IN"), &[], 0).await.expect("a reader");
    let (mut next, mut dropped) = (1, 0);
    let writer = tokio::spawn(async move { publish(&broker, "in.a", 1..=20_000).await });
    while next <= 20_000 {
        tokio::select! {
            biased;
            burst = reader.next() => for event in burst.expect("events") {
                assert_eq!(event.sequence, next);
                next += 1;
            },
            () = tokio::task::yield_now() => dropped += 1,
        }
    }
    assert!(dropped > 0);
    writer.await.expect("the writer");
}

/// A future that was dropped while it asked for more events had taken one already, and lost it.
#[tokio::test]
async fn dropping_the_future_wherever_it_waits_loses_nothing() {
    let server = TestServer::start(&server());
    user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
    let broker = server.broker().await;
    publish(&broker, "in.a", 1..=60_000).await;
    let mut reader = broker.open_reader(&stream("IN"), &[], 0).await.expect("a reader");
    let (mut next, mut turn) = (1, 0);
    let read = async {
        while next <= 60_000 {
            // All but a few of the steps that tokio lets a task make at once are used up: the future then
            // waits, and is dropped, at one of its first few waits.
            tokio::task::yield_now().await;
            for _ in 0..128 - turn % 8 {
                tokio::task::coop::consume_budget().await;
            }
            turn += 1;
            tokio::select! {
                biased;
                burst = reader.next() => for event in burst.expect("events") {
                    assert_eq!(event.sequence, next);
                    next += 1;
                },
                () = std::future::ready(()) => {}
            }
        }
    };
    within(read).await;
}

#[tokio::test]
async fn filters_give_their_events_and_no_others() {
    for (index, binary) in servers().into_iter().enumerate() {
        let server = TestServer::start(&binary);
        user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
        let broker = server.broker().await;
        for subject in ["in.a", "in.b", "in.a.x", "in.c"] {
            publish(&broker, subject, 1..=3).await;
        }
        let name = stream("IN");
        let sequences = async |patterns: &[&str], count| {
            let patterns: Vec<_> = patterns.iter().map(|text| pattern(text)).collect();
            let mut reader = broker.open_reader(&name, &patterns, 1).await?;
            Ok::<_, ReadError>(read(&mut reader, count).await.iter().map(|event| event.sequence).collect())
        };
        let some: Vec<u64> = sequences(&["in.*"], 9).await.expect("events");
        assert_eq!(some, [1, 2, 3, 4, 5, 6, 10, 11, 12]);
        let several = sequences(&["in.b", "in.a.>"], 6).await;
        if index == 0 {
            assert_eq!(several.expect("events"), [4, 5, 6, 7, 8, 9]);
        } else {
            let refused = several.expect_err("2.9 has one filter").to_string();
            assert!(refused.contains("2.10"), "{refused}");
        }
    }
}

#[tokio::test]
async fn events_come_as_they_were_published() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
        let broker = server.broker().await;
        let mut publisher = broker.publisher().await.expect("a connection");
        let sent = headers(&[("b", "1"), ("A", "grüße ✓"), ("b", "0"), ("Nats-Msg-Id", "7"), ("empty", "")]);
        publisher.publish("in.ü", &sent, vec![0, 159, 146, 150]).await.expect("published");
        publisher.publish("in.x", &Headers::new(), "").await.expect("published");
        publisher.flush().await.expect("stored");
        let mut reader = broker.open_reader(&stream("IN"), &[], 1).await.expect("a reader");
        let events = read(&mut reader, 2).await;
        let seen: Vec<_> = events[0].headers.iter().collect();
        assert_eq!(seen, [("A", "grüße ✓"), ("b", "1"), ("b", "0"), ("empty", "")]);
        assert_eq!((events[0].subject.as_str(), &*events[0].payload), ("in.ü", &[0, 159, 146, 150][..]));
        assert!(events[1].headers.is_empty() && events[1].payload.is_empty());
        let stored = broker.get(&stream("IN"), 1).await.expect("an answer").expect("a message");
        assert_eq!(stored.headers, sent);
        assert_eq!(stored.timestamp_ns, events[0].timestamp_ns);
    }
}

/// What the client library cannot read, and answers by dropping the connection.
#[tokio::test]
async fn an_unreadable_header_does_not_stop_the_reader() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = TestServer::start(&server());
    user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
    let broker = server.broker().await;
    publish(&broker, "in.a", 1..=2).await;
    let block = b"NATS/1.0\r\nGood: 1\r\nBad: \xff\xfe\r\nno colon here\r\n\r\n";
    let address = server.url().replace("nats://", "");
    let mut socket = tokio::net::TcpStream::connect(address).await.expect("the server is up");
    let head = format!("CONNECT {{\"headers\":true}}\r\nHPUB in.a {} {}\r\n", block.len(), block.len() + 1);
    let tail = b"x\r\nPING\r\n";
    for part in [head.as_bytes(), block, tail] {
        socket.write_all(part).await.expect("it is sent");
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"PONG\r\n") {
        assert_ne!(within(socket.read_buf(&mut answer)).await.expect("an answer"), 0);
    }
    publish(&broker, "in.a", 4..=5).await;
    let mut reader = broker.open_reader(&stream("IN"), &[], 1).await.expect("a reader");
    let events = read(&mut reader, 5).await;
    assert!(events.iter().map(|event| event.sequence).eq(1..=5));
    let seen: Vec<_> = events[2].headers.iter().collect();
    assert_eq!(seen, [("Bad", "\u{fffd}\u{fffd}"), ("Good", "1")]);
}

#[tokio::test]
async fn events_gone_before_the_start_are_an_error() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        user_stream(&server, "IN", json!({ "subjects": ["in.>"], "max_msgs": 10 })).await;
        let broker = server.broker().await;
        publish(&broker, "in.a", 1..=30).await;
        let error = broker.open_reader(&stream("IN"), &[], 5).await.expect_err("5 is gone");
        assert!(matches!(error, ReadError::EventsGone { wanted: 5, first_available: 21, .. }), "{error}");
        let mut reader = broker.open_reader(&stream("IN"), &[], 21).await.expect("21 is there");
        assert_eq!(read(&mut reader, 10).await.len(), 10);
        let error = broker.open_reader(&stream("IN"), &[], 32).await.expect_err("beyond the end");
        assert!(matches!(error, ReadError::SourceRewound { wanted: 32, last: 30, .. }), "{error}");
    }
}

#[tokio::test]
async fn events_gone_while_reading_are_an_error_and_stay_one() {
    for filter in [None, Some(pattern("in.a"))] {
        for binary in servers() {
            let server = TestServer::start(&binary);
            user_stream(&server, "IN", json!({ "subjects": ["in.>"], "max_msgs": 30_000 })).await;
            let broker = server.broker().await;
            publish(&broker, "in.a", 1..=20_000).await;
            let filters: Vec<_> = filter.clone().into_iter().collect();
            let mut reader = broker.open_reader(&stream("IN"), &filters, 1).await.expect("a reader");
            let first = within(reader.next()).await.expect("events");
            let mut next = first.last().expect("at least one").sequence + 1;
            // The stream drops far more than the reader may have under way.
            publish(&broker, "in.a", 1..=60_000).await;
            let error = loop {
                match within(reader.next()).await {
                    Ok(burst) => {
                        for event in burst {
                            assert_eq!(event.sequence, next, "skipped in silence");
                            next += 1;
                        }
                    }
                    Err(error) => break error,
                }
            };
            for error in [error, within(reader.next()).await.expect_err("still")] {
                let ReadError::EventsGone { wanted, first_available, .. } = error else { panic!("{error}") };
                assert_eq!((wanted, first_available), (next, 50_001));
            }
        }
    }
}

#[tokio::test]
async fn deleted_events_in_the_middle_are_no_error() {
    let server = TestServer::start(&server());
    user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
    let broker = server.broker().await;
    publish(&broker, "in.a", 1..=10).await;
    let client = async_nats::connect(server.url()).await.expect("the server is up");
    for sequence in [4, 5] {
        let payload = json!({ "seq": sequence }).to_string();
        client.request("$JS.API.STREAM.MSG.DELETE.IN", payload.into()).await.expect("deleted");
    }
    let mut reader = broker.open_reader(&stream("IN"), &[], 1).await.expect("a reader");
    let sequences: Vec<_> = read(&mut reader, 8).await.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn streams_that_cannot_be_a_source_say_so() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = server.broker().await;
        for retention in ["workqueue", "interest"] {
            let config = json!({ "subjects": [format!("{retention}.>")], "retention": retention });
            user_stream(&server, retention, config).await;
            let error = broker.open_reader(&stream(retention), &[], 1).await.expect_err("not readable");
            let is_clear = matches!(&error, ReadError::Refused { reason, .. } if reason.contains("limits"));
            assert!(is_clear, "{error}");
        }
        let error = broker.open_reader(&stream("NONE"), &[], 1).await.expect_err("no such stream");
        assert!(matches!(error, ReadError::StreamGone { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_stream_deleted_while_reading_is_an_error() {
    let server = TestServer::start(&server());
    user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
    let broker = server.broker().await;
    publish(&broker, "in.a", 1..=10).await;
    let mut reader = broker.open_reader(&stream("IN"), &[], 1).await.expect("a reader");
    read(&mut reader, 10).await;
    broker.delete_stream(&stream("IN")).await.expect("deleted");
    user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
    publish(&broker, "in.a", 1..=20).await;
    let error = within(reader.next()).await.expect_err("it is another stream");
    assert!(matches!(error, ReadError::StreamGone { .. }), "{error}");
}

/// The bound on bytes: large events come through, and so does one nearly as large as the server takes.
#[tokio::test]
async fn large_events_come_through() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        user_stream(&server, "IN", json!({ "subjects": ["in.>"] })).await;
        let broker = server.broker().await;
        let mut publisher = broker.publisher().await.expect("a connection");
        let sizes: Vec<usize> = (0..60).map(|n| [700_000, 10, broker.max_payload()][n % 3]).collect();
        for size in &sizes {
            publisher.publish("in.a", &Headers::new(), vec![7; *size]).await.expect("published");
        }
        publisher.flush().await.expect("stored");
        let mut reader = broker.open_reader(&stream("IN"), &[], 1).await.expect("a reader");
        let events = read(&mut reader, sizes.len()).await;
        assert!(events.iter().map(|event| event.payload.len()).eq(sizes));
    }
}

/// The stream drops events that the filter leaves out, right up to the last event read and beyond it.
#[tokio::test]
async fn dropped_events_of_other_subjects_are_no_error() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        user_stream(&server, "IN", json!({ "subjects": ["in.>"], "max_msgs": 100 })).await;
        let broker = server.broker().await;
        publish(&broker, "in.rare", 1..=1).await;
        let filters = [pattern("in.rare")];
        let mut reader = broker.open_reader(&stream("IN"), &filters, 1).await.expect("a reader");
        read(&mut reader, 1).await;
        publish(&broker, "in.other", 1..=90).await;
        // The reader learns from two heartbeats in a row that nothing among these was for it.
        let quiet = tokio::time::timeout(std::time::Duration::from_secs(7), reader.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
        publish(&broker, "in.other", 1..=60).await;
        publish(&broker, "in.rare", 2..=2).await;
        let state = broker.stream_state(&stream("IN")).await.expect("an answer").expect("a stream");
        assert!(state.first_sequence > 2);
        let events = read(&mut reader, 1).await;
        assert_eq!((events[0].sequence, &*events[0].payload), (152, &b"event 2"[..]));
        reader.close().await;
    }
}
