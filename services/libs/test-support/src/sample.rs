use std::time::Duration;

use bytes::Bytes;
use hookstream_bus::{Publisher, Receipt};
use hookstream_event::{
    BodyDigest, Description, Envelope, EventId, RecordedEvent, Source, Subject, Token, github, internal,
};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::datetime;

/// An event as a gateway would append it, for tests that need no gateway. Its fields may be changed before use.
#[derive(Debug, Clone)]
pub struct SampleEvent {
    /// Where it is published.
    pub subject: Subject,
    /// Its headers.
    pub envelope: Envelope,
    /// Its body.
    pub payload: Vec<u8>,
}

/// When a sample was received that is not published, unless [`SampleEvent::received_at`] says otherwise.
const RECEIVED_AT: OffsetDateTime = datetime!(2026-11-23 10:00:00.125 UTC);

impl SampleEvent {
    /// A webhook of GitHub's: `event` as in `X-GitHub-Event`.
    pub fn github(event: &str, delivery_id: &str, body: &Value) -> Self {
        let payload = body.to_string().into_bytes();
        let event = Token::parse(event).expect("the name of an event");
        let description = github::describe(&event, &payload, RECEIVED_AT);
        let description = description.unwrap_or_else(|error| panic!("not a body of {event}: {error}"));
        Self::of(&Source::github(), delivery_id, description, payload)
    }

    /// An internal event: `body` has its `type`.
    pub fn internal(delivery_id: &str, body: &Value) -> Self {
        let payload = body.to_string().into_bytes();
        let event = internal::decode(&payload, None);
        let event = event.unwrap_or_else(|error| panic!("not an internal event: {error}: {body}"));
        Self::of(&Source::internal(), delivery_id, event.describe(RECEIVED_AT), payload)
    }

    fn of(source: &Source, delivery_id: &str, description: Description, payload: Vec<u8>) -> Self {
        let envelope = Envelope {
            id: EventId::new(source, delivery_id).expect("a delivery id"),
            id_derived: false,
            event_type: description.event_type,
            origin: description.origin,
            about: description.about,
            occurred_at: description.occurred_at,
            received_at: RECEIVED_AT,
            content_type: "application/json".to_owned(),
            body_sha256: BodyDigest::of(&payload),
            signature: format!("sha256={}", BodyDigest::of(delivery_id.as_bytes())),
            key_id: "current".to_owned(),
            attributes: description.attributes,
            traceparent: None,
            suspected_replay: false,
        };
        Self { subject: description.subject, envelope, payload }
    }

    /// The same, received at another time.
    #[must_use]
    pub fn received_at(mut self, time: OffsetDateTime) -> Self {
        self.envelope.received_at = time;
        self
    }

    /// The same with another attribute, such as `adw-id`.
    #[must_use]
    pub fn with_attribute(mut self, name: &str, value: &str) -> Self {
        self.envelope.attributes.set(name, value);
        self
    }

    /// What a projection that reads headers only is given of it, at this position of the stream. Recorded a quarter of
    /// a second after it was received.
    pub fn recorded(&self, stream_sequence: u64) -> RecordedEvent {
        RecordedEvent {
            stream_sequence,
            recorded_at: self.envelope.received_at + Duration::from_millis(250),
            attempt: 1,
            subject: self.subject.clone(),
            envelope: self.envelope.clone(),
            payload: Vec::new(),
            payload_bytes: self.payload.len() as u64,
        }
    }

    /// Appends it to the stream. The publisher's user must be one that may, such as `gateway`. If nobody chose a time, it
    /// is received now: what is older than seven days, projections forget at once.
    pub async fn publish(&self, publisher: &Publisher) -> Receipt {
        let payload = Bytes::from(self.payload.clone());
        let mut envelope = self.envelope.clone();
        if envelope.received_at == RECEIVED_AT {
            envelope.received_at = OffsetDateTime::now_utc();
        }
        let receipt = publisher.publish(self.subject.ingest(), envelope.to_headers(), payload).await;
        receipt.unwrap_or_else(|error| panic!("{} was not stored: {error}", self.envelope.id))
    }
}
