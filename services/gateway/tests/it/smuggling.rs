//! Requests whose framing two servers could read differently. Whatever the answer, no second request may be served
//! out of what the first one's sender calls a body.

use std::fmt::Write as _;

use hookstream_test_support::http::{RawConnection, raw};
use hookstream_test_support::{TestNats, github_delivery, run_test};

use crate::gateway::{ISSUE, TestGateway, accepted, stored_count};

/// What an attacker would like to be served: its answer is recognisable.
const HIDDEN: &str = "GET /healthz HTTP/1.1\r\nhost: hidden\r\n\r\n";

fn answers(text: &str) -> usize {
    text.matches("HTTP/1.").count()
}

#[tokio::test]
async fn a_hidden_request_is_never_served() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let start = "POST /webhooks/github HTTP/1.1\r\nhost: test\r\n";
        let length = HIDDEN.len();
        let framings = [
            // Chunked and a length, in both orders: an end of chunks, then the hidden request.
            format!("content-length: {}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}", length + 5),
            format!("transfer-encoding: chunked\r\ncontent-length: {}\r\n\r\n0\r\n\r\n{HIDDEN}", length + 5),
            format!(
                "content-length: 0\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n"
            ),
            // Encodings that some take for chunked.
            format!("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
            format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{HIDDEN}"),
            format!("transfer-encoding: identity\r\ncontent-length: 0\r\n\r\n{HIDDEN}"),
            format!("transfer-encoding:\x0bchunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n{HIDDEN}"),
            // Lengths that differ, or are no numbers.
            format!("content-length: 0\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
            format!("content-length: 0, {length}\r\n\r\n{HIDDEN}"),
            format!("content-length: +0\r\n\r\n{HIDDEN}"),
            format!("content-length: -1\r\n\r\n{HIDDEN}"),
            format!("content-length: 0x0\r\n\r\n{HIDDEN}"),
            format!("content-length: 99999999999999999999\r\n\r\n{HIDDEN}"),
            // Header lines that are none.
            format!("content-length : 0\r\n\r\n{HIDDEN}"),
            format!("x: y\r\n content-length: 0\r\n\r\n{HIDDEN}"),
            format!("x: y\0z\r\ncontent-length: 0\r\n\r\n{HIDDEN}"),
            // Chunks of sizes that overflow or are no numbers.
            format!("transfer-encoding: chunked\r\n\r\n10000000000000000\r\n{HIDDEN}"),
            format!("transfer-encoding: chunked\r\n\r\n-1\r\n{HIDDEN}"),
            format!("transfer-encoding: chunked\r\n\r\n0 \x0b\r\n\r\n{HIDDEN}"),
        ];
        for framing in framings {
            let answer = raw(gateway.addr, format!("{start}{framing}").as_bytes()).await?;
            assert!(answers(&answer) <= 1 && !answer.contains("alive"), "{framing:?} gave {answer}");
            assert!(!answer.starts_with("HTTP/1.1 2"), "{framing:?} gave {answer}");
        }
        assert_eq!(stored_count(&nats).await, 0);
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_no_http_1_is_turned_away() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let bytes: [&[u8]; 6] = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET /healthz\r\n\r\n",
            b"POST /webhooks/github HTTP/3.0\r\n\r\n",
            b"\0\0\0\0\r\n\r\n",
            b"GET /health\nz HTTP/1.1\r\n\r\n",
        ];
        for bytes in bytes {
            let mut connection = RawConnection::open(gateway.addr).await?;
            connection.send(bytes).await?;
            connection.finish().await?;
            let answer = connection.read_all().await.unwrap_or_default();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
        assert_eq!(gateway.get("/healthz").await.status, 200);
        Ok(())
    })
    .await;
}

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
        let answer = raw(gateway.addr, requests.as_bytes()).await?;
        let statuses: Vec<&str> = answer.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(statuses, ["202", "401", "200"], "{answer}");
        Ok(())
    })
    .await;
}
