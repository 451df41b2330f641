//! Whether the trail in Postgres is whole: everything is computed again, in constant memory.

use hookstream_store::types::Type;
use hookstream_store::{GenericClient, Row, StoreError};
use hookstream_trail::note::PublicKey;
use hookstream_trail::tree::{Frontier, Node};
use hookstream_trail::{Broken, Checkpoint, CheckpointError, Fault, Hash, Head, Resumption};

use crate::Misfit;
use hookstream_proofs::rows;

mod pass;
mod stream;

pub use stream::{Compared, Disagreement, last_recorded, verify_stream};

use pass::{Gap, Pass};

/// Entries read at a time: what bounds the memory.
const PAGE_ENTRIES: i64 = 4096;

/// What the trail is compared with besides itself.
#[derive(Debug, Default)]
pub struct Expectations {
    /// Keys that sign checkpoints. Without any, signatures are not checked.
    pub keys: Vec<PublicKey>,
    /// The log's name; a checkpoint of another one is wrong.
    pub origin: Option<String>,
    /// Checkpoints that left the database, and where each was found.
    pub outside: Vec<(String, Checkpoint)>,
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Where the trail ends.
    pub head: Head,
    /// Root of the tree over all entries.
    pub root: Hash,
    /// How many checkpoints are in the database.
    pub checkpoints: u64,
    /// How many from elsewhere were compared.
    pub outside: u64,
    /// What the trail says of gaps in itself.
    pub resumptions: Vec<Resumption>,
}

/// The trail could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// An entry is not what was written. It is the first such.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// Events have no entry.
    #[error(
        "audit entry {audit_sequence}: is about message {found} of {stream}, but {expected} comes next: what lay between \
         was never recorded, or its entries are gone",
        stream = crate::record::WEBHOOKS
    )]
    Gap {
        /// The entry behind the gap.
        audit_sequence: i64,
        /// Stream sequence that should come next.
        expected: i64,
        /// Stream sequence that comes.
        found: i64,
    },
    /// A kept node of the tree is not the hash of its entries.
    #[error("the tree's node over audit entries {first}–{last} (level {level}, position {position}) {what}")]
    Node {
        /// First entry below it.
        first: u64,
        /// Last entry below it.
        last: u64,
        /// Level in `audit_tree`.
        level: i16,
        /// Position in `audit_tree`.
        position: i64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// `audit_head` is not where the trail ends.
    #[error("audit_head {what}: the trail ends at entry {end}")]
    Head {
        /// Where the trail ends.
        end: i64,
        /// What is wrong with it.
        what: String,
    },
    /// A checkpoint in the database is not to be trusted.
    #[error("the checkpoint of {size} entries in audit_checkpoints: {error}")]
    Checkpoint {
        /// Its `tree_size`.
        size: i64,
        /// What is wrong with it.
        error: CheckpointFault,
    },
    /// A checkpoint that left the database does not fit.
    #[error("{place}: {misfit}")]
    Outside {
        /// Where it is.
        place: String,
        /// What does not fit.
        misfit: Misfit,
    },
    /// The stream holds something else than was recorded.
    #[error(transparent)]
    Stream(#[from] Disagreement),
    /// It could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream could not be read.
    #[error(transparent)]
    Bus(#[from] hookstream_bus::BusError),
}

/// What is wrong with a checkpoint in the database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// Its note is not to be trusted.
    #[error(transparent)]
    Note(#[from] CheckpointError),
    /// It is of another log.
    #[error("it is of the log {0}")]
    Origin(String),
    /// The row is filed under another size than its note says.
    #[error("its note is of {0} entries")]
    Size(u64),
    /// The entries have another root now.
    #[error(
        "it was signed for entries with the root {signed}, but they have {found}: some of them were changed"
    )]
    Root {
        /// The root that was signed.
        signed: Hash,
        /// The root over the entries as they are.
        found: Hash,
    },
    /// The trail is shorter.
    #[error("the trail ends at entry {0}: the entries behind it are gone")]
    Beyond(i64),
}

/// Recomputes every hash of the trail, from the first entry to where it ends: chain, tree, checkpoints with their
/// signatures, and that no event between two was left out. Names what is wrong first.
///
/// Run it in a transaction that sees one state (`REPEATABLE READ`), or an entry that is appended meanwhile may look wrong.
/// `progress` is called now and then with how many entries are done.
///
/// Finds every entry that was changed, removed, inserted or moved. An owner of the database can rewrite all of it, with
/// new hashes: that only [`Expectations::outside`] shows.
pub async fn verify_trail<C: GenericClient + Sync>(
    client: &C,
    expectations: &Expectations,
    mut progress: impl FnMut(u64),
) -> Result<Verified, VerifyError> {
    let mut pass = Pass::new(expectations);
    // Below the first, so that an entry that was put there is seen too.
    let (mut rows, mut checkpoints) = page(client, i64::MIN).await?;
    while let Some(last) = rows.last() {
        let position = last.try_get(1).map_err(|_| unreadable(&pass))?;
        // Postgres fetches the next page while we compute.
        let (next, checked) = tokio::join!(page(client, position), async { pass.check(&rows, &checkpoints) });
        checked?;
        check_gaps(client, pass.take_gaps()).await?;
        check_nodes(client, &pass.take_nodes()).await?;
        progress(pass.size());
        (rows, checkpoints) = next?;
    }
    check_rest(client, &pass).await?;
    check_tail(client).await?;
    pass.finish()
}

fn unreadable(pass: &Pass<'_>) -> Broken {
    Broken { audit_sequence: pass.head().audit_sequence + 1, fault: Fault::Unreadable }
}

type Page = (Vec<Row>, Vec<Row>);

/// The entries behind `position`, and the checkpoints among those sizes.
async fn page<C: GenericClient + Sync>(client: &C, position: i64) -> Result<Page, StoreError> {
    let parameters = [(&position as _, Type::INT8), (&PAGE_ENTRIES as _, Type::INT8)];
    let entries = client.query_typed(hookstream_proofs::PAGE, &parameters);
    let checkpoints = client.query_typed(include_str!("sql/checkpoints.sql"), &parameters);
    let (entries, checkpoints) = tokio::join!(entries, checkpoints);
    Ok((entries?, checkpoints?))
}

/// A gap is explained by dead letters: messages that are no events, or that the trail gave up on.
async fn check_gaps<C: GenericClient + Sync>(client: &C, gaps: Vec<Gap>) -> Result<(), VerifyError> {
    for Gap { audit_sequence, expected, found } in gaps {
        let last = found.saturating_sub(1);
        let parameters = [(&expected as _, Type::INT8), (&last as _, Type::INT8)];
        let row = client.query_typed_opt(include_str!("sql/dead_between.sql"), &parameters).await;
        let row = row.map_err(StoreError::from)?;
        let dead: i64 = row.map_or(Ok(0), |row| row.try_get(0)).map_err(StoreError::from)?;
        if found <= expected || dead != found - expected {
            return Err(VerifyError::Gap { audit_sequence, expected, found });
        }
    }
    Ok(())
}

/// Whether the nodes that are kept are those that were computed.
async fn check_nodes<C: GenericClient + Sync>(client: &C, nodes: &[Node]) -> Result<(), VerifyError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let levels: Vec<i16> = nodes.iter().map(|node| i16::from(node.level)).collect();
    let positions: Vec<i64> =
        nodes.iter().map(|node| i64::try_from(node.position).unwrap_or(i64::MAX)).collect();
    let parameters = [(&levels as _, Type::INT2_ARRAY), (&positions as _, Type::INT8_ARRAY)];
    let kept = client
        .query_typed(include_str!("sql/kept_nodes.sql"), &parameters)
        .await
        .map_err(StoreError::from)?;
    for (node, row) in nodes.iter().zip(&kept) {
        let found = rows::hash(row, "hash");
        if found.as_ref().ok() != Some(&node.hash) {
            let what = if found.is_ok() { "was changed" } else { "is missing" };
            return Err(node_error(i16::from(node.level), node.position, what));
        }
    }
    Ok(())
}

fn node_error(level: i16, position: u64, what: &'static str) -> VerifyError {
    let size = 1_u64.checked_shl(u32::try_from(level).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
    let first = position.saturating_mul(size);
    let position = i64::try_from(position).unwrap_or(i64::MAX);
    VerifyError::Node {
        first: first.saturating_add(1),
        last: first.saturating_add(size),
        level,
        position,
        what,
    }
}

/// What only shows at the end: a head, a node or a checkpoint of entries that are not there.
async fn check_rest<C: GenericClient + Sync>(client: &C, pass: &Pass<'_>) -> Result<(), VerifyError> {
    let end = pass.head().audit_sequence;
    let wrong = |what: &str| VerifyError::Head { end, what: what.to_owned() };
    let heads = client.query_typed(include_str!("sql/heads.sql"), &[]).await.map_err(StoreError::from)?;
    let [head] = heads.as_slice() else { return Err(wrong("does not have one row")) };
    let says: i64 = head.try_get("audit_sequence").map_err(StoreError::from)?;
    if says > end {
        return Err(Broken { audit_sequence: end + 1, fault: Fault::Gone { last: says } }.into());
    }
    if says < end {
        return Err(wrong(&format!("says entry {says}")));
    }
    if rows::hash(head, "entry_hash").ok() != Some(pass.head().entry_hash) {
        return Err(wrong("has another hash"));
    }
    let peaks: &[u8] = head.try_get("peaks").map_err(StoreError::from)?;
    if Frontier::from_bytes(pass.size(), peaks).as_ref() != Some(pass.frontier()) {
        return Err(wrong("has another tree"));
    }
    let parameters = [(&end as _, Type::INT8)];
    let beyond = client.query_typed_opt(include_str!("sql/node_beyond.sql"), &parameters).await;
    if let Some(row) = beyond.map_err(StoreError::from)? {
        let (level, position): (i16, i64) = (row.try_get(0).unwrap_or(0), row.try_get(1).unwrap_or(0));
        return Err(node_error(level, position.unsigned_abs(), "is of entries that are not there"));
    }
    let beyond = client.query_typed_opt(include_str!("sql/checkpoint_beyond.sql"), &parameters).await;
    if let Some(row) = beyond.map_err(StoreError::from)? {
        let size = row.try_get(0).map_err(StoreError::from)?;
        return Err(VerifyError::Checkpoint { size, error: CheckpointFault::Beyond(end) });
    }
    Ok(())
}

/// Whether the last event that the checkpoint passed has an entry.
async fn check_tail<C: GenericClient + Sync>(client: &C) -> Result<(), VerifyError> {
    let row = client.query_typed_opt(include_str!("sql/tail.sql"), &[]).await.map_err(StoreError::from)?;
    let Some(row) = row else { return Ok(()) };
    let present: bool = row.try_get("present").map_err(StoreError::from)?;
    if present {
        return Ok(());
    }
    let last: Option<i64> = row.try_get("audit_sequence").map_err(StoreError::from)?;
    let stream_sequence = row.try_get("stream_sequence").map_err(StoreError::from)?;
    Err(Broken { audit_sequence: last.unwrap_or(0) + 1, fault: Fault::Tail { stream_sequence } }.into())
}
