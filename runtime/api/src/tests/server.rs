//! The server on real sockets: what it refuses to do, TLS, slow clients, and its end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::Digest;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{FakeNode, Shared, options};
use crate::{ListenOptions, PlainHttp, Server, TlsFiles, Tokens};

/// A running server; ends when told to.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn run(options: ListenOptions) -> Running {
    let server = Server::bind(options).await.expect("the server can listen");
    let address = server.address();
    let (stop, stopped) = oneshot::channel();
    let node = Arc::new(Shared(FakeNode::holding(&[b"module"])));
    let task = tokio::spawn(server.run(node, async { stopped.await.expect("the test says when") }));
    Running { address, stop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).expect("the server waits for it");
        self.task.await.expect("the server ends without a panic");
    }
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the server answers");
    answer
}

const LIVE: &str = "GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A certificate for `localhost` in a directory, and what a client needs to trust it.
fn certificate(directory: &Path) -> (TlsFiles, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let files = TlsFiles { certificate: directory.join("cert.pem"), key: directory.join("key.pem") };
    let pem = |label: &str, der: &[u8]| {
        use base64::Engine as _;
        let base64 = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
    };
    std::fs::write(&files.certificate, pem("CERTIFICATE", made.cert.der())).expect("is written");
    std::fs::write(&files.key, pem("PRIVATE KEY", made.signing_key.serialized_der())).expect("is written");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(made.cert.der().to_vec())).expect("a certificate to trust");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (files, TlsConnector::from(Arc::new(config)))
}

#[tokio::test]
async fn what_would_be_careless_is_refused_in_one_line() {
    let directory = TempDir::new().expect("a temporary directory");
    let (tls, _) = certificate(directory.path());
    let line = format!("read r {}", Digest::of(b"token"));
    let tokens = Tokens::parse(&line, Path::new("tokens")).expect("the file is right");
    for (address, with_tokens, with_tls, plain_http, refusal) in [
        ("127.0.0.1:0", false, false, PlainHttp::LoopbackOnly, None),
        ("[::1]:0", false, false, PlainHttp::LoopbackOnly, None),
        ("0.0.0.0:0", false, false, PlainHttp::LoopbackOnly, Some("without bearer tokens")),
        ("0.0.0.0:0", false, true, PlainHttp::LoopbackOnly, Some("without bearer tokens")),
        ("0.0.0.0:0", false, false, PlainHttp::Anywhere, Some("without bearer tokens")),
        ("[::]:0", false, false, PlainHttp::LoopbackOnly, Some("without bearer tokens")),
        ("0.0.0.0:0", true, false, PlainHttp::LoopbackOnly, Some("without TLS")),
        ("0.0.0.0:0", true, true, PlainHttp::LoopbackOnly, None),
        ("0.0.0.0:0", true, false, PlainHttp::Anywhere, None),
    ] {
        let mut options = ListenOptions::at(address.parse().expect("an address"));
        options.tokens = with_tokens.then(|| tokens.clone());
        options.tls = with_tls.then(|| tls.clone());
        options.plain_http = plain_http;
        let bound = Server::bind(options).await.map(drop).map_err(|error| error.to_string());
        let as_expected = match (&bound, refusal) {
            (Ok(()), None) => true,
            // A machine without IPv6 cannot listen there, which is nobody's carelessness.
            (Err(error), None) => address.starts_with('[') && error.starts_with("cannot listen on"),
            (Err(error), Some(part)) => {
                error.contains(part) && error.contains(address) && !error.contains('\n')
            }
            (Ok(()), Some(_)) => false,
        };
        assert!(as_expected, "{address} {with_tokens} {with_tls} {plain_http:?}: {bound:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_said_with_its_file() {
    let directory = TempDir::new().expect("a temporary directory");
    let (files, _) = certificate(directory.path());
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").expect("is written");
    let other = directory.path().join("other");
    std::fs::create_dir(&other).expect("is made");
    let (others, _) = certificate(&other);
    let cases = [
        (TlsFiles { certificate: empty.clone(), ..files.clone() }, "there is no certificate in"),
        (TlsFiles { certificate: directory.path().join("none.pem"), ..files.clone() }, "none.pem"),
        (TlsFiles { key: empty, ..files.clone() }, "empty.pem"),
        (TlsFiles { key: others.key, ..files }, "cannot use the certificate with its key"),
    ];
    for (tls, part) in cases {
        let options = ListenOptions { tls: Some(tls), ..options() };
        let error = Server::bind(options).await.map(drop).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_said() {
    let first = Server::bind(options()).await.expect("a free port");
    let again = ListenOptions { address: first.address(), ..options() };
    let error = Server::bind(again).await.map(drop).expect_err("it is taken").to_string();
    assert!(error.starts_with(&format!("cannot listen on {}", first.address())), "{error}");
}

#[tokio::test]
async fn it_answers_over_tls_while_another_client_never_says_hello() {
    let directory = TempDir::new().expect("a temporary directory");
    let (tls, connector) = certificate(directory.path());
    let server = run(ListenOptions { tls: Some(tls), ..options() }).await;
    let silent = TcpStream::connect(server.address).await.expect("connects");
    let stream = TcpStream::connect(server.address).await.expect("connects");
    let name = ServerName::try_from("localhost").expect("a valid name");
    let stream = connector.connect(name, stream).await.expect("the certificate is right");
    let answer = ask(stream, LIVE).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("alive\n"), "{answer}");
    server.stop().await;
    drop(silent);
}

#[tokio::test]
async fn a_client_that_sends_too_much_still_reads_why() {
    let server = run(options()).await;
    let stream = TcpStream::connect(server.address).await.expect("connects");
    // More than the sockets' buffers hold: the server has to read it, or the client fails on sending.
    let body = "x".repeat(32 << 20);
    let length = body.len();
    let head = "POST /v1/modules HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    let answer = ask(stream, &format!("{head}content-length: {length}\r\n\r\n{body}")).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("module-too-large"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let mut options = options();
    options.timeouts.request_head = Duration::from_millis(20);
    options.connections_max = 1;
    let server = run(options).await;
    let mut silent = TcpStream::connect(server.address).await.expect("connects");
    silent.write_all(b"GET /livez HT").await.expect("is sent");
    // The only place is taken until the silent one is let go.
    let stream = TcpStream::connect(server.address).await.expect("connects");
    assert!(ask(stream, LIVE).await.starts_with("HTTP/1.1 200 OK"));
    server.stop().await;
}

#[tokio::test]
async fn stopping_lets_open_requests_end_and_waits_no_longer_than_it_may() {
    let mut options = options();
    options.timeouts.drain = Duration::from_millis(50);
    let server = run(options).await;
    let idle = TcpStream::connect(server.address).await.expect("connects");
    let mut hanging = TcpStream::connect(server.address).await.expect("connects");
    let (body, digest) = (r#"{"subject": "hang"}"#, Digest::of(b"module"));
    let request = format!(
        "POST /v1/modules/{digest}/try HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    hanging.write_all(request.as_bytes()).await.expect("is sent");
    let address = server.address;
    server.stop().await;
    let mut rest = vec![];
    assert!(matches!(hanging.read_to_end(&mut rest).await, Ok(0) | Err(_)), "it is closed without an answer");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    drop(idle);
}
