use hookstream_signature::{Key, hub, standard_webhooks};
use hookstream_test_support::{
    Delivery, GITHUB_SECRET, INTERNAL_SECRET, TestNats, github_delivery, internal_delivery,
    internal_hub_delivery, run_test, unique_id,
};
use time::OffsetDateTime;

use crate::gateway::{ISSUE, TestGateway, accepted, header, refused, stored_at, stored_count};

const SIGNATURE: &str = "x-hub-signature-256";

/// The signature of a delivery.
fn good(delivery: &Delivery) -> String {
    delivery.header(SIGNATURE).unwrap().to_owned()
}

// T1, T3, T5, T10
#[tokio::test]
async fn every_bad_github_signature_gets_one_same_401_and_stores_nothing() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let good = good(&delivery);
        let hex = good.strip_prefix("sha256=").unwrap().to_owned();
        let internal_key = Key::new("other", INTERNAL_SECRET.as_bytes())?;
        let other_source = hub::sign(&internal_key, ISSUE.as_bytes());
        let wrong: Vec<Vec<String>> = vec![
            vec![],
            vec![String::new()],
            vec!["sha256=".to_owned()],
            vec![format!("sha256={}", &hex[..63])],
            vec![format!("sha256={}", &hex[..2])],
            vec![format!("{good}0")],
            vec![format!("{good}{hex}")],
            vec![good.clone(), good.clone()],
            vec![good.clone(), format!("sha256={}", "0".repeat(64))],
            vec![format!("sha256={}", "0".repeat(64)), good.clone()],
            vec![format!("{good},{good}")],
            vec![format!("sha256={}", "g".repeat(64))],
            vec![format!("sha256={}", "é".repeat(32))],
            vec![format!("SHA256={hex}")],
            vec![format!("sha256= {hex}")],
            vec![format!("\"{good}\"")],
            vec![hex.clone()],
            vec![format!("sha1={}", &hex[..40])],
            vec![format!("sha256={}", "0".repeat(64))],
            vec![other_source],
        ];
        let expected =
            refused(&gateway.send(&delivery.clone().without_header(SIGNATURE)).await, 401, "unauthorized");
        for signatures in &wrong {
            let bare = delivery.clone().without_header(SIGNATURE);
            let mut headers = bare.header_refs();
            headers.extend(signatures.iter().map(|value| (SIGNATURE, value.as_str())));
            let answer = gateway.post(&bare.path, &headers, bare.body.clone()).await;
            assert_eq!(refused(&answer, 401, "unauthorized"), expected, "{signatures:?}");
        }
        let changed = delivery.clone().with_body(ISSUE.replace("42", "43"));
        assert_eq!(refused(&gateway.send(&changed).await, 401, "unauthorized"), expected);
        assert_eq!(stored_count(&nats).await, 0);
        accepted(&gateway.send(&delivery).await);
        Ok(())
    })
    .await;
}

// T7
#[tokio::test]
async fn a_sha1_signature_does_not_count() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        // HMAC-SHA-1 of `Hello, World!` under the secret, computed with openssl.
        let sha1 = "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59";
        let only_sha1 = github_delivery("ping", "Hello, World!")
            .without_header(SIGNATURE)
            .with_header("x-hub-signature", sha1);
        refused(&gateway.send(&only_sha1).await, 401, "unauthorized");
        let both = only_sha1.with_header(SIGNATURE, &format!("sha256={}", "0".repeat(64)));
        refused(&gateway.send(&both).await, 401, "unauthorized");
        Ok(())
    })
    .await;
}

// T11
#[tokio::test]
async fn the_vector_that_github_publishes_is_genuine() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let vector = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let delivery = github_delivery("ping", "Hello, World!").with_header(SIGNATURE, vector);
        // Genuine, and only then found not to be JSON.
        refused(&gateway.send(&delivery).await, 400, "invalid_body");
        Ok(())
    })
    .await;
}

// T4
#[tokio::test]
async fn hex_digits_may_be_of_either_case() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let upper = good(&delivery).to_uppercase().replace("SHA256", "sha256");
        let sequence = accepted(&gateway.send(&delivery.with_header(SIGNATURE, &upper)).await);
        assert_eq!(header(&stored_at(&nats, sequence).await, "hs-signature"), Some(&*upper));
        Ok(())
    })
    .await;
}

// T1
#[tokio::test]
async fn an_unsigned_delivery_is_401_whatever_else_is_wrong_with_it() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for path in ["/webhooks/github", "/gh-webhook", "/webhooks/internal", "/workflow-complete"] {
            for headers in [&[][..], &[("content-type", "text/plain"), ("content-encoding", "gzip")]] {
                refused(&gateway.post(path, headers, "not even JSON").await, 401, "unauthorized");
            }
        }
        Ok(())
    })
    .await;
}

// R5
#[tokio::test]
async fn while_a_secret_is_rotated_both_verify_and_the_key_is_told() {
    run_test(async || {
        let nats = TestNats::start().await;
        let rotated =
            [("GITHUB_WEBHOOK_SECRET", "the new one"), ("GITHUB_WEBHOOK_SECRET_PREVIOUS", GITHUB_SECRET)];
        let gateway = TestGateway::start_with(&nats, &rotated).await;
        let old = github_delivery("issues", ISSUE);
        let new_signature = hub::sign(&Key::new("new", b"the new one")?, ISSUE.as_bytes());
        let new = github_delivery("issues", ISSUE).with_header(SIGNATURE, &new_signature);
        // An id stays with its secret: the old one is called what it was called before.
        for (delivery, secret) in [(old, GITHUB_SECRET), (new, "the new one")] {
            let key_id = Key::fingerprint(secret.as_bytes());
            let sequence = accepted(&gateway.send(&delivery).await);
            assert_eq!(header(&stored_at(&nats, sequence).await, "hs-key-id"), Some(key_id.as_str()));
            let line = format!(r#"hookstream_webhook_key_uses_total{{source="github",key_id="{key_id}"}}"#);
            assert!(gateway.metric(&line) > 0.5, "{line}");
        }
        Ok(())
    })
    .await;
}

/// An internal event signed `offset` seconds from now.
fn signed_at(offset: i64, body: &str) -> anyhow::Result<Delivery> {
    let (id, at) = (unique_id(), OffsetDateTime::now_utc().unix_timestamp() + offset);
    let key = Key::new("test", INTERNAL_SECRET.as_bytes())?;
    let signature = standard_webhooks::sign(&key, &id, at, body.as_bytes());
    Ok(internal_delivery(body.to_owned())
        .with_header("webhook-id", &id)
        .with_header("webhook-timestamp", &at.to_string())
        .with_header("webhook-signature", &signature))
}

const PAUSE: &str = r#"{"type":"queue.paused"}"#;

// R6
#[tokio::test]
async fn a_timestamp_outside_five_minutes_gets_the_same_401() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let forged = internal_delivery(PAUSE).with_header("webhook-signature", "v1,AAAA");
        let expected = refused(&gateway.send(&forged).await, 401, "unauthorized");
        // A minute of leeway for the time between signing and verifying.
        for offset in [-360, 360, -10_000_000] {
            assert_eq!(
                refused(&gateway.send(&signed_at(offset, PAUSE)?).await, 401, "unauthorized"),
                expected
            );
        }
        for offset in [-240, 240] {
            accepted(&gateway.send(&signed_at(offset, PAUSE)?).await);
        }
        for (reason, count) in [("signature_stale", 3.0), ("signature_malformed", 1.0)] {
            let line =
                format!(r#"hookstream_webhook_rejections_total{{source="internal",reason="{reason}"}}"#);
            assert!((gateway.metric(&line) - count).abs() < 0.5, "{line}");
        }
        Ok(())
    })
    .await;
}

// T1, R6
#[tokio::test]
async fn every_bad_internal_signature_gets_one_same_401() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let (standard, by_hub) = (internal_delivery(PAUSE), internal_hub_delivery(PAUSE));
        let expected = refused(&gateway.send(&standard.clone().with_body("{}")).await, 401, "unauthorized");
        let bad = [
            standard.clone().without_header("webhook-id"),
            standard.clone().without_header("webhook-timestamp"),
            standard.clone().without_header("webhook-signature"),
            standard.clone().with_header("webhook-id", &unique_id()),
            standard.clone().with_header("webhook-id", "a.b"),
            standard.clone().with_header("webhook-timestamp", "soon"),
            standard.clone().with_header("webhook-timestamp", "-1"),
            standard.clone().with_header("webhook-signature", ""),
            standard.clone().with_header("webhook-signature", "v1,"),
            by_hub.clone().without_header(SIGNATURE),
            by_hub.clone().with_header(SIGNATURE, "sha256="),
            // A delivery id that nobody signed must not ride on a signature over the body alone.
            by_hub.clone().with_header("webhook-id", &unique_id()),
        ];
        for delivery in bad {
            let answer = gateway.send(&delivery).await;
            assert_eq!(refused(&answer, 401, "unauthorized"), expected, "{:?}", delivery.headers);
        }
        assert_eq!(stored_count(&nats).await, 0);
        accepted(&gateway.send(&standard).await);
        accepted(&gateway.send(&by_hub).await);
        Ok(())
    })
    .await;
}
