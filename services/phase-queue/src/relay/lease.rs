//! Notices announced phases that nobody begins. That a lease has expired is an event like any other: it goes through the
//! stream, so the tables stay what the stream makes of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookstream_event::{BodyDigest, Envelope, EventId, Source, internal};
use hookstream_store::{Client, StoreError};
use serde_json::json;
use time::OffsetDateTime;

use super::outbox::Told;
use super::{Broken, Relay, within};

/// Most leases that are looked at together.
const LEASES_MAX: i64 = 100;

/// Longest time for one event to be stored.
const APPEND_LIMIT: Duration = Duration::from_secs(4);

/// Who says so, where other events have the id of the key that signed them: the server let only the phase queue publish.
const KEY_ID: &str = "phase_queue";

pub(super) struct Leases {
    lease: Duration,
    /// When we appended the announcement, or noted that it went unheard, by queue id. An event may wait long before it
    /// is announced, and its time says nothing of that.
    told: HashMap<String, Instant>,
    looked_at: Instant,
}

/// An announcement that went unheard.
struct Unheard {
    queue_id: String,
    phase_number: i32,
    queue_position: i64,
    announcement: i32,
}

impl Leases {
    pub(super) fn new(lease: Duration) -> Self {
        Self { lease, told: HashMap::new(), looked_at: Instant::now() }
    }

    /// How often to look for leases that have expired.
    pub(super) fn look_every(&self) -> Duration {
        (self.lease / 4).clamp(Duration::from_millis(50), Duration::from_secs(5))
    }

    /// Notes what was announced just now.
    pub(super) fn announced(&mut self, told: &[Told]) {
        let ready = told.iter().filter(|told| told.subject.rsplit('.').next() == Some("ready"));
        self.told.extend(ready.map(|told| (told.queue_id.clone(), Instant::now())));
    }

    /// Looks, if it is time to. Everything in the outbox must have been announced.
    pub(super) async fn look(&mut self, relay: &Relay, session: &Client) -> Result<(), Broken> {
        if self.looked_at.elapsed() < self.look_every() {
            return Ok(());
        }
        self.looked_at = Instant::now();
        let lease = self.lease;
        self.told.retain(|_, at| at.elapsed() < lease);
        let before = OffsetDateTime::now_utc() - lease;
        for unheard in within(unheard(session, before)).await? {
            if self.told.contains_key(&unheard.queue_id) {
                continue;
            }
            relay.note_expired(&unheard).await?;
            self.told.insert(unheard.queue_id, Instant::now());
        }
        Ok(())
    }
}

async fn unheard(session: &Client, before: OffsetDateTime) -> Result<Vec<Unheard>, StoreError> {
    let rows = session.query(include_str!("unheard.sql"), &[&before, &LEASES_MAX]).await?;
    let read = |row: &hookstream_store::Row| {
        Ok(Unheard {
            queue_id: row.try_get("queue_id")?,
            phase_number: row.try_get("phase_number")?,
            queue_position: row.try_get("queue_position")?,
            announcement: row.try_get("announcements")?,
        })
    };
    rows.iter().map(read).collect()
}

impl Relay {
    async fn note_expired(&self, unheard: &Unheard) -> Result<(), Broken> {
        let Unheard { queue_id, phase_number, queue_position, announcement } = unheard;
        let body = json!({"type": "phase.lease_expired", "queue_id": queue_id, "announcement": announcement});
        let payload = body.to_string().into_bytes();
        let event = internal::decode(&payload, None).expect("ids of the table are ids of events");
        let now = OffsetDateTime::now_utc();
        let description = event.describe(now);
        // The same for every attempt, and for no other announcement.
        let id = format!("lease-{queue_position}-{phase_number}-{announcement}");
        let envelope = Envelope {
            id: EventId::new(&Source::internal(), &id).expect("letters, digits and hyphens"),
            id_derived: false,
            event_type: description.event_type,
            origin: description.origin,
            about: description.about,
            occurred_at: description.occurred_at,
            received_at: now,
            content_type: "application/json".to_owned(),
            body_sha256: BodyDigest::of(&payload),
            signature: "none".to_owned(),
            key_id: KEY_ID.to_owned(),
            attributes: description.attributes,
            traceparent: None,
            suspected_replay: false,
        };
        let publisher = self.bus.publisher(APPEND_LIMIT);
        let (subject, headers) = (description.subject.ingest(), envelope.to_headers());
        publisher.publish(subject, headers, Bytes::from(payload)).await.map_err(Broken::Lease)?;
        self.metrics.expired.inc();
        tracing::warn!(
            event.id = envelope.id.as_str(),
            "nobody began phase {queue_id} in time (announcement {announcement}): it is announced again"
        );
        Ok(())
    }
}
