//! What the trail records of an event.

use hookstream_projection::{Claim, ClaimedEvent};

use crate::chain::{Micros, Record};

/// The record of an event.
pub(crate) fn of(claimed: &ClaimedEvent) -> Record {
    let ClaimedEvent { event, claim } = claimed;
    let envelope = &event.envelope;
    Record {
        kind: kind(*claim).to_owned(),
        event_id: envelope.id.as_str().to_owned(),
        // The runner refuses a sequence beyond a bigint before anything is applied.
        stream_sequence: i64::try_from(event.stream_sequence).unwrap_or(i64::MAX),
        source: envelope.source().as_str().to_owned(),
        event_type: envelope.event_type.as_str().to_owned(),
        body_sha256: envelope.body_sha256,
        signature: envelope.signature.clone(),
        key_id: envelope.key_id.clone(),
        received_at: Micros::of(envelope.received_at),
        recorded_at: Micros::of(event.recorded_at),
    }
}

fn kind(claim: Claim) -> &'static str {
    match claim {
        Claim::Fresh => "stored",
        Claim::SuspectedReplay => "suspected_replay",
        Claim::Redelivered => "redelivered",
        Claim::Conflict => "conflict",
    }
}
