use hookstream_test_support::{CutProxy, TestNats, eventually, github_delivery, run_test};
use tokio::net::TcpStream;

use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted, stored_count};

#[tokio::test]
async fn shutdown_answers_what_is_in_flight_and_takes_nothing_new() {
    run_test(async || {
        let nats = TestNats::start().await;
        let proxy = CutProxy::start(nats.client_addr()).await;
        let gateway = TestGateway::start_at(&nats.settings_at("gateway", proxy.addr()), &[]).await;
        gateway.wait_until_ready().await;
        proxy.silence();
        let mut sends = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (url, delivery) = (gateway.url.clone(), github_delivery("issues", ISSUE));
            sends.spawn(async move { delivery.send(&url).await });
        }
        eventually("the requests are in flight", PATIENCE, async || {
            gateway.metric(r#"hookstream_webhook_key_uses_total{source="github",key_id="k-3cdfe41374fe"}"#)
                > 4.5
        })
        .await;
        let addr = gateway.addr;
        gateway.shutdown.cancel();
        eventually("new connections are refused", PATIENCE, async || TcpStream::connect(addr).await.is_err())
            .await;
        proxy.restore();
        while let Some(answer) = sends.join_next().await {
            accepted(&answer??);
        }
        gateway.stop().await?;
        assert_eq!(stored_count(&nats).await, 5);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_connections_that_rest() {
    run_test(async || {
        let nats = TestNats::start().await;
        let pairs = [("HOOKSTREAM_SHUTDOWN_GRACE", "1h"), ("HOOKSTREAM_IDLE_TIMEOUT", "1h")];
        let gateway = TestGateway::start_with(&nats, &pairs).await;
        let mut resting = hookstream_test_support::http::Connection::open(gateway.addr).await?;
        resting.request(hyper::Method::GET, "/healthz", &[], "").await?;
        tokio::time::timeout(PATIENCE, gateway.stop()).await??;
        Ok(())
    })
    .await;
}
