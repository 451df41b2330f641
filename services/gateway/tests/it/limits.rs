use std::fmt::Write as _;
use std::time::Duration;

use hookstream_test_support::http::{RawConnection, raw};
use hookstream_test_support::{Delivery, TestNats, eventually, github_delivery, run_test};

use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted, refused, stored_count};

const MIB_25: usize = 25 * 1024 * 1024;

/// The head of a delivery as bytes, with further headers.
fn head(delivery: &Delivery, further: &str) -> String {
    let mut head = format!("POST {} HTTP/1.1\r\nhost: test\r\n{further}", delivery.path);
    for (name, value) in &delivery.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head + "\r\n"
}

/// A body of exactly `bytes` bytes.
fn issue_of(bytes: usize) -> String {
    let (start, end) = (r#"{"issue":{"number":1,"body":""#, r#""}}"#);
    format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
}

#[tokio::test]
async fn a_body_of_25_mib_is_stored_and_one_byte_more_is_413() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        accepted(&gateway.send(&github_delivery("issues", issue_of(MIB_25))).await);
        let over = gateway.send(&github_delivery("issues", issue_of(MIB_25 + 1))).await;
        refused(&over, 413, "body_too_large");
        assert_eq!(stored_count(&nats).await, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_sends_everything_before_it_looks_can_read_the_413() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", issue_of(MIB_25 + 1_000_000));
        let mut connection = RawConnection::open(gateway.addr).await?;
        connection
            .send(head(&delivery, &format!("content-length: {}\r\n", delivery.body.len())).as_bytes())
            .await?;
        connection.send(&delivery.body).await?;
        let answer = connection.read_all().await?;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_body_declared_too_large_is_413_before_it_is_sent() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        for expect in ["", "expect: 100-continue\r\n"] {
            let declared = head(&delivery, &format!("content-length: 5000000000\r\n{expect}"));
            let answer = raw(gateway.addr, declared.as_bytes()).await?;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
            assert!(answer.to_lowercase().contains("connection: close\r\n"), "{answer}");
            assert!(!answer.contains("100 Continue"), "{answer}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_go_on_if_its_body_is_welcome() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let length =
            format!("content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n", ISSUE.len());
        let mut connection = RawConnection::open(gateway.addr).await?;
        connection.send(head(&delivery, &length).as_bytes()).await?;
        let mut answer = connection.read_all().await?;
        assert!(answer.starts_with("HTTP/1.1 100 Continue"), "{answer}");
        connection.send(ISSUE.as_bytes()).await?;
        answer = connection.read_all().await?;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn chunks_without_end_are_413() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &[("HOOKSTREAM_BODY_BYTES_MAX", "100000")]).await;
        let mut connection = RawConnection::open(gateway.addr).await?;
        let head = head(&github_delivery("issues", ISSUE), "transfer-encoding: chunked\r\n");
        connection.send(head.as_bytes()).await?;
        let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
        for _ in 0..101 {
            connection.send(chunk.as_bytes()).await?;
        }
        let answer = connection.read_all().await?;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        Ok(())
    })
    .await;
}

/// Half a second for a body, and no patience for slow ones.
const HURRIED: [(&str, &str); 2] = [("HOOKSTREAM_BODY_TIMEOUT", "500ms"), ("HOOKSTREAM_BODY_GRACE", "500ms")];

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &HURRIED).await;
        let delivery = github_delivery("issues", ISSUE);
        for (framing, part) in
            [("content-length: 50\r\n", r#"{"issue""#), ("transfer-encoding: chunked\r\n", "5\r\n{")]
        {
            let stalled = head(&delivery, framing) + part;
            let answer = raw(gateway.addr, stalled.as_bytes()).await?;
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
            assert!(answer.contains(r#""error":"body_too_slow""#), "{answer}");
        }
        accepted(&gateway.send(&delivery).await);
        Ok(())
    })
    .await;
}

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
        let answer = connection.read_all().await?;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn bodies_that_together_exceed_the_room_are_503_until_there_is_room() {
    run_test(async || {
        let nats = TestNats::start().await;
        let pairs = [("HOOKSTREAM_BODY_BYTES_MAX", "1000"), ("HOOKSTREAM_BODIES_BYTES_MAX", "1000")];
        let gateway = TestGateway::start_with(&nats, &pairs).await;
        let (slow, other) =
            (github_delivery("issues", issue_of(900)), github_delivery("issues", issue_of(800)));
        let mut connection = RawConnection::open(gateway.addr).await?;
        let length = "content-length: 900\r\nconnection: close\r\n";
        connection.send(head(&slow, length).as_bytes()).await?;
        connection.send(&slow.body[..600]).await?;
        let answer = eventually("the first takes its room", PATIENCE, async || {
            let answer = gateway.send(&other).await;
            if answer.status == 503 { Ok(answer) } else { Err(answer.status) }
        })
        .await;
        refused(&answer, 503, "not_stored");
        assert!(answer.header("retry-after").is_some());
        connection.send(&slow.body[600..]).await?;
        let first = connection.read_all().await?;
        assert!(first.starts_with("HTTP/1.1 202 "), "{first}");
        assert!([200, 202].contains(&gateway.send(&other).await.status));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_stores_nothing_and_harms_nobody() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let length = format!("content-length: {}\r\n", ISSUE.len());
        let mut connection = RawConnection::open(gateway.addr).await?;
        connection.send((head(&delivery, &length) + &ISSUE[..20]).as_bytes()).await?;
        drop(connection);
        eventually("the gateway notices", PATIENCE, async || {
            gateway.metric("hookstream_webhooks_in_flight").abs() < 0.5
        })
        .await;
        assert_eq!(stored_count(&nats).await, 0);
        accepted(&gateway.send(&delivery).await);
        Ok(())
    })
    .await;
}
