//! What nodes share: keys and values, and module bytes.

use broker::{Change, ModuleError, PassedTests, StateError, StoredModule, Watch};
use bytes::Bytes;
use model::Digest;

use crate::harness::{TestServer, eventually, server, servers, within};

fn text(value: &'static str) -> Bytes {
    Bytes::from_static(value.as_bytes())
}

async fn entry(watch: &mut Watch) -> (String, Option<Bytes>) {
    match within(watch.next()).await.expect("a change") {
        Change::Entry { key, value, .. } => (key, value),
        Change::InitialEnd => panic!("an entry was to come"),
    }
}

#[tokio::test]
async fn keys_change_only_as_expected() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let state = server.broker().await.state(1).await.expect("a bucket");
        let first = state.create("pipelines.a", text("1")).await.expect("it is new");
        let error = state.create("pipelines.a", text("2")).await.expect_err("it is not new");
        assert!(matches!(error, StateError::Conflict { .. }), "{error}");
        let second = state.update("pipelines.a", text("2"), first).await.expect("as expected");
        let error = state.update("pipelines.a", text("3"), first).await.expect_err("it has changed");
        assert!(matches!(error, StateError::Conflict { .. }), "{error}");
        assert_eq!(state.get("pipelines.a").await.expect("an answer"), Some((text("2"), second)));
        state.put("pipelines.b", text("x")).await.expect("put");
        state.put("tags.t", text("y")).await.expect("put");
        assert_eq!(state.keys("pipelines").await.expect("keys"), ["pipelines.a", "pipelines.b"]);
        assert_eq!(state.keys("").await.expect("keys").len(), 3);
        state.delete("pipelines.a").await.expect("deleted");
        state.delete("pipelines.a").await.expect("deleting again is fine");
        assert_eq!(state.get("pipelines.a").await.expect("an answer"), None);
        assert_eq!(state.keys("pipelines").await.expect("keys"), ["pipelines.b"]);
        state.create("pipelines.a", text("4")).await.expect("it is new again");
        assert_eq!(state.keys("none").await.expect("keys"), Vec::<String>::new());
        let error = state.put("a b", text("")).await.expect_err("no key looks like this");
        assert!(matches!(error, StateError::BadKey { .. }), "{error}");
        let large = vec![0; 1 << 20];
        let error = state.put("large", large).await.expect_err("it does not fit");
        assert!(matches!(error, StateError::TooLarge { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_watch_goes_on_over_restarts_of_the_server() {
    for binary in servers() {
        let mut server = TestServer::start(&binary);
        let broker = server.broker().await;
        let state = broker.state(1).await.expect("a bucket");
        for (key, value) in [("p.a", "1"), ("p.b", "1"), ("p.a", "2"), ("q.c", "1")] {
            state.put(key, text(value)).await.expect("put");
        }
        let mut watch = state.watch("p").expect("a watch");
        assert_eq!(entry(&mut watch).await, ("p.b".to_owned(), Some(text("1"))));
        assert_eq!(entry(&mut watch).await, ("p.a".to_owned(), Some(text("2"))));
        assert_eq!(within(watch.next()).await.expect("a change"), Change::InitialEnd);
        for round in 0..3 {
            server.kill();
            eventually(async || (!broker.is_connected()).then_some(())).await;
            server.restart();
            let key = format!("p.{round}");
            eventually(async || state.put(&key, text("new")).await.ok()).await;
            // A put whose answer was lost is put again: the same change may come twice.
            while entry(&mut watch).await.0 != key {}
            eventually(async || state.delete(&key).await.ok()).await;
            while entry(&mut watch).await != (key.clone(), None) {}
        }
    }
}

#[tokio::test]
async fn a_watch_of_nothing_ends_at_once_and_waits() {
    let server = TestServer::start(&server());
    let state = server.broker().await.state(1).await.expect("a bucket");
    let mut watch = state.watch("").expect("a watch");
    assert_eq!(within(watch.next()).await.expect("a change"), Change::InitialEnd);
    state.put("a", text("1")).await.expect("put");
    assert_eq!(entry(&mut watch).await, ("a".to_owned(), Some(text("1"))));
    watch.end().await;
}

#[tokio::test]
async fn a_deleted_bucket_is_told_to_the_watch() {
    let server = TestServer::start(&server());
    let broker = server.broker().await;
    let state = broker.state(1).await.expect("a bucket");
    let mut watch = state.watch("").expect("a watch");
    assert_eq!(within(watch.next()).await.expect("a change"), Change::InitialEnd);
    broker.delete_stream(&"KV_weir".parse().expect("a valid name")).await.expect("deleted");
    let error = within(watch.next()).await.expect_err("it is gone");
    assert!(matches!(error, StateError::BucketGone), "{error}");
}

#[tokio::test]
async fn modules_come_back_as_they_were_or_not_at_all() {
    for binary in servers() {
        let server = TestServer::start(&binary);
        let broker = server.broker().await;
        let modules = broker.modules(1).await.expect("a bucket");
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let digest = Digest::of(&bytes);
        let limit = 10_000_000;
        let error = modules.get(&digest, limit).await.expect_err("it is not there");
        assert!(matches!(error, ModuleError::NotFound { .. }), "{error}");
        assert!(!modules.exists(&digest).await.expect("an answer"));
        let objects = "OBJ_weir-modules".parse().expect("a valid name");
        let stored = async || {
            broker
                .stream_state(&objects)
                .await
                .expect("an answer")
                .expect("the bucket's stream")
                .last_sequence
        };
        modules.put(&digest, &bytes).await.expect("put");
        let before = stored().await;
        modules.put(&digest, &bytes).await.expect("putting again is fine");
        assert_eq!(stored().await, before, "and writes nothing");
        assert_eq!(modules.get(&digest, limit).await.expect("the bytes"), bytes);
        let stored_module = StoredModule { digest, size_bytes: 3_000_000, tests: None };
        let listed = modules.list().await.expect("a list");
        assert_eq!(listed, std::slice::from_ref(&stored_module));
        for cases in [1, 12] {
            let tests = PassedTests { digest: Digest::of(b"cases"), cases };
            modules.set_tests(&digest, &tests).await.expect("kept");
            let noted = StoredModule { tests: Some(tests), ..stored_module.clone() };
            assert_eq!(modules.list().await.expect("a list"), std::slice::from_ref(&noted));
            assert_eq!(modules.describe(&digest).await.expect("an answer"), Some(noted));
            assert_eq!(modules.get(&digest, limit).await.expect("the bytes, untouched"), bytes);
        }
        let error = modules.get(&digest, 1_000).await.expect_err("larger than allowed");
        assert!(matches!(error, ModuleError::TooLarge { bytes: 3_000_000, .. }), "{error}");
        let error = modules.put(&digest, b"other").await.expect_err("not the digest's bytes");
        assert!(matches!(error, ModuleError::Mismatch { .. }), "{error}");
        modules.delete(&digest).await.expect("deleted");
        modules.delete(&digest).await.expect("deleting again is fine");
        assert!(!modules.exists(&digest).await.expect("an answer"));
        assert_eq!(modules.list().await.expect("a list"), []);
        let tests = PassedTests { digest, cases: 1 };
        let error = modules.set_tests(&digest, &tests).await.expect_err("there is no such module");
        assert!(matches!(error, ModuleError::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_the_digests_are_never_given_out() {
    let server = TestServer::start(&server());
    let modules = server.broker().await.modules(1).await.expect("a bucket");
    let digest = Digest::of(b"the module");
    let client = async_nats::connect(server.url()).await.expect("the server is up");
    let context = async_nats::jetstream::new(client);
    let store = context.get_object_store("weir-modules").await.expect("the bucket");
    store.put(digest.to_string().as_str(), &mut &b"something else"[..]).await.expect("put");
    let error = modules.get(&digest, 1_000).await.expect_err("not the digest's bytes");
    assert!(matches!(error, ModuleError::Mismatch { .. }), "{error}");
}
