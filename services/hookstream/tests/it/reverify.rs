//! Signatures of what is stored, checked again by the real binary.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use hookstream_audit::{Audit, last_recorded};
use hookstream_bus::Bus;
use hookstream_event::{attribute, header, samples};
use hookstream_gateway::{Config, Gateway};
use hookstream_runtime::{Health, Metrics, ProcessInfo, Settings};
use hookstream_test_support::{
    Delivery, GITHUB_SECRET, INTERNAL_SECRET, SampleEvent, TestDatabase, TestNats, eventually,
    github_delivery, github_form_delivery, internal_delivery, internal_hub_delivery, unique_id,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::command::Hookstream;
use crate::following::Following;

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
pub(crate) async fn gateway(nats: &TestNats) -> String {
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
    let refusing = gateway.clone();
    tokio::spawn(async move { refusing.publish_rejections().await });
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
    reverify_with_trail(nats, &[&["--without-trail"], arguments].concat())
}

fn reverify_with_trail(nats: &TestNats, arguments: &[&str]) -> Hookstream {
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
    let signed = internal_hub_delivery(forged.payload.clone());
    let signature = signed.header("x-hub-signature-256").unwrap();
    // One digit is another.
    let last = if signature.ends_with('0') { '1' } else { '0' };
    forged.envelope.signature = format!("{}{last}", &signature[..signature.len() - 1]);
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

/// Changes a file of the stream: the one that holds `marker`, of which `change` is told all bytes and where it is.
fn damage(data_dir: &Path, marker: &str, change: impl Fn(&mut [u8], usize)) {
    let mut folders = vec![data_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "blk") {
                let mut bytes = std::fs::read(&path).unwrap();
                if let Some(at) = bytes.windows(marker.len()).position(|found| found == marker.as_bytes()) {
                    change(&mut bytes, at);
                    std::fs::write(&path, bytes).unwrap();
                    return;
                }
            }
        }
    }
    panic!("no file of the stream holds {marker}");
}

/// Where the record of a file begins that covers `at`: each begins with its length, whose highest bit says that there
/// are headers.
fn record_around(bytes: &[u8], at: usize) -> usize {
    let mut start = 0;
    loop {
        let length = u32::from_le_bytes(*bytes[start..].first_chunk().unwrap()) & !(1 << 31);
        let end = start + usize::try_from(length).unwrap();
        if end > at {
            return start;
        }
        start = end;
    }
}

/// Twenty deliveries, the n-th with `canary-n` in its body.
async fn send_canaries(url: &str) {
    let body = |n: u64| format!(r#"{{"zen":"canary-{n}","hook_id":{n}}}"#);
    let deliveries: Vec<_> = (1..=20).map(|n| github_delivery("ping", body(n))).collect();
    send(url, &deliveries).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_flipped_byte_in_the_streams_file_is_found() {
    let nats = TestNats::start().await;
    send_canaries(&gateway(&nats).await).await;
    reverify(&nats, &[]).run().await.expect_code(0);
    nats.stop().await;
    damage(&nats.data_dir(), "canary-10", |bytes, at| bytes[at] ^= 1);
    nats.restart().await;
    let done = reverify(&nats, &[]).run().await.expect_code(1);
    let report = done.json();
    // The server notices by its own checksum and drops the message; if it did not, the digest would tell.
    assert_eq!((&report["verified"], &report["problems"]), (&19.into(), &1.into()), "{done:?}");
    assert_eq!(problems(&report), ["10: missing"], "{done:?}");
}

/// Where the byte is of the length of a record, the server takes the file for one that ends there, and says nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_that_costs_the_stream_its_end_is_found_by_what_the_trail_recorded() {
    let (nats, database) = (TestNats::start().await, TestDatabase::create().await);
    database.migrate(&[&hookstream_audit::MIGRATIONS]).await;
    let client = database.client().await;
    send_canaries(&gateway(&nats).await).await;
    let following = Following::start(&nats, &database, Audit::default());
    eventually("all of it is recorded", Duration::from_mins(1), async || {
        let recorded = last_recorded(&*client).await.map_err(|error| error.to_string())?;
        if recorded == Some(20) { Ok(()) } else { Err(format!("{recorded:?}")) }
    })
    .await;
    following.stop().await.unwrap();
    let url = database.url();
    let run = async |arguments: &[&str]| {
        reverify_with_trail(&nats, arguments).env("DATABASE_URL", &url).run().await
    };
    assert_eq!(run(&[]).await.expect_code(0).json()["verified"], 20);

    nats.stop().await;
    damage(&nats.data_dir(), "canary-10", |bytes, at| bytes[record_around(bytes, at) + 2] ^= 1);
    nats.restart().await;
    let report = run(&[]).await.expect_code(1).json();
    let missing: Vec<_> = (10..=20).map(|sequence| format!("{sequence}: missing")).collect();
    assert_eq!((&report["verified"], problems(&report)), (&9.into(), missing), "{report}");
    assert_eq!(problems(&run(&["--to", "11"]).await.expect_code(1).json()), ["10: missing", "11: missing"]);
    run(&["--to", "9"]).await.expect_code(0);
    run(&["--without-trail"]).await.expect_code(0);
    let verify = Hookstream::new(&["audit", "verify"])
        .env("DATABASE_URL", &url)
        .env("NATS_URL", &nats.url("operator"))
        .run()
        .await
        .expect_code(1);
    assert!(verify.stderr.contains("audit entry 10: message 10 is no longer in the stream"), "{verify:?}");

    let nobody = reverify_with_trail(&nats, &[]).env("DATABASE_URL", "postgres://x@127.0.0.1:1/x");
    let nobody = nobody.run().await.expect_code(1);
    assert!(nobody.stderr.contains("--without-trail"), "{nobody:?}");
}
