//! Messages that come at once leave together, and each gets an answer of its own.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join_all, ready};
use futures_util::{FutureExt as _, StreamExt as _};
use hookstream_bus::topology::Topology;
use hookstream_bus::{Bus, Commit, GroupCommit, PublishError, Publisher, Receipt};
use hookstream_test_support::{CutProxy, TestNats, eventually};
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{DEADLINE, FOREVER, STREAM, event, plain, provisioned, soon};

async fn gateway(nats: &TestNats) -> Publisher {
    let bus = nats.connect("gateway").await;
    bus.publisher(Duration::from_secs(4)).with_group_commit(GroupCommit::default())
}

/// The same, and its commits.
async fn observed(nats: &TestNats) -> (Publisher, Arc<Mutex<Vec<Commit>>>) {
    let commits = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&commits);
    let publisher = nats.connect("gateway").await.publisher(Duration::from_secs(4));
    let publisher = publisher.with_observed_group_commit(GroupCommit::default(), move |commit| {
        told.lock().unwrap().push(commit);
    });
    (publisher, commits)
}

/// Publishes these events at once; what became of each, by its number.
async fn publish_at_once(
    publisher: &Publisher,
    numbers: impl IntoIterator<Item = u64>,
) -> Vec<(u64, Result<Receipt, PublishError>)> {
    let mut under_way = JoinSet::new();
    for n in numbers {
        let publisher = publisher.clone();
        under_way.spawn(async move {
            let (subject, headers, body) = event(n);
            (n, publisher.publish(subject, headers, body).await)
        });
    }
    under_way.join_all().await
}

/// The same from one task, so that they come in their order.
async fn publish_in_order(
    publisher: &Publisher,
    numbers: impl IntoIterator<Item = u64>,
) -> Vec<(u64, Result<Receipt, PublishError>)> {
    let under_way = numbers.into_iter().map(async |n| {
        let (subject, headers, body) = event(n);
        (n, publisher.publish(subject, headers, body).await)
    });
    join_all(under_way).await
}

/// Each receipt names the position at which its own message is stored.
async fn assert_stored_where_told(nats: &TestNats, answers: &[(u64, Result<Receipt, PublishError>)]) {
    let reader = nats.connect("audit").await;
    for (n, answer) in answers {
        let receipt = answer.as_ref().unwrap();
        let id = reader.message_id_at(STREAM, receipt.sequence).await.unwrap();
        assert_eq!(id, Some(format!("github:d-{n}")), "{receipt:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_at_once_gets_its_own_sequence() {
    let nats = TestNats::start().await;
    let (publisher, commits) = observed(&nats).await;
    let answers = publish_at_once(&publisher, 1..=600).await;
    assert_stored_where_told(&nats, &answers).await;
    let sequences: BTreeSet<u64> =
        answers.iter().map(|(_, answer)| answer.as_ref().unwrap().sequence).collect();
    assert_eq!(sequences, (1..=600).collect());
    assert!(answers.iter().all(|(_, answer)| !answer.as_ref().unwrap().duplicate));
    // Also where a batch was sent ahead, while the one before was in flight.
    let commits = commits.lock().unwrap();
    assert!(commits.iter().all(|commit| !commit.fell_back), "{commits:?}");
    assert!(
        commits.iter().any(|commit| commit.messages == GroupCommit::default().messages_max),
        "{commits:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_id_among_many_is_a_duplicate_and_holds_nobody_up() {
    let nats = TestNats::start().await;
    let (publisher, commits) = observed(&nats).await;
    // In the middle: the first few of many may be sent one by one, to see how long that takes.
    let known = 101..=103;
    let first = publish_in_order(&publisher, known.clone()).await;
    let answers = publish_in_order(&publisher, 1..=200).await;
    assert_stored_where_told(&nats, &answers).await;
    for (n, answer) in &answers {
        assert_eq!(answer.as_ref().unwrap().duplicate, known.contains(n), "{n}");
    }
    assert!(first.iter().all(|(n, answer)| {
        answers.contains(&(*n, answer.clone().map(|receipt| Receipt { duplicate: true, ..receipt })))
    }));
    assert_eq!(nats.connect("gateway").await.stream_state(STREAM).await.unwrap().messages, 200);
    let commits = commits.lock().unwrap();
    assert_eq!(commits.iter().map(|commit| commit.messages).sum::<usize>(), 203);
    assert!(commits.iter().any(|commit| commit.fell_back && commit.messages > 1), "{commits:?}");
    assert!(commits.iter().all(|commit| commit.bytes > commit.messages), "{commits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_one_message_at_once_are_stored_once() {
    let nats = TestNats::start().await;
    let answers = publish_at_once(&gateway(&nats).await, (0..300).map(|n| n % 3)).await;
    assert_stored_where_told(&nats, &answers).await;
    let stored = answers.iter().filter(|(_, answer)| !answer.as_ref().unwrap().duplicate).count();
    assert_eq!(stored, 3);
    assert_eq!(nats.connect("gateway").await.stream_state(STREAM).await.unwrap().messages, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_batches_takes_them_one_by_one() {
    let nats = provisioned(Topology::embedded()).await;
    let operator = plain(&nats, "operator").await;
    let info = operator.request("$JS.API.STREAM.INFO.WEBHOOKS", "".into()).await.unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
    let mut config = info["config"].clone();
    config["allow_atomic"] = false.into();
    let updated =
        operator.request("$JS.API.STREAM.UPDATE.WEBHOOKS", config.to_string().into()).await.unwrap();
    let updated: serde_json::Value = serde_json::from_slice(&updated.payload).unwrap();
    assert_ne!(updated["config"]["allow_atomic"], true, "{updated}");

    let publisher = gateway(&nats).await;
    for numbers in [1..=100, 101..=200] {
        assert_stored_where_told(&nats, &publish_at_once(&publisher, numbers).await).await;
    }
    assert_eq!(nats.connect("gateway").await.stream_state(STREAM).await.unwrap().messages, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_that_comes_too_late_is_no_receipt_and_the_same_id_again_is_safe() {
    let nats = TestNats::start().await;
    let proxy = CutProxy::start(nats.client_addr()).await;
    let bus = Bus::connect(&nats.settings_at("gateway", proxy.addr())).await.unwrap();
    bus.wait_connected(DEADLINE).await.unwrap();
    let impatient = bus.publisher(Duration::from_millis(500)).with_group_commit(GroupCommit::default());

    proxy.delay(Duration::from_millis(600));
    let unknown = publish_at_once(&impatient, 1..=50).await;
    assert!(unknown.iter().all(|(_, answer)| *answer == Err(PublishError::TimedOut)), "{unknown:?}");
    proxy.restore();
    let reader = nats.connect("gateway").await;
    eventually("what was sent", DEADLINE, async || {
        let messages = reader.stream_state(STREAM).await.unwrap().messages;
        if messages > 0 { Ok(()) } else { Err(messages) }
    })
    .await;

    let again = publish_at_once(&gateway(&nats).await, 1..=50).await;
    assert_stored_where_told(&nats, &again).await;
    assert!(again.iter().any(|(_, answer)| answer.as_ref().unwrap().duplicate));
    assert_eq!(reader.stream_state(STREAM).await.unwrap().messages, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_of_a_single_that_is_lost_is_no_receipt_and_the_same_id_again_is_safe() {
    let nats = TestNats::start().await;
    let proxy = CutProxy::start(nats.client_addr()).await;
    let bus = Bus::connect(&nats.settings_at("gateway", proxy.addr())).await.unwrap();
    bus.wait_connected(DEADLINE).await.unwrap();
    proxy.delay(Duration::from_millis(600));
    for impatient in [
        bus.publisher(Duration::from_millis(500)),
        bus.publisher(Duration::from_millis(500)).with_group_commit(GroupCommit::default()),
    ] {
        let unknown = publish_at_once(&impatient, [1]).await;
        assert_eq!(unknown, [(1, Err(PublishError::TimedOut))]);
    }
    proxy.restore();
    let reader = nats.connect("gateway").await;
    eventually("the message whose ack was lost is stored", DEADLINE, async || {
        reader.stream_state(STREAM).await.unwrap().messages == 1
    })
    .await;
    let again = publish_at_once(&gateway(&nats).await, [1]).await;
    assert!(again[0].1.as_ref().unwrap().duplicate, "{again:?}");
    assert_stored_where_told(&nats, &again).await;
    assert_eq!(reader.stream_state(STREAM).await.unwrap().messages, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_that_never_come_hold_nobody_up_for_longer_than_the_budget() {
    let nats = TestNats::start_empty().await;
    // Somebody takes the messages, so that there is a responder, and says nothing.
    let silent = plain(&nats, "subscriber").await;
    let _taken = silent.subscribe("backfill.>").await.unwrap();
    silent.flush().await.unwrap();
    let bus = nats.connect("operator").await;
    let publisher = bus.publisher(Duration::from_millis(500)).with_group_commit(GroupCommit::default());
    let publish = async || {
        let sent = (1..=60).map(|n| {
            let (_, headers, body) = event(n);
            publisher.publish("backfill.mine".to_owned(), headers, body)
        });
        join_all(sent).await
    };
    let unknown = publish().await;
    assert!(unknown.iter().all(|result| *result == Err(PublishError::TimedOut)), "{unknown:?}");

    let config =
        json!({ "name": "BACKFILL", "subjects": ["backfill.>"], "storage": "file", "allow_atomic": true });
    let operator = plain(&nats, "operator").await;
    operator.request("$JS.API.STREAM.CREATE.BACKFILL", config.to_string().into()).await.unwrap();
    eventually("all are stored", DEADLINE, async || {
        publish().await.into_iter().collect::<Result<Vec<_>, _>>()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_is_no_part_of_a_commit() {
    let nats = TestNats::start_empty().await;
    let silent = plain(&nats, "subscriber").await;
    let taken = silent.subscribe("backfill.>").await.unwrap();
    silent.flush().await.unwrap();
    let committed = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&committed);
    let publisher = nats.connect("operator").await.publisher(FOREVER);
    let publisher = publisher.with_observed_group_commit(GroupCommit::default(), move |commit| {
        told.fetch_add(commit.messages, Ordering::Relaxed);
    });
    let publish = |n| {
        let (_, headers, body) = event(n);
        publisher.publish("backfill.mine".to_owned(), headers, body)
    };
    let (mut first, mut behind) = (Box::pin(publish(1)), join_all((2..=45).map(publish)));
    assert!((&mut first).now_or_never().is_none() && (&mut behind).now_or_never().is_none());
    drop(behind);
    drop(first);

    let config = json!({ "name": "BACKFILL", "subjects": ["backfill.>"], "storage": "file" });
    let operator = plain(&nats, "operator").await;
    operator.request("$JS.API.STREAM.CREATE.BACKFILL", config.to_string().into()).await.unwrap();
    assert_eq!(soon(publish(46)).await.map(|receipt| receipt.sequence), Ok(1));
    let last = event(46).2;
    let sent = soon(taken.take_while(|message| ready(message.payload != last)).count()).await + 1;
    assert!(sent < 46, "some never left");
    assert_eq!(committed.load(Ordering::Relaxed), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_told_at_once_and_comes_back_by_itself() {
    let nats = TestNats::start().await;
    let bus = nats.connect("gateway").await;
    let publisher = bus.publisher(FOREVER).with_group_commit(GroupCommit::default());
    nats.kill().await;
    let refused = soon(publish_at_once(&publisher, 1..=60)).await;
    assert!(refused.iter().all(|(_, answer)| *answer == Err(PublishError::Disconnected)), "{refused:?}");
    nats.restart().await;
    bus.wait_connected(DEADLINE).await.unwrap();
    assert_stored_where_told(&nats, &publish_at_once(&publisher, 1..=60).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_under_load_loses_nothing_and_stores_nothing_twice() {
    const SENDERS: u64 = 100;
    const EACH: u64 = 20;
    let nats = TestNats::start().await;
    let bus = nats.connect("gateway").await;
    let largest = Arc::new(AtomicUsize::new(0));
    let (seen, limits) = (Arc::clone(&largest), GroupCommit::default());
    let publisher = bus.publisher(FOREVER).with_observed_group_commit(limits, move |commit| {
        seen.fetch_max(commit.messages, Ordering::Relaxed);
    });
    let stored = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let (bus, publisher, stored) = (bus.clone(), publisher.clone(), Arc::clone(&stored));
        senders.spawn(async move {
            let mut answers = Vec::new();
            for n in sender * EACH..(sender + 1) * EACH {
                let receipt = loop {
                    let (subject, headers, body) = event(n);
                    match publisher.publish(subject, headers, body).await {
                        Ok(receipt) => break receipt,
                        Err(_) => bus.wait_connected(DEADLINE).await.unwrap(),
                    }
                };
                stored.fetch_add(1, Ordering::Relaxed);
                answers.push((n, Ok(receipt)));
            }
            answers
        });
    }
    eventually("half of them are stored", DEADLINE, async || {
        stored.load(Ordering::Relaxed) > SENDERS * EACH / 2
    })
    .await;
    nats.kill().await;
    nats.restart().await;
    let answers = soon(senders.join_all()).await.concat();
    assert_stored_where_told(&nats, &answers).await;
    let messages = nats.connect("gateway").await.stream_state(STREAM).await.unwrap().messages;
    assert_eq!(messages, SENDERS * EACH);
    let largest = largest.load(Ordering::Relaxed);
    assert!(largest > 32, "none so large that it was sent ahead: at most {largest} left together");
}
