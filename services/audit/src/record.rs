//! What the trail records of an event.

use hookstream_projection::{Claim, ClaimedEvent};
use hookstream_trail::{Hash, Micros, Record, kind};

/// Stream whose events the projection records.
pub(crate) const WEBHOOKS: &str = "WEBHOOKS";

/// The record of an event.
pub(crate) fn of(claimed: &ClaimedEvent) -> Record {
    let ClaimedEvent { event, claim } = claimed;
    let envelope = &event.envelope;
    Record {
        kind: kind(*claim).to_owned(),
        stream: Some(WEBHOOKS.to_owned()),
        // The runner refuses a sequence beyond a bigint before anything is applied.
        stream_sequence: Some(i64::try_from(event.stream_sequence).unwrap_or(i64::MAX)),
        event_id: Some(envelope.id.as_str().to_owned()),
        source: Some(envelope.source().as_str().to_owned()),
        event_type: Some(envelope.event_type.as_str().to_owned()),
        body_sha256: Some(Hash(envelope.body_sha256.0)),
        signature: Some(envelope.signature.clone()),
        key_id: Some(envelope.key_id.clone()),
        actor: None,
        count: 1,
        details: "{}".to_owned(),
        received_at: Micros::of(envelope.received_at),
        recorded_at: Micros::of(event.recorded_at),
    }
}

fn kind(claim: Claim) -> &'static str {
    match claim {
        Claim::Fresh => kind::STORED,
        Claim::SuspectedReplay | Claim::RejectedReplay => kind::SUSPECTED_REPLAY,
        Claim::Redelivered => kind::REDELIVERED,
        Claim::Conflict => kind::CONFLICT,
    }
}
