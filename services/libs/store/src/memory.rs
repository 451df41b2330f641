//! Each projection's memory of the event ids and bodies it has seen in the last seven days.
//!
//! The broker forgets an id after 30 s and a sender may redeliver days later, so the memory is what keeps an event
//! from being applied twice. It is written in the transaction that holds the event's effects.

use std::collections::BTreeSet;

use hookstream_event::{BodyDigest, EventId};
use time::{Date, Duration, OffsetDateTime};
use tokio_postgres::Client;

use crate::checkpoint::to_bigint;
use crate::{StoreError, Transaction};

/// How long an id and a digest are remembered, counted from when the gateway received them.
pub const HORIZON: Duration = Duration::days(7);

/// A row of `event_memory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Position in the stream.
    pub stream_sequence: u64,
    /// The event's id.
    pub event_id: EventId,
    /// CloudEvents type.
    pub event_type: String,
    /// Digest of the payload.
    pub body_sha256: BodyDigest,
    /// Run of an automated developer workflow, if the event names one.
    pub adw_id: Option<String>,
    /// Issue that the event is about, if it names one.
    pub issue_number: Option<i64>,
    /// When the gateway received it.
    pub received_at: OffsetDateTime,
    /// The id was derived from the body, so it does not count as seen.
    pub id_derived: bool,
    /// False for an event that became a dead letter.
    pub processed: bool,
}

/// What the memory holds of some ids and digests, each as it was seen last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recalled {
    /// Known ids, with the digest and time of the event that brought them.
    pub ids: Vec<(String, BodyDigest, OffsetDateTime)>,
    /// Known digests, with the latest time one came under an id that was not derived.
    pub digests: Vec<(BodyDigest, OffsetDateTime)>,
}

/// Recalls what is known of `ids` and `digests`, in one query. Entries older than [`HORIZON`] may be among them until
/// they are forgotten: the caller compares times.
pub async fn recall(
    tx: &Transaction<'_>,
    projection: &str,
    ids: &[&str],
    digests: &[BodyDigest],
) -> Result<Recalled, StoreError> {
    let digests: Vec<&[u8]> = digests.iter().map(|digest| &digest.as_bytes()[..]).collect();
    let rows = tx.query(include_str!("memory/recall.sql"), &[&projection, &ids, &digests]).await?;
    let mut recalled = Recalled::default();
    for row in rows {
        let digest: &[u8] = row.try_get("body_sha256")?;
        let digest = digest.try_into().map_err(|_| StoreError::OutOfRange { column: "body_sha256" })?;
        let received_at = row.try_get("received_at")?;
        match row.try_get::<_, Option<String>>("webhook_id")? {
            Some(id) => recalled.ids.push((id, BodyDigest(digest), received_at)),
            None => recalled.digests.push((BodyDigest(digest), received_at)),
        }
    }
    Ok(recalled)
}

/// Remembers events, in one statement, and makes the partitions of their days before.
pub async fn remember(
    tx: &Transaction<'_>,
    projection: &str,
    events: &[Remembered],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let days: BTreeSet<Date> = events.iter().map(|event| event.received_at.to_utc().date()).collect();
    let days: Vec<Date> = days.into_iter().collect();
    tx.execute(include_str!("memory/make_partitions.sql"), &[&projection, &days]).await?;
    let mut columns = Columns::default();
    for event in events {
        columns.push(event)?;
    }
    tx.execute(
        include_str!("memory/remember.sql"),
        &[
            &projection,
            &columns.stream_sequence,
            &columns.webhook_id,
            &columns.webhook_type,
            &columns.source,
            &columns.body_sha256,
            &columns.adw_id,
            &columns.issue_number,
            &columns.received_at,
            &columns.id_derived,
            &columns.processed,
        ],
    )
    .await?;
    Ok(())
}

/// Marks events that were remembered and became dead letters.
pub async fn mark_unprocessed(
    tx: &Transaction<'_>,
    projection: &str,
    stream_sequences: impl IntoIterator<Item = u64>,
) -> Result<(), StoreError> {
    let sequences: Vec<i64> = stream_sequences.into_iter().map(to_bigint).collect::<Result<_, _>>()?;
    if sequences.is_empty() {
        return Ok(());
    }
    tx.execute(include_str!("memory/mark_unprocessed.sql"), &[&projection, &sequences]).await?;
    Ok(())
}

/// Forgets the oldest day of `projection` by dropping its partition, if all of it was received before `before`; returns
/// how many events it had. `None` if there is no such day, or if somebody reads it just now.
pub async fn forget_a_day(
    client: &Client,
    projection: &str,
    before: OffsetDateTime,
) -> Result<Option<u64>, StoreError> {
    let row = client.query_one(include_str!("memory/forget.sql"), &[&projection, &before]).await?;
    Ok(row.try_get::<_, Option<i64>>("rows")?.map(i64::unsigned_abs))
}

/// The events, column by column, as `unnest` takes them.
#[derive(Default)]
struct Columns<'e> {
    stream_sequence: Vec<i64>,
    webhook_id: Vec<&'e str>,
    webhook_type: Vec<&'e str>,
    source: Vec<&'e str>,
    body_sha256: Vec<&'e [u8]>,
    adw_id: Vec<Option<&'e str>>,
    issue_number: Vec<Option<i64>>,
    received_at: Vec<OffsetDateTime>,
    id_derived: Vec<bool>,
    processed: Vec<bool>,
}

impl<'e> Columns<'e> {
    fn push(&mut self, event: &'e Remembered) -> Result<(), StoreError> {
        self.stream_sequence.push(to_bigint(event.stream_sequence)?);
        self.webhook_id.push(event.event_id.as_str());
        self.webhook_type.push(&event.event_type);
        self.source.push(event.event_id.source().as_str());
        self.body_sha256.push(event.body_sha256.as_bytes());
        self.adw_id.push(event.adw_id.as_deref());
        self.issue_number.push(event.issue_number);
        self.received_at.push(event.received_at);
        self.id_derived.push(event.id_derived);
        self.processed.push(event.processed);
        Ok(())
    }
}
