use std::collections::BTreeMap;

use hookstream_test_support::{TestNats, github_delivery, run_test};
use serde_json::json;

use crate::gateway::{ISSUE, TestGateway, accepted, stored_count};

// R1
#[tokio::test]
async fn a_stored_event_is_202_and_the_same_again_is_200_with_the_first_sequence() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let first = github_delivery("issues", ISSUE);
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);

        let answer = gateway.send(&first).await;
        let event_id = format!("github:{}", first.id().unwrap());
        let receipt =
            json!({ "status": "accepted", "event_id": event_id, "stream": "WEBHOOKS", "sequence": 2 });
        assert_eq!((answer.status, answer.json()), (202, receipt));

        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        let again = gateway.send(&first.clone().to_path("/gh-webhook")).await;
        let receipt =
            json!({ "status": "duplicate", "event_id": event_id, "stream": "WEBHOOKS", "sequence": 2 });
        assert_eq!((again.status, again.json()), (200, receipt));
        assert_eq!(stored_count(&nats).await, 3);
        Ok(())
    })
    .await;
}

// R1
#[tokio::test]
async fn the_same_delivery_a_hundred_times_at_once_is_stored_once() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for _ in 0..3 {
            let delivery = github_delivery("issues", ISSUE);
            let mut sends = tokio::task::JoinSet::new();
            for _ in 0..100 {
                let (delivery, url) = (delivery.clone(), gateway.url.clone());
                sends.spawn(async move { delivery.send(&url).await });
            }
            let mut answers: BTreeMap<(u16, u64), usize> = BTreeMap::new();
            while let Some(answer) = sends.join_next().await {
                let answer = answer??;
                let sequence = answer.json()["sequence"].as_u64().unwrap_or_default();
                *answers.entry((answer.status, sequence)).or_default() += 1;
            }
            let sequence = stored_count(&nats).await;
            assert_eq!(answers, BTreeMap::from([((202, sequence), 1), ((200, sequence), 99)]));
        }
        assert_eq!(stored_count(&nats).await, 3);
        Ok(())
    })
    .await;
}
