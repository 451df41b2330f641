//! The same delivery again: later than the stream remembers, after restarts, and without its signature.

use std::time::Duration;

use hookstream_bus::topology::{Limits, Topology};
use hookstream_test_support::{TestNats, eventually, github_delivery, internal_delivery, run_test};

use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted, header, refused, stored_at, stored_count};

// R1
#[tokio::test]
async fn a_delivery_that_comes_again_after_restarts_of_gateway_and_stream_is_stored_once() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let sequence = accepted(&gateway.send(&delivery).await);
        gateway.stop().await?;
        let gateway = TestGateway::start(&nats).await;
        let again = gateway.send(&delivery).await;
        assert_eq!((again.status, again.json()["sequence"].as_u64()), (200, Some(sequence)));

        nats.kill().await;
        nats.restart().await;
        eventually("the delivery is known again", PATIENCE, async || {
            let again = gateway.send(&delivery).await;
            if again.status == 200 { Ok(()) } else { Err(again.text()) }
        })
        .await;
        assert_eq!(stored_count(&nats).await, 1);
        Ok(())
    })
    .await;
}

// R1: later than the stream remembers, be it 121 s or three days, is one and the same to the gateway; that projections
// remember for seven days is shown in `libs/projection/tests/it/claims.rs`.
#[tokio::test]
async fn a_delivery_that_comes_again_after_the_window_is_stored_again_and_accepted_as_new() {
    run_test(async || {
        let nats = TestNats::start_empty().await;
        let operator = nats.connect("operator").await;
        let topology = Topology::embedded()
            .with_limits(Limits { duplicate_window: Some(Duration::from_millis(500)), ..Limits::default() });
        let missing = topology.plan(&operator).await?;
        topology.apply(&operator, &missing).await?;
        let gateway = TestGateway::start(&nats).await;
        let (github, internal) =
            (github_delivery("issues", ISSUE), internal_delivery(r#"{"type":"queue.paused"}"#));
        for delivery in [github, internal] {
            let first = accepted(&gateway.send(&delivery).await);
            let second = eventually("the stream has forgotten it", PATIENCE, async || {
                let again = gateway.send(&delivery).await;
                if again.status == 202 { Ok(accepted(&again)) } else { Err(again.text()) }
            })
            .await;
            assert_eq!(second, first + 1);
            let (first, second) = (stored_at(&nats, first).await, stored_at(&nats, second).await);
            assert_eq!(header(&first, "Nats-Msg-Id"), header(&second, "Nats-Msg-Id"));
            assert_eq!(first.payload, second.payload);
            assert_eq!(header(&second, "hs-suspected-replay"), None, "it comes under its own id");
        }
        Ok(())
    })
    .await;
}

// T13
#[tokio::test]
async fn a_known_delivery_without_its_signature_is_refused_and_counted_apart() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        accepted(&gateway.send(&delivery).await);
        let unsigned = delivery.clone().without_header("x-hub-signature-256");
        refused(&gateway.send(&unsigned).await, 401, "unauthorized");
        let forged =
            delivery.clone().with_header("x-hub-signature-256", &format!("sha256={}", "0".repeat(64)));
        refused(&gateway.send(&forged).await, 401, "unauthorized");
        refused(&gateway.send(&forged).await, 401, "unauthorized");
        for (reason, count) in
            [("signature_missing", 1.0), ("signature_mismatch", 2.0), ("signature_malformed", 0.0)]
        {
            let line = format!(r#"hookstream_webhook_rejections_total{{source="github",reason="{reason}"}}"#);
            assert!((gateway.metric(&line) - count).abs() < 0.5, "{line}: {}", gateway.metric(&line));
        }
        assert_eq!(gateway.send(&delivery).await.status, 200, "the genuine one is still known");
        assert_eq!(stored_count(&nats).await, 1);
        Ok(())
    })
    .await;
}
