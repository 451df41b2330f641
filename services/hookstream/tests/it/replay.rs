//! `hookstream replay` does what was asked of it: counts, publishes, writes files.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use hookstream_bus::Publisher;
use hookstream_event::BodyDigest;
use hookstream_test_support::{SampleEvent, TestNats, run_test};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::command::Hookstream;
use crate::nats_client::PlainClient;
use crate::reverify::github_payloads;

pub(crate) async fn gateway(nats: &TestNats) -> Publisher {
    nats.connect("gateway").await.publisher(Duration::from_secs(4))
}

pub(crate) fn replay(nats: &TestNats, args: &[&str]) -> Hookstream {
    Hookstream::new(&[&["replay"], args].concat()).env("NATS_URL", &nats.url("operator"))
}

/// An issue of a repository, as GitHub sends it, with letters of all kinds.
pub(crate) fn issue(n: usize, action: &str, repository: &str) -> SampleEvent {
    let body = json!({
        "action": action, "issue": { "number": n, "title": format!("Grüße {n} \u{0} \u{2028} 😀 \" \\ \n") },
        "repository": { "full_name": repository, "url": format!("https://api.github.com/repos/{repository}") },
        "sender": { "login": "octocat" },
    });
    SampleEvent::github("issues", &format!("d-{n}"), &body)
}

/// Stores 1 to `count`: odd ones of one repository, even ones of another.
pub(crate) async fn store(publisher: &Publisher, count: usize) -> Vec<SampleEvent> {
    let mut events = Vec::new();
    for n in 1..=count {
        let repository = if n % 2 == 1 { "octo-org/Odd" } else { "octo-org/even" };
        let event = issue(n, "opened", repository);
        event.publish(publisher).await;
        events.push(event);
    }
    events
}

/// Stores GitHub's payloads, byte for byte, and returns them.
async fn publish_payloads(publisher: &Publisher) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for (n, (event, body)) in github_payloads().into_iter().enumerate() {
        let parsed = serde_json::from_slice(&body).unwrap();
        let mut sample = SampleEvent::github(&event, &format!("payload-{n}"), &parsed);
        sample.payload = body.to_vec();
        sample.envelope.body_sha256 = BodyDigest::of(&body);
        sample.publish(publisher).await;
        bodies.push(sample.payload);
    }
    bodies
}

#[tokio::test]
async fn a_range_is_counted_by_source_and_event() {
    run_test(async || {
        let nats = TestNats::start().await;
        let publisher = gateway(&nats).await;
        let events = store(&publisher, 4).await;
        SampleEvent::internal("i-1", &json!({ "type": "queue.paused" })).publish(&publisher).await;
        let count = async |args: &[&str]| {
            let args = [args, &["--count", "--format", "json"]].concat();
            replay(&nats, &args).run().await.expect_code(0).json()
        };
        let all = count(&[]).await;
        let bytes: usize = events.iter().map(|event| event.payload.len()).sum();
        assert_eq!((&all["events"], &all["from"], &all["to"]), (&5.into(), &1.into(), &5.into()));
        assert_eq!(
            all["kinds"][0],
            json!({ "source": "github", "event": "issues", "events": 4, "body_bytes": bytes })
        );
        assert_eq!(all["kinds"][1]["source"], "internal");
        for (args, events) in [
            (&["--from", "2", "--to", "3"][..], 2),
            (&["--from", "4"], 2),
            (&["--from", "-1h"], 5),
            (&["--to", "-1h"], 0),
            (&["--from", "2020-01-01", "--to", "2020-01-02"], 0),
            (&["--source", "internal"], 1),
            (&["--event", "issues.opened", "--event", "queue"], 5),
            (&["--event", "issues.closed"], 0),
            (&["--subject", "webhooks.github.>", "--to", "1"], 1),
            (&["--repository", "OCTO-ORG/odd"], 2),
        ] {
            assert_eq!(count(args).await["events"], events, "{args:?}");
        }
        let said = replay(&nats, &["--count", "--from", "2"]).run().await.expect_code(0).stderr;
        assert!(said.contains("reads 4 events") && said.contains("of WEBHOOKS 2–5"), "{said}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_independent_client_receives_the_events_as_they_were_stored_in_order_and_once() {
    run_test(async || {
        let nats = TestNats::start().await;
        let publisher = gateway(&nats).await;
        let count = publish_payloads(&publisher).await.len() + store(&publisher, 25).await.len();
        let mut client = PlainClient::connect(&nats, "subscriber");
        client.subscribe("backfill.>");
        replay(&nats, &["--to-subject", "backfill.mine", "--batch", "10"]).run().await.expect_code(0);
        replay(&nats, &["--to-subject", "backfill.end", "--to", "1"]).run().await.expect_code(0);
        let mut operator = PlainClient::connect(&nats, "operator");
        tokio::task::spawn_blocking(move || {
            for sequence in 1..=count as u64 {
                let (stored, recorded_at) = operator.stored(sequence);
                let mut got = client.message();
                assert_eq!((got.subject.as_str(), &got.body), ("backfill.mine", &stored.body));
                let mut added = |name: &str| got.headers.remove(name).unwrap_or_else(|| panic!("no {name}"));
                assert_eq!(added("hs-stream"), "WEBHOOKS");
                assert_eq!(added("hs-stream-sequence"), sequence.to_string());
                assert_eq!(added("hs-stream-subject"), stored.subject);
                let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).unwrap();
                // To the microsecond, which is what Postgres keeps.
                let early = time(&recorded_at) - time(&added("hs-recorded-at"));
                assert!((0..1000).contains(&early.whole_nanoseconds()), "{early}");
                assert_eq!(got.headers, stored.headers, "the original ones, and no other");
            }
            assert_eq!(client.message().subject, "backfill.end");
        })
        .await?;
        Ok(())
    })
    .await;
}

/// Reads the folder's files with Python, and says of each event its sequence, the body's digest as the line has it and
/// as Python computes it, and the bytes.
const READER: &str = r#"
import base64, glob, hashlib, json, os, sys
for path in sorted(glob.glob(os.path.join(sys.argv[1], "*"))):
    day, source, _ = os.path.basename(path).split(".")
    for line in open(path, "rb"):
        event = json.loads(line)
        body = event["body"].encode() if event["body_encoding"] == "utf-8" else base64.b64decode(event["body"])
        assert event["recorded_at"].startswith(day) and event["subject"].split(".")[1] == source
        print(json.dumps([event["stream_sequence"], event["body_sha256"], hashlib.sha256(body).hexdigest(),
                          event["headers"]["hs-body-sha256"][0], body.hex(), event["body_encoding"], event["event_id"]]))
"#;

pub(crate) fn read_with_python(folder: &Path) -> Vec<Value> {
    let output = Command::new("python3").args(["-c", READER]).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn files_give_another_languages_parser_the_same_bodies_digests_and_count() {
    run_test(async || {
        let nats = TestNats::start().await;
        let publisher = gateway(&nats).await;
        let mut bodies: Vec<Vec<u8>> =
            store(&publisher, 30).await.into_iter().map(|event| event.payload).collect();
        // Bytes that are no text, as a form or a source of one's own may send them.
        let mut raw = issue(31, "opened", "octo-org/odd");
        raw.payload = (0..=255).collect();
        raw.envelope.body_sha256 = BodyDigest::of(&raw.payload);
        raw.publish(&publisher).await;
        let internal = SampleEvent::internal("i-1", &json!({ "type": "queue.paused" }));
        internal.publish(&publisher).await;
        bodies.extend([raw.payload, internal.payload]);
        bodies.extend(publish_payloads(&publisher).await);
        let folder = tempfile::tempdir()?;
        let export = folder.path().join("export");
        let args = ["--to-ndjson", export.to_str().unwrap(), "--batch", "7", "--format", "json"];
        let done = replay(&nats, &args).run().await.expect_code(0).json();
        assert_eq!(done["events"], bodies.len());
        let mut read = read_with_python(&export);
        read.sort_by_key(|event| event[0].as_u64());
        assert_eq!(read.len(), bodies.len());
        for ((event, body), sequence) in read.iter().zip(&bodies).zip(1..) {
            let digest = BodyDigest::of(body).to_string();
            let hex = body.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            assert_eq!(event[0], sequence);
            assert_eq!([&event[1], &event[2], &event[3], &event[4]], [&digest, &digest, &digest, &hex]);
        }
        assert_eq!((&read[30][5], &read[31][6]), (&"base64".into(), &"internal:i-1".into()));
        let names: Vec<_> = std::fs::read_dir(&export)?.map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{names:?}");
        // Once more into the same folder would mix two replays.
        let again = replay(&nats, &args).run().await.expect_code(1);
        assert!(again.stderr.contains("is there already: name another folder"), "{again:?}");
        assert!(!again.stderr.contains("goes on"), "there is nothing to go on with: {again:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_form_and_a_body_of_the_largest_size_are_written_and_published_whole() {
    run_test(async || {
        let nats = TestNats::start().await;
        let publisher = gateway(&nats).await;
        let mut large = issue(1, "opened", "octo-org/odd");
        large.payload = vec![b'x'; 25 << 20];
        large.envelope.body_sha256 = BodyDigest::of(&large.payload);
        large.publish(&publisher).await;
        let mut client = PlainClient::connect(&nats, "operator");
        client.subscribe("backfill.mine");
        let got = tokio::task::spawn_blocking(move || client.message());
        replay(&nats, &["--to-subject", "backfill.mine"]).run().await.expect_code(0);
        assert_eq!(Bytes::from(got.await?.body), Bytes::from(large.payload));
        Ok(())
    })
    .await;
}
