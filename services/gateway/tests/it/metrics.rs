use std::collections::BTreeSet;

use hookstream_test_support::{TestNats, eventually, github_delivery, http, run_test};
use serde_json::Value;

use crate::executable::Process;
use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted, refused};

/// What `/metrics` serves by this name and these labels; 0 if it is not there.
async fn served(gateway: &TestGateway, line: &str) -> f64 {
    let page = gateway.get("/metrics").await.text();
    let value = page.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn verification_commits_and_what_waits_are_counted() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        let forged = github_delivery("issues", ISSUE).with_body("{}");
        refused(&gateway.send(&forged).await, 401, "unauthorized");
        for (line, value) in [
            (r#"hookstream_webhook_requests_total{source="github",status="202"}"#, 1.0),
            (r#"hookstream_webhook_requests_total{source="github",status="401"}"#, 1.0),
            (r#"hookstream_webhook_verify_seconds_count{source="github"}"#, 2.0),
            (r#"hookstream_publish_seconds_count{outcome="stored"}"#, 1.0),
            ("hookstream_commit_messages_count", 1.0),
            ("hookstream_commit_messages_sum", 1.0),
            ("hookstream_commit_bytes_count", 1.0),
            ("hookstream_commit_fallbacks_total", 0.0),
            ("hookstream_publishes_in_flight", 0.0),
            ("hookstream_webhooks_in_flight", 0.0),
            ("hookstream_nats_connected", 1.0),
        ] {
            assert_eq!(served(&gateway, line).await.to_string(), value.to_string(), "{line}");
        }
        assert!(served(&gateway, "hookstream_commit_bytes_sum").await > 100.0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_readme_lists_every_metric_of_the_gateway_and_no_other() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        // Families that have counted nothing yet are not served.
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        refused(&gateway.send(&github_delivery("issues", ISSUE).with_body("{}")).await, 401, "unauthorized");
        http::raw(gateway.addr, b"GET\r\n\r\n").await?;
        let names = eventually("the record of the refusal is stored", PATIENCE, async || {
            let page = gateway.get("/metrics").await.text();
            page.contains("hookstream_rejection_records_total{").then(|| names_in(&page))
        })
        .await;
        let readme = include_str!("../../../../README.md");
        let (_, table) = readme.split_once("### What the gateway counts").expect("the README has that part");
        let table = table.split("\n#").next().unwrap_or_default();
        let listed: BTreeSet<String> = table
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
            .collect();
        assert_eq!(listed, names);
        Ok(())
    })
    .await;
}

fn names_in(page: &str) -> BTreeSet<String> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, _)| name.to_owned()).collect()
}

#[tokio::test]
async fn a_line_of_the_log_tells_request_event_and_sequence() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (process, url) = Process::start_ready(&nats, &[]).await;
        let delivery = github_delivery("issues", ISSUE);
        let answer = delivery.send(&url).await?;
        let sequence = accepted(&answer);
        let line: Value = eventually("the event is in the log", PATIENCE, async || {
            let log = process.log();
            log.lines()
                .find(|line| line.contains("stored event"))
                .map(|line| serde_json::from_str(line).unwrap())
        })
        .await;
        assert_eq!(line["event.id"], format!("github:{}", delivery.id().unwrap()), "{line}");
        assert_eq!(line["stream_sequence"], sequence, "{line}");
        assert_eq!(line["request_id"].as_str(), answer.header("x-request-id"), "{line}");
        Ok(())
    })
    .await;
}

#[test]
fn the_executable_holds_no_code_of_a_database() {
    let executable = std::fs::read(env!("CARGO_BIN_EXE_hookstream-gateway")).unwrap();
    let holds = |text: &str| executable.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    // The paths of the sources that it is made of are in there, for its panics.
    assert!(holds("/async-nats-0.") && holds("libs/bus/src"));
    for source in ["/tokio-postgres-0.", "/postgres-types-0.", "/deadpool-postgres-0.", "libs/store/src"] {
        assert!(!holds(source), "{source}");
    }
}
