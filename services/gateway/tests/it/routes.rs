use hookstream_test_support::http::request;
use hookstream_test_support::{TestNats, github_delivery, http, run_test};
use hyper::Method;

use crate::gateway::{ISSUE, TestGateway, refused, stored_count};

// T2
#[tokio::test]
async fn an_unknown_source_or_path_is_404() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        for path in
            ["/", "/webhooks", "/webhooks/gitlab", "/webhooks/github/", "/Webhooks/github", "//gh-webhook"]
        {
            refused(&gateway.send(&delivery.clone().to_path(path)).await, 404, "not_found");
        }
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}

/// H8, with `hostile::methods`.
#[tokio::test]
async fn anything_but_post_is_405() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for path in ["/webhooks/github", "/gh-webhook", "/webhooks/internal", "/workflow-complete"] {
            for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
                let answer = request(method, &format!("{}{path}", gateway.url), &[], "").await?;
                refused(&answer, 405, "method_not_allowed");
                assert_eq!(answer.header("allow"), Some("POST"));
            }
        }
        let counted = r#"hookstream_webhook_requests_total{source="github",status="405"}"#;
        assert!((gateway.metric(counted) - 10.0).abs() < 0.5, "it is known whose webhooks they were not");
        for path in ["/healthz", "/health", "/ping", "/readyz", "/metrics"] {
            let posted = gateway.post(path, &[], "").await;
            refused(&posted, 405, "method_not_allowed");
            assert_eq!(posted.header("content-type"), Some("application/json"), "{path}");
            assert_eq!(posted.header("allow"), Some("GET, HEAD"), "{path}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn health_readiness_and_metrics_have_their_pages() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for path in ["/healthz", "/health", "/ping"] {
            assert_eq!(gateway.get(path).await.status, 200, "{path}");
        }
        let ready = gateway.get("/readyz").await.json();
        assert_eq!(ready["status"], "ready");
        assert_eq!(ready["checks"]["nats"]["ok"], true);
        assert_eq!(ready["checks"]["stream"]["ok"], true);

        gateway.send(&github_delivery("issues", ISSUE)).await;
        gateway.send(&github_delivery("issues", "{}")).await;
        let page = http::get(&format!("{}/metrics", gateway.url)).await?;
        assert!(page.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
        let text = page.text();
        for line in [
            r#"hookstream_webhook_requests_total{source="github",status="202"} 1"#,
            r#"hookstream_webhook_requests_total{source="github",status="400"} 1"#,
            r#"hookstream_webhook_rejections_total{source="github",reason="event_mismatch"} 1"#,
            r#"hookstream_webhook_key_uses_total{source="github",key_id="k-3cdfe41374fe"} 1"#,
            r#"hookstream_publish_seconds_count{outcome="stored"} 1"#,
            r#"hookstream_webhook_body_bytes_count{source="github"} 2"#,
            "hookstream_webhooks_in_flight 0",
            "hookstream_nats_connected 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        Ok(())
    })
    .await;
}
