use std::collections::BTreeMap;

use hookstream_event::BodyDigest;
use hookstream_test_support::{TestNats, github_delivery, run_test};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::gateway::{TestGateway, accepted, header, stored_at};

const BODY: &str = r#"{
    "action": "opened",
    "issue": {"number": 42, "updated_at": "2026-11-20T08:00:00Z", "title": "grüße"},
    "repository": {"full_name": "octo-org/octo-repo", "url": "https://api.github.com/repos/octo-org/octo-repo"},
    "sender": {"login": "octocat"}
}"#;

// T10
#[tokio::test]
async fn the_headers_of_a_stored_event_are_the_documented_ones_and_no_others() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let before = OffsetDateTime::now_utc();
        let delivery = github_delivery("issues", BODY)
            // Whatever else a request carries stays outside: some of these would change what the server does.
            .with_header("nats-msg-id", "mine")
            .with_header("nats-rollup", "all")
            .with_header("nats-expected-last-sequence", "99")
            .with_header("ce-type", "com.example.mine")
            .with_header("hs-key-id", "mine")
            .with_header("x-forwarded-for", "10.0.0.1")
            .with_header("authorization", "Bearer mine")
            .with_header("user-agent", "GitHub-Hookshot/mine");
        let message = stored_at(&nats, accepted(&gateway.send(&delivery).await)).await;
        let mut headers: BTreeMap<&str, &str> =
            message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers.len(), message.headers.len(), "no header is there twice");

        let received_at = OffsetDateTime::parse(headers.remove("hs-received-at").unwrap(), &Rfc3339)?;
        assert!(before <= received_at && received_at <= OffsetDateTime::now_utc());
        let event_id = format!("github:{}", delivery.id().unwrap());
        let digest = BodyDigest::of(BODY.as_bytes()).to_string();
        let expected = BTreeMap::from([
            ("Nats-Msg-Id", event_id.as_str()),
            ("ce-specversion", "1.0"),
            ("ce-id", &event_id),
            ("ce-source", "https://api.github.com/repos/octo-org/octo-repo"),
            ("ce-type", "com.github.issues.opened"),
            ("ce-subject", "42"),
            ("ce-time", "2026-11-20T08:00:00Z"),
            ("ce-datacontenttype", "application/json"),
            ("content-type", "application/json"),
            ("hs-body-sha256", &digest),
            ("hs-signature", delivery.header("x-hub-signature-256").unwrap()),
            ("hs-key-id", "k-3cdfe41374fe"),
            ("hs-repository", "octo-org/octo-repo"),
            ("hs-issue", "42"),
            ("hs-sender", "octocat"),
        ]);
        assert_eq!(headers, expected);
        assert_eq!(message.subject, "webhooks.github.issues.opened");
        assert_eq!(message.payload, BODY.as_bytes());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_trace_context_is_passed_on_if_it_is_one() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (sent, stored) in [(good, Some(good)), ("00-zzz", None), ("", None)] {
            let delivery = github_delivery("issues", BODY).with_header("traceparent", sent);
            let message = stored_at(&nats, accepted(&gateway.send(&delivery).await)).await;
            assert_eq!(header(&message, "traceparent"), stored, "{sent}");
        }
        Ok(())
    })
    .await;
}
