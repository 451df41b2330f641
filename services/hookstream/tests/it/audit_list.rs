//! `hookstream audit list` on a trail that the projection wrote.

use std::time::Duration;

use hookstream_audit::Audit;
use hookstream_bus::Operation;
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::command::Hookstream;
use crate::following::Following;

const PATIENCE: Duration = Duration::from_mins(1);

async fn list(database: &TestDatabase, arguments: &[&str]) -> Value {
    let arguments = [&["audit", "list", "--format", "json"], arguments].concat();
    Hookstream::new(&arguments).env("DATABASE_URL", &database.url()).run().await.expect_code(0).json()
}

/// `kind event` of each entry, newest first.
fn shown(list: &Value) -> Vec<String> {
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or("-").to_owned();
    let entries = list["entries"].as_array().unwrap();
    entries.iter().map(|entry| format!("{} {}", text(entry, "kind"), text(entry, "event_id"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_kind_event_source_and_time() {
    let (nats, database) = (TestNats::start().await, TestDatabase::create().await);
    let publisher = nats.connect("gateway").await.publisher(Duration::from_secs(10));
    let store = async |id: &str, body: &Value| {
        let event = SampleEvent::github("ping", id, body).received_at(OffsetDateTime::now_utc());
        let mut headers = event.envelope.to_headers();
        // As behind the broker's window, which knows no id any more.
        headers.retain(|(name, _)| name != "Nats-Msg-Id");
        publisher.publish(event.subject.ingest(), headers, event.payload.into()).await.unwrap();
    };
    let (one, other) = (json!({"zen": "one", "hook_id": 1}), json!({"zen": "other", "hook_id": 1}));
    for (id, body) in [("a", &one), ("a", &one), ("a", &other), ("b", &one)] {
        store(id, body).await;
    }
    let act = Operation::new("operator", "rebuild", OffsetDateTime::now_utc()).with("projection", "task_log");
    nats.connect("operator").await.tell_operation(&act, Duration::from_secs(10)).await.unwrap();

    let following = Following::start(&nats, &database, Audit::default());
    let client = database.client().await;
    eventually("all of it is recorded", PATIENCE, async || {
        let count = client.query_one("SELECT count(*) FROM audit_trail", &[]).await;
        let count: i64 = count.map_err(|error| error.to_string())?.get(0);
        if count == 5 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
    following.stop().await.unwrap();

    let events = list(&database, &["--source", "github"]).await;
    let expected =
        ["suspected_replay github:b", "conflict github:a", "redelivered github:a", "stored github:a"];
    assert_eq!(shown(&events), expected);
    // Kept, and flagged: the entry says where the conflicting message is and what its body's digest is.
    let conflict = list(&database, &["--kind", "conflict", "--event", "github:a", "--since", "-1h"]).await;
    assert_eq!(shown(&conflict), ["conflict github:a"]);
    let conflict = &conflict["entries"][0];
    let kept = nats.connect("operator").await.message_at("WEBHOOKS", 3).await.unwrap().unwrap();
    assert_eq!((&conflict["stream"], &conflict["stream_sequence"]), (&json!("WEBHOOKS"), &json!(3)));
    assert_eq!(conflict["body_sha256"], hookstream_event::BodyDigest::of(&kept.payload).to_string());
    assert_eq!(shown(&list(&database, &["--kind", "conflict", "--since", "2999-01-01"]).await), [""; 0]);
    assert_eq!(shown(&list(&database, &["--limit", "1", "--kind", "stored"]).await), ["stored github:a"]);
    let acts = list(&database, &["--kind", "operation"]).await;
    assert_eq!(acts["entries"][0]["details"], json!({"projection": "task_log"}));
    let totals = list(&database, &["--totals", "--kind", "conflict", "--kind", "redelivered"]).await;
    let one = |kind: &str| json!({"kind": kind, "entries": 1, "count": 1});
    assert_eq!(totals["totals"], json!([one("conflict"), one("redelivered")]));
    let table = Hookstream::new(&["audit", "list"]).env("DATABASE_URL", &database.url()).run().await;
    let table = table.expect_code(0).stdout;
    assert!(table.contains("rebuild") && table.contains("WEBHOOKS 3"), "{table}");
}
