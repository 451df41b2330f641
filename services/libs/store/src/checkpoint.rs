//! How far a projection has come, and who may move it.
//!
//! **Invariant:** a checkpoint moves only in the transaction that holds the effects of the events it passes, and only
//! from where the mover believes it to be, in the epoch the mover took over with.

use time::OffsetDateTime;
use tokio_postgres::{Client, GenericClient, Row};

use crate::{StoreError, Transaction};

/// A row of `projection_checkpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The projection's name.
    pub projection: String,
    /// The stream it reads.
    pub stream: String,
    /// When that stream was created, to the microsecond: tells a recreated stream from the one we knew.
    pub stream_created: OffsetDateTime,
    /// Last stream sequence whose effects are committed here; 0 before the first.
    pub sequence: u64,
    /// `Nats-Msg-Id` of the message at `sequence`, if it had one and we have seen it.
    pub message_id: Option<String>,
    /// Counts leaders, from 1; a commit of an older epoch is refused.
    pub epoch: i64,
    /// Counts rebuilds of the tables, from 1.
    pub generation: i32,
}

/// The checkpoint of `projection`, if it ever ran here.
pub async fn load<C: GenericClient + Sync>(
    client: &C,
    projection: &str,
) -> Result<Option<Checkpoint>, StoreError> {
    let row = client.query_opt(include_str!("checkpoint/load.sql"), &[&projection]).await?;
    row.map(|row| read(&row)).transpose()
}

/// Starts a new epoch and returns the checkpoint as it stands; creates it at `start` if there is none.
///
/// From now on every commit of an earlier leader fails as [`StoreError::Fenced`].
pub async fn take_over(
    client: &Client,
    projection: &str,
    stream: &str,
    stream_created: OffsetDateTime,
    start: u64,
) -> Result<Checkpoint, StoreError> {
    let start = to_bigint(start)?;
    let row = client
        .query_one(include_str!("checkpoint/take_over.sql"), &[&projection, &stream, &stream_created, &start])
        .await?;
    read(&row)
}

/// Moves the checkpoint from `from` to `sequence`, within the transaction that holds the effects up to there.
///
/// Locks the row until the transaction ends, so call it first: a fenced leader then learns it before it writes.
pub async fn advance(
    tx: &Transaction<'_>,
    from: &Checkpoint,
    sequence: u64,
    message_id: Option<&str>,
) -> Result<Checkpoint, StoreError> {
    let (previous, next) = (to_bigint(from.sequence)?, to_bigint(sequence)?);
    let moved = tx
        .execute(
            include_str!("checkpoint/advance.sql"),
            &[&from.projection, &from.epoch, &previous, &next, &message_id],
        )
        .await?;
    if moved == 0 {
        return Err(StoreError::Fenced { projection: from.projection.clone() });
    }
    Ok(Checkpoint { sequence, message_id: message_id.map(str::to_owned), ..from.clone() })
}

fn read(row: &Row) -> Result<Checkpoint, StoreError> {
    let sequence: i64 = row.try_get("sequence")?;
    Ok(Checkpoint {
        projection: row.try_get("projection")?,
        stream: row.try_get("stream")?,
        stream_created: row.try_get("stream_created")?,
        sequence: u64::try_from(sequence).map_err(|_| StoreError::OutOfRange { column: "sequence" })?,
        message_id: row.try_get("message_id")?,
        epoch: row.try_get("epoch")?,
        generation: row.try_get("generation")?,
    })
}

/// A stream sequence as a `bigint`.
pub(crate) fn to_bigint(sequence: u64) -> Result<i64, StoreError> {
    i64::try_from(sequence).map_err(|_| StoreError::OutOfRange { column: "stream_sequence" })
}
