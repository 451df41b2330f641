//! A NATS client that shares no code with ours: the protocol itself, over a socket.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use hookstream_test_support::TestNats;

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
            let text = String::from_utf8(bytes).unwrap();
            let headers =
                text.lines().skip(1).filter_map(|line| line.split_once(": ").or(line.split_once(':')));
            let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            return Got { subject: words[1].to_owned(), headers, body };
        }
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
