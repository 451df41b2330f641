use hookstream_signature::{Key, standard_webhooks};
use hookstream_test_support::http::raw;
use hookstream_test_support::{
    INTERNAL_SECRET, TestNats, github_delivery, github_form_delivery, internal_delivery, run_test,
};
use time::OffsetDateTime;

use crate::gateway::{ISSUE, TestGateway, accepted, refused, stored_count};

// R7
#[tokio::test]
async fn a_missing_or_malformed_event_or_delivery_header_is_400() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let wrong = ["", " ", "a.b", "*", ">", "a b", "a/b", "é", "a\tb", "issues,push", &"a".repeat(200)];
        for name in ["x-github-event", "x-github-delivery"] {
            let mut answers = vec![gateway.send(&delivery.clone().without_header(name)).await];
            for value in wrong {
                answers.push(gateway.send(&delivery.clone().with_header(name, value)).await);
            }
            let mut twice = delivery.header_refs();
            twice.push((name, "issues"));
            answers.push(gateway.post(&delivery.path, &twice, delivery.body.clone()).await);
            for answer in answers {
                let body = refused(&answer, 400, "invalid_header");
                assert!(body["detail"].as_str().unwrap().to_lowercase().contains(name), "{body}");
            }
        }
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}

/// H11, with `hostile::content`.
#[tokio::test]
async fn other_content_types_and_compressed_bodies_are_415() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let github = github_delivery("issues", ISSUE);
        for content_type in ["text/plain", "application/json; charset=latin1", "multipart/form-data", ""] {
            let answer = gateway.send(&github.clone().with_header("content-type", content_type)).await;
            refused(&answer, 415, "unsupported_content_type");
        }
        let missing = gateway.send(&github.clone().without_header("content-type")).await;
        refused(&missing, 415, "unsupported_content_type");
        for encoding in ["gzip", "deflate, identity", "br"] {
            let answer = gateway.send(&github.clone().with_header("content-encoding", encoding)).await;
            refused(&answer, 415, "unsupported_content_encoding");
        }
        let form = internal_delivery("x").with_header("content-type", "application/x-www-form-urlencoded");
        refused(&gateway.send(&form).await, 415, "unsupported_content_type");

        let explicit = github
            .with_header("content-type", "application/json; charset=utf-8")
            .with_header("content-encoding", "identity");
        accepted(&gateway.send(&explicit).await);
        accepted(&gateway.send(&github_form_delivery("issues", ISSUE.as_bytes())).await);
        Ok(())
    })
    .await;
}

// R7
#[tokio::test]
async fn an_id_is_of_1_to_128_plain_characters_in_every_source_that_gives_one() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let key = Key::new("k", INTERNAL_SECRET.as_bytes())?;
        let (body, now) = (r#"{"type":"queue.paused"}"#, OffsetDateTime::now_utc().unix_timestamp());
        let internal = |id: &str| {
            internal_delivery(body)
                .with_header("webhook-id", id)
                .with_header("webhook-timestamp", &now.to_string())
                .with_header("webhook-signature", &standard_webhooks::sign(&key, id, now, body.as_bytes()))
        };
        for length in [1, 2, 127, 128] {
            let id = "x".repeat(length);
            accepted(
                &gateway.send(&github_delivery("issues", ISSUE).with_header("x-github-delivery", &id)).await,
            );
            accepted(&gateway.send(&internal(&id)).await);
        }
        let long = [129, 256, 10_000].map(|length| "x".repeat(length));
        let odd =
            ["", ".", "a.b", "*", ">", "a.*", "a b", "a\tb", "a:b", "a/b", "%20", "é", "$SYS", "\u{9b}31m"];
        for id in odd.into_iter().chain(long.iter().map(String::as_str)) {
            let delivery = github_delivery("issues", ISSUE).with_header("x-github-delivery", id);
            refused(&gateway.send(&delivery).await, 400, "invalid_header");
            // It is part of what is signed here, and no signature makes it an id.
            refused(&gateway.send(&internal(id)).await, 401, "unauthorized");
        }
        let delivery = github_delivery("issues", ISSUE);
        for byte in [0, 1, 7, 8, 10, 13, 27, 127] {
            let mut request =
                b"POST /webhooks/github HTTP/1.1\r\nhost: test\r\nconnection: close\r\n".to_vec();
            for (name, value) in &delivery.headers {
                let value = if name == "x-github-delivery" {
                    [b"a", &[byte][..], b"b"].concat()
                } else {
                    value.clone().into()
                };
                request.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
            }
            request.extend(format!("content-length: {}\r\n\r\n{ISSUE}", ISSUE.len()).bytes());
            let answer = raw(gateway.addr, &request).await?;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{byte}: {answer}");
        }
        assert_eq!(stored_count(&nats).await, 8);
        Ok(())
    })
    .await;
}
