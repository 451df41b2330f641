//! H7: other protocols and versions, and `Expect`.

use hookstream_test_support::http::RawConnection;
use hookstream_test_support::{TestNats, eventually, github_delivery, run_test};

use super::raw::{chunked, exchange, head, refused, statuses, whole};
use crate::gateway::{ISSUE, PATIENCE, TestGateway, stored_count};

/// H7: HTTP/0.9, /2.0 and /3.0, TLS, and what is nothing at all.
#[tokio::test]
async fn what_is_no_http_1_is_turned_away() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        // The hello of a TLS client that was told the wrong port.
        let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03random bytes follow";
        let bytes: [&[u8]; 7] = [
            hello,
            b"GET /healthz\r\n\r\n",
            b"GET /healthz HTTP/0.9\r\n\r\n",
            b"POST /webhooks/github HTTP/2.0\r\nhost: test\r\n\r\n",
            b"POST /webhooks/github HTTP/3.0\r\n\r\n",
            b"\0\0\0\0\r\n\r\n",
            b"GET /health\nz HTTP/1.1\r\n\r\n",
        ];
        for bytes in bytes {
            refused(&exchange(gateway.addr, bytes).await?, 400, "malformed_request");
        }
        assert_eq!(gateway.get("/healthz").await.status, 200);
        Ok(())
    })
    .await;
}

/// H4, H5, H7, H9: what never comes to the gateway proper is counted all the same.
#[tokio::test]
async fn what_is_refused_before_it_is_understood_is_counted_by_its_code() {
    run_test(async || {
        let nats = TestNats::start().await;
        let pairs = [("HOOKSTREAM_CLIENT_CONNECTIONS_MAX", "2"), ("HOOKSTREAM_HEADER_TIMEOUT", "200ms")];
        let gateway = TestGateway::start_with(&nats, &pairs).await;
        let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(70_000));
        for (request, fault) in [
            ("nonsense\r\n\r\n", "malformed_request"),
            ("GET / HTTP/1.1\r\n\r\n", "ambiguous_request"),
            (&large, "headers_too_large"),
            ("GET / HT", "headers_too_slow"),
        ] {
            let line = format!(r#"hookstream_http_faults_total{{fault="{fault}"}}"#);
            for count in [1.0, 2.0] {
                // A reset instead of an answer would be no less refused.
                let _ = exchange(gateway.addr, request.as_bytes()).await;
                eventually("it is counted", PATIENCE, async || {
                    let counted = gateway.metric(&line);
                    if (counted - count).abs() < 0.5 { Ok(()) } else { Err((fault, counted)) }
                })
                .await;
            }
        }
        Ok(())
    })
    .await;
}

/// H7: the preface of HTTP/2, which a client of HTTP/2 would not understand an answer of HTTP/1 to.
#[tokio::test]
async fn a_client_of_http_2_is_closed_without_a_word() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
        assert_eq!(exchange(gateway.addr, preface).await?, "");
        assert_eq!(gateway.get("/healthz").await.status, 200);
        Ok(())
    })
    .await;
}

/// H7: HTTP/1.0 has no chunks, and closes unless told otherwise.
#[tokio::test]
async fn http_1_0_is_served_and_closed() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let old = |request: Vec<u8>| {
            let request = String::from_utf8(request).unwrap();
            request.replace(" HTTP/1.1\r\nhost: test\r\n", " HTTP/1.0\r\n").into_bytes()
        };
        let delivery = github_delivery("issues", ISSUE);
        let answer = exchange(gateway.addr, &old(whole(&delivery, ""))).await?;
        assert!(answer.starts_with("HTTP/1.0 202 "), "{answer}");
        let chunks =
            [head(&delivery, "transfer-encoding: chunked\r\n").as_bytes(), &chunked(b"{}", 2)].concat();
        let answer = exchange(gateway.addr, &old(chunks)).await?;
        assert!(answer.contains(r#""error":"malformed_request""#), "{answer}");
        assert_eq!(stored_count(&nats).await, 1);
        Ok(())
    })
    .await;
}

/// H7: nobody changes to another protocol here.
#[tokio::test]
async fn an_upgrade_is_not_taken() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for protocol in ["h2c", "websocket", "TLS/1.2"] {
            let upgrade = format!("upgrade: {protocol}\r\nconnection: upgrade, close\r\n");
            let request = whole(&github_delivery("issues", ISSUE), &upgrade);
            assert_eq!(statuses(&exchange(gateway.addr, &request).await?), [202], "{protocol}");
        }
        Ok(())
    })
    .await;
}

/// H7: `Expect: 100-continue`. Who is not welcome is told so before the body: see `rates` and `sizes`, and here.
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

/// H7: `Expect` from somebody who will be refused in any case.
#[tokio::test]
async fn a_client_that_waits_is_not_told_to_go_on_if_its_headers_are_refused() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let expect = format!("content-length: {}\r\nexpect: 100-continue\r\n", ISSUE.len());
        for (delivery, status, code) in [
            (delivery.clone().to_path("/webhooks/nobody"), 404, "not_found"),
            (delivery.clone().with_header("content-type", "text/plain"), 415, "unsupported_content_type"),
            (delivery.with_header("content-encoding", "gzip"), 415, "unsupported_content_encoding"),
        ] {
            refused(&exchange(gateway.addr, head(&delivery, &expect).as_bytes()).await?, status, code);
        }
        Ok(())
    })
    .await;
}
