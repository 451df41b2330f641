use std::time::Duration;

use hookstream_event::BodyDigest;
use hookstream_test_support::http::{self, Connection};
use hookstream_test_support::{CutProxy, TestNats, eventually, github_delivery, internal_delivery, run_test};
use hyper::Method;
use serde_json::Value;

use crate::executable::Process;
use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted, refused, stored_count};

/// All records in the stream of refusals: subject and payload, as they are.
async fn records(nats: &TestNats) -> Vec<(String, String)> {
    let bus = nats.connect("operator").await;
    let last = bus.stream_state("REJECTIONS").await.unwrap().last_sequence;
    let mut records = Vec::new();
    for sequence in 1..=last {
        let stored = bus.message_at("REJECTIONS", sequence).await.unwrap().expect("nothing is deleted");
        let payload = String::from_utf8(stored.payload.to_vec()).unwrap();
        let names: Vec<&str> = stored.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Nats-Msg-Id", "content-type"]);
        records.push((stored.subject, payload));
    }
    records
}

/// Waits until the stream accounts for so many refusals, and returns its records.
async fn told(nats: &TestNats, refusals: u64) -> Vec<(String, Value)> {
    eventually("all refusals are told", PATIENCE, async || {
        let records = records(nats).await.into_iter();
        let records: Vec<(String, Value)> =
            records.map(|(subject, payload)| (subject, serde_json::from_str(&payload).unwrap())).collect();
        let sum: u64 = records.iter().map(|(_, record)| record["count"].as_u64().unwrap()).sum();
        if sum == refusals { Ok(records) } else { Err(sum) }
    })
    .await
}

// L1
#[tokio::test]
async fn a_refusal_is_told_with_what_matters_and_nothing_secret() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let forged = github_delivery("issues", ISSUE)
            .with_header("x-hub-signature-256", &format!("sha256={}", "ca".repeat(32)))
            .with_header("authorization", "Bearer canary")
            .with_header("cookie", "session=canary")
            .with_header("x-forwarded-for", "203.0.113.99");
        let answer = gateway.send(&forged).await;
        refused(&answer, 401, "unauthorized");
        let (subject, record) = told(&nats, 1).await.remove(0);
        assert_eq!(subject, "rejections.github.signature_mismatch");
        assert_eq!(record["source"], "github");
        assert_eq!(record["reason"], "signature_mismatch");
        assert_eq!((&record["status"], &record["sampled"]), (&401.into(), &false.into()));
        assert_eq!(record["address"], "127.0.0.1");
        assert_eq!(record["request_id"].as_str(), answer.header("x-request-id"));
        assert_eq!(record["body_sha256"], BodyDigest::of(ISSUE.as_bytes()).to_string());
        assert_eq!(record["body_bytes"], ISSUE.len());
        let headers = &record["headers"];
        assert_eq!(headers["x-github-delivery"].as_str(), forged.id());
        assert_eq!(headers["x-github-event"], "issues");
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["content-length"], ISSUE.len().to_string());
        assert_eq!(headers.as_object().unwrap().len(), 4, "{headers}");
        let text = record.to_string();
        for secret in ["canary", "cacaca", "octo", "full_name", "203.0.113"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_refusal_has_its_subject() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let good = github_delivery("issues", ISSUE);
        let large = "x".repeat(300_000);
        for delivery in [
            good.clone().to_path("/webhooks/nobody"),
            good.clone().without_header("x-hub-signature-256"),
            good.clone().with_header("x-github-delivery", "a b"),
            github_delivery("issues", large.clone()),
            internal_delivery(r#"{"type":"no.such"}"#),
        ] {
            assert!((400..500).contains(&gateway.send(&delivery).await.status));
        }
        let mut found = told(&nats, 5).await;
        found.sort_by(|one, other| one.0.cmp(&other.0));
        let subjects: Vec<&str> = found.iter().map(|(subject, _)| subject.as_str()).collect();
        assert_eq!(
            subjects,
            [
                "rejections.github.invalid_body",
                "rejections.github.invalid_header",
                "rejections.github.signature_missing",
                "rejections.internal.invalid_event",
                "rejections.none.not_found",
            ]
        );
        assert_eq!(found[0].1["body_sha256"], BodyDigest::of(large.as_bytes()).to_string());
        assert_eq!(found[4].1.get("body_sha256"), None, "that body was not read");
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_refusals_is_a_few_records_and_an_exact_count_and_harms_nobody() {
    const CONNECTIONS: u64 = 20;
    const EACH: u64 = 500;
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let mut flood = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let mut connection = Connection::open(gateway.addr).await?;
            flood.spawn(async move {
                for _ in 0..EACH {
                    let answer = connection.request(Method::GET, "/nobody", &[], "").await?;
                    anyhow::ensure!(answer.status == 404, "{}", answer.text());
                }
                anyhow::Ok(())
            });
        }
        let line = r#"hookstream_webhook_rejections_total{source="none",reason="not_found"}"#;
        eventually("the flood has come", PATIENCE, async || gateway.metric(line) > 1000.0).await;
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        while let Some(done) = flood.join_next().await {
            done??;
        }
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let refusals = (CONNECTIONS * EACH) as f64;
        assert!((gateway.metric(line) - refusals).abs() < 0.5, "{}", gateway.metric(line));
        let records = told(&nats, CONNECTIONS * EACH).await;
        // At most six a second of this one kind and client.
        assert!(records.len() < 400, "{}", records.len());
        assert!(records.iter().any(|(_, record)| record["sampled"] == true));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn events_that_a_broker_does_not_take_are_counted_and_not_told() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        nats.kill().await;
        let answer = eventually("the gateway notices", PATIENCE, async || {
            let answer = gateway.send(&github_delivery("issues", ISSUE)).await;
            if answer.status == 503 { Ok(answer) } else { Err(answer.status) }
        })
        .await;
        refused(&answer, 503, "not_stored");
        nats.restart().await;
        gateway.wait_until_ready().await;
        refused(&gateway.post("/nobody", &[], "").await, 404, "not_found");
        let found = told(&nats, 1).await;
        assert_eq!(found[0].0, "rejections.none.not_found");
        Ok(())
    })
    .await;
}

/// A gateway behind a proxy that can be cut.
async fn behind_proxy(nats: &TestNats) -> (CutProxy, TestGateway) {
    let proxy = CutProxy::start(nats.client_addr()).await;
    let gateway = TestGateway::start_at(&nats.settings_at("gateway", proxy.addr()), &[]).await;
    gateway.wait_until_ready().await;
    (proxy, gateway)
}

#[tokio::test]
async fn a_record_whose_ack_got_lost_counts_once() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (proxy, gateway) = behind_proxy(&nats).await;
        proxy.delay(Duration::from_millis(700));
        refused(&gateway.post("/nobody", &[], "").await, 404, "not_found");
        let bus = nats.connect("operator").await;
        eventually("it is stored", PATIENCE, async || {
            let stored = bus.stream_state("REJECTIONS").await.map(|state| state.messages);
            if stored.as_ref().is_ok_and(|stored| *stored == 1) { Ok(()) } else { Err(stored) }
        })
        .await;
        // The ack is on its way for so long, and never arrives.
        proxy.cut();
        proxy.restore();
        refused(&gateway.post("/nobody", &[], "").await, 404, "not_found");
        told(&nats, 2).await;
        gateway.stop().await?;
        told(&nats, 2).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_record_that_never_arrived_is_told_again() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (proxy, gateway) = behind_proxy(&nats).await;
        proxy.silence();
        refused(&gateway.post("/nobody", &[], "").await, 404, "not_found");
        let line = r#"hookstream_rejection_records_total{outcome="timed_out"}"#;
        eventually("the gateway gave up waiting", PATIENCE, async || gateway.metric(line) > 0.5).await;
        // What was sent so far is gone with the connection.
        proxy.cut();
        proxy.restore();
        told(&nats, 1).await;
        gateway.stop().await?;
        told(&nats, 1).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_was_refused_before_a_shutdown_is_told_before_its_end() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for _ in 0..20 {
            refused(&gateway.post("/nobody", &[], "").await, 404, "not_found");
        }
        gateway.stop().await?;
        told(&nats, 20).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_large_body_that_was_refused_before_a_shutdown_is_told_before_its_end() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let forged = github_delivery("issues", ISSUE).with_body("x".repeat(25 * 1024 * 1024));
        refused(&gateway.send(&forged).await, 401, "unauthorized");
        gateway.stop().await?;
        let (_, record) = told(&nats, 1).await.remove(0);
        assert_eq!(record["body_bytes"], forged.body.len());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_stops_while_the_broker_is_away_says_that_refusals_are_lost() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (mut process, url) = Process::start_ready(&nats, &[]).await;
        nats.kill().await;
        eventually("the gateway notices", PATIENCE, async || {
            http::get(&format!("{url}/readyz")).await.unwrap().status == 503
        })
        .await;
        refused(&http::post(&format!("{url}/nobody"), &[], "").await?, 404, "not_found");
        process.signal("TERM");
        assert!(process.ended().await.success());
        let log = process.log();
        assert!(log.contains("not every refusal could be told before the end"), "{log}");
        Ok(())
    })
    .await;
}
