//! Provisioning: shows what differs, changes it only when told to.

use std::time::Duration;

use bytes::Bytes;
use hookstream_bus::topology::{Change, Difference, Limits, Topology};
use serde_json::{Value, json};

use hookstream_test_support::TestNats;

use crate::harness::{plain, provisioned};

fn shown(differences: &[Difference]) -> Vec<String> {
    differences.iter().map(ToString::to_string).collect()
}

/// Asks the server's own API, as any operator's tool does.
async fn api(nats: &TestNats, subject: &str, request: &Value) -> Value {
    let plain = plain(nats, "operator").await;
    let reply = plain.request(format!("$JS.API.{subject}"), Bytes::from(request.to_string())).await.unwrap();
    serde_json::from_slice(&reply.payload).unwrap()
}

/// Changes fields of a stream behind our back.
async fn drift(nats: &TestNats, stream: &str, fields: &Value) {
    let mut config = api(nats, &format!("STREAM.INFO.{stream}"), &json!({})).await["config"].take();
    for (field, value) in fields.as_object().unwrap() {
        config[field] = value.clone();
    }
    let answer = api(nats, &format!("STREAM.UPDATE.{stream}"), &config).await;
    assert_eq!(answer.get("error"), None, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_server_lacks_everything_and_gets_it() {
    let nats = TestNats::start_empty().await;
    let operator = nats.connect("operator").await;
    let topology = Topology::embedded();
    let differences = topology.plan(&operator).await.unwrap();
    assert_eq!(
        shown(&differences),
        [
            "stream WEBHOOKS: missing",
            "stream REJECTIONS: missing",
            "stream PHASES: missing",
            "stream OPERATIONS: missing",
            "stream CHECKPOINTS: missing",
            "consumer phase_queue: missing",
            "consumer task_log: missing",
            "consumer audit: missing",
            "consumer audit_rejections: missing",
            "consumer audit_operations: missing",
        ]
    );
    assert_eq!(topology.apply(&operator, &differences).await.unwrap(), []);
    assert_eq!(topology.plan(&operator).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn provisioning_again_changes_nothing() {
    let nats = TestNats::start().await;
    let operator = nats.connect("operator").await;
    let before = operator.stream_state("WEBHOOKS").await.unwrap();
    let topology = Topology::embedded();
    let differences = topology.plan(&operator).await.unwrap();
    assert_eq!(differences, []);
    assert_eq!(topology.apply(&operator, &differences).await.unwrap(), []);
    assert_eq!(operator.stream_state("WEBHOOKS").await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_shown_and_mended_only_when_told_to() {
    let nats = TestNats::start().await;
    let operator = nats.connect("operator").await;
    let own = json!({ "metadata": { "team": "payments" }, "max_consumers": 40 });
    drift(&nats, "WEBHOOKS", &own).await;
    drift(&nats, "WEBHOOKS", &json!({ "duplicate_window": 120_000_000_000_u64, "discard": "old" })).await;
    let mut consumer = api(&nats, "CONSUMER.INFO.WEBHOOKS.audit", &json!({})).await["config"].take();
    consumer["filter_subject"] = "webhooks.github.push.none".into();
    consumer["max_deliver"] = 5.into();
    let request = json!({ "stream_name": "WEBHOOKS", "config": consumer, "action": "update" });
    assert_eq!(api(&nats, "CONSUMER.CREATE.WEBHOOKS.audit", &request).await.get("error"), None);
    api(&nats, "CONSUMER.DELETE.WEBHOOKS.task_log", &json!({})).await;

    let topology = Topology::embedded();
    let expected = [
        "stream WEBHOOKS: discard is old, should be new",
        "stream WEBHOOKS: duplicate_window is 2m, should be 30s",
        "consumer task_log: missing",
        r#"consumer audit: filter_subjects is ["webhooks.github.push.none"], should be []"#,
        "consumer audit: max_deliver is 5, should be -1",
    ];
    let differences = topology.plan(&operator).await.unwrap();
    assert_eq!(shown(&differences), expected);
    assert_eq!(shown(&topology.plan(&operator).await.unwrap()), expected, "showing must change nothing");

    // Only what is named is changed.
    let (window, others): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(|difference| difference.to_string().contains("duplicate_window"));
    assert_eq!(topology.apply(&operator, &window).await.unwrap(), others);
    assert_eq!(topology.apply(&operator, &others).await.unwrap(), []);

    // What the data says nothing about is the operator's.
    let config = api(&nats, "STREAM.INFO.WEBHOOKS", &json!({})).await["config"].take();
    assert_eq!((&config["metadata"]["team"], &config["max_consumers"]), (&json!("payments"), &json!(40)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_in_place_is_said_and_left() {
    let nats = TestNats::start_empty().await;
    let operator = nats.connect("operator").await;
    // No option of our data: it acks before it writes.
    let stream = json!({
        "name": "OPERATIONS", "subjects": ["operations.*.*"], "storage": "file", "persist_mode": "async",
    });
    assert_eq!(api(&nats, "STREAM.CREATE.OPERATIONS", &stream).await.get("error"), None);
    let stream = json!({ "name": "REJECTIONS", "subjects": ["rejections.*.*"], "storage": "memory" });
    assert_eq!(api(&nats, "STREAM.CREATE.REJECTIONS", &stream).await.get("error"), None);
    let topology = Topology::embedded();
    let differences = topology.plan(&operator).await.unwrap();
    let left = topology.apply(&operator, &differences).await.unwrap();
    assert_eq!(
        shown(&left),
        [
            "stream REJECTIONS: storage is memory, should be file (cannot be changed in place)",
            "stream OPERATIONS: persist_mode is async, should be not set (cannot be changed in place)",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bounds_of_the_event_stream_are_settings() {
    let limits = Limits {
        max_bytes: Some(1 << 30),
        max_age: Some(Duration::from_hours(24)),
        duplicate_window: Some(Duration::from_secs(1)),
    };
    let nats = provisioned(Topology::embedded().with_limits(limits)).await;
    let operator = nats.connect("operator").await;
    assert_eq!(operator.stream_state("WEBHOOKS").await.unwrap().bytes_max, Some(1 << 30));
    let differences = Topology::embedded().plan(&operator).await.unwrap();
    assert_eq!(
        shown(&differences),
        [
            "stream WEBHOOKS: duplicate_window is 1s, should be 30s",
            "stream WEBHOOKS: max_age is 1d, should be 7d",
            "stream WEBHOOKS: max_bytes is 1 GiB, should be 8 GiB",
        ]
    );
    assert!(
        differences
            .iter()
            .all(|difference| matches!(difference.change, Change::Field { editable: true, .. }))
    );
}
