//! The one way into the trail.

use std::sync::{Arc, Mutex, PoisonError};

use hookstream_projection::ApplyError;
use hookstream_store::types::{ToSql, Type};
use hookstream_store::{PgError, StoreError, Transaction};
use hookstream_trail::entry::VERSION;
use hookstream_trail::tree::{Frontier, Node, leaf_hash};
use hookstream_trail::{Entry, Head, Micros, Record};
use time::OffsetDateTime;

use crate::rows;

/// No trail gets there by itself.
const SEQUENCE_END: i64 = 1 << 62;

/// Nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Postgres refused or was away.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The trail is not as we left it. Nothing may follow until a person has decided what is true.
    #[error("the audit trail is not as it was left: {0}; `hookstream audit verify` says more")]
    Odd(String),
}

impl From<PgError> for AppendError {
    fn from(error: PgError) -> Self {
        Self::Store(error.into())
    }
}

impl From<AppendError> for ApplyError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Store(error) => Self::Store(error),
            odd @ AppendError::Odd(_) => Self::Halt(odd.to_string()),
        }
    }
}

/// Appends to the trail, for whoever has something to record. Cheap to clone; a process has one and its clones.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// Where the trail ended when it was last looked at closely, or appended to by us.
    known: Arc<Mutex<Option<Head>>>,
}

impl Trail {
    /// Appends `records` in this order, in `tx`, and returns where the trail ends then.
    ///
    /// Locks the trail's end until the transaction is over: others that append wait, so there is one order and no fork.
    /// Append as late in the transaction as possible.
    pub async fn append(&self, tx: &Transaction<'_>, records: Vec<Record>) -> Result<Head, AppendError> {
        let mut tip = Tip::lock(tx).await?;
        if self.known() != Some(tip.head) {
            tip.check(tx).await?;
            self.know(tip.head);
        }
        if records.is_empty() {
            return Ok(tip.head);
        }
        let mut nodes = Vec::new();
        let entries: Vec<Entry> = records.into_iter().map(|record| tip.push(record, &mut nodes)).collect();
        insert(tx, &tip, &entries, &nodes).await?;
        // If the transaction is rolled back, the trail ends elsewhere next time and is looked at again.
        self.know(tip.head);
        Ok(tip.head)
    }

    fn known(&self) -> Option<Head> {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn know(&self, head: Head) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }
}

/// Where the trail ends: all that appending needs.
struct Tip {
    head: Head,
    frontier: Frontier,
}

impl Tip {
    async fn lock(tx: &Transaction<'_>) -> Result<Self, AppendError> {
        let odd = |what: &str| AppendError::Odd(format!("audit_head {what}"));
        let row = tx.query_typed_opt(include_str!("sql/head.sql"), &[]).await?;
        let row = row.ok_or_else(|| odd("is empty"))?;
        let audit_sequence: i64 = row.try_get("audit_sequence")?;
        let size = u64::try_from(audit_sequence).ok().filter(|_| audit_sequence < SEQUENCE_END);
        let frontier = size.and_then(|size| Frontier::from_bytes(size, row.try_get("peaks").ok()?));
        let frontier = frontier.ok_or_else(|| odd("holds what it never held"))?;
        let entry_hash = rows::hash(&row, "entry_hash").map_err(|_| odd("holds what it never held"))?;
        Ok(Self { head: Head { audit_sequence, entry_hash }, frontier })
    }

    /// Whether the last entry is the one that the head says.
    async fn check(&self, tx: &Transaction<'_>) -> Result<(), AppendError> {
        let row = tx.query_typed_opt(include_str!("sql/last.sql"), &[]).await?;
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
        Err(AppendError::Odd(format!(
            "its last entry is {found}, which is not the entry {head} of audit_head"
        )))
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
) -> Result<(), AppendError> {
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
    let parameters: [(&(dyn ToSql + Sync), Type); 24] = [
        (&levels, Type::INT2_ARRAY),
        (&positions, Type::INT8_ARRAY),
        (&column(nodes, |node| node.hash.0.as_slice()), Type::BYTEA_ARRAY),
        (&tip.head.audit_sequence, Type::INT8),
        (&tip.head.entry_hash.0.as_slice(), Type::BYTEA),
        (&tip.frontier.to_bytes(), Type::BYTEA),
        (&VERSION, Type::INT2),
        (&column(entries, |entry| entry.audit_sequence), Type::INT8_ARRAY),
        (&column(entries, |entry| entry.record.kind.as_str()), Type::TEXT_ARRAY),
        (&text(|record| &record.stream), Type::TEXT_ARRAY),
        (&column(entries, |entry| entry.record.stream_sequence), Type::INT8_ARRAY),
        (&text(|record| &record.event_id), Type::TEXT_ARRAY),
        (&text(|record| &record.source), Type::TEXT_ARRAY),
        (&text(|record| &record.event_type), Type::TEXT_ARRAY),
        (
            &column(entries, |entry| entry.record.body_sha256.as_ref().map(|digest| digest.0.as_slice())),
            Type::BYTEA_ARRAY,
        ),
        (&text(|record| &record.signature), Type::TEXT_ARRAY),
        (&text(|record| &record.key_id), Type::TEXT_ARRAY),
        (&text(|record| &record.actor), Type::TEXT_ARRAY),
        (&column(entries, |entry| entry.record.count), Type::INT8_ARRAY),
        (&column(entries, |entry| entry.record.details.as_str()), Type::TEXT_ARRAY),
        (&time(|record| record.received_at)?, Type::TIMESTAMPTZ_ARRAY),
        (&time(|record| record.recorded_at)?, Type::TIMESTAMPTZ_ARRAY),
        (&column(entries, |entry| entry.previous_hash.0.as_slice()), Type::BYTEA_ARRAY),
        (&column(entries, |entry| entry.entry_hash.0.as_slice()), Type::BYTEA_ARRAY),
    ];
    tx.execute_typed(include_str!("sql/append.sql"), &parameters).await?;
    Ok(())
}
