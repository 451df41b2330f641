//! H1, H2: what comes slowly, or never. The waits are far shorter here than by default.

use std::time::Duration;

use hookstream_test_support::http::RawConnection;
use hookstream_test_support::{TestNats, eventually, github_delivery, run_test};

use super::raw::{exchange, head, refused};
use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted};

/// A fifth of a second for headers.
const HURRIED: [(&str, &str); 1] = [("HOOKSTREAM_HEADER_TIMEOUT", "200ms")];

/// H1: a client that connects and says nothing.
#[tokio::test]
async fn a_silent_client_is_closed_without_a_word() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &HURRIED).await;
        assert_eq!(RawConnection::open(gateway.addr).await?.read_to_close().await?, "");
        Ok(())
    })
    .await;
}

/// H1: headers at a byte at a time, which never rest for as long as the timeout.
#[tokio::test]
async fn headers_that_drip_are_closed_while_they_still_come() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &HURRIED).await;
        let mut connection = RawConnection::open(gateway.addr).await?;
        let mut head = head(&github_delivery("issues", ISSUE), "").into_bytes().into_iter().cycle();
        eventually("the gateway closes", PATIENCE, async || {
            tokio::time::sleep(Duration::from_millis(10)).await;
            // A cycle of headers without their end.
            let byte = head.find(|byte| *byte != b'\n').unwrap();
            connection.send(&[byte]).await.is_err()
        })
        .await;
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        Ok(())
    })
    .await;
}

/// H1: headers that stop in the middle, on a connection that was good before.
#[tokio::test]
async fn headers_that_stop_are_closed_on_a_connection_that_was_good_too() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &HURRIED).await;
        let good = "GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n";
        let answer = exchange(gateway.addr, format!("{good}GET /healthz HT").as_bytes()).await?;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("{\"status\":\"alive\"}"),
            "{answer}"
        );
        Ok(())
    })
    .await;
}

/// Half a second for a body, and no patience for slow ones.
const NO_GRACE: [(&str, &str); 2] =
    [("HOOKSTREAM_BODY_TIMEOUT", "500ms"), ("HOOKSTREAM_BODY_GRACE", "500ms")];

/// H2: a body, or a chunk, that stops in the middle.
#[tokio::test]
async fn a_body_or_chunk_that_stalls_is_408() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &NO_GRACE).await;
        let delivery = github_delivery("issues", ISSUE);
        for (framing, part) in
            [("content-length: 50\r\n", r#"{"issue""#), ("transfer-encoding: chunked\r\n", "5\r\n{")]
        {
            let stalled = head(&delivery, framing) + part;
            let answer = exchange(gateway.addr, stalled.as_bytes()).await?;
            refused(&answer, 408, "body_too_slow");
        }
        accepted(&gateway.send(&delivery).await);
        Ok(())
    })
    .await;
}

/// H2: a body at a byte at a time, small enough to be taken.
#[tokio::test]
async fn a_body_that_drips_below_the_rate_is_408_long_before_its_timeout() {
    run_test(async || {
        let nats = TestNats::start().await;
        let pairs = [("HOOKSTREAM_BODY_GRACE", "300ms"), ("HOOKSTREAM_BODY_RATE_MIN", "1000")];
        let gateway = TestGateway::start_with(&nats, &pairs).await;
        let mut connection = RawConnection::open(gateway.addr).await?;
        let head = head(&github_delivery("issues", ISSUE), "content-length: 100000\r\n");
        connection.send(head.as_bytes()).await?;
        // At most 100 bytes a second; the gateway's patience ends while this still goes on.
        eventually("the gateway has had enough", PATIENCE, async || {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let sent = connection.send(b"x").await;
            sent.is_err()
                || gateway.metric(r#"hookstream_webhook_requests_total{source="github",status="408"}"#) > 0.5
        })
        .await;
        refused(&connection.read_to_close().await?, 408, "body_too_slow");
        Ok(())
    })
    .await;
}
