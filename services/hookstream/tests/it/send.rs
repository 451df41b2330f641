use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

use hookstream_signature::{Key, Keyring, hub, standard_webhooks};
use hookstream_test_support::{GITHUB_SECRET, INTERNAL_SECRET};

use crate::command::{Done, Hookstream};

const RECEIPT: &str = r#"{"status":"accepted","event_id":"github:abc","stream":"WEBHOOKS","sequence":7}"#;

/// What a gateway got.
struct Got {
    line: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {:?}", self.headers))
    }

    fn verify_hub(&self, secret: &str) {
        let signature = self.header("x-hub-signature-256").as_bytes();
        hub::verify(&ring(secret), &[signature], 0, &self.body).unwrap();
    }
}

fn ring(secret: &str) -> Keyring {
    Keyring::new(vec![Key::new("test", secret.as_bytes()).unwrap()]).unwrap()
}

/// Answers one request, and tells what it was.
fn gateway(status: &'static str, answer: &'static str) -> (String, JoinHandle<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let got = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut from = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        let mut headers = HashMap::new();
        loop {
            let mut header = String::new();
            from.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        from.read_exact(&mut body).unwrap();
        let length = answer.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}")
            .unwrap();
        Got { line: line.trim_end().to_owned(), headers, body }
    });
    (url, got)
}

/// Sends to a gateway that accepts.
fn send(args: &[&str], stdin: &str) -> (Done, Got) {
    let (url, got) = gateway("202 Accepted", RECEIPT);
    let done = Hookstream::new(&[&["send"], args].concat())
        .env("GATEWAY_URL", &url)
        .env("GITHUB_WEBHOOK_SECRET", GITHUB_SECRET)
        .env("INTERNAL_WEBHOOK_SECRET", INTERNAL_SECRET)
        .stdin(stdin)
        .run_blocking();
    (done.expect_code(0), got.join().unwrap())
}

#[test]
fn a_sample_is_signed_as_github_signs_and_its_receipt_printed() {
    let (done, got) = send(&["--sample", "issues.opened"], "");
    assert_eq!(got.line, "POST /webhooks/github HTTP/1.1");
    assert_eq!(got.header("x-github-event"), "issues");
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("x-github-delivery").len(), 36);
    got.verify_hub(GITHUB_SECRET);
    assert_eq!(done.stdout, "STATUS    EVENT ID    STREAM    SEQUENCE\naccepted  github:abc  WEBHOOKS  7\n");
}

#[test]
fn a_form_is_signed_as_it_is_sent() {
    let (_, got) = send(&["--source", "github", "--event", "push", "--form", "-"], r#"{"a":"b c"}"#);
    assert_eq!(got.body, b"payload=%7B%22a%22%3A%22b+c%22%7D");
    assert_eq!(got.header("content-type"), "application/x-www-form-urlencoded");
    got.verify_hub(GITHUB_SECRET);
}

#[test]
fn an_internal_event_is_signed_by_standard_webhooks_under_the_given_id() {
    let (_, got) = send(&["--source", "internal", "--id", "once", "-"], r#"{"type":"queue.paused"}"#);
    assert_eq!(got.line, "POST /webhooks/internal HTTP/1.1");
    assert_eq!(got.header("webhook-id"), "once");
    let [id, timestamp, signature] =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| got.header(name).as_bytes());
    let now = got.header("webhook-timestamp").parse().unwrap();
    let headers = standard_webhooks::Headers { id: &[id], timestamp: &[timestamp], signature: &[signature] };
    standard_webhooks::verify(&ring(INTERNAL_SECRET), &headers, now, &got.body).unwrap();
}

#[test]
fn an_internal_event_can_be_signed_and_posted_as_the_replaced_system_did() {
    let args = ["--source", "internal", "--signature", "hub", "--path", "/workflow-complete", "-"];
    let (_, got) = send(&args, r#"{"adw_id":"a","status":"completed"}"#);
    assert_eq!(got.line, "POST /workflow-complete HTTP/1.1");
    assert!(!got.headers.contains_key("webhook-id"));
    got.verify_hub(INTERNAL_SECRET);
}

#[test]
fn a_file_is_sent_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = b"\xff not even text \0 {";
    std::fs::write(folder.path().join("body"), bytes).unwrap();
    let path = folder.path().join("body");
    let (_, got) = send(&["--source", "github", "--event", "push", path.to_str().unwrap()], "");
    assert_eq!(got.body, bytes);
}

#[test]
fn the_receipt_is_there_as_json() {
    let (done, _) = send(&["--sample", "ping", "--format", "json"], "");
    let receipt = done.json();
    assert_eq!((&receipt["http_status"], &receipt["answer"]["sequence"]), (&202.into(), &7.into()));
}

#[test]
fn what_was_not_stored_ends_with_1_and_the_gateways_reason() {
    let (url, _) = gateway("401 Unauthorized", r#"{"error":"unauthorized"}"#);
    let done = Hookstream::new(&["send", "--sample", "ping"])
        .env("GATEWAY_URL", &url)
        .env("GITHUB_WEBHOOK_SECRET", "wrong")
        .run_blocking()
        .expect_code(1);
    assert!(done.stderr.contains(r#"not stored: 401 {"error":"unauthorized"}"#), "{done:?}");
    assert_eq!(done.stdout, "");
}

#[test]
fn a_gateway_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = Hookstream::new(&["send", "--sample", "ping", "--gateway-url", &format!("http://{free}")])
        .env("GITHUB_WEBHOOK_SECRET", GITHUB_SECRET)
        .run_blocking()
        .expect_code(1);
    assert!(done.stderr.contains(&free.to_string()), "{done:?}");
}

#[test]
fn a_secret_that_is_not_set_is_named() {
    let done = Hookstream::new(&["send", "--sample", "ping"]).run_blocking().expect_code(2);
    assert!(done.stderr.contains("GITHUB_WEBHOOK_SECRET is not set"), "{done:?}");
}

#[test]
fn address_and_secret_come_from_the_up_that_runs_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (url, got) = gateway("202 Accepted", RECEIPT);
    std::fs::create_dir(folder.path().join(".data")).unwrap();
    let lines = format!("GATEWAY_URL={url}\nGITHUB_WEBHOOK_SECRET='It'\\''s a Secret to Everybody'\n");
    std::fs::write(folder.path().join(".data/connection.env"), lines).unwrap();
    // A settings file does not say that it is another one, unless it holds an address.
    std::fs::write(folder.path().join("hookstream.toml"), "HOOKSTREAM_LOG = \"error\"\n").unwrap();
    let send = ["send", "--sample", "ping", "--config", "hookstream.toml"];
    Hookstream::new(&send).in_folder(folder.path()).run_blocking().expect_code(0);
    got.join().unwrap().verify_hub(GITHUB_SECRET);
}

#[test]
fn samples_are_listed() {
    let table = Hookstream::new(&["send", "--list-samples"]).run_blocking().expect_code(0).stdout;
    assert!(table.contains("issues.opened") && table.contains("plan.enqueued"), "{table}");
    let json = Hookstream::new(&["send", "--list-samples", "--format", "json"]).run_blocking().json();
    assert!(json.as_array().unwrap().iter().any(|sample| sample["name"] == "issues.opened"));
    let done = Hookstream::new(&["send", "--sample", "no.such"]).run_blocking().expect_code(2);
    assert!(done.stderr.contains("issues.opened"), "{done:?}");
}
