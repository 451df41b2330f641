//! Appending events: single, durable, bounded.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use hookstream_bus::topology::{Limits, Topology};
use hookstream_bus::{Bus, PublishError};
use hookstream_test_support::{CutProxy, TestNats, eventually};

use crate::harness::{DEADLINE, STREAM, event, gateway, provisioned, store};

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_gets_the_sequence_of_the_first() {
    let nats = TestNats::start().await;
    let gateway = gateway(&nats).await;
    store(&gateway, 2).await;
    let (subject, headers, body) = event(1);
    let again = gateway.publish(subject, headers, body).await.unwrap();
    assert_eq!((again.stream.as_str(), again.sequence, again.duplicate), (STREAM, 1, true));
    assert_eq!(nats.connect("gateway").await.stream_state(STREAM).await.unwrap().messages, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_copies_at_once_are_stored_once() {
    let nats = TestNats::start().await;
    let gateway = gateway(&nats).await;
    let mut copies = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let gateway = gateway.clone();
        copies.spawn(async move {
            let (subject, headers, body) = event(1);
            gateway.publish(subject, headers, body).await
        });
    }
    let receipts: Vec<_> = copies.join_all().await.into_iter().map(Result::unwrap).collect();
    assert_eq!(receipts.iter().filter(|receipt| !receipt.duplicate).count(), 1);
    assert!(receipts.iter().all(|receipt| receipt.sequence == 1));
    assert_eq!(nats.connect("gateway").await.stream_state(STREAM).await.unwrap().messages, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_body_that_github_sends_is_stored_as_it_is() {
    let nats = TestNats::start().await;
    let gateway = nats.connect("gateway").await;
    let (subject, headers, _) = event(1);
    let body: Bytes = (0..25 * 1024 * 1024).map(|n: u32| n.to_le_bytes()[1]).collect();
    let receipt = gateway.publisher(DEADLINE).publish(subject, headers, body.clone()).await.unwrap();
    let stored = nats.connect("audit").await.message_at(STREAM, receipt.sequence).await.unwrap().unwrap();
    assert!(stored.payload == body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_no_message_can_hold_is_too_large() {
    let nats = TestNats::start().await;
    let (subject, headers, _) = event(1);
    let body = Bytes::from(vec![b' '; 27 * 1024 * 1024]);
    let published = gateway(&nats).await.publish(subject, headers, body).await;
    assert_eq!(published, Err(PublishError::TooLarge));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_refuses_and_drops_nothing() {
    let limits = Limits { max_bytes: Some(20_000), ..Limits::default() };
    let nats = provisioned(Topology::embedded().with_limits(limits)).await;
    let gateway = gateway(&nats).await;
    let mut stored = 0;
    let refused = loop {
        let (subject, headers, body) = event(stored + 1);
        match gateway.publish(subject, headers, body).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 1000, "a stream of 20,000 bytes is never full");
    };
    assert!(matches!(&refused, PublishError::Full(why) if why.contains("maximum bytes")), "{refused:?}");
    let state = nats.connect("gateway").await.stream_state(STREAM).await.unwrap();
    assert_eq!((state.first_sequence, state.last_sequence, state.messages), (1, stored, stored));
    assert_eq!(state.bytes_max, Some(20_000));
    // What is in it is still known as a duplicate.
    let (subject, headers, body) = event(1);
    assert!(gateway.publish(subject, headers, body).await.unwrap().duplicate);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stream_there_is_no_receipt() {
    let nats = TestNats::start_empty().await;
    let (subject, headers, body) = event(1);
    assert_eq!(gateway(&nats).await.publish(subject, headers, body).await, Err(PublishError::NoStream));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_cannot_smuggle_in_another() {
    let nats = TestNats::start().await;
    let gateway = gateway(&nats).await;
    let another = "octocat\r\nNats-Rollup: all";
    let owned = |name: &str| Cow::Owned(name.to_owned());
    for (name, value) in [
        ("hs-sender".into(), another),
        (owned("hs-sender"), another),
        ("hs-sender: a\r\nNats-Rollup".into(), "all"),
        (owned("hs-sender: a\r\nNats-Rollup"), "all"),
    ] {
        let published = gateway.publish(event(1).0, vec![(name, value.to_owned())], Bytes::new()).await;
        assert!(matches!(published, Err(PublishError::Refused(_))), "{published:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_costs_the_budget_and_stores_the_event_once() {
    let nats = TestNats::start().await;
    let proxy = CutProxy::start(nats.client_addr()).await;
    let bus = Bus::connect(&nats.settings_at("gateway", proxy.addr())).await.unwrap();
    bus.wait_connected(DEADLINE).await.unwrap();
    proxy.silence();
    let (subject, headers, body) = event(1);
    let hurried = bus.publisher(Duration::from_millis(300));
    let published = hurried.publish(subject.clone(), headers.clone(), body.clone()).await;
    assert_eq!(published, Err(PublishError::TimedOut));
    proxy.restore();
    // The first attempt arrives late; the sender's second one is then a duplicate of it.
    let messages = async || bus.stream_state(STREAM).await.is_ok_and(|state| state.messages == 1);
    eventually("the late event", DEADLINE, messages).await;
    let again = bus.publisher(DEADLINE).publish(subject, headers, body).await.unwrap();
    assert_eq!((again.sequence, again.duplicate), (1, true));
}
