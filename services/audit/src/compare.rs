//! The trail in Postgres against a checkpoint of it.

use hookstream_store::{GenericClient, StoreError};
use hookstream_trail::{Checkpoint, Hash, Resumption};

use hookstream_proofs::{resumption_entries, root_at};

/// A checkpoint is not one of this trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The trail ends before it.
    #[error(
        "a checkpoint of {size} entries was signed, but the trail ends at entry {end}: entries {}–{size} are gone. If an \
         older database was restored, `hookstream audit resume` goes on from here and records the gap",
        end + 1
    )]
    Shorter {
        /// How many entries the checkpoint covers.
        size: u64,
        /// The last entry there is.
        end: u64,
    },
    /// Entries that it covers are others now.
    #[error(
        "the first {size} entries have the root {found}, but the checkpoint of them has {signed}: the trail was \
         rewritten, or this is another one. If an older database was restored, `hookstream audit resume` records the gap"
    )]
    OtherRoot {
        /// How many entries the checkpoint covers.
        size: u64,
        /// The root over them that was signed.
        signed: Hash,
        /// The root over them as they are.
        found: Hash,
    },
}

/// Whether the trail extends `checkpoint`, going by the tree that is stored: O(log n). A checkpoint that a resumption
/// names as lost fits too.
pub(crate) async fn fits<C: GenericClient + Sync>(
    client: &C,
    checkpoint: &Checkpoint,
) -> Result<Result<(), Misfit>, StoreError> {
    let Checkpoint { size, root: signed, .. } = *checkpoint;
    let end = size_of(client).await?;
    let misfit = if size > end {
        Misfit::Shorter { size, end }
    } else {
        let found = root_at(client, size).await?;
        if found == signed {
            return Ok(Ok(()));
        }
        Misfit::OtherRoot { size, signed, found }
    };
    let explained = resumptions(client).await?.iter().any(|resumption| resumption.explains(checkpoint));
    Ok(if explained { Ok(()) } else { Err(misfit) })
}

/// How many entries there are, going by `audit_head`.
pub async fn size_of<C: GenericClient + Sync>(client: &C) -> Result<u64, StoreError> {
    let row = client.query_typed_opt(include_str!("sql/size.sql"), &[]).await?;
    let size: Option<i64> = row.map(|row| row.try_get("audit_sequence")).transpose()?;
    u64::try_from(size.unwrap_or_default()).map_err(|_| StoreError::OutOfRange { column: "audit_sequence" })
}

/// What the trail says of gaps in itself.
pub async fn resumptions<C: GenericClient + Sync>(client: &C) -> Result<Vec<Resumption>, StoreError> {
    let entries = resumption_entries(client).await?;
    Ok(entries.iter().filter_map(|entry| serde_json::from_str(&entry.record.details).ok()).collect())
}
