use hookstream_bus::{BusError, Operation};
use hookstream_test_support::TestNats;
use serde_json::{Value, json};

use crate::command::Hookstream;
use crate::nats_client::PlainClient;

fn provision(nats: &TestNats, role: &str, args: &[&str]) -> Hookstream {
    Hookstream::new(&[&["provision"], args].concat()).env("NATS_URL", &nats.url(role))
}

#[tokio::test]
async fn differences_are_shown_and_nothing_is_changed_without_apply() {
    let nats = TestNats::start_empty().await;
    let done = provision(&nats, "operator", &[]).run().await.expect_code(0);
    for asset in ["stream WEBHOOKS", "stream REJECTIONS", "stream PHASES", "consumer audit"] {
        assert!(done.stdout.contains(asset), "{done:?}");
    }
    assert!(done.stderr.contains("--apply mends that"), "{done:?}");
    let bus = nats.connect("operator").await;
    let state = bus.stream_state("WEBHOOKS").await;
    assert!(matches!(state, Err(BusError::StreamMissing(_))), "{state:?}");
}

#[tokio::test]
async fn apply_makes_what_is_missing_once() {
    let nats = TestNats::start_empty().await;
    let first = provision(&nats, "operator", &["--apply", "--format", "json"]).run().await.expect_code(0);
    let first = first.json();
    assert_eq!(first["remaining"], 0);
    assert!(first["differences"].as_array().unwrap().iter().all(|found| found["outcome"] == "applied"));
    let second = provision(&nats, "operator", &["--apply"]).run().await.expect_code(0);
    assert_eq!(second.stdout, "");
    assert!(second.stderr.contains("as they should be"), "{second:?}");
    let bus = nats.connect("operator").await;
    assert_eq!(bus.stream_state("WEBHOOKS").await.unwrap().messages, 0);
    // Only what changed something is an act.
    assert_eq!(bus.stream_state("OPERATIONS").await.unwrap().messages, 1);
    let act = bus.message_at("OPERATIONS", 1).await.unwrap().unwrap();
    let act = Operation::read(&act.subject, &act.payload).unwrap();
    assert_eq!((act.role.as_str(), act.act.as_str()), ("operator", "provision"));
    let applied = act.details["applied"].as_array().unwrap();
    assert_eq!(applied.len(), first["differences"].as_array().unwrap().len());
    assert!(applied.contains(&"stream WEBHOOKS: missing".into()), "{applied:?}");
}

#[tokio::test]
async fn what_the_server_cannot_change_is_not_promised_to_be_mended() {
    let nats = TestNats::start_empty().await;
    let mut plain = PlainClient::connect(&nats, "operator");
    let stream = json!({ "name": "REJECTIONS", "subjects": ["rejections.*.*"], "storage": "memory" });
    plain.request("$JS.API.STREAM.CREATE.REJECTIONS", &stream.to_string());
    let shown = provision(&nats, "operator", &[]).run().await.expect_code(0);
    assert!(shown.stderr.contains("--apply mends all but 1 of that"), "{shown:?}");
    let done = provision(&nats, "operator", &["--apply"]).run().await.expect_code(1);
    assert!(done.stderr.contains("1 difference left that the server cannot change in place"), "{done:?}");
}

#[tokio::test]
async fn what_was_changed_before_the_server_refused_something_is_told_to_the_trail() {
    let nats = TestNats::start().await;
    let mut plain = PlainClient::connect(&nats, "operator");
    let stream = plain.request("$JS.API.STREAM.INFO.WEBHOOKS", "");
    let mut stream = serde_json::from_slice::<Value>(&stream).unwrap()["config"].take();
    stream["discard"] = "old".into();
    plain.request("$JS.API.STREAM.UPDATE.WEBHOOKS", &stream.to_string());
    // Another stream has taken what one of ours is for.
    plain.request("$JS.API.STREAM.DELETE.REJECTIONS", "");
    let other = json!({ "name": "OTHER", "subjects": ["rejections.>"] });
    plain.request("$JS.API.STREAM.CREATE.OTHER", &other.to_string());

    let done = provision(&nats, "operator", &["--apply"]).run().await.expect_code(1);
    assert!(done.stderr.contains("stream REJECTIONS: subjects overlap"), "{done:?}");
    let act = nats.connect("operator").await.message_at("OPERATIONS", 1).await.unwrap().unwrap();
    let act = Operation::read(&act.subject, &act.payload).unwrap();
    assert_eq!(act.details["applied"], json!(["stream WEBHOOKS: discard is old, should be new"]));
}

#[tokio::test]
async fn a_server_that_is_away_is_named_and_ends_with_1() {
    let nats = TestNats::start_empty().await;
    let command = provision(&nats, "operator", &[]);
    nats.stop().await;
    let done = command.run().await.expect_code(1);
    assert!(done.stderr.contains(&format!("connect to NATS at {}", nats.client_addr())), "{done:?}");
    assert!(!done.stderr.contains(&nats.password("operator")), "a password in {done:?}");
}

#[tokio::test]
async fn a_user_of_another_role_is_told_which_it_needs() {
    let nats = TestNats::start().await;
    let done = provision(&nats, "subscriber", &[]).run().await.expect_code(1);
    assert!(done.stderr.contains("log in as the role operator"), "{done:?}");
}
