//! Events that a projection gave up on, kept with the reason.

use hookstream_event::EventId;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::types::Json;

use crate::checkpoint::to_bigint;
use crate::{StoreError, Transaction, clean_json, clean_text};

/// A row of `dead_letters`.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Position in the stream.
    pub stream_sequence: u64,
    /// The event's id; none if the message could not be read.
    pub event_id: Option<EventId>,
    /// The message's subject.
    pub subject: String,
    /// A code, such as `undecodable` or `refused_by_postgres`.
    pub reason: String,
    /// What happened, for people.
    pub error: String,
    /// How often it was tried, from 0 for a message that could not be read.
    pub attempts: u32,
    /// The exact bytes; none where the consumer reads headers only.
    pub payload: Option<Vec<u8>>,
    /// The message's headers: name to value, or to a list of values.
    pub headers: Value,
    /// When the stream stored the event.
    pub recorded_at: OffsetDateTime,
}

/// Longest error text kept, in bytes.
const ERROR_BYTES_MAX: usize = 4096;

/// Keeps `letters`, in the transaction that moves the checkpoint past them. One that is there already is replaced.
pub async fn insert(
    tx: &Transaction<'_>,
    projection: &str,
    letters: &[DeadLetter],
) -> Result<(), StoreError> {
    if letters.is_empty() {
        return Ok(());
    }
    // One by one: payloads may be 25 MB each, and a batch of dead letters is rare.
    for letter in letters {
        let sequence = to_bigint(letter.stream_sequence)?;
        let attempts = i32::try_from(letter.attempts).unwrap_or(i32::MAX);
        let error = clean_text(&letter.error);
        let error = &error[..error.floor_char_boundary(ERROR_BYTES_MAX)];
        tx.execute(
            include_str!("dead_letters/insert.sql"),
            &[
                &projection,
                &sequence,
                &letter.event_id.as_ref().map(EventId::as_str),
                &clean_text(&letter.subject),
                &clean_text(&letter.reason),
                &error,
                &attempts,
                &letter.payload,
                &Json(clean_json(letter.headers.clone())),
                &letter.recorded_at,
            ],
        )
        .await?;
    }
    Ok(())
}
