use hookstream_test_support::{TestNats, github_delivery, github_form_delivery, internal_delivery, run_test};

use crate::gateway::{ISSUE, TestGateway, accepted, refused, stored_count};

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
