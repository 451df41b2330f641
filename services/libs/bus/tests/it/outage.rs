//! The server goes away and comes back.

use std::time::Duration;

use hookstream_bus::{Bus, BusError, PublishError, PullLimits};

use hookstream_test_support::{CutProxy, TestNats, eventually};

use crate::harness::{DEADLINE, FOREVER, STREAM, event, gateway, is_waited_on, soon, store};

const LIMITS: PullLimits = PullLimits { messages: 100, bytes: 1 << 20, wait: Duration::from_secs(10) };

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_be_made_before_there_is_a_server() {
    let nats = TestNats::start().await;
    nats.kill().await;
    let bus = Bus::connect(&nats.settings("gateway")).await.unwrap();
    assert!(matches!(bus.wait_connected(Duration::from_millis(50)).await, Err(BusError::Disconnected(_))));
    let (subject, headers, body) = event(1);
    let publisher = bus.publisher(DEADLINE);
    let early = publisher.publish(subject.clone(), headers.clone(), body.clone()).await;
    assert_eq!(early, Err(PublishError::Disconnected));
    assert!(matches!(bus.stream_state(STREAM).await, Err(BusError::Disconnected(_))));
    nats.restart().await;
    bus.wait_connected(DEADLINE).await.unwrap();
    assert!(!publisher.publish(subject, headers, body).await.unwrap().duplicate, "sent while disconnected");
    assert_eq!(bus.problem(), None);
    assert!(bus.server_version().unwrap() >= (2, 14, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acked_before_a_kill_is_there_after_it() {
    let nats = TestNats::start().await;
    let gateway = nats.connect("gateway").await;
    let publisher = gateway.publisher(Duration::from_secs(4));
    let mut under_way = tokio::task::JoinSet::new();
    for n in 1..=300 {
        let publisher = publisher.clone();
        under_way.spawn(async move {
            let (subject, headers, body) = event(n);
            (n, publisher.publish(subject, headers, body).await)
        });
    }
    let mut outcomes = vec![under_way.join_next().await.unwrap().unwrap()];
    nats.kill().await;
    outcomes.extend(under_way.join_all().await);
    nats.restart().await;
    gateway.wait_connected(DEADLINE).await.unwrap();
    for (n, outcome) in outcomes {
        match outcome {
            Ok(receipt) => {
                let id = nats.connect("audit").await.message_id_at(STREAM, receipt.sequence).await.unwrap();
                assert_eq!(id, Some(format!("github:d-{n}")));
            }
            Err(PublishError::Disconnected | PublishError::TimedOut) => {}
            Err(other) => panic!("event {n}: {other:?}"),
        }
    }
    // It recovers by itself, and the window still knows what was stored before.
    for n in 1..=300 {
        let (subject, headers, body) = event(n);
        publisher.publish(subject, headers, body).await.unwrap();
    }
    assert_eq!(gateway.stream_state(STREAM).await.unwrap().messages, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_under_way_when_the_connection_breaks_ends_at_once() {
    let nats = TestNats::start().await;
    let proxy = CutProxy::start(nats.client_addr()).await;
    let bus = Bus::connect(&nats.settings_at("gateway", proxy.addr())).await.unwrap();
    bus.wait_connected(DEADLINE).await.unwrap();
    proxy.silence();
    let (subject, headers, body) = event(1);
    let publisher = bus.publisher(FOREVER);
    let mut under_way = tokio::spawn(async move { publisher.publish(subject, headers, body).await });
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut under_way).await.is_err());
    proxy.cut();
    assert_eq!(soon(under_way).await.unwrap(), Err(PublishError::Disconnected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_goes_on_after_a_restart() {
    let nats = TestNats::start().await;
    store(&gateway(&nats).await, 2).await;
    let bus = nats.connect("audit").await;
    let consumer = bus.consumer(STREAM, "audit");
    let first = consumer.pull(&PullLimits { messages: 1, ..LIMITS }).await.unwrap();
    nats.kill().await;
    eventually("the loss", DEADLINE, async || !bus.is_connected()).await;
    assert!(matches!(consumer.pull(&LIMITS).await, Err(BusError::Disconnected(_))));
    assert!(matches!(consumer.ack(&first).await, Err(BusError::Disconnected(_))));
    nats.restart().await;
    bus.wait_connected(DEADLINE).await.unwrap();
    consumer.rewind(1).await.unwrap();
    let sequences: Vec<_> =
        consumer.pull(&LIMITS).await.unwrap().iter().map(|message| message.stream_sequence).collect();
    assert_eq!(sequences, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_waits_notices_that_the_server_is_gone() {
    let nats = TestNats::start().await;
    let audit = nats.connect("audit").await;
    let consumer = audit.consumer(STREAM, "audit");
    let waiting = tokio::spawn(async move { consumer.pull(&PullLimits { wait: FOREVER, ..LIMITS }).await });
    let backend = nats.connect("backend").await.consumer(STREAM, "audit");
    eventually("the pull to wait", DEADLINE, async || is_waited_on(&backend).await).await;
    nats.kill().await;
    assert!(matches!(soon(waiting).await.unwrap(), Err(BusError::Disconnected(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_went_silent_is_noticed_though_nothing_was_closed() {
    let nats = TestNats::start().await;
    let proxy = CutProxy::start(nats.client_addr()).await;
    let bus = Bus::connect(&nats.settings_at("gateway", proxy.addr())).await.unwrap();
    bus.wait_connected(DEADLINE).await.unwrap();
    proxy.silence();
    // Two pings without an answer; the client's own interval would take three minutes.
    eventually("the loss", Duration::from_mins(1), async || !bus.is_connected()).await;
    proxy.restore();
    bus.wait_connected(DEADLINE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_connection_stays_closed() {
    let nats = TestNats::start().await;
    let bus = nats.connect("gateway").await;
    bus.drain().await;
    assert!(!bus.is_connected());
    let (subject, headers, body) = event(1);
    let published = bus.publisher(DEADLINE).publish(subject, headers, body).await;
    assert_eq!(published, Err(PublishError::Disconnected));
}
