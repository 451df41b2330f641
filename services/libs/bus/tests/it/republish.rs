//! What other services see: each stored event once.

use futures_util::StreamExt as _;

use hookstream_test_support::{TestNats, eventually};

use crate::harness::{DEADLINE, event, event_on, gateway, plain, soon, store};

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_subscriber_sees_each_stored_event_once() {
    let nats = TestNats::start().await;
    let gateway = gateway(&nats).await;
    // Any NATS client, as `nats sub 'webhooks.*'` is one.
    let plain = plain(&nats, "subscriber").await;
    let mut events = plain.subscribe("webhooks.*").await.unwrap();
    // The server takes up a subscription when it reads it; nothing tells when.
    let mut warm_up = 1000;
    eventually("the subscription", DEADLINE, async || {
        warm_up += 1;
        let (subject, headers, body) = event(warm_up);
        gateway.publish(subject, headers, body).await.unwrap();
        tokio::time::timeout(std::time::Duration::from_millis(100), events.next()).await.ok().flatten()
    })
    .await;
    let before = nats.connect("gateway").await.stream_state("WEBHOOKS").await.unwrap().last_sequence;

    store(&gateway, 3).await;
    store(&gateway, 3).await;
    let (subject, headers, body) = event_on("internal", "workflow", "completed", 4);
    gateway.publish(subject, headers, body).await.unwrap();

    let mut seen = Vec::new();
    while seen.len() < 4 {
        let event = soon(events.next()).await.unwrap();
        let headers = event.headers.unwrap();
        let header =
            |name: &str| headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default();
        let sequence: u64 = header("Nats-Sequence").parse().unwrap();
        if sequence > before {
            assert_eq!(event.reply, None);
            seen.push((
                event.subject.to_string(),
                sequence - before,
                header("Nats-Subject"),
                header("ce-type"),
            ));
        }
    }
    let opened = |n| {
        let texts = ["webhooks.github", "webhooks.github.issues.opened", "com.github.issues.opened"];
        (texts[0].to_owned(), n, texts[1].to_owned(), texts[2].to_owned())
    };
    assert_eq!(seen[..3], [opened(1), opened(2), opened(3)]);
    assert_eq!((seen[3].0.as_str(), seen[3].1), ("webhooks.internal", 4));
    assert_eq!(seen[3].2, "webhooks.internal.workflow.completed");
}
