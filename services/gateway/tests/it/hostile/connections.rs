//! H9: connections without end, of one client and of many, and the last file.

use std::net::Ipv4Addr;

use hookstream_test_support::http::{Connection, RawConnection, Response};
use hookstream_test_support::{TestNats, eventually, github_delivery, run_test};
use hyper::Method;

use super::raw::{read_answer, refused};
use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted};

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A delivery from an address of this machine, over a connection of its own.
async fn deliver_from(local: Ipv4Addr, gateway: &TestGateway) -> anyhow::Result<Response> {
    let mut connection = Connection::open_from(local, gateway.addr).await?;
    let delivery = github_delivery("issues", ISSUE);
    connection.request(Method::POST, &delivery.path, &delivery.header_refs(), delivery.body.clone()).await
}

/// H9: as many resting connections as this machine lets one process have, up to 2,000 and both of their ends here.
#[tokio::test]
async fn thousands_of_resting_connections_disturb_nobody() {
    run_test(async || {
        let nats = TestNats::start().await;
        let pairs = [
            ("HOOKSTREAM_CONNECTIONS_MAX", "4000"),
            ("HOOKSTREAM_CLIENT_CONNECTIONS_MAX", "4000"),
            ("HOOKSTREAM_HEADER_TIMEOUT", "1h"),
        ];
        let gateway = TestGateway::start_with(&nats, &pairs).await;
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
        let count = usize::try_from(files / 4).unwrap_or(usize::MAX).min(2000);
        let mut resting = Vec::with_capacity(count);
        for _ in 0..count {
            resting.push(RawConnection::open_from(ONE, gateway.addr).await?);
        }
        for _ in 0..50 {
            accepted(&deliver_from(OTHER, &gateway).await?);
            accepted(&deliver_from(ONE, &gateway).await?);
        }
        // None of them was closed for it.
        for connection in [0, count / 2, count - 1] {
            let connection = &mut resting[connection];
            connection.send(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await?;
            assert!(read_answer(connection).await?.starts_with("HTTP/1.1 200 "));
        }
        Ok(())
    })
    .await;
}

/// H9: one client may have so many connections and no more, which is nobody else's trouble.
#[tokio::test]
async fn a_client_with_too_many_connections_is_told_so_and_others_are_served() {
    run_test(async || {
        let nats = TestNats::start().await;
        let pairs = [("HOOKSTREAM_CLIENT_CONNECTIONS_MAX", "5"), ("HOOKSTREAM_TRUSTED_PROXIES", "127.0.0.4")];
        let gateway = TestGateway::start_with(&nats, &pairs).await;
        let mut resting = Vec::new();
        for _ in 0..5 {
            resting.push(RawConnection::open_from(ONE, gateway.addr).await?);
        }
        let mut further = RawConnection::open_from(ONE, gateway.addr).await?;
        let answer = further.read_to_close().await?;
        refused(&answer, 429, "too_many_connections");
        assert!(answer.contains("\r\nretry-after: "), "{answer}");
        assert!(gateway.metric(r#"hookstream_http_faults_total{fault="too_many_connections"}"#) > 0.5);
        accepted(&deliver_from(OTHER, &gateway).await?);
        let proxy = Ipv4Addr::new(127, 0, 0, 4);
        let mut of_proxy = Vec::new();
        for _ in 0..20 {
            of_proxy.push(RawConnection::open_from(proxy, gateway.addr).await?);
        }
        accepted(&deliver_from(proxy, &gateway).await?);

        resting.pop();
        eventually("the place is free again", PATIENCE, async || {
            deliver_from(ONE, &gateway).await.is_ok_and(|answer| answer.status == 202)
        })
        .await;
        Ok(())
    })
    .await;
}

/// H9: when all places are taken, whoever took most of them and does nothing with them makes room.
#[tokio::test]
async fn a_full_house_has_room_for_whoever_comes_with_a_delivery() {
    run_test(async || {
        let nats = TestNats::start().await;
        let pairs = [
            ("HOOKSTREAM_CONNECTIONS_MAX", "20"),
            ("HOOKSTREAM_HEADER_TIMEOUT", "1h"),
            ("HOOKSTREAM_IDLE_TIMEOUT", "1h"),
        ];
        let gateway = TestGateway::start_with(&nats, &pairs).await;
        let mut resting = Vec::new();
        for n in 0..20 {
            let mut connection = RawConnection::open_from(ONE, gateway.addr).await?;
            match n % 3 {
                0 => {
                    connection.send(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await?;
                    // Not yet full: it is not told to close.
                    read_answer(&mut connection).await?;
                }
                1 => connection.send(b"GET /heal").await?,
                _ => {}
            }
            resting.push(connection);
        }
        for _ in 0..30 {
            accepted(&deliver_from(OTHER, &gateway).await?);
        }
        assert!(gateway.metric(r#"hookstream_http_faults_total{fault="place_needed"}"#) > 0.5);
        Ok(())
    })
    .await;
}
