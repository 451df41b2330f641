//! A NATS client that shares no code with ours: the protocol itself, over a socket.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hookstream_test_support::TestNats;
use serde_json::{Value, json};

pub(crate) struct PlainClient {
    stream: TcpStream,
    from: BufReader<TcpStream>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) subject: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl PlainClient {
    pub(crate) fn connect(nats: &TestNats, role: &str) -> Self {
        let stream = TcpStream::connect(nats.client_addr()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut client = Self { from: BufReader::new(stream.try_clone().unwrap()), stream };
        assert!(client.line().starts_with("INFO "));
        let password = nats.password(role);
        client.send(&format!(
            r#"CONNECT {{"verbose":false,"headers":true,"no_responders":true,"user":"{role}","pass":"{password}"}}"#
        ));
        client.round_trip();
        client
    }

    /// Subscribes; once it returns, nothing published later is missed.
    pub(crate) fn subscribe(&mut self, subject: &str) {
        self.send(&format!("SUB {subject} 1"));
        self.round_trip();
    }

    /// The answer to a request.
    pub(crate) fn request(&mut self, subject: &str, body: &str) -> Vec<u8> {
        self.subscribe("_INBOX.plain");
        self.send(&format!("PUB {subject} _INBOX.plain {}\r\n{body}", body.len()));
        self.message().body
    }

    /// The answer to a request without a body, once `_INBOX.plain` is subscribed to.
    pub(crate) fn ask(&mut self, subject: &str) -> Vec<u8> {
        self.send(&format!("PUB {subject} _INBOX.plain 0\r\n"));
        self.message().body
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Got {
        loop {
            let line = self.line();
            let words: Vec<&str> = line.split(' ').collect();
            let number = |word: &&str| word.parse::<usize>().unwrap();
            let (headers, total) = match words[0] {
                "PING" => {
                    self.send("PONG");
                    continue;
                }
                "HMSG" => (number(&words[words.len() - 2]), number(&words[words.len() - 1])),
                "MSG" => (0, number(&words[words.len() - 1])),
                _ => panic!("the server says {line}"),
            };
            let mut bytes = vec![0; total + 2];
            self.from.read_exact(&mut bytes).unwrap();
            bytes.truncate(total);
            let body = bytes.split_off(headers);
            return Got { subject: words[1].to_owned(), headers: read_headers(bytes), body };
        }
    }

    /// A message as stream `WEBHOOKS` holds it, with the time at which it was stored.
    pub(crate) fn stored(&mut self, sequence: u64) -> (Got, String) {
        let answer = self.request("$JS.API.STREAM.MSG.GET.WEBHOOKS", &json!({ "seq": sequence }).to_string());
        let message = serde_json::from_slice::<Value>(&answer).unwrap()["message"].clone();
        let text =
            |name: &str| message[name].as_str().unwrap_or_else(|| panic!("no {name}: {message}")).to_owned();
        let bytes = |name: &str| BASE64_STANDARD.decode(text(name)).unwrap();
        (
            Got { subject: text("subject"), headers: read_headers(bytes("hdrs")), body: bytes("data") },
            text("time"),
        )
    }

    fn round_trip(&mut self) {
        self.send("PING");
        loop {
            match self.line().as_str() {
                "PONG" => return,
                "PING" => self.send("PONG"),
                other => panic!("the server says {other}"),
            }
        }
    }

    fn send(&mut self, line: &str) {
        write!(self.stream, "{line}\r\n").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

fn read_headers(bytes: Vec<u8>) -> BTreeMap<String, String> {
    let text = String::from_utf8(bytes).unwrap();
    let lines = text.lines().skip(1).filter_map(|line| line.split_once(": ").or(line.split_once(':')));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
