//! Going on behind a gap, openly: an entry says what is missing.

use hookstream_bus::{Bus, BusError};
use hookstream_projection::{Projection as _, StreamChanged, recognise};
use hookstream_store::checkpoint::{self, Checkpoint as Position};
use hookstream_store::types::Type;
use hookstream_store::{Connection, StoreError, Transaction};
use hookstream_trail::resumption::{Lost, StreamGap};
use hookstream_trail::{Checkpoint, Micros, Record, Resumption, kind};
use time::OffsetDateTime;

use crate::compare::fits;
use crate::{Audit, Trail, size_of};

/// The trail was not resumed.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// Postgres refused or was away; or the end of the trail itself is broken, which no resumption mends.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// NATS was away.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The trail is about another stream.
    #[error("{0}")]
    OtherStream(StreamChanged),
}

/// Appends an entry that says what is missing, and sets the projection to where the stream can be followed from; `None`
/// if nothing is missing.
///
/// `outside` are checkpoints that left the database: those that do not fit are lost. An older leader is fenced.
pub async fn resume(
    connection: &mut Connection,
    bus: &Bus,
    outside: &[Checkpoint],
    reason: Option<String>,
    now: OffsetDateTime,
) -> Result<Option<Resumption>, ResumeError> {
    let tx = connection.transaction().await.map_err(StoreError::from)?;
    let trail = Trail::default();
    // Locks the end; nobody appends meanwhile.
    trail.append(&tx, Vec::new()).await?;
    let mut lost: Option<Lost> = None;
    for checkpoint in outside {
        let Checkpoint { size, root, .. } = *checkpoint;
        if fits(&*tx, checkpoint).await?.is_err() && lost.as_ref().is_none_or(|lost| lost.size < size) {
            lost = Some(Lost { size, root });
        }
    }
    let position = checkpoint::load(&*tx, Audit::NAME).await?;
    let stream = match &position {
        Some(position) => stream_gap(&tx, bus, position).await?,
        None => None,
    };
    if lost.is_none() && stream.is_none() {
        return Ok(None);
    }
    let resumption = Resumption { kept: size_of(&*tx).await?, lost, stream, reason };
    let now = Micros::of(now);
    trail.append(&tx, vec![record(&resumption, now)]).await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Some(resumption))
}

/// If the stream is not the one that was followed, follows it as it is from its beginning.
async fn stream_gap(
    tx: &Transaction<'_>,
    bus: &Bus,
    position: &Position,
) -> Result<Option<StreamGap>, ResumeError> {
    let state = bus.stream_state(&position.stream).await?;
    let changed = match recognise(bus, position, &state).await? {
        Ok(()) => return Ok(None),
        Err(other @ StreamChanged::OtherStream { .. }) => return Err(ResumeError::OtherStream(other)),
        Err(changed) => changed,
    };
    let next = if state.messages == 0 { state.last_sequence + 1 } else { state.first_sequence };
    let before = i64::try_from(next - 1).map_err(|_| StoreError::OutOfRange { column: "sequence" })?;
    let parameters = [
        (&Audit::NAME as _, Type::TEXT),
        (&state.created as _, Type::TIMESTAMPTZ),
        (&before as _, Type::INT8),
    ];
    tx.execute_typed(include_str!("sql/follow_from.sql"), &parameters).await.map_err(StoreError::from)?;
    Ok(Some(StreamGap { applied: position.sequence, next, found: changed.found().to_owned() }))
}

fn record(resumption: &Resumption, now: Micros) -> Record {
    Record {
        kind: kind::RESUMED.to_owned(),
        stream: None,
        stream_sequence: None,
        event_id: None,
        source: None,
        event_type: None,
        body_sha256: None,
        signature: None,
        key_id: None,
        actor: Some("operator".to_owned()),
        count: 1,
        details: serde_json::to_string(resumption).expect("texts and numbers are JSON"),
        received_at: now,
        recorded_at: now,
    }
}
