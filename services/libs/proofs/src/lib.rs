//! The audit trail's tables, read: entries, checkpoints, and the hashes that proofs are made of. A proof takes a bounded
//! number of them, however long the trail is.
//!
//! The process that writes the trail, the operator's command and the backend share it; `hookstream-trail` does the
//! mathematics.

pub mod rows;

use std::ops::Range;

use hookstream_store::types::Type;
use hookstream_store::{GenericClient, Row, StoreError};
use hookstream_trail::tree::{Node, Nodes, consistency_ranges, inclusion_ranges, leaf_hash, needed};
use hookstream_trail::{Entry, Hash, Proof, kind};

/// Entries in order: those behind a position, at most so many. Its columns are those that [`rows::entry`] reads.
pub const PAGE: &str = include_str!("sql/page.sql");

/// Most entries that [`prove_resumptions`] proves. Each is the act of an operator after a disaster.
pub const RESUMPTIONS_MAX: usize = 100;

/// Part of the tree is not there: `hookstream audit verify` says which.
fn incomplete() -> StoreError {
    StoreError::Odd(
        "a part of the tree is missing in audit_trail or audit_tree; see `hookstream audit verify`".into(),
    )
}

/// The hashes over `ranges` of leaves, each a subtree of some tree.
async fn hashes<C: GenericClient + Sync>(client: &C, ranges: &[Range<u64>]) -> Result<Vec<Hash>, StoreError> {
    load(client, ranges).await?.hashes(ranges).ok_or_else(incomplete)
}

/// The kept hashes that those over `ranges` are computed from.
async fn load<C: GenericClient + Sync>(client: &C, ranges: &[Range<u64>]) -> Result<Nodes, StoreError> {
    let bigint = |position: u64| i64::try_from(position).unwrap_or(i64::MAX);
    let (leaves, inner): (Vec<_>, Vec<_>) = needed(ranges).into_iter().partition(|run| run.level == 0);
    let mut nodes = Nodes::default();
    if !leaves.is_empty() {
        let first: Vec<i64> = leaves.iter().map(|run| bigint(run.positions.start)).collect();
        let end: Vec<i64> = leaves.iter().map(|run| bigint(run.positions.end)).collect();
        let parameters = [(&first as _, Type::INT8_ARRAY), (&end as _, Type::INT8_ARRAY)];
        for row in client.query_typed(include_str!("sql/leaves.sql"), &parameters).await? {
            let node = node(&row, 0)?;
            nodes.insert(Node { hash: leaf_hash(node.hash), ..node });
        }
    }
    if !inner.is_empty() {
        let levels: Vec<i16> = inner.iter().map(|run| i16::from(run.level)).collect();
        let first: Vec<i64> = inner.iter().map(|run| bigint(run.positions.start)).collect();
        let end: Vec<i64> = inner.iter().map(|run| bigint(run.positions.end)).collect();
        let parameters = [
            (&levels as _, Type::INT2_ARRAY),
            (&first as _, Type::INT8_ARRAY),
            (&end as _, Type::INT8_ARRAY),
        ];
        for row in client.query_typed(include_str!("sql/nodes.sql"), &parameters).await? {
            let level: i16 = row.try_get("level")?;
            nodes.insert(node(&row, u8::try_from(level).unwrap_or(u8::MAX))?);
        }
    }
    Ok(nodes)
}

fn node(row: &Row, level: u8) -> Result<Node, StoreError> {
    let position: i64 = row.try_get("position")?;
    Ok(Node { level, position: u64::try_from(position).unwrap_or(u64::MAX), hash: rows::hash(row, "hash")? })
}

/// Root of the tree over the first `size` entries, of which there are so many.
pub async fn root_at<C: GenericClient + Sync>(client: &C, size: u64) -> Result<Hash, StoreError> {
    let whole = 0..size;
    hashes(client, std::slice::from_ref(&whole)).await?.pop().ok_or_else(incomplete)
}

/// The inclusion proof of each of the entries with these sequences, in the tree over the first `size` entries. All of
/// them are at most `size` and at least 1; ask for few, or for neighbours.
pub async fn inclusion<C: GenericClient + Sync>(
    client: &C,
    sequences: &[i64],
    size: u64,
) -> Result<Vec<Vec<Hash>>, StoreError> {
    let outside = StoreError::OutOfRange { column: "audit_sequence" };
    let ranges_of = |sequence: &i64| {
        let index = u64::try_from(sequence.saturating_sub(1)).ok().filter(|index| *index < size)?;
        Some(inclusion_ranges(index, size))
    };
    let Some(ranges) = sequences.iter().map(ranges_of).collect::<Option<Vec<_>>>() else {
        return Err(outside);
    };
    let nodes = load(client, &ranges.concat()).await?;
    ranges.iter().map(|ranges| nodes.hashes(ranges).ok_or_else(incomplete)).collect()
}

/// The proof that the tree over the first `new` entries begins with that over the first `old`.
pub async fn consistency<C: GenericClient + Sync>(
    client: &C,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, StoreError> {
    hashes(client, &consistency_ranges(old, new)).await
}

/// The note of the newest checkpoint; `None` before the first.
pub async fn newest_checkpoint<C: GenericClient + Sync>(client: &C) -> Result<Option<String>, StoreError> {
    Ok(newest(client).await?.map(|(note, _)| note))
}

/// The note of the newest checkpoint, and how many entries it covers.
async fn newest<C: GenericClient + Sync>(client: &C) -> Result<Option<(String, u64)>, StoreError> {
    let row = client.query_typed_opt(include_str!("sql/newest_checkpoint.sql"), &[]).await?;
    row.map(|row| {
        let size: i64 = row.try_get("tree_size")?;
        Ok((row.try_get("note")?, u64::try_from(size).map_err(|_| incomplete())?))
    })
    .transpose()
}

/// That the trail of `from` entries is the beginning of that of `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// How many entries the smaller tree has.
    pub from: u64,
    /// How many the larger one has.
    pub to: u64,
    /// The consistency proof (RFC 6962, 2.1.2): empty if `from` is 0 or `to`.
    pub hashes: Vec<Hash>,
    /// The note of the newest checkpoint, which covers at least `to` entries.
    pub checkpoint: String,
}

/// The proof that the tree over the first `to` entries begins with that over the first `from`, which is not larger.
/// Without `to` it is the tree of the newest checkpoint. `None` if that covers fewer entries than are asked for, or
/// there is none.
pub async fn prove_extension<C: GenericClient + Sync>(
    client: &C,
    from: u64,
    to: Option<u64>,
) -> Result<Option<Extension>, StoreError> {
    let Some((checkpoint, size)) = newest(client).await? else { return Ok(None) };
    let to = to.unwrap_or(size);
    if from > to || to > size {
        return Ok(None);
    }
    let hashes = consistency(client, from, to).await?;
    Ok(Some(Extension { from, to, hashes, checkpoint }))
}

/// What there is to prove entries with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proofs {
    /// A proof for each of the entries that the newest checkpoint covers, the oldest first.
    pub covered: Vec<Proof>,
    /// How many of the entries no checkpoint covers yet.
    pub uncovered: usize,
}

/// The proofs of an event's entries by the newest checkpoint, whose signature is not looked at: whoever is given one
/// checks it.
pub async fn prove<C: GenericClient + Sync>(client: &C, event_id: &str) -> Result<Proofs, StoreError> {
    prove_entries(client, entries_of_event(client, event_id).await?).await
}

/// The same for what the trail says of gaps in itself: the latest [`RESUMPTIONS_MAX`] such entries.
pub async fn prove_resumptions<C: GenericClient + Sync>(client: &C) -> Result<Proofs, StoreError> {
    let mut entries = resumption_entries(client).await?;
    entries.drain(..entries.len().saturating_sub(RESUMPTIONS_MAX));
    prove_entries(client, entries).await
}

async fn prove_entries<C: GenericClient + Sync>(
    client: &C,
    entries: Vec<Entry>,
) -> Result<Proofs, StoreError> {
    let Some((note, size)) = newest(client).await? else {
        return Ok(Proofs { covered: Vec::new(), uncovered: entries.len() });
    };
    let covers = |entry: &Entry| u64::try_from(entry.audit_sequence).is_ok_and(|sequence| sequence <= size);
    let (covered, later): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(covers);
    let mut proofs = Proofs { covered: Vec::with_capacity(covered.len()), uncovered: later.len() };
    for entry in covered {
        // One at a time: neighbours share hashes, entries of one event seldom are.
        let hashes = inclusion(client, &[entry.audit_sequence], size).await?;
        proofs.covered.push(Proof { entry, inclusion: hashes.concat(), checkpoint: note.clone() });
    }
    Ok(proofs)
}

/// The entries that record gaps, the oldest first.
pub async fn resumption_entries<C: GenericClient + Sync>(client: &C) -> Result<Vec<Entry>, StoreError> {
    let parameters = [(&kind::RESUMED as _, Type::TEXT)];
    let rows = client.query_typed(include_str!("sql/resumptions.sql"), &parameters).await?;
    rows.iter().map(rows::owned).collect()
}

/// The entries of an event, the oldest first: several, if it was delivered again. At most 1000.
pub async fn entries_of_event<C: GenericClient + Sync>(
    client: &C,
    event_id: &str,
) -> Result<Vec<Entry>, StoreError> {
    let parameters = [(&event_id as _, Type::TEXT)];
    let rows = client.query_typed(include_str!("sql/entry_of_event.sql"), &parameters).await?;
    rows.iter().map(rows::owned).collect()
}

/// At most `limit` entries behind entry `after`, in order.
pub async fn entries_after<C: GenericClient + Sync>(
    client: &C,
    after: i64,
    limit: i64,
) -> Result<Vec<Entry>, StoreError> {
    let parameters = [(&after as _, Type::INT8), (&limit as _, Type::INT8)];
    let rows = client.query_typed(PAGE, &parameters).await?;
    rows.iter().map(rows::owned).collect()
}
