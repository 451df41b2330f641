//! `hookstream tail` follows the stream.

use std::time::Duration;

use hookstream_test_support::{SampleEvent, TestNats, run_test};
use serde_json::{Value, json};

use crate::command::Hookstream;
use crate::nats_client::PlainClient;
use crate::replay::{gateway, issue, store};

fn tail(nats: &TestNats, args: &[&str]) -> Hookstream {
    Hookstream::new(&[&["tail"], args].concat()).env("NATS_URL", &nats.url("operator"))
}

/// Waits until somebody reads along.
async fn is_read(nats: &TestNats) {
    let mut client = PlainClient::connect(nats, "operator");
    let looking = tokio::task::spawn_blocking(move || {
        client.subscribe("_INBOX.plain");
        while !String::from_utf8(client.ask("$JS.API.CONSUMER.NAMES.WEBHOOKS")).unwrap().contains("reader_") {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap().unwrap();
}

#[tokio::test]
async fn events_are_followed_as_they_are_stored_through_a_restart_of_the_server() {
    run_test(async || {
        let nats = TestNats::start().await;
        store(&gateway(&nats).await, 2).await;
        let running = tail(&nats, &["--limit", "3", "--format", "json"]).spawn();
        is_read(&nats).await;
        let publisher = gateway(&nats).await;
        issue(3, "opened", "octo-org/odd").publish(&publisher).await;
        nats.kill().await;
        nats.restart().await;
        let publisher = gateway(&nats).await;
        for n in 4..=5 {
            issue(n, "closed", "octo-org/odd").publish(&publisher).await;
        }
        let done = running.end().await.expect_code(0);
        let events: Vec<Value> =
            done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let sequences: Vec<_> =
            events.iter().map(|event| event["stream_sequence"].as_u64().unwrap()).collect();
        assert_eq!(sequences, [3, 4, 5], "{done:?}");
        assert_eq!(events[0]["event_id"], "github:d-3");
        assert!(events[0].get("body").is_none());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_past_and_a_choice_can_be_asked_for() {
    run_test(async || {
        let nats = TestNats::start().await;
        let publisher = gateway(&nats).await;
        let events = store(&publisher, 6).await;
        SampleEvent::internal("i-1", &json!({ "type": "queue.paused" })).publish(&publisher).await;
        let args = ["--since", "2", "--repository", "octo-org/even", "--limit", "3"];
        let done = tail(&nats, &args).run().await.expect_code(0);
        let lines: Vec<&str> = done.stdout.lines().collect();
        assert_eq!(lines.len(), 3, "{done:?}");
        assert!(
            lines[0].contains("  github issues.opened ") && lines[0].contains("octo-org/even #2"),
            "{lines:?}"
        );
        let args = ["--since", "-1h", "--source", "internal", "--limit", "1"];
        let done = tail(&nats, &args).run().await.expect_code(0);
        assert!(
            done.stdout.contains("internal queue.paused") && done.stdout.contains("internal:i-1"),
            "{done:?}"
        );
        let args = ["--since", "1", "--limit", "1", "--bodies", "--format", "json"];
        let body = tail(&nats, &args).run().await.expect_code(0).json()["body"].clone();
        assert_eq!(body.as_str().unwrap().as_bytes(), events[0].payload);
        let wrong = tail(&nats, &["--since", "soon"]).run().await.expect_code(2);
        assert!(wrong.stderr.contains("--since soon: give a stream sequence"), "{wrong:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn it_ends_at_ctrl_c_with_0_and_tells_a_user_without_permission() {
    run_test(async || {
        let nats = TestNats::start().await;
        let running = tail(&nats, &[]).spawn();
        is_read(&nats).await;
        running.signal("INT");
        running.end().await.expect_code(0);
        let done = Hookstream::new(&["tail"]).env("NATS_URL", &nats.url("subscriber")).run().await;
        assert!(done.expect_code(1).stderr.contains("log in as the role operator"));
        Ok(())
    })
    .await;
}
