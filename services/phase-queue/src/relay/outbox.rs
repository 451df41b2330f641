use bytes::Bytes;
use hookstream_bus::Unsent;
use hookstream_event::header;
use hookstream_store::{Connection, PgSettings, Row, Statement, StoreError};
use time::OffsetDateTime;

use super::tail::Position;
use crate::announcement::payload;

/// Most announcements of one append.
const MESSAGES_MAX: i64 = 1000;

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

/// The outbox, on a session of its own.
pub(super) struct Outbox {
    pub(super) session: Connection,
    read: Statement,
    forget: Statement,
}

impl Outbox {
    pub(super) async fn open(settings: &PgSettings) -> Result<Self, StoreError> {
        let session = Connection::open(settings, "hookstream-phase-relay").await?;
        session.plan_for_lookups().await?;
        // What is deleted may come back after a crash: it is then passed over again.
        session.batch_execute("SET synchronous_commit = off").await?;
        let read = session.prepare(include_str!("read.sql")).await?;
        let forget = session.prepare(include_str!("forget.sql")).await?;
        Ok(Self { session, read, forget })
    }

    /// Reads what comes behind `position`.
    pub(super) async fn read(&self, position: Position) -> Result<Waiting, StoreError> {
        let Position { origin, cause, ordinal } = position;
        let limits = (MESSAGES_MAX, BYTES_MAX);
        let rows = self.session.query(&self.read, &[&cause, &ordinal, &limits.0, &limits.1]).await?;
        let mut waiting = Waiting { origin, told: Vec::with_capacity(rows.len()) };
        for row in &rows {
            waiting.origin = row.try_get("stream_created")?;
            if let Some(cause) = row.try_get("cause")? {
                waiting.told.push(told(row, cause)?);
            }
        }
        Ok(waiting)
    }

    /// Removes what is in the stream, up to `position`.
    pub(super) async fn forget(&self, position: Position) -> Result<(), StoreError> {
        let Position { origin, cause, ordinal } = position;
        self.session.execute(&self.forget, &[&origin, &cause, &ordinal]).await?;
        Ok(())
    }
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
        headers.insert(0, (header::MSG_ID.into(), format!("phase:{}", id.join("-"))));
        headers.push((header::CONTENT_TYPE.into(), "application/json".to_owned()));
        Unsent { subject: told.subject.clone(), headers, payload: told.payload.clone() }
    };
    waiting.told.iter().map(message).collect()
}
