//! H10: clients that leave.

use hookstream_test_support::http::RawConnection;
use hookstream_test_support::{CutProxy, TestNats, eventually, github_delivery, run_test};

use super::raw::{head, issue_of, whole};
use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted, header, stored_at, stored_count};

/// Waits until nothing is left of those who left.
async fn nothing_in_flight(gateway: &TestGateway) {
    eventually("nothing is in flight, and nobody connected", PATIENCE, async || {
        let left =
            ["hookstream_webhooks_in_flight", "hookstream_http_connections"].map(|line| gateway.metric(line));
        if left.iter().all(|left| left.abs() < 0.5) { Ok(()) } else { Err(left) }
    })
    .await;
}

/// H10: in the middle of the body.
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
        nothing_in_flight(&gateway).await;
        assert_eq!(stored_count(&nats).await, 0);
        accepted(&gateway.send(&delivery).await);
        Ok(())
    })
    .await;
}

/// H10: in the middle of bodies that have taken room.
#[tokio::test]
async fn bodies_of_clients_that_leave_give_their_room_back() {
    run_test(async || {
        let nats = TestNats::start().await;
        let pairs = [("HOOKSTREAM_BODY_BYTES_MAX", "100000"), ("HOOKSTREAM_BODIES_BYTES_MAX", "100000")];
        let gateway = TestGateway::start_with(&nats, &pairs).await;
        let delivery = github_delivery("issues", issue_of(100_000));
        let length = format!("content-length: {}\r\n", delivery.body.len());
        for _ in 0..20 {
            let mut connection = RawConnection::open(gateway.addr).await?;
            connection.send(head(&delivery, &length).as_bytes()).await?;
            connection.send(&delivery.body[..60_000]).await?;
        }
        nothing_in_flight(&gateway).await;
        // It takes all the room that there is.
        accepted(&gateway.send(&delivery).await);
        Ok(())
    })
    .await;
}

/// H10: after the body, before the answer. The event may be stored or not; its id makes it one when it comes again.
#[tokio::test]
async fn a_client_that_leaves_before_its_answer_has_its_event_stored_once_at_most() {
    run_test(async || {
        let nats = TestNats::start().await;
        let proxy = CutProxy::start(nats.client_addr()).await;
        let gateway = TestGateway::start_at(&nats.settings_at("gateway", proxy.addr()), &[]).await;
        gateway.wait_until_ready().await;
        proxy.silence();
        let deliveries: Vec<_> = (0..20).map(|_| github_delivery("issues", ISSUE)).collect();
        let mut connections = Vec::new();
        for delivery in &deliveries {
            let mut connection = RawConnection::open(gateway.addr).await?;
            connection.send(&whole(delivery, "")).await?;
            connections.push(connection);
        }
        eventually("all are verified and wait for the stream", PATIENCE, async || {
            gateway.metric(r#"hookstream_webhook_key_uses_total{source="github",key_id="k-3cdfe41374fe"}"#)
                > 19.5
        })
        .await;
        drop(connections);
        nothing_in_flight(&gateway).await;
        proxy.restore();
        gateway.wait_until_ready().await;
        for delivery in &deliveries {
            eventually("it is settled", PATIENCE, async || {
                let answer = gateway.send(delivery).await;
                if [200, 202].contains(&answer.status) { Ok(()) } else { Err(answer.text()) }
            })
            .await;
        }
        assert_eq!(stored_count(&nats).await, 20);
        Ok(())
    })
    .await;
}

/// H10: what its client does not hear is counted and remembered like anything else.
#[tokio::test]
async fn an_event_whose_client_left_is_known_as_stored() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let mut connection = RawConnection::open(gateway.addr).await?;
        connection.send(&whole(&github_delivery("issues", ISSUE), "")).await?;
        drop(connection);
        eventually("it is known as stored", PATIENCE, async || {
            let line = r#"hookstream_webhook_requests_total{source="github",status="202"}"#;
            if gateway.metric(line) > 0.5 { Ok(()) } else { Err(gateway.metric(line)) }
        })
        .await;
        let again = stored_at(&nats, accepted(&gateway.send(&github_delivery("issues", ISSUE)).await)).await;
        assert_eq!(header(&again, "hs-suspected-replay"), Some("1"), "the body is known");
        Ok(())
    })
    .await;
}

/// H10: a client that says that it sends no more still reads.
#[tokio::test]
async fn a_client_that_sends_no_more_gets_its_answer() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let mut connection = RawConnection::open(gateway.addr).await?;
        connection.send(&whole(&github_delivery("issues", ISSUE), "")).await?;
        connection.finish().await?;
        let answer = connection.read_to_close().await?;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        Ok(())
    })
    .await;
}

/// H10: before anything, and in the middle of the headers.
#[tokio::test]
async fn clients_that_leave_before_they_have_asked_leave_nothing() {
    run_test(async || {
        let nats = TestNats::start().await;
        // The places of those who left are free again: there are no more than these.
        let pairs = [("HOOKSTREAM_CLIENT_CONNECTIONS_MAX", "4"), ("HOOKSTREAM_HEADER_TIMEOUT", "1h")];
        let gateway = TestGateway::start_with(&nats, &pairs).await;
        for part in ["", "POST /webhooks/github HTTP/1.1\r\nhost: te"].repeat(10) {
            eventually("it is let in", PATIENCE, async || {
                let mut connection = RawConnection::open(gateway.addr).await.unwrap();
                connection.send(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
                let answer = connection.read_some().await.unwrap_or_default();
                let _ = connection.send(part.as_bytes()).await;
                if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(answer) }
            })
            .await;
        }
        Ok(())
    })
    .await;
}
