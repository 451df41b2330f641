//! Reading along, in order, each message once.

use std::time::Duration;

use hookstream_bus::topology::Topology;
use hookstream_bus::{Ahead, Bus, BusError, Message, PullLimits, Reader, Selection, Start};
use hookstream_test_support::CutProxy;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::harness::{STREAM, event_on, gateway, provisioned, soon, store};

const LIMITS: PullLimits = PullLimits { messages: 7, bytes: 1 << 20, wait: Duration::from_millis(50) };

/// Reads until `count` messages are there, waiting out whatever happens meanwhile.
async fn read(reader: &mut Reader, count: usize) -> Vec<Message> {
    soon(async {
        let mut all = Vec::new();
        while all.len() < count {
            match reader.read(&LIMITS).await {
                Ok(messages) => all.extend(messages),
                // While there is no connection it fails at once, and whatever connects runs on this thread.
                Err(_) => tokio::task::yield_now().await,
            }
        }
        assert_eq!(all.len(), count);
        all
    })
    .await
}

fn sequences(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.stream_sequence).collect()
}

#[tokio::test]
async fn a_reader_begins_where_it_is_told_and_keeps_the_order() {
    let nats = provisioned(Topology::embedded()).await;
    store(&gateway(&nats).await, 20).await;
    let bus = nats.connect("operator").await;
    let mut reader = bus.reader(STREAM, Start::Sequence(3), Selection::default());
    let messages = read(&mut reader, 18).await;
    assert_eq!(sequences(&messages), (3..=20).collect::<Vec<_>>());
    assert_eq!(&messages[0].payload[..], br#"{"n":3}"#);
    let middle = Start::Time(messages[10].recorded_at);
    let mut reader = bus.reader(STREAM, middle, Selection::default());
    // Times are cut to the microsecond here, and the server's have nanoseconds.
    let first = read(&mut reader, 7).await[0].stream_sequence;
    assert_eq!(first, messages[10].stream_sequence);
    assert_eq!(reader.position(), Some(first + 7));
}

#[tokio::test]
async fn times_that_nothing_could_be_stored_at_are_before_or_behind_everything() {
    let nats = provisioned(Topology::embedded()).await;
    store(&gateway(&nats).await, 2).await;
    let bus = nats.connect("operator").await;
    let ahead = async |time| bus.ahead(STREAM, Start::Time(time), &Selection::default()).await.unwrap();
    for past in
        [datetime!(-0712-01-01 0:00 UTC), datetime!(1000-01-01 0:00 UTC), datetime!(1677-01-01 0:00 UTC)]
    {
        assert_eq!(ahead(past).await, Ahead { first: 1, messages: 2 }, "{past}");
    }
    for future in
        [datetime!(2200-01-01 0:00 UTC), datetime!(2300-01-01 0:00 UTC), datetime!(9999-12-31 0:00 UTC)]
    {
        assert_eq!(ahead(future).await, Ahead { first: 3, messages: 0 }, "{future}");
    }
}

#[tokio::test]
async fn a_reader_may_select_subjects_and_leave_payloads_out() {
    let nats = provisioned(Topology::embedded()).await;
    let publisher = gateway(&nats).await;
    store(&publisher, 2).await;
    let (subject, headers, body) = event_on("internal", "queue", "paused", 3);
    publisher.publish(subject, headers, body).await.unwrap();
    let bus = nats.connect("operator").await;
    let subjects = vec!["webhooks.internal.*.*".to_owned(), "webhooks.nobody.*.*".to_owned()];
    let selection = Selection { subjects, headers_only: true };
    let mut reader = bus.reader(STREAM, Start::Sequence(1), selection.clone());
    let messages = read(&mut reader, 1).await;
    assert_eq!(sequences(&messages), [3]);
    assert!(messages[0].payload.is_empty());
    assert!(messages[0].headers.contains(&("Nats-Msg-Size".to_owned(), "7".to_owned())));
    let all = bus.ahead(STREAM, Start::Sequence(1), &Selection::default()).await.unwrap();
    assert_eq!(all, Ahead { first: 1, messages: 3 });
    let some = bus.ahead(STREAM, Start::Sequence(2), &selection).await.unwrap();
    assert_eq!(some, Ahead { first: 2, messages: 1 });
    let none = bus.ahead(STREAM, Start::Time(OffsetDateTime::now_utc()), &selection).await.unwrap();
    assert_eq!(none, Ahead { first: 4, messages: 0 });
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was_after_the_server_restarted() {
    let nats = provisioned(Topology::embedded()).await;
    store(&gateway(&nats).await, 5).await;
    let bus = nats.connect("operator").await;
    let mut reader = bus.reader(STREAM, Start::New, Selection::default());
    assert_eq!(reader.read(&LIMITS).await.unwrap().len(), 0);
    nats.kill().await;
    nats.restart().await;
    // The consumer lived in the server's memory, and these are stored before the reader asks again.
    let publisher = gateway(&nats).await;
    for n in 6..=9 {
        let (subject, headers, body) = crate::harness::event(n);
        publisher.publish(subject, headers, body).await.unwrap();
    }
    assert_eq!(sequences(&read(&mut reader, 4).await), [6, 7, 8, 9]);
    reader.end().await;
}

#[tokio::test]
async fn a_large_message_is_waited_for_over_a_slow_connection() {
    let nats = provisioned(Topology::embedded()).await;
    let (subject, headers, _) = crate::harness::event(1);
    let body = vec![b'x'; 10 << 20];
    gateway(&nats).await.publish(subject, headers, body.into()).await.unwrap();
    let proxy = CutProxy::start(nats.client_addr()).await;
    let bus = Bus::connect(&nats.settings_at("operator", proxy.addr())).await.unwrap();
    bus.wait_connected(Duration::from_secs(10)).await.unwrap();
    // At most 64 KiB pass at once: some 4 MB a second.
    proxy.delay(Duration::from_millis(15));
    let mut reader = bus.reader(STREAM, Start::Sequence(1), Selection::default());
    assert_eq!(read(&mut reader, 1).await[0].payload.len(), 10 << 20);
}

#[tokio::test]
async fn a_reader_takes_its_consumer_away_and_names_a_missing_stream() {
    let nats = provisioned(Topology::embedded()).await;
    store(&gateway(&nats).await, 1).await;
    let bus = nats.connect("operator").await;
    let mut reader = bus.reader(STREAM, Start::Sequence(1), Selection::default());
    read(&mut reader, 1).await;
    reader.end().await;
    let plain = crate::harness::plain(&nats, "operator").await;
    let names = plain.request("$JS.API.CONSUMER.NAMES.WEBHOOKS", "".into()).await.unwrap();
    let names = String::from_utf8_lossy(&names.payload).into_owned();
    assert!(names.contains("audit") && !names.contains("reader_"), "{names}");
    let missing = bus.reader("NONE", Start::New, Selection::default()).read(&LIMITS).await;
    assert!(matches!(missing, Err(BusError::StreamMissing(_))), "{missing:?}");
}
