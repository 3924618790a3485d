//! Appending by expected sequence: what is accepted, what is refused, and what survives.

use broker::{AppendError, Ask, Broker, Publisher};
use model::{Digest, Headers, Place, RecordId};
use serde_json::json;

use crate::harness::{TestServer, bound, place, record, servers, stream, user_stream, within};

async fn opened(server: &TestServer) -> Broker {
    user_stream(server, "OUT", json!({ "subjects": ["out.>"] })).await;
    server.broker().await
}

#[tokio::test]
async fn ten_thousand_records_lie_in_order() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = opened(&server).await;
        let mut appender = broker.appender(&stream("OUT")).await.expect("a connection");
        for sequence in 1..=10_000 {
            let ask = if sequence % 500 == 0 { Ask::Answer } else { Ask::Nothing };
            let place = if sequence == 1 { place(1) } else { bound(sequence) };
            appender.append(&place, &record("out.a", sequence), ask).await.expect("it is handed over");
        }
        for answered in 1..=20 {
            assert_eq!(within(appender.answer()).await.expect("it is stored"), answered * 500);
        }
        let tail = broker.tail(&stream("OUT")).await.expect("the tail");
        assert_eq!(tail.last_sequence, 10_000);
        for sequence in [1, 2, 4_999, 10_000] {
            let stored = broker.get(&stream("OUT"), sequence).await.expect("an answer").expect("a record");
            assert_eq!(stored.payload, format!("record {sequence}"));
            let pipeline = "p".parse().expect("a valid name");
            let read = model::Record::from_wire(&pipeline, stored.subject, stored.headers, stored.payload);
            assert_eq!(read, Ok(record("out.a", sequence)));
        }
    }
}

#[tokio::test]
async fn the_first_record_is_accepted_once() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = opened(&server).await;
        let mut appender = broker.appender(&stream("OUT")).await.expect("a connection");
        for _ in 0..2 {
            appender.append(&place(1), &record("out.a", 1), Ask::Answer).await.expect("it is handed over");
        }
        assert_eq!(within(appender.answer()).await.expect("the first is stored"), 1);
        let conflict = within(appender.answer()).await.expect_err("the second has no place");
        assert!(matches!(conflict, AppendError::Conflict { found: Some(1), .. }), "{conflict}");
        assert_eq!(broker.tail(&stream("OUT")).await.expect("the tail").last_sequence, 1);
    }
}

#[tokio::test]
async fn of_two_appenders_one_meets_a_conflict_and_goes_on_from_the_tail() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = opened(&server).await;
        let name = stream("OUT");
        let mut first = broker.appender(&name).await.expect("a connection");
        let mut second = broker.appender(&name).await.expect("a connection");
        for sequence in 1..=5 {
            first
                .append(&place(sequence), &record("out.a", sequence), Ask::Answer)
                .await
                .expect("handed over");
            assert_eq!(within(first.answer()).await.expect("stored"), sequence);
        }
        for sequence in 3..=8 {
            second
                .append(&place(sequence), &record("out.a", sequence), Ask::Answer)
                .await
                .expect("handed over");
        }
        let conflict = within(second.answer()).await.expect_err("3 is taken");
        assert!(matches!(conflict, AppendError::Conflict { .. }), "{conflict}");
        // What was under way behind the conflict either found its place or had none: never another one.
        let tail = broker.tail(&name).await.expect("the tail").last_sequence;
        let mut second = broker.appender(&name).await.expect("a connection");
        second.append(&place(9), &record("out.a", 9), Ask::Answer).await.expect("handed over");
        let last = match within(second.answer()).await {
            Ok(last) => last,
            Err(AppendError::Conflict { found, .. }) => found.expect("the server says it"),
            Err(error) => panic!("{error}"),
        };
        assert!(last >= tail, "{last} {tail}");
        for sequence in 1..=last {
            let stored = broker.get(&name, sequence).await.expect("an answer").expect("a record");
            assert_eq!(stored.payload, format!("record {sequence}"));
        }
    }
}

/// The one thing that an expected sequence alone does not keep out: a record comes in between, and behind it
/// what was computed without it finds the stream just as long as it expects.
#[tokio::test]
async fn a_record_computed_without_the_one_before_it_is_refused() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = opened(&server).await;
        let name = stream("OUT");
        let mut stale = broker.appender(&name).await.expect("a connection");
        let mut fresh = broker.appender(&name).await.expect("a connection");
        stale.append(&place(1), &record("out.a", 1), Ask::Answer).await.expect("handed over");
        assert_eq!(within(stale.answer()).await.expect("stored"), 1);
        let revision = Place { id: RecordId::new(&Digest::of(b"another revision"), 2), ..bound(2) };
        fresh.append(&revision, &record("out.revision", 2), Ask::Answer).await.expect("handed over");
        assert_eq!(within(fresh.answer()).await.expect("stored"), 2);
        stale.append(&bound(3), &record("out.a", 3), Ask::Answer).await.expect("handed over");
        let conflict = within(stale.answer()).await.expect_err("it was computed without the revision");
        assert!(matches!(conflict, AppendError::Conflict { .. }), "{conflict}");
        assert_eq!(broker.tail(&name).await.expect("the tail").last_sequence, 2);
    }
}

#[tokio::test]
async fn a_hole_in_the_chain_stops_all_that_comes_after() {
    let server = TestServer::start(&servers()[0]);
    let broker = opened(&server).await;
    let mut appender = broker.appender(&stream("OUT")).await.expect("a connection");
    appender.append(&place(1), &record("out.a", 1), Ask::Nothing).await.expect("handed over");
    // No stream takes this one, and nobody asks for an answer.
    appender.append(&place(2), &record("elsewhere", 2), Ask::Nothing).await.expect("handed over");
    appender.append(&place(3), &record("out.a", 3), Ask::Answer).await.expect("handed over");
    let conflict = within(appender.answer()).await.expect_err("2 is missing");
    assert!(matches!(conflict, AppendError::Conflict { found: Some(1), .. }), "{conflict}");
}

#[tokio::test]
async fn a_record_that_lands_in_another_stream_is_refused() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = opened(&server).await;
        user_stream(&server, "OTHER", json!({ "subjects": ["other.>"] })).await;
        let mut appender = broker.appender(&stream("OUT")).await.expect("a connection");
        appender.append(&place(1), &record("other.a", 1), Ask::Answer).await.expect("handed over");
        let refused = within(appender.answer()).await.expect_err("it is in OTHER");
        assert!(
            matches!(&refused, AppendError::Refused { reason, .. } if reason.contains("OTHER")),
            "{refused}"
        );
        let mut appender = broker.appender(&stream("OUT")).await.expect("a connection");
        appender.append(&place(1), &record("nowhere", 1), Ask::Answer).await.expect("handed over");
        let nobody = within(appender.answer()).await.expect_err("no stream takes it");
        assert!(matches!(nobody, AppendError::Unavailable { .. }), "{nobody}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_said_to_be() {
    let server = TestServer::start(&servers()[0]);
    user_stream(&server, "OUT", json!({ "subjects": ["out.>"], "max_msg_size": 1000 })).await;
    let broker = server.broker().await;
    let mut appender = broker.appender(&stream("OUT")).await.expect("a connection");
    let mut large = record("out.a", 1);
    large.payload = vec![0; 2_000].into();
    appender.append(&place(1), &large, Ask::Answer).await.expect("the server takes it");
    let error = within(appender.answer()).await.expect_err("the stream does not");
    assert!(matches!(error, AppendError::TooLarge { .. }), "{error}");
    large.payload = vec![0; broker.max_payload()].into();
    let error = appender.append(&place(1), &large, Ask::Answer).await.expect_err("nor does the server");
    assert!(matches!(error, AppendError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_lost_connection_is_told_and_the_chain_goes_on() {
    for binary in servers() {
        let mut server = TestServer::start(&binary);
        let broker = opened(&server).await;
        let name = stream("OUT");
        let mut appender = broker.appender(&name).await.expect("a connection");
        let (mut sequence, mut losses) = (1, 0);
        while losses < 3 || sequence <= 3_000 {
            if sequence % 1_000 == 500 && losses < 3 {
                server.kill();
            }
            let appended = appender.append(&place(sequence), &record("out.a", sequence), Ask::Answer).await;
            let answered = match appended {
                Ok(()) => within(appender.answer()).await,
                Err(error) => Err(error),
            };
            match answered {
                Ok(stored) => sequence = stored + 1,
                Err(AppendError::Unavailable { .. } | AppendError::Conflict { .. }) => {
                    if losses < 3 {
                        losses += 1;
                        server.restart();
                    }
                    (appender, sequence) = crate::harness::eventually(async || {
                        let appender = broker.appender(&name).await.ok()?;
                        Some((appender, broker.tail(&name).await.ok()?.last_sequence + 1))
                    })
                    .await;
                }
                Err(error) => panic!("{error}"),
            }
        }
        for sequence in 1..=3_000 {
            let stored = broker.get(&name, sequence).await.expect("an answer").expect("a record");
            assert_eq!(stored.payload, format!("record {sequence}"));
        }
    }
}

#[tokio::test]
async fn single_messages_are_found_by_subject() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = opened(&server).await;
        let name = stream("OUT");
        let empty = broker.tail(&name).await.expect("the tail");
        assert_eq!((empty.last_sequence, empty.record), (0, None));
        let mut publisher: Publisher = broker.publisher().await.expect("a connection");
        for subject in ["out.a", "out.b", "out.a", "out.c"] {
            publisher.publish(subject, &Headers::new(), subject.to_owned()).await.expect("published");
        }
        publisher.flush().await.expect("stored");
        let number = async |found: Result<Option<broker::StoredMessage>, _>| {
            found.expect("an answer").map(|message| message.sequence)
        };
        assert_eq!(number(broker.last_on(&name, "out.a").await).await, Some(3));
        assert_eq!(number(broker.last_on(&name, "out.z").await).await, None);
        assert_eq!(number(broker.next_on(&name, "out.a", 0).await).await, Some(1));
        assert_eq!(number(broker.next_on(&name, "out.a", 2).await).await, Some(3));
        assert_eq!(number(broker.next_on(&name, "out.*", 4).await).await, Some(4));
        assert_eq!(number(broker.next_on(&name, "out.a", 4).await).await, None);
        assert_eq!(number(broker.get(&name, 9).await).await, None);
        assert!(broker.tail(&stream("NONE")).await.is_err());
    }
}
