//! Connecting: what is refused, and in which words.

use broker::{Auth, Broker, ConnectError, ConnectOptions};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::harness::{TestServer, eventually, server, servers, within};

fn options(url: String) -> ConnectOptions {
    ConnectOptions { servers: vec![url], name: "test".into(), ..ConnectOptions::default() }
}

/// Says that it is a server of this version, and answers pings.
async fn pretend(listener: tokio::net::TcpListener, version: &'static str) {
    let (socket, _) = listener.accept().await.expect("somebody connects");
    let (read, mut write) = socket.into_split();
    let info = format!("INFO {{\"version\":\"{version}\",\"max_payload\":1048576,\"headers\":true}}\r\n");
    write.write_all(info.as_bytes()).await.expect("it is sent");
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "PING" && write.write_all(b"PONG\r\n").await.is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn an_old_server_is_refused_in_one_line() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    let pretender = tokio::spawn(pretend(listener, "2.8.4"));
    let error = within(Broker::connect(options(format!("nats://{address}")))).await.expect_err("too old");
    assert!(matches!(&error, ConnectError::TooOld { found, .. } if found == "2.8.4"), "{error}");
    let text = error.to_string();
    assert!(text.contains("2.8.4") && text.contains("2.9.0") && !text.contains('\n'), "{text}");
    pretender.abort();
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    drop(listener);
    let error = within(Broker::connect(options(format!("nats://u:secret@{address}")))).await;
    let error = error.expect_err("nobody is there");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn bad_options_are_said_to_be() {
    let url = || "nats://127.0.0.1:4222".to_owned();
    let with = |change: fn(&mut ConnectOptions)| {
        let mut options = options(url());
        change(&mut options);
        options
    };
    for (options, word) in [
        (ConnectOptions::default(), "no server"),
        (options("nats://:::".into()), "not a server address"),
        (with(|o| o.auth = Auth::CredentialsFile("/nowhere/x.creds".into())), "/nowhere/x.creds"),
        (with(|o| o.tls.ca_file = Some("/nowhere/ca.pem".into())), "/nowhere/ca.pem"),
        (with(|o| o.tls.cert_file = Some("/nowhere/cert.pem".into())), "both files"),
        (with(|o| o.inbox_prefix = Some("a.>".into())), "inbox prefix"),
    ] {
        let error = Broker::connect(options).await.expect_err(word);
        assert!(matches!(&error, ConnectError::BadOptions(text) if text.contains(word)), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_jetstream_is_refused() {
    for binary in servers() {
        let server = TestServer::start_with(&binary, "");
        let error = within(Broker::connect(server.options())).await.expect_err("no JetStream");
        assert!(matches!(error, ConnectError::NoJetStream { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_right_credentials_are_let_in_and_others_not() {
    let config = "jetstream: enabled\nauthorization { users: [\
        { user: anna, password: secret }, \
        { user: nobody, password: secret, permissions: { publish: { deny: \"$JS.API.INFO\" } } } ] }";
    let server = TestServer::start_with(&server(), config);
    let as_user = |user: &str, password: &str| {
        let auth = Auth::UserPassword { user: user.into(), password: password.into() };
        ConnectOptions { auth, ..server.options() }
    };
    let broker = eventually(async || Broker::connect(as_user("anna", "secret")).await.ok()).await;
    assert!(broker.is_connected());
    for options in [as_user("anna", "wrong"), as_user("nobody", "secret"), server.options()] {
        let error = within(Broker::connect(options)).await.expect_err("not let in");
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_broker_says_whether_it_is_connected() {
    let mut server = TestServer::start(&server());
    let broker = server.broker().await;
    assert!(broker.is_connected());
    server.kill();
    eventually(async || (!broker.is_connected()).then_some(())).await;
    server.restart();
    eventually(async || broker.is_connected().then_some(())).await;
    assert_eq!(broker.max_payload(), 1 << 20);
}
