//! The one way into the trail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hookstream_store::types::ToSql;
use hookstream_store::{StoreError, Transaction};
use hookstream_trail::entry::VERSION;
use hookstream_trail::tree::{Frontier, Node, leaf_hash};
use hookstream_trail::{Checkpoint, Entry, Head, Micros, Record};
use time::OffsetDateTime;

use crate::compare::fits;
use hookstream_proofs::rows;

/// No trail gets there by itself.
const SEQUENCE_END: i64 = 1 << 62;

/// Appends to the trail, for whoever has something to record. Cheap to clone; a process has one and its clones.
///
/// It compares the trail with what is known of it from before, whenever it ends elsewhere than expected: with its own
/// last entry, and with the checkpoints that left the database. An older database that was restored, or a table that was
/// rewritten, is noticed before anything is appended to it ([`StoreError::Odd`]).
#[derive(Debug, Clone, Default)]
pub struct Trail {
    guard: Arc<Mutex<Guard>>,
}

#[derive(Debug, Default)]
struct Guard {
    /// Where the trail ended when it was last compared, or appended to by us.
    known: Option<Head>,
    outside: Outside,
}

/// What is known of the trail from outside of the database.
#[derive(Debug, Clone, Default)]
pub(crate) enum Outside {
    /// Nothing is kept there.
    #[default]
    Nothing,
    /// It is still to be read: nothing may be appended.
    Unread,
    /// It cannot be trusted, for this reason: nothing may be appended.
    Refused(String),
    /// The newest checkpoint of each place.
    Checkpoints(Vec<Checkpoint>),
}

impl Trail {
    /// Appends `records` in this order, in `tx`, and returns where the trail ends then.
    ///
    /// Locks the trail's end until the transaction is over: others that append wait, so there is one order and no fork.
    /// Append as late in the transaction as possible.
    pub async fn append(&self, tx: &Transaction<'_>, records: Vec<Record>) -> Result<Head, StoreError> {
        let mut tip = self.lock(tx).await?;
        if records.is_empty() {
            return Ok(tip.head);
        }
        let mut nodes = Vec::new();
        let entries: Vec<Entry> = records.into_iter().map(|record| tip.push(record, &mut nodes)).collect();
        insert(tx, &tip, &entries, &nodes).await?;
        // If the transaction is rolled back, the trail ends elsewhere next time and is compared again.
        self.guard().known = Some(tip.head);
        Ok(tip.head)
    }

    /// Locks the trail's end, and makes sure that it is the trail we know.
    pub(crate) async fn lock(&self, tx: &Transaction<'_>) -> Result<Tip, StoreError> {
        let (known, outside) = {
            let guard = self.guard();
            (guard.known, guard.outside.clone())
        };
        let checkpoints = match outside {
            Outside::Nothing => Vec::new(),
            Outside::Unread => return Err(StoreError::NotYet("the last checkpoint that left the database")),
            Outside::Refused(reason) => return Err(StoreError::Odd(reason)),
            Outside::Checkpoints(checkpoints) => checkpoints,
        };
        let tip = Tip::lock(tx).await?;
        if known != Some(tip.head) {
            tip.compare_with_last(tx).await?;
            for checkpoint in &checkpoints {
                fits(&**tx, checkpoint).await?.map_err(|misfit| StoreError::Odd(misfit.to_string()))?;
            }
            self.guard().known = Some(tip.head);
        }
        Ok(tip)
    }

    /// Says what is known from outside. From now on the trail is compared with it.
    pub(crate) fn know_outside(&self, outside: Outside) {
        *self.guard() = Guard { known: None, outside };
    }

    /// A checkpoint of the trail as it is left the database: it is the newest in every place.
    pub(crate) fn left(&self, checkpoint: Checkpoint) {
        self.guard().outside = Outside::Checkpoints(vec![checkpoint]);
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the trail ends: all that appending needs.
#[derive(Debug)]
pub(crate) struct Tip {
    pub(crate) head: Head,
    pub(crate) frontier: Frontier,
}

fn odd(what: &str) -> StoreError {
    StoreError::Odd(format!(
        "the audit trail is not as it was left: {what}. `hookstream audit verify` says more"
    ))
}

impl Tip {
    async fn lock(tx: &Transaction<'_>) -> Result<Self, StoreError> {
        let wrong = |what: &str| odd(&format!("audit_head {what}"));
        let row = tx.query_opt(include_str!("sql/head.sql"), &[]).await?;
        let row = row.ok_or_else(|| wrong("is empty"))?;
        let audit_sequence: i64 = row.try_get("audit_sequence")?;
        let size = u64::try_from(audit_sequence).ok().filter(|_| audit_sequence < SEQUENCE_END);
        let frontier = size.and_then(|size| Frontier::from_bytes(size, row.try_get("peaks").ok()?));
        let frontier = frontier.ok_or_else(|| wrong("holds what it never held"))?;
        let entry_hash = rows::hash(&row, "entry_hash").map_err(|_| wrong("holds what it never held"))?;
        Ok(Self { head: Head { audit_sequence, entry_hash }, frontier })
    }

    /// Whether the last entry is the one that the head says.
    async fn compare_with_last(&self, tx: &Transaction<'_>) -> Result<(), StoreError> {
        let row = tx.query_opt(include_str!("sql/last.sql"), &[]).await?;
        let last = match row {
            None => Head::EMPTY,
            Some(row) => Head {
                audit_sequence: row.try_get("audit_sequence")?,
                entry_hash: rows::hash(&row, "entry_hash")?,
            },
        };
        if last == self.head {
            return Ok(());
        }
        let (found, head) = (last.audit_sequence, self.head.audit_sequence);
        Err(odd(&format!("its last entry is {found}, which is not the entry {head} of audit_head")))
    }

    fn push(&mut self, record: Record, nodes: &mut Vec<Node>) -> Entry {
        let entry = Entry::append(self.head, record);
        self.head = entry.head();
        self.frontier.push(leaf_hash(entry.entry_hash), |node| nodes.push(node));
        entry
    }
}

/// One statement, one round trip.
async fn insert(
    tx: &Transaction<'_>,
    tip: &Tip,
    entries: &[Entry],
    nodes: &[Node],
) -> Result<(), StoreError> {
    fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let text =
        |value: fn(&Record) -> &Option<String>| column(entries, |entry| value(&entry.record).as_deref());
    let time = |value: fn(&Record) -> Micros| {
        let time = |entry: &Entry| value(&entry.record).to_time();
        let times: Option<Vec<OffsetDateTime>> = entries.iter().map(time).collect();
        times.ok_or(StoreError::OutOfRange { column: "received_at or recorded_at" })
    };
    let levels = column(nodes, |node| i16::from(node.level));
    let positions = column(nodes, |node| i64::try_from(node.position).unwrap_or(i64::MAX));
    let parameters: [&(dyn ToSql + Sync); 24] = [
        &levels,
        &positions,
        &column(nodes, |node| node.hash.0.as_slice()),
        &tip.head.audit_sequence,
        &tip.head.entry_hash.0.as_slice(),
        &tip.frontier.to_bytes(),
        &VERSION,
        &column(entries, |entry| entry.audit_sequence),
        &column(entries, |entry| entry.record.kind.as_str()),
        &text(|record| &record.stream),
        &column(entries, |entry| entry.record.stream_sequence),
        &text(|record| &record.event_id),
        &text(|record| &record.source),
        &text(|record| &record.event_type),
        &column(entries, |entry| entry.record.body_sha256.as_ref().map(|digest| digest.0.as_slice())),
        &text(|record| &record.signature),
        &text(|record| &record.key_id),
        &text(|record| &record.actor),
        &column(entries, |entry| entry.record.count),
        &column(entries, |entry| entry.record.details.as_str()),
        &time(|record| record.received_at)?,
        &time(|record| record.recorded_at)?,
        &column(entries, |entry| entry.previous_hash.0.as_slice()),
        &column(entries, |entry| entry.entry_hash.0.as_slice()),
    ];
    tx.execute(include_str!("sql/append.sql"), &parameters).await?;
    Ok(())
}
