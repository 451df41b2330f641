//! What the trail records of an event.

use hookstream_event::{Envelope, attribute};
use hookstream_projection::{Claim, ClaimedEvent};
use hookstream_trail::{Hash, Micros, Record, kind};

/// Stream whose events the projection records.
pub(crate) const WEBHOOKS: &str = "WEBHOOKS";

/// Internal events by which somebody asks for something. The others report what happened.
const COMMANDS: [&str; 8] = [
    "phase.enqueued",
    "plan.enqueued",
    "phase.retried",
    "phase.dequeued",
    "phase.execution_requested",
    "queue.paused",
    "queue.resumed",
    "queue.configured",
];

/// Details of an event that no projection applied.
const NOT_APPLIED: &str = r#"{"applied":false}"#;

/// The record of an event.
pub(crate) fn of(claimed: &ClaimedEvent) -> Record {
    let ClaimedEvent { event, claim } = claimed;
    let envelope = &event.envelope;
    let is_command = envelope.event_type.internal_name().is_some_and(|name| COMMANDS.contains(&name));
    Record {
        kind: kind(*claim, is_command).to_owned(),
        stream: Some(WEBHOOKS.to_owned()),
        // The runner refuses a sequence beyond a bigint before anything is applied.
        stream_sequence: Some(i64::try_from(event.stream_sequence).unwrap_or(i64::MAX)),
        event_id: Some(envelope.id.as_str().to_owned()),
        source: Some(envelope.source().as_str().to_owned()),
        event_type: Some(envelope.event_type.as_str().to_owned()),
        body_sha256: Some(Hash(envelope.body_sha256.0)),
        signature: Some(envelope.signature.clone()),
        key_id: Some(envelope.key_id.clone()),
        actor: is_command.then(|| actor(envelope)),
        count: 1,
        details: if *claim == Claim::RejectedReplay { NOT_APPLIED } else { "{}" }.to_owned(),
        received_at: Micros::of(envelope.received_at),
        recorded_at: Micros::of(event.recorded_at),
    }
}

/// Who gave a command: whoever the backend says, else whoever has the key that signed it.
fn actor(envelope: &Envelope) -> String {
    let said = envelope.attributes.text(attribute::ACTOR);
    said.map_or_else(|| format!("key:{}", envelope.key_id), str::to_owned)
}

fn kind(claim: Claim, is_command: bool) -> &'static str {
    match claim {
        Claim::Fresh if is_command => kind::COMMAND,
        Claim::Fresh => kind::STORED,
        Claim::SuspectedReplay | Claim::RejectedReplay => kind::SUSPECTED_REPLAY,
        Claim::Redelivered => kind::REDELIVERED,
        Claim::Conflict => kind::CONFLICT,
    }
}
