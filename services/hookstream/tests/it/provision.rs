use hookstream_bus::BusError;
use hookstream_test_support::TestNats;

use crate::command::Hookstream;

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
    assert_eq!(nats.connect("operator").await.stream_state("WEBHOOKS").await.unwrap().messages, 0);
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
