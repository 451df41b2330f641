//! H6: many requests on one connection.

use std::fmt::Write as _;

use hookstream_test_support::http::RawConnection;
use hookstream_test_support::{TestNats, github_delivery, run_test};

use super::raw::{exchange, read_answer, statuses, whole};
use crate::gateway::{ISSUE, TestGateway, stored_count};

/// H6: good and bad ones, all sent before any is answered.
#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let (good, mut requests) = (github_delivery("issues", ISSUE), String::new());
        for signature in [good.header("x-hub-signature-256").unwrap(), "sha256=00"] {
            write!(
                requests,
                "POST /webhooks/github HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
                 x-github-event: issues\r\nx-github-delivery: {}\r\nx-hub-signature-256: {signature}\r\n\
                 content-length: {}\r\n\r\n{ISSUE}",
                good.id().unwrap(),
                ISSUE.len()
            )?;
        }
        requests.push_str("GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let answer = exchange(gateway.addr, requests.as_bytes()).await?;
        assert_eq!(statuses(&answer), [202, 401, 200], "{answer}");
        Ok(())
    })
    .await;
}

/// H6: good ones, then one that is no request: the good are answered, and nothing after it is.
#[tokio::test]
async fn pipelined_requests_end_with_the_first_that_cannot_be_read() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = || whole(&github_delivery("issues", ISSUE), "");
        for bad in [
            "nonsense\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
        ] {
            let requests = [delivery(), delivery(), bad.into(), delivery()].concat();
            let answer = exchange(gateway.addr, &requests).await?;
            assert_eq!(statuses(&answer), [202, 202, 400], "{answer}");
        }
        assert_eq!(stored_count(&nats).await, 4);
        Ok(())
    })
    .await;
}

/// H6: 10,000 requests on one connection, the most by default. The last answer says that it is closed.
#[tokio::test]
async fn a_connection_is_kept_for_10_000_requests() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let mut connection = RawConnection::open(gateway.addr).await?;
        let batch = "GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n".repeat(100);
        let mut answers = String::new();
        for _ in 0..100 {
            connection.send(batch.as_bytes()).await?;
            answers.clear();
            while answers.matches("\"alive\"}").count() < 100 {
                answers += &connection.read_some().await?;
            }
            assert_eq!(statuses(&answers), [200; 100]);
        }
        assert_eq!(connection.read_to_close().await?, "");
        let (last, closing) = (answers.rfind("HTTP/1.1").unwrap(), answers.find("connection: close"));
        assert!(closing.is_some_and(|at| at > last), "{answers}");
        Ok(())
    })
    .await;
}

/// H6: an honest sender whose connection comes to its end loses nothing.
#[tokio::test]
async fn a_sender_that_reads_its_answers_can_connect_again_in_time() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &[("HOOKSTREAM_CONNECTION_REQUESTS_MAX", "7")]).await;
        let mut connection = RawConnection::open(gateway.addr).await?;
        for _ in 0..50 {
            connection.send(&whole(&github_delivery("issues", ISSUE), "")).await?;
            let answer = read_answer(&mut connection).await?;
            assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
            if answer.contains("connection: close") {
                connection = RawConnection::open(gateway.addr).await?;
            }
        }
        assert_eq!(stored_count(&nats).await, 50);
        Ok(())
    })
    .await;
}
