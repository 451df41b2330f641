//! Sources of the settings file, end to end.

use hookstream_signature::{Key, hmac, hub, slack, standard_webhooks, stripe};
use hookstream_test_support::http::Response;
use hookstream_test_support::{TestNats, github_delivery, run_test, unique_id};
use serde_json::json;
use time::OffsetDateTime;

use crate::gateway::{ISSUE, TestGateway, accepted, header, refused, stored_at, stored_count};

const SETTINGS: &str = r#"
[sources.billing]
scheme = "stripe"
secret = "whsec_test_secret"

[sources.chat]
scheme = "slack"
secret = "slack secret"

[sources.forge]
scheme = "gitlab"
secret = "glwhk-canary-token"

[sources.partner]
scheme = "standard-webhooks"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

[sources.shop]
scheme = "hmac"
secret = "shop secret"
signature_header = "X-Shop-Hmac"
signature_encoding = "base64"
id_header = "X-Shop-Delivery"
event_header = "X-Shop-Topic"
time_path = "order.placed_at"
type_prefix = "com.example.shop"

[sources.enterprise]
scheme = "github"
secret = "enterprise secret"
replay = "reject"
"#;

async fn start(nats: &TestNats, folder: &std::path::Path) -> TestGateway {
    let config = folder.join("hookstream.toml");
    std::fs::write(&config, SETTINGS).unwrap();
    TestGateway::start_with(nats, &[("HOOKSTREAM_CONFIG", config.to_str().unwrap())]).await
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

async fn post(gateway: &TestGateway, source: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = [&[("content-type", "application/json")], headers].concat();
    gateway.post(&format!("/webhooks/{source}"), &headers, body.to_owned()).await
}

/// Checks a stored event's subject and headers.
async fn expect_stored(nats: &TestNats, answer: &Response, subject: &str, headers: &[(&str, &str)]) {
    let stored = stored_at(nats, accepted(answer)).await;
    assert_eq!(stored.subject, subject);
    for (name, value) in headers {
        assert_eq!(header(&stored, name), Some(*value), "{name}");
    }
}

#[tokio::test]
async fn stripe_deliveries_are_stored_under_the_id_and_type_of_their_body() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = start(&nats, folder.path()).await;
        let body = r#"{"id":"evt_1","type":"customer.subscription.updated","created":1764583200}"#;
        let key = Key::plain("k", b"whsec_test_secret")?;
        let signature = stripe::sign(&key, now(), body.as_bytes());
        let answer = post(&gateway, "billing", &[("stripe-signature", &signature)], body).await;
        let expected = [
            ("Nats-Msg-Id", "billing:evt_1"),
            ("ce-type", "com.stripe.customer.subscription_updated"),
            ("ce-source", "/webhooks/billing"),
            ("ce-time", "2025-12-01T10:00:00Z"),
            ("hs-signature", signature.as_str()),
            ("hs-key-id", &Key::fingerprint(b"whsec_test_secret")),
        ];
        let subject = "webhooks.billing.customer.subscription_updated";
        expect_stored(&nats, &answer, subject, &expected).await;
        // Stripe's retry is signed again.
        let retry = stripe::sign(&key, now() + 1, body.as_bytes());
        let answer = post(&gateway, "billing", &[("stripe-signature", &retry)], body).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("duplicate")));

        let stale = stripe::sign(&key, now() - 400, body.as_bytes());
        let future = stripe::sign(&key, now() + 400, body.as_bytes());
        for signature in [stale, future, signature.replace("v1=", "v0=")] {
            let answer = post(&gateway, "billing", &[("stripe-signature", &signature)], body).await;
            refused(&answer, 401, "unauthorized");
        }
        refused(&post(&gateway, "billing", &[], body).await, 401, "unauthorized");
        assert_eq!(stored_count(&nats).await, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn slack_events_are_named_by_what_they_wrap() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = start(&nats, folder.path()).await;
        let body = r#"{"type":"event_callback","event_id":"Ev01","event_time":1764583200,"event":{"type":"message","subtype":"channel_join"}}"#;
        let (key, time) = (Key::plain("k", b"slack secret")?, now());
        let signature = slack::sign(&key, time, body.as_bytes());
        let headers =
            [("x-slack-request-timestamp", &*time.to_string()), ("x-slack-signature", &*signature)];
        let answer = post(&gateway, "chat", &headers, body).await;
        let expected = [("Nats-Msg-Id", "chat:Ev01"), ("hs-signed-at", &*time.to_string())];
        expect_stored(&nats, &answer, "webhooks.chat.message.channel_join", &expected).await;
        let moved = [("x-slack-request-timestamp", &*(time + 1).to_string()), headers[1]];
        refused(&post(&gateway, "chat", &moved, body).await, 401, "unauthorized");
        refused(&post(&gateway, "chat", &headers[1..], body).await, 401, "unauthorized");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn slack_reads_its_challenge_in_the_answer_and_nobody_else_does() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = start(&nats, folder.path()).await;
        let post_signed = async |secret: &[u8], body: &str| {
            let (key, time) = (Key::plain("k", secret).unwrap(), now());
            let signature = slack::sign(&key, time, body.as_bytes());
            let headers =
                [("x-slack-request-timestamp", &*time.to_string()), ("x-slack-signature", &*signature)];
            post(&gateway, "chat", &headers, body).await
        };
        let body = r#"{"token":"t","challenge":"3eZ\"<b>","type":"url_verification"}"#;
        for _ in 0..2 {
            let answer = post_signed(b"slack secret", body).await;
            assert_eq!((answer.status, answer.json()), (200, json!({ "challenge": "3eZ\"<b>" })));
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
        assert_eq!(stored_at(&nats, 1).await.subject, "webhooks.chat.url_verification.none");
        assert_eq!(stored_count(&nats).await, 1);
        refused(&post_signed(b"another secret", body).await, 401, "unauthorized");
        for event in [r#"{"type":"url_verification"}"#, r#"{"type":"event_callback","challenge":"3eZ"}"#] {
            assert_eq!(accepted(&post_signed(b"slack secret", event).await), stored_count(&nats).await);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn gitlabs_token_lets_in_and_is_stored_nowhere() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = start(&nats, folder.path()).await;
        let body = r#"{"object_kind":"merge_request","object_attributes":{"action":"open"}}"#;
        let headers = [
            ("x-gitlab-token", "glwhk-canary-token"),
            ("idempotency-key", "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"),
            ("x-gitlab-event", "Merge Request Hook"),
        ];
        let answer = post(&gateway, "forge", &headers, body).await;
        let expected = [
            ("Nats-Msg-Id", "forge:f5e5f430-f57b-4e6e-9fac-d9128cd7232f"),
            ("ce-type", "com.gitlab.merge_request.open"),
            ("hs-signature", "token"),
        ];
        expect_stored(&nats, &answer, "webhooks.forge.merge_request.open", &expected).await;
        let stored = stored_at(&nats, accepted_sequence(&answer)).await;
        assert!(!format!("{:?}", stored.headers).contains("canary"));

        // An older GitLab gives no id; the event is that of the header where the body names none.
        let answer = post(&gateway, "forge", &[headers[0], headers[2]], "{}").await;
        expect_stored(&nats, &answer, "webhooks.forge.merge_request_hook.none", &[("hs-id-derived", "1")])
            .await;
        for token in ["glwhk-canary-toke", "glwhk-canary-token1", "x"] {
            let answer = post(&gateway, "forge", &[("x-gitlab-token", token)], body).await;
            refused(&answer, 401, "unauthorized");
        }
        Ok(())
    })
    .await;
}

fn accepted_sequence(answer: &Response) -> u64 {
    answer.json()["sequence"].as_u64().unwrap()
}

#[tokio::test]
async fn a_generic_source_takes_id_event_and_time_from_where_the_settings_say() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = start(&nats, folder.path()).await;
        let body = r#"{"order":{"placed_at":"2025-12-01T11:00:00+01:00"}}"#;
        let form = hmac::Form { prefix: String::new(), encoding: hmac::Encoding::Base64 };
        let signature = hmac::sign(&Key::plain("k", b"shop secret")?, &form, body.as_bytes());
        let signed = ("x-shop-hmac", signature.as_str());
        let headers = [signed, ("x-shop-delivery", "urn:shop:1"), ("x-shop-topic", "Orders/create")];
        let answer = post(&gateway, "shop", &headers, body).await;
        let expected = [("ce-type", "com.example.shop.orders_create"), ("ce-time", "2025-12-01T10:00:00Z")];
        expect_stored(&nats, &answer, "webhooks.shop.orders_create.none", &expected).await;
        let again = post(&gateway, "shop", &headers, body).await;
        assert_eq!(again.status, 200, "an id that no event id can hold still names the delivery");

        let answer = post(&gateway, "shop", &[signed], body).await;
        expect_stored(&nats, &answer, "webhooks.shop.event.none", &[("hs-id-derived", "1")]).await;
        let sent_again = post(&gateway, "shop", &[signed], body).await;
        assert_eq!(sent_again.status, 200, "a derived id counts within the window");

        for id in ["bestellung-ä", "bestellung-ö", "a b"] {
            let other = post(&gateway, "shop", &[signed, ("x-shop-delivery", id)], body).await;
            expect_stored(&nats, &other, "webhooks.shop.event.none", &[("hs-suspected-replay", "1")]).await;
        }
        let doubled = [signed, ("x-shop-delivery", "1"), ("x-shop-delivery", "2")];
        refused(&post(&gateway, "shop", &doubled, body).await, 400, "invalid_header");

        refused(&post(&gateway, "shop", &[signed], "{}").await, 401, "unauthorized");
        let form_body = [signed, ("content-type", "application/x-www-form-urlencoded")];
        let answer = gateway.post("/webhooks/shop", &form_body, body).await;
        refused(&answer, 415, "unsupported_content_type");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn standard_webhooks_of_others_need_not_be_of_our_types() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = start(&nats, folder.path()).await;
        let body = r#"{"type":"contact.created","timestamp":"2025-12-01T10:00:00Z","data":{}}"#;
        let key = Key::new("k", b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
        let (id, time) = (unique_id(), now());
        let signature = standard_webhooks::sign(&key, &id, time, body.as_bytes());
        let headers = [
            ("webhook-id", id.as_str()),
            ("webhook-timestamp", &*time.to_string()),
            ("webhook-signature", &*signature),
        ];
        let answer = post(&gateway, "partner", &headers, body).await;
        let expected =
            [("Nats-Msg-Id", &*format!("partner:{id}")), ("ce-type", "source.partner.contact.created")];
        expect_stored(&nats, &answer, "webhooks.partner.contact.created", &expected).await;

        // The specification forbids nothing but the dot.
        let (odd, long) = ("order:12/a@b=c~*", "x".repeat(200));
        for id in [odd, &long] {
            let signature = standard_webhooks::sign(&key, id, time, body.as_bytes());
            let headers = [("webhook-id", id), headers[1], ("webhook-signature", &*signature)];
            let answer = post(&gateway, "partner", &headers, body).await;
            let expected = [("hs-signed-id", id)];
            expect_stored(&nats, &answer, "webhooks.partner.contact.created", &expected).await;
        }
        Ok(())
    })
    .await;
}

// R2
#[tokio::test]
async fn replays_are_told_in_every_source_that_signs_no_id() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = start(&nats, folder.path()).await;
        let key = Key::plain("k", b"enterprise secret")?;
        let signature = hub::sign(&key, ISSUE.as_bytes());
        let send = async |id: &str| {
            let headers = [
                ("x-hub-signature-256", &*signature),
                ("x-github-event", "issues"),
                ("x-github-delivery", id),
            ];
            post(&gateway, "enterprise", &headers, ISSUE).await
        };
        let stored = stored_at(&nats, accepted(&send("one").await)).await;
        assert_eq!(header(&stored, "hs-replay-policy"), Some("reject"));
        refused(&send("two").await, 400, "suspected_replay");
        // Each source has a window of its own.
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        let stored = stored_at(&nats, stored_count(&nats).await).await;
        assert_eq!(header(&stored, "hs-suspected-replay"), None);
        Ok(())
    })
    .await;
}

// T10
#[tokio::test]
async fn a_source_takes_only_its_own_signature_and_an_unknown_source_is_404() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = start(&nats, folder.path()).await;
        let signature = stripe::sign(&Key::plain("k", b"whsec_test_secret")?, now(), b"{}");
        for source in ["chat", "forge", "shop", "partner", "github", "internal"] {
            let answer = post(&gateway, source, &[("stripe-signature", &signature)], "{}").await;
            refused(&answer, 401, "unauthorized");
        }
        let answer = post(&gateway, "nobody", &[("stripe-signature", &signature)], "{}").await;
        refused(&answer, 404, "not_found");
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}
