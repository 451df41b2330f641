use hookstream_test_support::{
    CutProxy, Delivery, TestNats, eventually, github_delivery, internal_delivery, run_test, unique_id,
};

use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted, header, refused, stored_at, stored_count};

const REJECT: [(&str, &str); 1] = [("HOOKSTREAM_GITHUB_REPLAY", "reject")];

/// The same body and signature as a new delivery, as somebody who captured it would send it.
fn replayed(delivery: &Delivery) -> Delivery {
    delivery.clone().with_header("x-github-delivery", &unique_id())
}

fn replays(gateway: &TestGateway, action: &str) -> f64 {
    let line = format!(r#"hookstream_webhook_suspected_replays_total{{source="github",action="{action}"}}"#);
    gateway.metric(&line)
}

// R2
#[tokio::test]
async fn the_same_body_under_a_new_id_is_stored_flagged_and_counted() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let first = stored_at(&nats, accepted(&gateway.send(&delivery).await)).await;
        assert_eq!((header(&first, "hs-suspected-replay"), header(&first, "hs-replay-policy")), (None, None));
        assert_eq!(gateway.send(&delivery).await.status, 200, "the same id is a duplicate, not a replay");
        assert!(replays(&gateway, "flagged") < 0.5);
        for _ in 0..2 {
            let again = stored_at(&nats, accepted(&gateway.send(&replayed(&delivery)).await)).await;
            assert_eq!(header(&again, "hs-suspected-replay"), Some("1"));
            assert_eq!(again.payload, ISSUE);
        }
        assert!((replays(&gateway, "flagged") - 2.0).abs() < 0.5);
        let other = ISSUE.replace("42", "43");
        let other = stored_at(&nats, accepted(&gateway.send(&github_delivery("issues", other)).await)).await;
        assert_eq!(header(&other, "hs-suspected-replay"), None);
        Ok(())
    })
    .await;
}

// R2
#[tokio::test]
async fn a_source_set_to_reject_refuses_the_same_body_under_a_new_id() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &REJECT).await;
        let delivery = github_delivery("issues", ISSUE);
        let first = stored_at(&nats, accepted(&gateway.send(&delivery).await)).await;
        assert_eq!(header(&first, "hs-replay-policy"), Some("reject"), "for those who remember for longer");
        refused(&gateway.send(&replayed(&delivery)).await, 400, "suspected_replay");
        // Nobody can pass the signature of another header's case off as another body.
        let signature = delivery.header("x-hub-signature-256").unwrap();
        let recoded = replayed(&delivery).with_header("x-hub-signature-256", &signature.to_uppercase());
        assert!([400, 401].contains(&gateway.send(&recoded).await.status));
        assert_eq!(gateway.send(&delivery).await.status, 200, "the sender's own retry is answered");
        assert_eq!(stored_count(&nats).await, 1);
        assert!(replays(&gateway, "refused") > 0.5);
        Ok(())
    })
    .await;
}

// R2
#[tokio::test]
async fn of_many_ids_for_one_body_at_once_only_one_is_stored() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &REJECT).await;
        let delivery = github_delivery("issues", ISSUE);
        let mut sends = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (url, copy) = (gateway.url.clone(), replayed(&delivery));
            sends.spawn(async move { copy.send(&url).await });
        }
        let mut stored = 0;
        while let Some(answer) = sends.join_next().await {
            match answer??.status {
                202 => stored += 1,
                400 | 503 => {}
                other => panic!("{other}"),
            }
        }
        assert_eq!((stored, stored_count(&nats).await), (1, 1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_was_refused_or_not_stored_poisons_nothing() {
    run_test(async || {
        let nats = TestNats::start().await;
        let proxy = CutProxy::start(nats.client_addr()).await;
        let gateway = TestGateway::start_at(&nats.settings_at("gateway", proxy.addr()), &REJECT).await;
        gateway.wait_until_ready().await;
        let delivery = github_delivery("issues", ISSUE);
        let mismatched = replayed(&delivery).with_header("x-github-event", "pull_request");
        refused(&gateway.send(&mismatched).await, 400, "event_mismatch");
        let forged = replayed(&delivery).with_header("x-hub-signature-256", "sha256=00");
        refused(&gateway.send(&forged).await, 401, "unauthorized");
        proxy.cut();
        eventually("the broker is away", PATIENCE, async || {
            let answer = gateway.send(&replayed(&delivery)).await;
            if answer.status == 503 { Ok(()) } else { Err(answer.status) }
        })
        .await;
        proxy.restore();
        gateway.wait_until_ready().await;
        eventually("it is stored under its own id", PATIENCE, async || {
            let answer = gateway.send(&delivery).await;
            if [200, 202].contains(&answer.status) { Ok(()) } else { Err(answer.text()) }
        })
        .await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_source_that_signs_its_ids_may_say_the_same_thing_twice() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &REJECT).await;
        for _ in 0..2 {
            let paused = internal_delivery(r#"{"type":"queue.paused"}"#);
            let stored = stored_at(&nats, accepted(&gateway.send(&paused).await)).await;
            assert_eq!(header(&stored, "hs-suspected-replay"), None);
        }
        Ok(())
    })
    .await;
}
