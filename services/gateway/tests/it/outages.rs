use std::time::Duration;

use hookstream_test_support::{CutProxy, TestNats, eventually, github_delivery, run_test};

use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted, refused, stored_count};

/// What a sender is promised: an answer within this, whatever NATS does.
const PROMISED: Duration = Duration::from_secs(5);

#[tokio::test]
async fn nats_away_at_start_is_503_at_once_and_recovers_by_itself() {
    run_test(async || {
        let nats = TestNats::start().await;
        nats.kill().await;
        let gateway = TestGateway::start_at(&nats.settings("gateway"), &[]).await;
        let delivery = github_delivery("issues", ISSUE);
        let answer = tokio::time::timeout(PROMISED, gateway.send(&delivery)).await?;
        refused(&answer, 503, "not_stored");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(gateway.get("/healthz").await.status, 200);
        let ready = gateway.get("/readyz").await;
        assert_eq!((ready.status, &ready.json()["checks"]["nats"]["ok"]), (503, &false.into()));

        nats.restart().await;
        gateway.wait_until_ready().await;
        accepted(&gateway.send(&delivery).await);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn nats_killed_and_restarted_loses_nothing_that_was_accepted() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        nats.kill().await;
        let delivery = github_delivery("issues", ISSUE);
        let answer = tokio::time::timeout(PROMISED, gateway.send(&delivery)).await?;
        refused(&answer, 503, "not_stored");
        eventually("the gateway says that it is not ready", PATIENCE, async || {
            gateway.get("/readyz").await.status == 503
        })
        .await;
        nats.restart().await;
        gateway.wait_until_ready().await;
        let again = gateway.send(&delivery).await;
        assert!([200, 202].contains(&again.status), "{}", again.text());
        assert_eq!(stored_count(&nats).await, 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn nats_silent_in_flight_is_503_within_the_budget_and_the_event_is_stored_once() {
    run_test(async || {
        let nats = TestNats::start().await;
        let proxy = CutProxy::start(nats.client_addr()).await;
        let gateway = TestGateway::start_at(&nats.settings_at("gateway", proxy.addr()), &[]).await;
        gateway.wait_until_ready().await;
        proxy.silence();
        let delivery = github_delivery("issues", ISSUE);
        let answer = tokio::time::timeout(PROMISED, gateway.send(&delivery)).await?;
        refused(&answer, 503, "not_stored");
        proxy.restore();
        gateway.wait_until_ready().await;
        // The first attempt may have arrived after all: the id makes it one event.
        eventually("the second attempt is answered", PATIENCE, async || {
            let answer = gateway.send(&delivery).await;
            if [200, 202].contains(&answer.status) { Ok(()) } else { Err(answer.text()) }
        })
        .await;
        assert_eq!(stored_count(&nats).await, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_cut_in_flight_is_503_at_once() {
    run_test(async || {
        let nats = TestNats::start().await;
        let proxy = CutProxy::start(nats.client_addr()).await;
        // With a minute to publish in, only the cut itself can end the request in time.
        let pairs = [("HOOKSTREAM_PUBLISH_BUDGET", "1m")];
        let gateway = TestGateway::start_at(&nats.settings_at("gateway", proxy.addr()), &pairs).await;
        gateway.wait_until_ready().await;
        proxy.silence();
        let (url, delivery) = (gateway.url.clone(), github_delivery("issues", ISSUE));
        let sent = tokio::spawn(async move { delivery.send(&url).await });
        eventually("the request is in flight", PATIENCE, async || {
            gateway.metric("hookstream_webhooks_in_flight") > 0.5
                && gateway
                    .metric(r#"hookstream_webhook_key_uses_total{source="github",key_id="k-3cdfe41374fe"}"#)
                    > 0.5
        })
        .await;
        proxy.cut();
        let answer = tokio::time::timeout(PROMISED, sent).await???;
        refused(&answer, 503, "not_stored");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_missing_stream_is_503_and_named_by_readiness() {
    run_test(async || {
        let nats = TestNats::start_empty().await;
        let gateway = TestGateway::start_at(&nats.settings("gateway"), &[]).await;
        let reason = eventually("readiness names the stream", PATIENCE, async || {
            let stream = gateway.get("/readyz").await.json()["checks"]["stream"]["reason"].clone();
            stream.as_str().filter(|reason| reason.contains("WEBHOOKS")).map(str::to_owned)
        })
        .await;
        assert!(reason.contains("hookstream provision --apply"), "{reason}");
        let delivery = github_delivery("issues", ISSUE);
        let answer = tokio::time::timeout(PROMISED, gateway.send(&delivery)).await?;
        refused(&answer, 503, "not_stored");
        nats.provision().await;
        gateway.wait_until_ready().await;
        accepted(&gateway.send(&delivery).await);
        Ok(())
    })
    .await;
}
