//! Signatures of what is stored, checked again by the real binary.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use hookstream_bus::Bus;
use hookstream_event::{attribute, header, samples};
use hookstream_gateway::{Config, Gateway};
use hookstream_runtime::{Health, Metrics, ProcessInfo, Settings};
use hookstream_test_support::{
    Delivery, GITHUB_SECRET, INTERNAL_SECRET, SampleEvent, TestNats, github_delivery, github_form_delivery,
    internal_delivery, internal_hub_delivery, unique_id,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::command::Hookstream;

/// GitHub payloads, as event and body: those of the file (one `{"event","payload"}` a line) that
/// `HOOKSTREAM_GITHUB_DELIVERIES` names, else our own samples.
pub(crate) fn github_payloads() -> Vec<(String, Bytes)> {
    let Ok(path) = std::env::var("HOOKSTREAM_GITHUB_DELIVERIES") else {
        let ours = samples::ALL.iter().filter(|sample| sample.source == "github");
        return ours.map(|sample| (sample.event.to_owned(), sample.body.into())).collect();
    };
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {path}: {error}"));
    text.lines()
        .map(|line| {
            let delivery: Value = serde_json::from_str(line).unwrap();
            let event = delivery["event"].as_str().unwrap().to_owned();
            (event, Bytes::from(delivery["payload"].to_string()))
        })
        .collect()
}

/// A gateway within the test's process; returns its URL.
async fn gateway(nats: &TestNats) -> String {
    let settings = Settings::from_pairs([
        ("GITHUB_WEBHOOK_SECRET", GITHUB_SECRET),
        ("INTERNAL_WEBHOOK_SECRET", INTERNAL_SECRET),
    ]);
    let bus = Bus::connect(&nats.settings("gateway")).await.unwrap();
    bus.wait_connected(Duration::from_secs(20)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let info = ProcessInfo { name: "hookstream-gateway", about: "", version: "0" };
    let gateway = Gateway::new(Config::read(&settings).unwrap(), bus, Health::new(), Metrics::new(&info));
    tokio::spawn(gateway.serve(listener, CancellationToken::new()));
    url
}

/// Sends each, and returns how many are stored.
async fn send(url: &str, deliveries: &[Delivery]) -> u64 {
    for delivery in deliveries {
        let answer = delivery.send(url).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    deliveries.len() as u64
}

fn reverify(nats: &TestNats, arguments: &[&str]) -> Hookstream {
    Hookstream::new(&[&["audit", "reverify", "--format", "json"], arguments].concat())
        .env("NATS_URL", &nats.url("operator"))
        .env("GITHUB_WEBHOOK_SECRET", GITHUB_SECRET)
        .env("INTERNAL_WEBHOOK_SECRET", INTERNAL_SECRET)
}

/// `sequence: problem` of each.
fn problems(report: &Value) -> Vec<String> {
    let listed = report["listed"].as_array().unwrap();
    listed
        .iter()
        .map(|found| format!("{}: {}", found["sequence"], found["problem"].as_str().unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_gateway_took_verifies_until_a_key_is_missing() {
    let nats = TestNats::start().await;
    let url = gateway(&nats).await;
    let mut deliveries = Vec::new();
    for (event, body) in github_payloads() {
        deliveries.push(github_delivery(&event, body.clone()));
        deliveries.push(github_form_delivery(&event, &body));
    }
    let of_github = send(&url, &deliveries).await;
    let pause = internal_delivery(r#"{"type":"queue.paused"}"#);
    let resume = internal_hub_delivery(r#"{"type":"queue.resumed"}"#);
    let all = of_github + send(&url, &[pause, resume]).await;

    let done = reverify(&nats, &[]).run().await.expect_code(0);
    let report = done.json();
    assert_eq!((&report["verified"], &report["problems"]), (&all.into(), &0.into()), "{done:?}");
    assert!(done.stderr.contains("all of it verifies"), "{done:?}");
    let github = reverify(&nats, &["--subject", "webhooks.github.>"]).run().await.expect_code(0).json();
    assert_eq!((&github["verified"], &github["left_out"]), (&of_github.into(), &2.into()));

    let rotated = || reverify(&nats, &["--from", "1"]).env("GITHUB_WEBHOOK_SECRET", "a new one");
    let done = rotated().run().await.expect_code(1);
    assert_eq!(done.json()["problems"], of_github);
    assert!(problems(&done.json()).iter().all(|problem| problem.ends_with("key_missing")), "{done:?}");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("hookstream.toml");
    std::fs::write(&config, format!("[sources.github]\nretired = [{{ secret = \"{GITHUB_SECRET}\" }}]\n"))
        .unwrap();
    let retired = rotated().env("HOOKSTREAM_CONFIG", config.to_str().unwrap()).run().await.expect_code(0);
    assert_eq!(retired.json()["verified"], all);
    for secret in [GITHUB_SECRET, INTERNAL_SECRET] {
        assert!(!format!("{done:?}{retired:?}").contains(secret), "a secret in the report");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forged_in_the_stream_is_listed_and_what_was_never_signed_is_counted() {
    let nats = TestNats::start().await;
    let url = gateway(&nats).await;
    send(&url, &[github_delivery("ping", r#"{"zen":"x","hook_id":1}"#)]).await;
    let publisher = nats.connect("gateway").await.publisher(Duration::from_secs(10));
    let body = json!({"type": "queue.paused"});
    // As the backend appends a command, as somebody who can publish forges one, and one without any signature.
    let mut command = SampleEvent::internal(&unique_id(), &body);
    command.envelope.signature = "none".to_owned();
    command.envelope.attributes.set(attribute::ACTOR, "api:t-1");
    command.publish(&publisher).await;
    let mut forged = SampleEvent::internal(&unique_id(), &body);
    forged.envelope.signature = format!("sha256={}", "0".repeat(64));
    forged.envelope.key_id = hookstream_signature::Key::fingerprint(INTERNAL_SECRET.as_bytes());
    forged.publish(&publisher).await;
    let mut unsigned = SampleEvent::internal(&unique_id(), &body);
    unsigned.envelope.signature = "none".to_owned();
    unsigned.publish(&publisher).await;
    let mut headers = forged.envelope.to_headers();
    headers.retain(|(name, _)| name != header::ID && name != header::MSG_ID);
    publisher.publish(forged.subject.ingest(), headers, "{}".into()).await.unwrap();

    let done = reverify(&nats, &[]).run().await.expect_code(1);
    let report = done.json();
    assert_eq!((&report["verified"], &report["appended"]), (&1.into(), &1.into()), "{done:?}");
    let expected = ["3: signature_mismatch", "4: signature_missing", "5: unreadable_envelope"];
    assert_eq!(problems(&report), expected);
    let ends_before = reverify(&nats, &["--to", "2"]).run().await.expect_code(0);
    assert_eq!(ends_before.json()["range"], json!({"from": 1, "to": 2}));
    let table = reverify(&nats, &["--format", "table"]).run().await;
    assert_eq!(table.code, 2, "given twice: {table:?}");
}

/// Changes the first byte of the first occurrence of `marker` in the stream's files.
fn flip(data_dir: &Path, marker: &str) {
    let mut folders = vec![data_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "blk") {
                let mut bytes = std::fs::read(&path).unwrap();
                if let Some(at) = bytes.windows(marker.len()).position(|found| found == marker.as_bytes()) {
                    bytes[at] ^= 1;
                    std::fs::write(&path, bytes).unwrap();
                    return;
                }
            }
        }
    }
    panic!("no file of the stream holds {marker}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_byte_in_the_streams_file_is_found() {
    let nats = TestNats::start().await;
    let url = gateway(&nats).await;
    let body = |n: u64| format!(r#"{{"zen":"canary-{n}","hook_id":{n}}}"#);
    let deliveries: Vec<_> = (1..=20).map(|n| github_delivery("ping", body(n))).collect();
    send(&url, &deliveries).await;
    reverify(&nats, &[]).run().await.expect_code(0);
    nats.stop().await;
    flip(&nats.data_dir(), "canary-10");
    nats.restart().await;
    let done = reverify(&nats, &[]).run().await.expect_code(1);
    let report = done.json();
    // The server notices by its own checksum and drops the message; if it did not, the digest would tell.
    assert_eq!((&report["verified"], &report["problems"]), (&19.into(), &1.into()), "{done:?}");
    assert_eq!(problems(&report), ["10: missing"], "{done:?}");
}
