//! What a worker does with the stream `PHASES`, as the role `worker`.

use std::time::Duration;

use hookstream_bus::{Bus, Consumer, Message, PullLimits};
use hookstream_test_support::TestNats;

use crate::harness::DEADLINE;

const LIMITS: PullLimits = PullLimits { messages: 1, bytes: 1 << 20, wait: Duration::from_secs(5) };

async fn announce(nats: &TestNats, subjects: &[&str]) {
    let publisher = nats.connect("phase_queue").await.publisher(DEADLINE);
    for subject in subjects {
        publisher.publish((*subject).to_owned(), vec![], "{}".into()).await.unwrap();
    }
}

async fn pull(consumer: &Consumer) -> Message {
    consumer.pull(&LIMITS).await.unwrap().pop().expect("a message")
}

async fn worker(nats: &TestNats) -> Bus {
    nats.connect("worker").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_handed_what_is_ready_and_nothing_else_by_a_consumer_that_stays() {
    let nats = TestNats::start().await;
    announce(&nats, &["phases.7.1.queued", "phases.7.1.ready", "phases.7.1.running", "phases.8.1.ready"])
        .await;
    let bus = worker(&nats).await;
    let consumer = bus.worker_consumer("mine", None, Duration::from_mins(1)).await.unwrap();
    let first = pull(&consumer).await;
    assert_eq!((first.subject.as_str(), first.attempt), ("phases.7.1.ready", 1));
    consumer.ack(&[first]).await.unwrap();
    // Made again, it goes on where it was.
    let again = bus.worker_consumer("mine", None, Duration::from_secs(30)).await.unwrap();
    assert_eq!(pull(&again).await.subject, "phases.8.1.ready");
    let of_issue = bus.worker_consumer("mine", Some(8), Duration::from_mins(1)).await.unwrap();
    assert_eq!(pull(&of_issue).await.subject, "phases.8.1.ready");
    assert_eq!(bus.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_kept_is_handed_to_nobody_and_one_that_is_given_back_is() {
    let nats = TestNats::start().await;
    announce(&nats, &["phases.7.1.ready"]).await;
    let (one, other) = (worker(&nats).await, worker(&nats).await);
    let ack_wait = Duration::from_millis(400);
    let consumer = one.worker_consumer("mine", None, ack_wait).await.unwrap();
    let message = pull(&consumer).await;
    let rival = other.consumer("PHASES", "mine");
    let looking = tokio::spawn(async move { pull(&rival).await });
    for _ in 0..8 {
        tokio::time::sleep(ack_wait / 4).await;
        consumer.keep(&message).await.unwrap();
        assert!(!looking.is_finished(), "it was handed out although it was kept");
    }
    consumer.give_back(&message, Duration::ZERO).await.unwrap();
    assert_eq!(looking.await.unwrap().attempt, 2);
    assert_eq!(one.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_read_on_by_subject() {
    let nats = TestNats::start().await;
    announce(&nats, &["phases.7.1.ready", "phases.8.1.ready", "phases.7.1.running"]).await;
    let bus = worker(&nats).await;
    let found = bus.message_from("PHASES", 2, "phases.7.1.*").await.unwrap().unwrap();
    assert_eq!((found.stream_sequence, found.subject.as_str()), (3, "phases.7.1.running"));
    assert_eq!(bus.message_from("PHASES", 4, "phases.7.1.*").await.unwrap(), None);
    assert_eq!(bus.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_make_no_consumer_of_anything_else() {
    let nats = TestNats::start().await;
    let bus = worker(&nats).await;
    let consumer = bus.worker_consumer("mine", None, Duration::from_mins(1)).await;
    consumer.unwrap();
    let plain = crate::harness::plain(&nats, "worker").await;
    let all = r#"{"stream_name":"PHASES","config":{"durable_name":"x","ack_policy":"explicit"}}"#;
    for subject in ["$JS.API.CONSUMER.CREATE.PHASES.x", "$JS.API.CONSUMER.DURABLE.CREATE.PHASES.x"] {
        plain.publish(subject, all.into()).await.unwrap();
    }
    plain.flush().await.unwrap();
    let operator = nats.connect("operator").await;
    assert!(operator.consumer("PHASES", "x").state().await.is_err());
}
