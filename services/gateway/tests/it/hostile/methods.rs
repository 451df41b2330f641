//! H8: methods. What `routes` says of GET and its like, over a socket where a client would hide it.

use hookstream_test_support::{TestNats, github_delivery, run_test};

use super::raw::{exchange, refused, statuses, whole};
use crate::gateway::{ISSUE, TestGateway, stored_count};

/// H8: GET, PUT, OPTIONS, CONNECT and others with a whole signed delivery.
#[tokio::test]
async fn every_method_but_post_is_405_whatever_it_carries() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = String::from_utf8(whole(&github_delivery("issues", ISSUE), "connection: close\r\n"))?;
        for method in
            ["GET", "PUT", "OPTIONS", "DELETE", "PATCH", "TRACE", "CONNECT", "post", "POSTT", "M-SEARCH"]
        {
            let request = delivery.replacen("POST", method, 1);
            let answer = exchange(gateway.addr, request.as_bytes()).await?;
            refused(&answer, 405, "method_not_allowed");
            assert!(answer.contains("\r\nallow: POST\r\n"), "{method}: {answer}");
        }
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}

/// H8: HEAD, whose answer has no body.
#[tokio::test]
async fn a_head_is_answered_without_a_body() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for (path, status) in
            [("/webhooks/github", 405), ("/nowhere", 404), ("/healthz", 200), ("/metrics", 200)]
        {
            let request = format!("HEAD {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
            let answer = exchange(gateway.addr, request.as_bytes()).await?;
            assert_eq!(statuses(&answer), [status], "{answer}");
            assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        }
        Ok(())
    })
    .await;
}

/// H8: targets that are no path.
#[tokio::test]
async fn a_proxy_or_a_tunnel_is_not_to_be_had() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for (line, status, code) in [
            ("CONNECT example.com:443", 404, "not_found"),
            ("OPTIONS *", 404, "not_found"),
            ("POST *", 404, "not_found"),
            ("POST http://example.com/", 404, "not_found"),
            ("POST webhooks/github", 400, "malformed_request"),
            ("POST", 400, "malformed_request"),
        ] {
            let request = format!("{line} HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n\r\n");
            refused(&exchange(gateway.addr, request.as_bytes()).await?, status, code);
        }
        Ok(())
    })
    .await;
}
