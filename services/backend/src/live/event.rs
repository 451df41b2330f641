use hookstream_bus::{Received, StoredMessage};
use hookstream_event::{Envelope, Subject};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// An event as readers get it: where it stands, and what its envelope says. Never its body, which may be 25 MiB.
#[derive(Debug)]
pub(crate) struct LiveEvent {
    pub(crate) sequence: u64,
    /// Who sent it.
    pub(crate) source: String,
    /// As server-sent events have it, with the empty line at the end.
    pub(crate) text: String,
}

impl LiveEvent {
    /// An event as the stream republishes it; `None` if it is none.
    pub(super) fn republished(received: &Received) -> Option<Self> {
        let sequence = received.header("Nats-Sequence")?.parse().ok()?;
        Some(Self::new(
            sequence,
            received.header("Nats-Subject")?,
            received.header("Nats-Time-Stamp").unwrap_or_default(),
            &received.headers,
        ))
    }

    /// An event as the stream holds it.
    pub(super) fn stored(stored: &StoredMessage) -> Self {
        let recorded_at = rfc3339(stored.recorded_at);
        Self::new(stored.stream_sequence, &stored.subject, &recorded_at, &stored.headers)
    }

    fn new(sequence: u64, subject: &str, recorded_at: &str, headers: &[(String, String)]) -> Self {
        let source = Subject::parse_stored(subject).map(|subject| subject.source.to_string());
        let recorded_at = OffsetDateTime::parse(recorded_at, &Rfc3339).map(rfc3339_micros).ok();
        let mut data = json!({ "sequence": sequence, "subject": subject, "recorded_at": recorded_at });
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // What is no event of ours is told all the same: it has a place in the stream.
        if let (Ok(envelope), Some(data)) = (Envelope::from_headers(headers), data.as_object_mut()) {
            describe(data, &envelope);
        }
        let text = format!("id: {sequence}\ndata: {data}\n\n");
        Self { sequence, source: source.unwrap_or_default(), text }
    }
}

fn describe(data: &mut Map<String, Value>, envelope: &Envelope) {
    let attributes: Map<String, Value> =
        envelope.attributes.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let described = json!({
        "event_id": envelope.id.as_str(),
        "event_type": envelope.event_type.as_str(),
        "source": envelope.source().as_str(),
        "origin": envelope.origin,
        "about": envelope.about,
        "occurred_at": rfc3339(envelope.occurred_at),
        "received_at": rfc3339(envelope.received_at),
        "content_type": envelope.content_type,
        "body_sha256": envelope.body_sha256.to_string(),
        "key_id": envelope.key_id,
        "attributes": attributes,
    });
    if let Value::Object(described) = described {
        data.extend(described);
    }
}

/// Whole microseconds, as everywhere else: republished times have more digits.
fn rfc3339_micros(time: OffsetDateTime) -> String {
    rfc3339(time.replace_nanosecond(time.microsecond() * 1000).unwrap_or(time))
}

fn rfc3339(time: OffsetDateTime) -> String {
    // Fails only for years that no clock of a server has.
    time.format(&Rfc3339).unwrap_or_default()
}
