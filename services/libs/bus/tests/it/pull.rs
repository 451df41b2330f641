//! Reading the stream through a durable consumer.

use std::time::Duration;

use bytes::Bytes;
use hookstream_bus::{Bus, BusError, Message, PullLimits, Undecodable};
use hookstream_event::BodyDigest;

use hookstream_test_support::{TestNats, eventually};

use crate::harness::{DEADLINE, FOREVER, STREAM, event, event_on, gateway, is_waited_on, plain, soon, store};

const LIMITS: PullLimits = PullLimits { messages: 100, bytes: 1 << 20, wait: Duration::from_secs(10) };
const AT_ONCE: PullLimits = PullLimits { wait: Duration::from_millis(100), ..LIMITS };

fn positions(messages: &[Message]) -> Vec<(u64, u64, u32, u64)> {
    let position = |message: &Message| {
        (message.stream_sequence, message.consumer_sequence, message.attempt, message.pending)
    };
    messages.iter().map(position).collect()
}

async fn delete_consumer(nats: &TestNats, name: &str) {
    let plain = plain(nats, "operator").await;
    plain.request(format!("$JS.API.CONSUMER.DELETE.{STREAM}.{name}"), Bytes::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_order_with_their_positions() {
    let nats = TestNats::start().await;
    store(&gateway(&nats).await, 3).await;
    let audit = nats.connect("audit").await;
    let consumer = audit.consumer(STREAM, "audit");
    let messages = consumer.pull(&LIMITS).await.unwrap();
    assert_eq!(positions(&messages), [(1, 1, 1, 2), (2, 2, 1, 1), (3, 3, 1, 0)]);
    let stored = audit.message_at(STREAM, 2).await.unwrap().unwrap();
    assert_eq!(messages[1].recorded_at, stored.recorded_at);
    assert_eq!(stored.recorded_at.nanosecond() % 1000, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_becomes_the_event_that_was_published() {
    let nats = TestNats::start().await;
    store(&gateway(&nats).await, 1).await;
    let audit = nats.connect("audit").await.consumer(STREAM, "audit").pull(&LIMITS).await.unwrap();
    let audited = audit[0].to_event().unwrap();
    assert_eq!(audited.envelope.id.as_str(), "github:d-1");
    assert_eq!(audited.subject.stored(), "webhooks.github.issues.opened");
    assert_eq!(audited.payload, b"", "the audit reads headers only");
    let queue =
        nats.connect("phase_queue").await.consumer(STREAM, "phase_queue").pull(&LIMITS).await.unwrap();
    let queued = queue[0].to_event().unwrap();
    assert_eq!(BodyDigest::of(&queued.payload), audited.envelope.body_sha256);
    assert_eq!(queued.envelope, audited.envelope);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_message_for_a_consumer_is_told_by_the_stream() {
    let nats = TestNats::start().await;
    let publisher = gateway(&nats).await;
    for (n, event_name) in ["ping", "issues", "push", "issue_comment", "ping"].into_iter().enumerate() {
        let (subject, headers, body) = event_on("github", event_name, "created", n as u64);
        publisher.publish(subject, headers, body).await.unwrap();
    }
    let (audit, queue) = (nats.connect("audit").await, nats.connect("phase_queue").await);
    let (audit, queue) = (audit.consumer(STREAM, "audit"), queue.consumer(STREAM, "phase_queue"));
    for (from, of_queue, of_audit) in [
        (1, Some(2), Some(1)),
        (2, Some(2), Some(2)),
        (3, Some(4), Some(3)),
        (5, None, Some(5)),
        (6, None, None),
    ] {
        assert_eq!(queue.next_wanted(from).await.unwrap(), of_queue, "{from}");
        assert_eq!(audit.next_wanted(from).await.unwrap(), of_audit, "{from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_says_so() {
    let nats = TestNats::start().await;
    gateway(&nats).await.publish(event(1).0, vec![], "{}".into()).await.unwrap();
    let messages = nats.connect("audit").await.consumer(STREAM, "audit").pull(&LIMITS).await.unwrap();
    assert!(matches!(messages[0].to_event(), Err(Undecodable::Envelope(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phase_queue_gets_only_what_concerns_it() {
    let nats = TestNats::start().await;
    let gateway = gateway(&nats).await;
    let concerns = [
        ("internal", "phase", "enqueued"),
        ("internal", "plan", "enqueued"),
        ("internal", "workflow", "completed"),
        ("internal", "queue", "paused"),
        ("github", "issues", "opened"),
        ("github", "issue_comment", "created"),
    ];
    let others =
        [("internal", "task", "logged"), ("internal", "workflow", "started"), ("github", "push", "none")];
    for (n, (source, event, action)) in (1..).zip(concerns.into_iter().chain(others)) {
        let (subject, headers, body) = event_on(source, event, action, n);
        gateway.publish(subject, headers, body).await.unwrap();
    }
    let queue =
        nats.connect("phase_queue").await.consumer(STREAM, "phase_queue").pull(&LIMITS).await.unwrap();
    assert_eq!(queue.iter().map(|message| message.stream_sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    for name in ["task_log", "audit"] {
        assert_eq!(
            nats.connect(name).await.consumer(STREAM, name).pull(&LIMITS).await.unwrap().len(),
            9,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_waits_for_the_first_event_and_not_for_more() {
    let nats = TestNats::start().await;
    let audit = nats.connect("audit").await.consumer(STREAM, "audit");
    let patient = PullLimits { wait: FOREVER, ..LIMITS };
    let waiting = tokio::spawn(async move { audit.pull(&patient).await });
    let backend = nats.connect("backend").await.consumer(STREAM, "audit");
    eventually("the pull to wait", DEADLINE, async || is_waited_on(&backend).await).await;
    store(&gateway(&nats).await, 1).await;
    assert_eq!(positions(&soon(waiting).await.unwrap().unwrap()), [(1, 1, 1, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_within_the_wait_is_an_empty_list() {
    let nats = TestNats::start().await;
    let audit = nats.connect("audit").await.consumer(STREAM, "audit");
    assert!(audit.pull(&AT_ONCE).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn acked_events_do_not_come_again() {
    let nats = TestNats::start().await;
    store(&gateway(&nats).await, 5).await;
    let audit = nats.connect("audit").await.consumer(STREAM, "audit");
    let messages = audit.pull(&PullLimits { messages: 3, ..LIMITS }).await.unwrap();
    audit.ack(&messages).await.unwrap();
    let state = audit.state().await.unwrap();
    assert_eq!((state.ack_floor, state.ack_pending, state.pending), (3, 0, 2));
    assert_eq!(positions(&audit.pull(&LIMITS).await.unwrap()), [(4, 4, 1, 1), (5, 5, 1, 0)]);
    audit.ack(&[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewound_consumer_hands_out_everything_from_there_as_if_for_the_first_time() {
    let nats = TestNats::start().await;
    store(&gateway(&nats).await, 5).await;
    let audit = nats.connect("audit").await.consumer(STREAM, "audit");
    let messages = audit.pull(&LIMITS).await.unwrap();
    audit.ack(&messages[..4]).await.unwrap();
    let state = audit.rewind(2).await.unwrap();
    assert_eq!((state.ack_floor, state.delivered, state.ack_pending, state.pending), (1, 1, 0, 4));
    let again = audit.pull(&LIMITS).await.unwrap();
    assert_eq!(positions(&again), [(2, 1, 1, 3), (3, 2, 1, 2), (4, 3, 1, 1), (5, 4, 1, 0)]);
    audit.ack(&again).await.unwrap();
    assert_eq!(audit.state().await.unwrap().ack_floor, 5);
    // Also ahead, past what was not acked; also to the end, where the next event will be.
    audit.rewind(4).await.unwrap();
    assert_eq!(positions(&audit.pull(&LIMITS).await.unwrap()), [(4, 1, 1, 1), (5, 2, 1, 0)]);
    audit.rewind(6).await.unwrap();
    assert!(audit.pull(&AT_ONCE).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_cannot_be_moved_past_the_end() {
    let nats = TestNats::start().await;
    store(&gateway(&nats).await, 2).await;
    let audit = nats.connect("audit").await.consumer(STREAM, "audit");
    assert!(matches!(audit.rewind(4).await, Err(BusError::BeyondEnd { wanted: 4, last: 2, .. })));
    assert_eq!(audit.pull(&LIMITS).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_consumer_has_a_name() {
    let nats = TestNats::start().await;
    store(&gateway(&nats).await, 1).await;
    let bus = nats.connect("audit").await;
    let audit = bus.consumer(STREAM, "audit");
    let messages = audit.pull(&LIMITS).await.unwrap();
    let patient = PullLimits { wait: FOREVER, ..LIMITS };
    let waiting = tokio::spawn(async move { audit.pull(&patient).await });
    let backend = nats.connect("backend").await.consumer(STREAM, "audit");
    eventually("the pull to wait", DEADLINE, async || is_waited_on(&backend).await).await;
    delete_consumer(&nats, "audit").await;
    let is_missing =
        |error: &BusError| matches!(error, BusError::ConsumerMissing { consumer, .. } if consumer == "audit");
    let audit = bus.consumer(STREAM, "audit");
    for error in [
        soon(waiting).await.unwrap().unwrap_err(),
        audit.pull(&LIMITS).await.unwrap_err(),
        audit.ack(&messages).await.unwrap_err(),
        audit.rewind(1).await.unwrap_err(),
        audit.state().await.unwrap_err(),
    ] {
        assert!(is_missing(&error), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_has_a_name() {
    let nats = TestNats::start_empty().await;
    let bus: Bus = nats.connect("audit").await;
    assert!(matches!(bus.stream_state(STREAM).await, Err(BusError::StreamMissing(name)) if name == STREAM));
    let asked = bus.message_id_at(STREAM, 1).await;
    assert!(matches!(asked, Err(BusError::StreamMissing(_))), "{asked:?}");
    let pulled = bus.consumer(STREAM, "audit").pull(&LIMITS).await;
    assert!(matches!(pulled, Err(BusError::StreamMissing(_))), "{pulled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_bound_a_pull_but_never_keep_back_the_largest_event() {
    const MIB: usize = 1 << 20;
    let nats = TestNats::start().await;
    let gateway = gateway(&nats).await;
    for (n, size) in [(1, 12 * MIB), (2, 12 * MIB), (3, 12 * MIB), (4, 25 * MIB)] {
        let (subject, headers, _) = event(n);
        gateway.publish(subject, headers, vec![b'x'; size].into()).await.unwrap();
    }
    let queue = nats.connect("phase_queue").await.consumer(STREAM, "phase_queue");
    let mut pulls = Vec::new();
    while pulls.iter().sum::<usize>() < 4 {
        let messages = queue.pull(&PullLimits { bytes: 1, ..LIMITS }).await.unwrap();
        pulls.push(messages.len());
    }
    assert_eq!(pulls, [2, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_id_at_a_sequence_can_be_asked_for() {
    let nats = TestNats::start().await;
    store(&gateway(&nats).await, 2).await;
    let audit = nats.connect("audit").await;
    assert_eq!(audit.message_id_at(STREAM, 2).await.unwrap().as_deref(), Some("github:d-2"));
    assert_eq!(audit.message_id_at(STREAM, 3).await.unwrap(), None);
}
