//! What several modules share: events, logins, and a server with other bounds.

use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use hookstream_bus::topology::Topology;
use hookstream_bus::{Consumer, Publisher, Receipt};
use hookstream_event::{
    Attributes, BodyDigest, Envelope, EventId, EventType, Header, Source, Subject, Token, attribute,
};
use hookstream_test_support::TestNats;
use time::macros::datetime;

/// Longer than anything here takes, short enough for a test that hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// So long that only what the test waits for can end it.
pub(crate) const FOREVER: Duration = Duration::from_hours(1);

pub(crate) const STREAM: &str = "WEBHOOKS";

/// A server with these streams and consumers.
pub(crate) async fn provisioned(topology: Topology) -> TestNats {
    let nats = TestNats::start_empty().await;
    let operator = nats.connect("operator").await;
    let missing = topology.plan(&operator).await.unwrap();
    assert_eq!(topology.apply(&operator, &missing).await.unwrap(), []);
    nats
}

/// How a plain NATS client logs in.
pub(crate) fn login(nats: &TestNats, role: &str) -> ConnectOptions {
    ConnectOptions::with_user_and_password(role.to_owned(), nats.password(role))
}

/// A plain NATS client, as an operator or another team has one.
pub(crate) async fn plain(nats: &TestNats, role: &str) -> Client {
    login(nats, role).connect(nats.client_addr().to_string()).await.unwrap()
}

/// The publisher of a gateway, with the budget that it has by default.
pub(crate) async fn gateway(nats: &TestNats) -> Publisher {
    nats.connect("gateway").await.publisher(Duration::from_secs(4))
}

/// Whether somebody pulls from the consumer at this moment.
pub(crate) async fn is_waited_on(consumer: &Consumer) -> bool {
    consumer.state().await.is_ok_and(|state| state.waiting == 1)
}

/// What must end by itself, before the deadline.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("it ends before the deadline")
}

/// An event that a gateway could have made: number `n`, on `issues.opened` of GitHub.
pub(crate) fn event(n: u64) -> (String, Vec<Header>, Bytes) {
    event_on("github", "issues", "opened", n)
}

pub(crate) fn event_on(source: &str, event: &str, action: &str, n: u64) -> (String, Vec<Header>, Bytes) {
    let token = |text| Token::parse(text).unwrap();
    let subject = Subject { source: token(source), event: token(event), action: token(action) };
    let body = Bytes::from(format!(r#"{{"n":{n}}}"#));
    let mut attributes = Attributes::default();
    attributes.set(attribute::ISSUE, "42");
    let envelope = Envelope {
        id: EventId::new(&Source::parse(source).unwrap(), &format!("d-{n}")).unwrap(),
        id_derived: false,
        event_type: EventType::join("com.github", [&subject.event, &subject.action]),
        origin: "https://api.github.com/repos/octo-org/octo-repo".to_owned(),
        about: Some("42".to_owned()),
        occurred_at: datetime!(2026-11-23 10:00 UTC),
        received_at: datetime!(2026-11-23 10:00:01 UTC),
        content_type: "application/json".to_owned(),
        body_sha256: BodyDigest::of(&body),
        signature: "sha256=00".to_owned(),
        key_id: "current".to_owned(),
        attributes,
        traceparent: None,
        suspected_replay: false,
    };
    (subject.ingest(), envelope.to_headers(), body)
}

/// Stores events 1 to `count` and returns where.
pub(crate) async fn store(publisher: &Publisher, count: u64) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for n in 1..=count {
        let (subject, headers, body) = event(n);
        receipts.push(publisher.publish(subject, headers, body).await.unwrap());
    }
    receipts
}
