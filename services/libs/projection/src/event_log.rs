//! The structured event log: a line for what became of each event. Off unless asked for, since it is a line per event:
//! `HOOKSTREAM_LOG=info,events=debug`.

use std::collections::HashSet;

use time::OffsetDateTime;
use tracing::Level;

use crate::batch::Batch;
use crate::commit::Committed;
use crate::{Claim, Projection};

/// What the lines are filtered by.
const TARGET: &str = "events";

/// Writes the lines of a batch whose effects are committed.
pub(crate) fn write<P: Projection>(batch: &Batch, committed: &Committed) {
    if !tracing::enabled!(target: TARGET, Level::DEBUG) {
        return;
    }
    let dead: HashSet<u64> = committed.dead_letters.iter().map(|letter| letter.stream_sequence).collect();
    let now = OffsetDateTime::now_utc();
    for claimed in batch.given().iter().chain(batch.repeats()) {
        let (event, envelope) = (&claimed.event, &claimed.event.envelope);
        let disposition = match claimed.claim {
            _ if dead.contains(&event.stream_sequence) => "dead_letter",
            Claim::Fresh => "applied",
            other => other.as_str(),
        };
        let (id, stream_sequence) = (envelope.id.as_str(), event.stream_sequence);
        let latency_ms = u64::try_from((now - envelope.received_at).whole_milliseconds()).unwrap_or_default();
        tracing::debug!(
            target: TARGET,
            projection = P::NAME,
            disposition,
            event.id = id,
            event.r#type = envelope.event_type.as_str(),
            stream_sequence,
            latency_ms,
            "{} {disposition} event {id} at {stream_sequence}",
            P::NAME
        );
    }
}
