//! A node for the command line to talk to: it answers what a test says, and keeps what it was asked.
//!
//! It knows as much of HTTP as one client needs: one request on a connection, its body by length.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    /// The headers, names in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// A node that answers by heart.
pub(crate) struct Node {
    /// Where it listens.
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Node {
    /// Listens, and answers requests by method and path. What it does not know is not found.
    pub(crate) fn answering(answers: &[(&str, u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let answers: HashMap<String, (u16, String)> = answers
            .iter()
            .map(|(line, status, body)| ((*line).to_owned(), (*status, (*body).to_owned())))
            .collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        // The thread ends with the test's process; it holds nothing that has to be given back.
        let _serving = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if let Some(request) = receive(&stream) {
                    let missing = (404, problem(404, "not-found", "there is no such thing"));
                    let answer = answers.get(&request.line).cloned().unwrap_or(missing);
                    kept.lock().expect("no test panics with it").push(request);
                    send(&stream, &answer);
                }
            }
        });
        Self { url, asked }
    }

    /// What was asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panics with it").clone()
    }
}

/// An error as a node tells it.
pub(crate) fn problem(status: u16, code: &str, detail: &str) -> String {
    format!(
        r#"{{"type": "urn:weir:problem:{code}", "title": "t", "status": {status}, "code": "{code}", "detail": "{detail}", "request_id": "r-1"}}"#
    )
}

fn receive(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |line: &String| line.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.to_owned()));
    let headers: HashMap<_, _> = lines.iter().skip(1).filter_map(header).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if headers.contains_key("expect") {
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = lines.first()?.trim_end_matches(" HTTP/1.1").to_owned();
    Some(Asked { line, headers, body })
}

fn send(mut stream: &TcpStream, (status, body): &(u16, String)) {
    let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    // A client that went away has nothing to be told.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}
