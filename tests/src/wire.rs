//! A small NATS client: one blocking connection that publishes, asks, and reads streams from end to end.
//!
//! Speaks the client protocol and the JetStream API by their documents, and no more of them than the tests
//! need. It is not a library for programs: there is no reconnecting, and one thing happens at a time.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

/// How long the server may take for one answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How many publishes wait for their answers at once.
const WINDOW: usize = 500;
/// How many messages of a stream are asked for at once.
const BATCH: usize = 2_000;

/// A message as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The sequence in its stream; 0 for what comes from none.
    pub sequence: u64,
    /// When the stream stored it, in nanoseconds since 1970-01-01 UTC; 0 for what comes from none.
    pub timestamp_ns: u64,
    /// The subject.
    pub subject: String,
    /// The headers in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The payload.
    pub payload: Bytes,
    status: Option<u16>,
    reply: Option<String>,
}

impl Message {
    /// A message to publish.
    pub fn new(subject: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        let (subject, payload) = (subject.into(), payload.into());
        Self { sequence: 0, timestamp_ns: 0, subject, headers: vec![], payload, status: None, reply: None }
    }

    /// The same with one header more.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The payload as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

/// A connection.
pub struct NatsClient {
    socket: BufReader<TcpStream>,
    inbox: String,
    requests: u64,
}

impl NatsClient {
    /// Connects to `nats://host:port`.
    ///
    /// # Errors
    /// When there is no server, or it does not let us in.
    pub fn connect(url: &str) -> Result<Self, String> {
        let address = url.strip_prefix("nats://").unwrap_or(url);
        let socket = TcpStream::connect(address).map_err(text)?;
        socket.set_read_timeout(Some(ANSWER_PATIENCE)).map_err(text)?;
        socket.set_nodelay(true).map_err(text)?;
        let port = socket.local_addr().map_err(text)?.port();
        let inbox = format!("_INBOX.tests-{}-{port}", std::process::id());
        let mut client = Self { socket: BufReader::new(socket), inbox, requests: 0 };
        client.line()?;
        let options = json!({"verbose": false, "pedantic": false, "headers": true, "no_responders": true});
        let hello = format!("CONNECT {options}\r\nSUB {}.> 1\r\nPING\r\n", client.inbox);
        client.send(hello.as_bytes())?;
        while client.line()? != "PONG" {}
        Ok(client)
    }

    /// Publishes without asking whether it arrived.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn publish(&mut self, message: &Message) -> Result<(), String> {
        let bytes = encode(message, None);
        self.send(&bytes)
    }

    /// Asks, and waits for one answer.
    ///
    /// # Errors
    /// When nobody listens, or no answer comes in time.
    pub fn request(&mut self, message: &Message) -> Result<Message, String> {
        let reply = self.next_inbox();
        let bytes = encode(message, Some(&reply));
        self.send(&bytes)?;
        loop {
            let answer = self.receive()?;
            if answer.subject == reply {
                return match answer.status {
                    Some(503) => Err(format!("nobody listens on {}", message.subject)),
                    _ => Ok(answer),
                };
            }
        }
    }

    /// Asks the JetStream API; `call` follows `$JS.API.`.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    pub fn api(&mut self, call: &str, body: impl Into<String>) -> Result<Value, String> {
        let answer = self.request(&Message::new(format!("$JS.API.{call}"), body.into()))?;
        let value: Value = serde_json::from_slice(&answer.payload).map_err(text)?;
        match value.get("error") {
            Some(error) => Err(format!("{call}: {error}")),
            None => Ok(value),
        }
    }

    /// Publishes into streams and waits for every answer; returns the last sequence.
    ///
    /// # Errors
    /// The first refusal, or silence.
    pub fn store(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<u64, String> {
        let mut messages = messages.into_iter();
        let mut last = 0;
        loop {
            let window: Vec<Message> = messages.by_ref().take(WINDOW).collect();
            if window.is_empty() {
                return Ok(last);
            }
            let reply = self.next_inbox();
            let bytes: Vec<u8> = window.iter().flat_map(|message| encode(message, Some(&reply))).collect();
            self.send(&bytes)?;
            for _ in &window {
                last = last.max(self.stored(&reply)?);
            }
        }
    }

    fn stored(&mut self, reply: &str) -> Result<u64, String> {
        let answer = self.receive()?;
        if answer.subject != reply || answer.status == Some(503) {
            return Err(format!("not stored: {answer:?}"));
        }
        let value: Value = serde_json::from_slice(&answer.payload).map_err(text)?;
        value["seq"].as_u64().filter(|_| value.get("error").is_none()).ok_or_else(|| value.to_string())
    }

    /// Reads all messages that a stream has now, from the first one on.
    ///
    /// # Errors
    /// When there is no such stream, or the server falls silent.
    pub fn read_stream(&mut self, stream: &str) -> Result<Vec<Message>, String> {
        let config = json!({"ack_policy": "none", "deliver_policy": "all", "mem_storage": true,
            "inactive_threshold": 60_000_000_000_u64, "max_deliver": 1});
        let body = json!({"stream_name": stream, "config": config}).to_string();
        let consumer = self.api(&format!("CONSUMER.CREATE.{stream}"), body)?;
        let name = consumer["name"].as_str().ok_or("a consumer without a name")?.to_owned();
        let mut messages = Vec::new();
        loop {
            let before = messages.len();
            self.pull(stream, &name, &mut messages)?;
            if messages.len() == before {
                self.api(&format!("CONSUMER.DELETE.{stream}.{name}"), "")?;
                return Ok(messages);
            }
        }
    }

    /// The headers of one message of a stream, as they are stored.
    ///
    /// # Errors
    /// When it is not there, or the server is not.
    pub fn stored_headers(&mut self, stream: &str, sequence: u64) -> Result<Vec<(String, String)>, String> {
        let found = self.api(&format!("STREAM.MSG.GET.{stream}"), json!({"seq": sequence}).to_string())?;
        let block = found["message"]["hdrs"].as_str().ok_or("the message has no headers")?;
        let block = String::from_utf8(decode_base64(block)?).map_err(text)?;
        Ok(headers(&block).1)
    }

    fn pull(&mut self, stream: &str, consumer: &str, messages: &mut Vec<Message>) -> Result<(), String> {
        let reply = self.next_inbox();
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let body = json!({"batch": BATCH, "no_wait": true}).to_string();
        self.send(&encode(&Message::new(next, body), Some(&reply)))?;
        for _ in 0..BATCH {
            let mut message = self.receive()?;
            if message.status.is_some() {
                return Ok(());
            }
            (message.sequence, message.timestamp_ns) = place(message.reply.as_deref().unwrap_or_default())?;
            messages.push(message);
        }
        Ok(())
    }

    fn next_inbox(&mut self) -> String {
        self.requests += 1;
        format!("{}.{}", self.inbox, self.requests)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.socket.get_mut().write_all(bytes).map_err(text)
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.socket.read_line(&mut line).map_err(text)?;
        match line.trim_end() {
            "" => Err("the server closed the connection".to_owned()),
            error if error.starts_with("-ERR") => Err(error.to_owned()),
            line => Ok(line.to_owned()),
        }
    }

    /// The next message, whatever it belongs to.
    fn receive(&mut self) -> Result<Message, String> {
        loop {
            let line = self.line()?;
            let words: Vec<&str> = line.split(' ').collect();
            match words[0] {
                "PING" => self.send(b"PONG\r\n")?,
                "MSG" => return self.body(&words, 1),
                "HMSG" => return self.body(&words, 2),
                _ => {}
            }
        }
    }

    /// Reads what follows `MSG subject sid [reply] size` or `HMSG subject sid [reply] header-size size`.
    fn body(&mut self, words: &[&str], sizes: usize) -> Result<Message, String> {
        let size = |at: usize| words[words.len() - at].parse::<usize>().map_err(text);
        let (total, head) = (size(1)?, if sizes == 2 { size(2)? } else { 0 });
        let mut bytes = vec![0; total + 2];
        self.socket.read_exact(&mut bytes).map_err(text)?;
        bytes.truncate(total);
        let bytes = Bytes::from(bytes);
        let mut message = Message::new(words[1], bytes.slice(head..));
        message.reply = (words.len() == 4 + sizes).then(|| words[3].to_owned());
        (message.status, message.headers) = headers(std::str::from_utf8(&bytes[..head]).map_err(text)?);
        Ok(message)
    }
}

/// A publish, as it goes on the wire.
fn encode(message: &Message, reply: Option<&str>) -> Vec<u8> {
    let (subject, reply) = (&message.subject, reply.unwrap_or_default());
    let size = message.payload.len();
    let mut bytes = if message.headers.is_empty() {
        format!("PUB {subject} {reply} {size}\r\n")
    } else {
        let lines: String =
            message.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("NATS/1.0\r\n{lines}\r\n");
        format!("HPUB {subject} {reply} {} {}\r\n{head}", head.len(), head.len() + size)
    }
    .into_bytes();
    bytes.extend_from_slice(&message.payload);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// The status, if any, and the pairs of a block of headers.
fn headers(block: &str) -> (Option<u16>, Vec<(String, String)>) {
    let mut lines = block.split("\r\n").filter(|line| !line.is_empty());
    let status =
        lines.next().and_then(|first| first.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let pairs = lines.filter_map(|line| line.split_once(':'));
    (status, pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

/// Stream sequence and time from the subject to which a delivery would be acknowledged:
/// `$JS.ACK.stream.consumer.tries.sequence.delivered.time.pending`, or longer with a domain and an account.
fn place(reply: &str) -> Result<(u64, u64), String> {
    let words: Vec<&str> = reply.split('.').collect();
    let first = if words.len() > 9 { 7 } else { 5 };
    let number = |at: usize| words.get(at).and_then(|word| word.parse().ok());
    number(first).zip(number(first + 2)).ok_or_else(|| format!("not a place in a stream: '{reply}'"))
}

fn decode_base64(text: &str) -> Result<Vec<u8>, String> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => Ok(c - b'A'),
        b'a'..=b'z' => Ok(c - b'a' + 26),
        b'0'..=b'9' => Ok(c - b'0' + 52),
        b'+' => Ok(62),
        b'/' => Ok(63),
        _ => Err(format!("'{c}' is no digit of base64")),
    };
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for c in text.bytes().take_while(|c| *c != b'=') {
        held = held << 6 | u32::from(digit(c)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    Ok(bytes)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::{NatsServer, NatsVersion};
    use crate::stream;

    fn what_is_stored_reads_back(version: NatsVersion) {
        let mut server = NatsServer::start_version(version);
        let mut client = server.client();
        stream::create(&mut client, "S", &["s.>"]);
        let message = |at: usize| match at % 3 {
            0 => Message::new("s.plain", format!("payload {at}")),
            1 => Message::new("s.empty", ""),
            _ => Message::new("s.heads", vec![0, 255, b'\r', b'\n']).with("B", "2").with("A", "x: y"),
        };
        let count = 2 * BATCH + WINDOW + 1;
        assert_eq!(client.store((0..count).map(message)), Ok(count as u64));
        // What was answered is there after a stop in order, and the client comes back.
        server.stop();
        assert!(client.api("INFO", "").is_err(), "nobody answers");
        server.restart();
        let mut client = server.client();
        assert_eq!(stream::state(&mut client, "S"), Ok((count as u64, count as u64)));
        let found = client.read_stream("S").expect("the stream can be read");
        assert_eq!(found.len(), count);
        for (at, found) in found.iter().enumerate() {
            let sent = message(at);
            assert_eq!(found.sequence, at as u64 + 1);
            assert!(found.timestamp_ns > 1_500_000_000_000_000_000, "{}", found.timestamp_ns);
            assert_eq!((&found.subject, &found.headers), (&sent.subject, &sent.headers));
            assert_eq!(found.payload, sent.payload);
        }
        assert_eq!(client.stored_headers("S", 3), Ok(message(2).headers));
        let refused = client.store([Message::new("nowhere", "x")]);
        assert!(refused.is_err(), "no stream takes it: {refused:?}");
        assert!(client.api("STREAM.INFO.NONE", "").is_err_and(|error| error.contains("not found")));
    }

    #[test]
    fn what_is_stored_reads_back_from_the_newest_server() {
        what_is_stored_reads_back(NatsVersion::Newest);
    }

    #[test]
    fn what_is_stored_reads_back_from_the_oldest_server() {
        if NatsVersion::Oldest.is_there("what_is_stored_reads_back_from_the_oldest_server") {
            what_is_stored_reads_back(NatsVersion::Oldest);
        }
    }
}
