//! A server of Weir's own: it runs, comes back when it dies, and stops.

use std::net::SocketAddr;
use std::path::Path;

use broker::{Broker, ConnectOptions, EmbeddedError, EmbeddedOptions, EmbeddedServer};

use crate::harness::{eventually, servers, within};

fn options(binary: &Path, data: &Path) -> EmbeddedOptions {
    EmbeddedOptions {
        binary: Some(binary.to_owned()),
        candidates: Vec::new(),
        path: None,
        data_directory: data.join("nats"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        max_payload_bytes: Some(2 << 20),
    }
}

async fn connect(server: &EmbeddedServer) -> Broker {
    let options = ConnectOptions {
        servers: vec![server.url().to_owned()],
        name: "test".to_owned(),
        ..ConnectOptions::default()
    };
    Broker::connect(options).await.expect("it is ready")
}

fn kill(process_id: u32) {
    let status = std::process::Command::new("kill").args(["-9", &process_id.to_string()]).status();
    assert!(status.expect("kill runs").success());
}

fn is_running(process_id: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

#[tokio::test]
async fn it_comes_back_with_its_data_and_stops() {
    for binary in servers() {
        let data = tempfile::tempdir().expect("a directory");
        let server = within(EmbeddedServer::start(options(&binary, data.path()))).await.expect("it starts");
        let broker = connect(&server).await;
        assert_eq!(broker.max_payload(), 2 << 20);
        let state = broker.state(1).await.expect("a bucket");
        state.put("a", "1").await.expect("put");
        let first = server.process_id().expect("it runs");
        kill(first);
        let second = eventually(async || server.process_id().filter(|id| *id != first)).await;
        let value = eventually(async || state.get("a").await.ok().flatten()).await;
        assert_eq!(&*value.0, b"1");
        within(server.stop()).await;
        assert!(!is_running(second));
    }
}

#[tokio::test]
async fn a_server_left_behind_is_ended_first() {
    let binary = &servers()[0];
    let data = tempfile::tempdir().expect("a directory");
    let started = options(binary, data.path());
    std::fs::create_dir_all(&started.data_directory).expect("it can be made");
    let directory = started.data_directory.canonicalize().expect("it exists");
    let (config, pid_file) = (directory.join("nats-server.conf"), directory.join("nats-server.pid"));
    let text = format!("listen: \"127.0.0.1:-1\"\npid_file: {pid_file:?}\n");
    std::fs::write(&config, text).expect("it can be written");
    let mut leftover = std::process::Command::new(binary)
        .args(["--config".as_ref(), config.as_os_str()])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    eventually(async || std::fs::read_to_string(&pid_file).ok().filter(|text| !text.is_empty())).await;
    // Reaped at once, as a process whose parent is gone would be.
    let reaper = std::thread::spawn(move || leftover.wait());
    let server = within(EmbeddedServer::start(started)).await.expect("it starts");
    reaper.join().expect("no panic").expect("the leftover has ended");
    within(server.stop()).await;
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let binary = &servers()[0];
    let data = tempfile::tempdir().expect("a directory");
    let missing = EmbeddedOptions { binary: Some("/nowhere/x".into()), ..options(binary, data.path()) };
    let error = EmbeddedServer::start(missing).await.expect_err("there is no program");
    assert!(matches!(error, EmbeddedError::NotFound(_)), "{error}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listen = taken.local_addr().expect("it has an address");
    let occupied = EmbeddedOptions { listen, ..options(binary, data.path()) };
    let error = within(EmbeddedServer::start(occupied)).await.expect_err("the port is taken");
    assert!(matches!(&error, EmbeddedError::Ended { log, .. } if log.contains("in use")), "{error}");
}
