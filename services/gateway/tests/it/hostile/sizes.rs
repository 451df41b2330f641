//! H3, H5: bodies and headers that are too large.

use hookstream_test_support::http::{RawConnection, raw};
use hookstream_test_support::{TestNats, eventually, github_delivery, run_test};

use super::raw::{chunked, exchange, head, issue_of, refused as refused_raw, whole};
use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted, refused, stored_at, stored_count};

const MIB_25: usize = 25 * 1024 * 1024;

/// H3: 25 MiB, and one byte more.
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

/// H3: the answer survives what is still on its way.
#[tokio::test]
async fn a_client_that_sends_everything_before_it_looks_can_read_the_413() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", issue_of(MIB_25 + 1_000_000));
        let mut connection = RawConnection::open(gateway.addr).await?;
        connection.send(&whole(&delivery, "")).await?;
        refused_raw(&connection.read_all().await?, 413, "body_too_large");
        Ok(())
    })
    .await;
}

/// H3: 5 GB declared.
#[tokio::test]
async fn a_body_declared_too_large_is_413_before_it_is_sent() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        for expect in ["", "expect: 100-continue\r\n"] {
            let declared = head(&delivery, &format!("content-length: 5000000000\r\n{expect}"));
            let answer = raw(gateway.addr, declared.as_bytes()).await?;
            // One answer: no `100 Continue` before it.
            refused_raw(&answer, 413, "body_too_large");
        }
        Ok(())
    })
    .await;
}

/// H3: a body in chunks without end.
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
        refused_raw(&connection.read_all().await?, 413, "body_too_large");
        Ok(())
    })
    .await;
}

/// H3: a client that asked first, was told to go on, and sends everything before it looks.
#[tokio::test]
async fn a_client_that_was_told_to_continue_can_read_the_413() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let mut connection = RawConnection::open(gateway.addr).await?;
        let asking = "transfer-encoding: chunked\r\nexpect: 100-continue\r\n";
        connection.send(head(&github_delivery("issues", ISSUE), asking).as_bytes()).await?;
        assert_eq!(connection.read_some().await?, "HTTP/1.1 100 Continue\r\n\r\n");
        // More than sockets hold of what nobody reads.
        connection.send(&chunked(&vec![b'x'; MIB_25 + 20_000_000], 100_000)).await?;
        refused_raw(&connection.read_all().await?, 413, "body_too_large");
        Ok(())
    })
    .await;
}

/// H3: the smallest chunks that there are.
#[tokio::test]
async fn a_body_in_chunks_of_one_byte_is_stored_to_the_byte() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let body = issue_of(20_000);
        let delivery = github_delivery("issues", body.clone());
        let head = head(&delivery, "transfer-encoding: chunked\r\nconnection: close\r\n");
        let request = [head.as_bytes(), &chunked(body.as_bytes(), 1)].concat();
        let answer = exchange(gateway.addr, &request).await?;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        assert_eq!(stored_at(&nats, 1).await.payload, body.as_bytes());
        Ok(())
    })
    .await;
}

/// H3: many bodies at once.
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
        let first = connection.read_to_close().await?;
        assert!(first.starts_with("HTTP/1.1 202 "), "{first}");
        assert!([200, 202].contains(&gateway.send(&other).await.status));
        Ok(())
    })
    .await;
}

/// H5: 101 headers, a header of 64 KiB, a target of 70 kB: each within what the socket takes at once.
#[tokio::test]
async fn headers_and_targets_that_are_too_many_or_too_large_are_431_or_414() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let one_too_many = "x-filler: y\r\n".repeat(64 - 1 - delivery.headers.len());
        for further in
            [&"x-filler: y\r\n".repeat(101), &one_too_many, &format!("x: {}\r\n", "y".repeat(65_536))]
        {
            refused_raw(&exchange(gateway.addr, &whole(&delivery, further)).await?, 431, "headers_too_large");
        }
        let endless = format!("POST /webhooks/github HTTP/1.1\r\nx: {}", "y".repeat(100_000));
        refused_raw(&exchange(gateway.addr, endless.as_bytes()).await?, 431, "headers_too_large");
        for bytes in [70_000, 1_000_000] {
            let target = format!("GET /{} HTTP/1.1\r\nhost: test\r\n\r\n", "y".repeat(bytes));
            refused_raw(&exchange(gateway.addr, target.as_bytes()).await?, 431, "headers_too_large");
        }
        assert_eq!(stored_count(&nats).await, 0);
        let (as_many, length) =
            ("x-filler: y\r\n".repeat(64 - 3 - delivery.headers.len()), "connection: close\r\n");
        let answer = exchange(gateway.addr, &whole(&delivery, &(as_many + length))).await?;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        Ok(())
    })
    .await;
}

/// H5: the bounds are settings.
#[tokio::test]
async fn how_many_and_how_large_headers_may_be_is_for_the_operator_to_say() {
    run_test(async || {
        let nats = TestNats::start().await;
        let pairs = [("HOOKSTREAM_HEADERS_MAX", "200"), ("HOOKSTREAM_HEADER_BYTES_MAX", "200000")];
        let gateway = TestGateway::start_with(&nats, &pairs).await;
        let further =
            format!("connection: close\r\nx: {}\r\n{}", "y".repeat(100_000), "x: y\r\n".repeat(101));
        let answer = exchange(gateway.addr, &whole(&github_delivery("issues", ISSUE), &further)).await?;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        Ok(())
    })
    .await;
}
