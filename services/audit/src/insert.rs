//! Entries become columns, and one statement.

use hookstream_store::{StoreError, Transaction};
use time::OffsetDateTime;

use crate::chain::{Entry, Micros, VERSION};

/// Inserts `entries`, all of [`VERSION`], in one statement.
pub(crate) async fn insert(tx: &Transaction<'_>, entries: &[Entry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let statement = tx.prepare(include_str!("sql/insert.sql")).await?;
    tx.execute(
        &statement,
        &[
            &column(entries, |entry| entry.audit_sequence),
            &column(entries, |entry| entry.record.stream_sequence),
            &times(entries, "received_at", |entry| entry.record.received_at)?,
            &times(entries, "recorded_at", |entry| entry.record.recorded_at)?,
            &VERSION,
            &column(entries, |entry| entry.record.kind.as_str()),
            &column(entries, |entry| entry.record.event_id.as_str()),
            &column(entries, |entry| entry.record.source.as_str()),
            &column(entries, |entry| entry.record.event_type.as_str()),
            &column(entries, |entry| &entry.record.body_sha256.as_bytes()[..]),
            &column(entries, |entry| entry.record.signature.as_str()),
            &column(entries, |entry| entry.record.key_id.as_str()),
            &column(entries, |entry| &entry.previous_hash.0[..]),
            &column(entries, |entry| &entry.entry_hash.0[..]),
        ],
    )
    .await?;
    Ok(())
}

fn column<'e, T>(entries: &'e [Entry], value: impl Fn(&'e Entry) -> T) -> Vec<T> {
    entries.iter().map(value).collect()
}

fn times(
    entries: &[Entry],
    column: &'static str,
    value: impl Fn(&Entry) -> Micros,
) -> Result<Vec<OffsetDateTime>, StoreError> {
    let time = |entry| value(entry).to_time().ok_or(StoreError::OutOfRange { column });
    entries.iter().map(time).collect()
}
