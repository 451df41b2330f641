//! The audit trail: a row for each event, refusal and act, in a chain of hashes with a Merkle tree over it.
//!
//! **Invariant:** it reads envelopes, never bodies: its consumer is `headers_only`.
//!
//! **Invariant:** the trail is appended to and never rebuilt. [`Trail::append`] is the only way in; it locks the trail's
//! end, so the chain never forks.
//!
//! What the trail proves and what it does not: the owner of the database can rewrite all of it, with new hashes.

mod record;
mod rows;
mod trail;
mod verify;

use hookstream_projection::{Applied, ApplyError, ClaimedEvent, Projection};
use hookstream_store::{MigrationSet, Transaction};

pub use trail::{AppendError, Trail};
pub use verify::{VerifyError, verify_trail};

/// Table `audit_trail` and what belongs to it.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    name: "audit",
    migrations: &[("0001_audit_trail", include_str!("../../../schemas/postgres/audit/0001_audit_trail.sql"))],
};

/// The projection `audit`.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    trail: Trail,
}

impl Projection for Audit {
    const NAME: &'static str = "audit";
    const MIGRATIONS: &'static MigrationSet = &MIGRATIONS;
    const SEES_REPEATS: bool = true;

    async fn apply(&self, tx: &Transaction<'_>, batch: &[ClaimedEvent]) -> Result<Applied, ApplyError> {
        self.trail.append(tx, batch.iter().map(record::of).collect()).await?;
        Ok(Applied::default())
    }
}
