use std::net::Ipv4Addr;

use hookstream_test_support::http::{Connection, RawConnection, Response};
use hookstream_test_support::{Delivery, TestNats, github_delivery, internal_delivery, run_test};
use hyper::Method;

use crate::gateway::{ISSUE, TestGateway, accepted, refused, stored_count};

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Sends from an address of this machine, over a connection of its own.
async fn send_from(local: Ipv4Addr, gateway: &TestGateway, delivery: &Delivery) -> Response {
    let mut connection = Connection::open_from(local, gateway.addr).await.unwrap();
    let (headers, body) = (delivery.header_refs(), delivery.body.clone());
    connection.request(Method::POST, &delivery.path, &headers, body).await.unwrap()
}

/// A delivery with a body of its own.
fn issue(n: usize) -> Delivery {
    github_delivery("issues", ISSUE.replace("42", &(n + 1).to_string()))
}

fn forged() -> Delivery {
    github_delivery("issues", ISSUE).with_header("x-hub-signature-256", &format!("sha256={}", "0".repeat(64)))
}

#[track_caller]
fn limited(answer: &Response) {
    refused(answer, 429, "rate_limited");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

/// The statuses of so many answers, with how often each came.
async fn statuses(count: usize, mut send: impl AsyncFnMut(usize) -> Response) -> [usize; 2] {
    let (mut passed, mut refused) = (0, 0);
    for n in 0..count {
        let answer = send(n).await;
        if answer.status == 429 {
            limited(&answer);
            refused += 1;
        } else {
            passed += 1;
        }
    }
    [passed, refused]
}

#[tokio::test]
async fn an_honest_burst_of_1000_deliveries_passes_whole() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let mut sends = tokio::task::JoinSet::new();
        for worker in 0..50 {
            let mut connection = Connection::open(gateway.addr).await?;
            sends.spawn(async move {
                for n in 0..20 {
                    let delivery = issue(worker * 20 + n);
                    let headers = delivery.header_refs();
                    let sent =
                        connection.request(Method::POST, &delivery.path, &headers, delivery.body.clone());
                    accepted(&sent.await?);
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = sends.join_next().await {
            done??;
        }
        assert_eq!(stored_count(&nats).await, 1000);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn bad_signatures_of_one_address_are_slowed_and_nobody_else_is() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &[("HOOKSTREAM_BAD_SIGNATURES_MAX", "5")]).await;
        for _ in 0..5 {
            refused(&send_from(ONE, &gateway, &forged()).await, 401, "unauthorized");
        }
        let answer = send_from(ONE, &gateway, &forged()).await;
        limited(&answer);
        assert_eq!(answer.header("connection"), Some("close"));
        refused(&send_from(OTHER, &gateway, &forged()).await, 401, "unauthorized");
        accepted(&send_from(OTHER, &gateway, &issue(1)).await);
        // A stranger behind the same proxy must not lock the sender out.
        accepted(&send_from(ONE, &gateway, &issue(2)).await);
        let line = r#"hookstream_webhook_rejections_total{source="github",reason="signature_rate_limited"}"#;
        assert!((gateway.metric(line) - 1.0).abs() < 0.5, "{}", gateway.metric(line));
        Ok(())
    })
    .await;
}

/// Two requests a second, four at once.
const SLOW: (&str, &str) = ("HOOKSTREAM_CLIENT_RATE_MAX", "2");

#[tokio::test]
async fn requests_of_one_address_are_limited_before_their_bodies_are_read() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &[SLOW]).await;
        let [passed, refused] = statuses(40, async |n| send_from(ONE, &gateway, &issue(n)).await).await;
        assert!(passed >= 4 && refused >= 1, "{passed} {refused}");
        assert_eq!(stored_count(&nats).await, passed as u64);
        accepted(&send_from(OTHER, &gateway, &issue(99)).await);
        // A body is asked for only within the limit.
        let head = "POST /webhooks/github HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
            x-hub-signature-256: sha256=00\r\ncontent-length: 20000000\r\nexpect: 100-continue\r\n\r\n";
        let mut answers = Vec::new();
        for _ in 0..40 {
            let mut connection = RawConnection::open(gateway.addr).await?;
            connection.send(head.as_bytes()).await?;
            answers.push(connection.read_some().await?);
        }
        assert!(answers[0].starts_with("HTTP/1.1 100 "), "{}", answers[0]);
        assert!(answers.iter().any(|answer| answer.starts_with("HTTP/1.1 429 ")), "{answers:?}");
        assert_eq!(gateway.get("/healthz").await.status, 200, "health is not limited");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_source_is_limited_once_it_is_verified() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &[("HOOKSTREAM_SOURCE_RATE_MAX", "2")]).await;
        // What is not verified takes nothing from the source.
        for _ in 0..20 {
            refused(&gateway.send(&forged()).await, 401, "unauthorized");
        }
        for n in 0..4 {
            accepted(&gateway.send(&issue(n)).await);
        }
        let [_, refused] = statuses(40, async |n| gateway.send(&issue(n + 10)).await).await;
        assert!(refused >= 1);
        accepted(&gateway.send(&internal_delivery(r#"{"type":"queue.paused"}"#)).await);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_spoofed_forwarded_address_does_not_help() {
    run_test(async || {
        let nats = TestNats::start().await;
        let untrusting = TestGateway::start_with(&nats, &[SLOW]).await;
        let spoofed = |n: usize| issue(n).with_header("x-forwarded-for", &format!("198.51.100.{n}"));
        let [_, refused] = statuses(40, async |n| send_from(ONE, &untrusting, &spoofed(n)).await).await;
        assert!(refused >= 1, "nobody is trusted by default");

        let proxied = [SLOW, ("HOOKSTREAM_TRUSTED_PROXIES", "127.0.0.2")];
        let trusting = TestGateway::start_with(&nats, &proxied).await;
        let [_, refused] = statuses(40, async |n| send_from(OTHER, &trusting, &spoofed(n)).await).await;
        assert!(refused >= 1, "that one is no proxy");
        let behind =
            |n: usize| issue(n + 100).with_header("x-forwarded-for", &format!("198.51.100.{n}, 203.0.113.7"));
        let [_, refused] = statuses(40, async |n| send_from(ONE, &trusting, &behind(n)).await).await;
        assert!(refused >= 1, "what the client wrote is not believed");
        let [_, refused] = statuses(40, async |n| send_from(ONE, &trusting, &spoofed(n)).await).await;
        assert_eq!(refused, 0, "clients behind the proxy are told apart");
        Ok(())
    })
    .await;
}
