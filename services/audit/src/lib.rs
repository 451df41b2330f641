//! The audit trail: a row per stored event, in a chain of hashes that shows what was changed.
//!
//! **Invariant:** it reads envelopes, never bodies: its consumer is `headers_only`.
//!
//! **Invariant:** the trail is appended to and never rebuilt. Each batch reads the chain's head in the transaction that
//! appends to it, behind the lock on the checkpoint, so the chain never forks.
//!
//! What the chain proves and what it does not: the owner of the database can rewrite all of it, with new hashes.

pub mod chain;
mod insert;
mod record;
mod rows;
mod trail;

use hookstream_projection::{Applied, ApplyError, ClaimedEvent, Projection};
use hookstream_store::{MigrationSet, Transaction};

use chain::{Entry, Head};
pub use trail::{VerifyError, verify_trail};

/// Table `audit_trail`.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    name: "audit",
    migrations: &[("0001_audit_trail", include_str!("../../../schemas/postgres/audit/0001_audit_trail.sql"))],
};

/// The projection `audit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Audit;

impl Projection for Audit {
    const NAME: &'static str = "audit";
    const MIGRATIONS: &'static MigrationSet = &MIGRATIONS;
    const SEES_REPEATS: bool = true;

    async fn apply(&self, tx: &Transaction<'_>, batch: &[ClaimedEvent]) -> Result<Applied, ApplyError> {
        let mut head = trail::head(tx).await?;
        let entries = chained(&mut head, batch);
        insert::insert(tx, &entries).await?;
        Ok(Applied::default())
    }
}

/// An entry per event, the first following `head`, which becomes the last one's.
fn chained(head: &mut Head, batch: &[ClaimedEvent]) -> Vec<Entry> {
    let entry = |claimed| {
        let entry = Entry::append(*head, record::of(claimed));
        *head = entry.head();
        entry
    };
    batch.iter().map(entry).collect()
}
