//! Uploads: idempotent by digest, checked against every announced digest, bounded while they are received,
//! and nothing is left of one that fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use model::Digest;

use super::{FakeNode, Service, options};
use crate::content_digest::content_digest;

fn service() -> (Arc<FakeNode>, Service) {
    let node = FakeNode::holding(&[]);
    (node.clone(), Service::new(node, options()))
}

/// A body in pieces, whose length is not known beforehand.
fn pieces(count: usize, bytes: usize) -> Body {
    let piece = Bytes::from(vec![0; bytes]);
    Body::from_stream(stream::repeat(piece).take(count).map(Ok::<_, std::io::Error>))
}

fn assert_nothing_left(node: &FakeNode, what: &str) {
    assert_eq!(node.module_count(), 0, "{what}");
    assert_eq!(node.open_uploads.load(Ordering::SeqCst), 0, "{what}");
}

#[tokio::test]
async fn the_same_module_is_created_once() {
    let digest = Digest::of(b"module");
    for head in ["POST /v1/modules".to_owned(), format!("PUT /v1/modules/{digest}")] {
        let (node, service) = service();
        for status in [201, 200, 200] {
            let answer = service.send(&head, &[], "module").await;
            assert_eq!(answer.status.as_u16(), status, "{head}");
            assert_eq!(answer.header("location"), format!("/v1/modules/{digest}"));
            assert_eq!(answer.header("etag"), format!("\"{digest}\""));
            assert_eq!(answer.json()["digest"], digest.to_string());
        }
        assert_eq!(node.module_count(), 1);
    }
}

/// Who does not want to wait for the compiler is told where to look.
#[tokio::test]
async fn a_module_that_is_still_compiled_is_accepted() {
    let digest = Digest::of(b"module");
    for (prefer, status, state) in [
        ("respond-async", 202, "compiling"),
        ("foo, wait=0", 202, "compiling"),
        ("WAIT = 90", 201, "ready"),
        ("wait=soon", 201, "ready"),
        ("handling=lenient", 201, "ready"),
    ] {
        let (_, service) = service();
        let answer = service.send("POST /v1/modules", &[("prefer", prefer)], "module").await;
        assert_eq!(answer.status.as_u16(), status, "{prefer}");
        assert_eq!(answer.json()["state"], state, "{prefer}");
        assert_eq!(answer.header("location"), format!("/v1/modules/{digest}"), "{prefer}");
    }
}

#[tokio::test]
async fn what_is_downloaded_is_what_was_uploaded() {
    let (_, service) = service();
    service.send("POST /v1/modules", &[], pieces(9, 100)).await;
    let digest = Digest::of(&[0; 900]);
    let answer = service.send(&format!("GET /v1/modules/{digest}/content"), &[], "").await;
    assert_eq!(answer.body, [0; 900]);
    assert_eq!(answer.header("content-digest"), content_digest(digest).to_str().expect("ASCII"));
}

#[tokio::test]
async fn an_announced_digest_is_honoured() {
    let announce = |bytes: &[u8]| content_digest(Digest::of(bytes)).to_str().expect("ASCII").to_owned();
    let put = |bytes: &[u8]| format!("PUT /v1/modules/{}", Digest::of(bytes));
    let post = || "POST /v1/modules".to_owned();
    for (head, announced, code) in [
        (post(), Some(announce(b"module")), None),
        (put(b"module"), Some(announce(b"module")), None),
        (post(), Some("sha-512=:AAAA:".to_owned()), None),
        (post(), Some(announce(b"another")), Some("digest-mismatch")),
        (put(b"another"), None, Some("digest-mismatch")),
        (put(b"another"), Some(announce(b"module")), Some("digest-mismatch")),
        (put(b"module"), Some(announce(b"another")), Some("digest-mismatch")),
        (post(), Some("sha-256=nonsense".to_owned()), Some("invalid-request")),
    ] {
        let (node, service) = service();
        let headers: Vec<_> = announced.iter().map(|value| ("content-digest", &**value)).collect();
        let answer = service.send(&head, &headers, "module").await;
        let what = format!("{head} {announced:?}");
        match code {
            None => assert_eq!(answer.status.as_u16(), 201, "{what}: {answer:?}"),
            Some(code) => {
                answer.assert_problem(code, &what);
                assert_nothing_left(&node, &what);
            }
        }
    }
}

#[tokio::test]
async fn a_module_that_is_refused_leaves_nothing() {
    let broken = || {
        let error = Err(std::io::Error::other("the connection broke"));
        Body::from_stream(stream::iter([Ok(Bytes::from_static(b"half")), error]))
    };
    let cases = [
        ("not WebAssembly", None, Body::from("not wasm"), "module-refused"),
        ("too large, as it turns out", None, pieces(11, 100), "module-too-large"),
        ("too large, as it says", Some(("content-length", "1001")), Body::empty(), "module-too-large"),
        ("in an encoding", Some(("content-encoding", "gzip")), Body::from("x"), "unsupported-media-type"),
        ("cut off", None, broken(), "invalid-request"),
    ];
    for (what, header, body, code) in cases {
        let (node, service) = service();
        service.send("POST /v1/modules", header.as_slice(), body).await.assert_problem(code, what);
        assert_nothing_left(&node, what);
    }
    let (_, service) = service();
    let largest = service.send("POST /v1/modules", &[], pieces(10, 100)).await;
    assert_eq!(largest.status.as_u16(), 201, "the limit itself is allowed");
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let node = FakeNode::holding(&[]);
    let mut options = options();
    options.timeouts.upload_idle = Duration::from_millis(20);
    // Its time for discarding is longer than this test wants to wait, so the client asks before it sends.
    let expect = [("expect", "100-continue")];
    let service = Service::new(node.clone(), options);
    let stalled = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"half"))]);
    let body = Body::from_stream(stalled.chain(stream::pending()));
    service.send("POST /v1/modules", &expect, body).await.assert_problem("request-timeout", "a stall");
    assert_nothing_left(&node, "a stall");
}

#[tokio::test]
async fn no_more_than_some_are_received_at_once() {
    let (node, service) = service();
    let service = Arc::new(service);
    let mut senders = vec![];
    let mut uploads = tokio::task::JoinSet::new();
    for _ in 0..crate::upload::UPLOADS_MAX {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let ended = async move { receiver.await.map(|()| Bytes::from_static(b"module")) };
        let (service, body) = (service.clone(), Body::from_stream(stream::once(ended)));
        uploads.spawn(async move { service.send("POST /v1/modules", &[], body).await.status.as_u16() });
        senders.push(sender);
    }
    while node.open_uploads.load(Ordering::SeqCst) < crate::upload::UPLOADS_MAX {
        tokio::task::yield_now().await;
    }
    let refused = service.send("POST /v1/modules", &[], "module").await;
    refused.assert_problem("overloaded", "one too many");
    assert_eq!(refused.header("retry-after"), "5");
    for sender in senders {
        sender.send(()).expect("the upload waits for it");
    }
    let mut statuses = uploads.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 201]);
    assert_eq!(service.send("POST /v1/modules", &[], "module").await.status.as_u16(), 200);
}
