use bytes::Bytes;
use hookstream_bus::Unsent;
use hookstream_event::header;
use hookstream_store::{Client, Row, StoreError};
use time::OffsetDateTime;

use super::tail::Position;
use crate::announcement::payload;

/// Most announcements of one append.
const MESSAGES_MAX: i64 = 256;

/// Once these hold so many bytes, the rest waits for the next append.
const BYTES_MAX: i64 = 1 << 20;

/// What waits in the outbox, in order.
pub(super) struct Waiting {
    /// When the stream was created that the causes count in.
    pub(super) origin: OffsetDateTime,
    pub(super) told: Vec<Told>,
}

/// One announcement.
pub(super) struct Told {
    pub(super) cause: i64,
    pub(super) ordinal: i32,
    pub(super) queue_id: String,
    pub(super) subject: String,
    payload: Bytes,
}

/// Reads what comes behind `position`.
pub(super) async fn read(session: &Client, position: Position) -> Result<Waiting, StoreError> {
    let Position { origin, cause, ordinal } = position;
    let limits = (MESSAGES_MAX, BYTES_MAX);
    let rows = session.query(include_str!("read.sql"), &[&cause, &ordinal, &limits.0, &limits.1]).await?;
    let mut waiting = Waiting { origin, told: Vec::with_capacity(rows.len()) };
    for row in &rows {
        waiting.origin = row.try_get("stream_created")?;
        if let Some(cause) = row.try_get("cause")? {
            waiting.told.push(told(row, cause)?);
        }
    }
    Ok(waiting)
}

fn told(row: &Row, cause: i64) -> Result<Told, StoreError> {
    let payload = payload(row.try_get("phase")?, row.try_get("phase_data")?);
    Ok(Told {
        cause,
        ordinal: row.try_get("ordinal")?,
        queue_id: row.try_get("queue_id")?,
        subject: row.try_get("subject")?,
        payload: payload.into(),
    })
}

/// The messages that carry them.
pub(super) fn messages(waiting: &Waiting) -> Vec<Unsent> {
    let message = |told: &Told| {
        let position = Position { origin: waiting.origin, cause: told.cause, ordinal: told.ordinal };
        let mut headers = position.headers();
        let id: Vec<&str> = headers.iter().map(|(_, value)| value.as_str()).collect();
        headers.insert(0, (header::MSG_ID.to_owned(), format!("phase:{}", id.join("-"))));
        headers.push((header::CONTENT_TYPE.to_owned(), "application/json".to_owned()));
        Unsent { subject: told.subject.clone(), headers, payload: told.payload.clone() }
    };
    waiting.told.iter().map(message).collect()
}

/// Removes what is in the stream, up to `position`.
pub(super) async fn forget(session: &Client, position: Position) -> Result<(), StoreError> {
    let Position { origin, cause, ordinal } = position;
    session.execute(include_str!("forget.sql"), &[&origin, &cause, &ordinal]).await?;
    Ok(())
}
