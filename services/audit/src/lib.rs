//! The audit trail: a row for each event, refusal and act, in a chain of hashes with a Merkle tree over it.
//!
//! **Invariant:** it reads envelopes, never bodies: its consumer is `headers_only`.
//!
//! What was refused and what was done to history come from streams of their own, which the leader reads beside the
//! events, on the same session: there is one writer.
//!
//! **Invariant:** the trail is appended to and never rebuilt. [`Trail::append`] is the only way in; it locks the trail's
//! end, so the chain never forks.
//!
//! What the trail proves and what it does not: the owner of the database can rewrite all of it, with new hashes.

mod beside;
mod compare;
mod input;
mod notary;
mod operations;
pub mod outside;
mod record;
mod refusals;
mod resume;
mod settings;
mod trail;
mod verify;

use std::sync::Arc;

use beside::Inputs;
use hookstream_projection::{Applied, ApplyError, Beside, ClaimedEvent, Projection};
use hookstream_store::{MigrationSet, Transaction};
use time::OffsetDateTime;
use tokio::sync::Mutex;

pub use compare::{Misfit, resumptions, size_of};
use notary::Notary;
pub use resume::{ResumeError, resume};
pub use settings::{CheckpointSettings, public_keys};
pub use trail::Trail;
pub use verify::{
    CheckpointFault, Compared, Disagreement, Expectations, Verified, VerifyError, last_recorded,
    verify_stream, verify_trail,
};

/// Table `audit_trail` and what belongs to it.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    name: "audit",
    migrations: &[("0001_audit_trail", include_str!("../../../schemas/postgres/audit/0001_audit_trail.sql"))],
};

/// The projection `audit`. By default it makes no checkpoints, and knows of none.
#[derive(Debug, Clone)]
pub struct Audit {
    trail: Trail,
    notary: Option<Arc<Notary>>,
    /// Used by the one leader that this process may be.
    inputs: Arc<Mutex<Inputs>>,
}

impl Default for Audit {
    fn default() -> Self {
        Self::with_clock(OffsetDateTime::now_utc)
    }
}

impl Audit {
    /// With another clock than the system's. It says when a minute of refusals is over, and nothing else.
    pub fn with_clock(clock: fn() -> OffsetDateTime) -> Self {
        Self { trail: Trail::default(), notary: None, inputs: Arc::new(Mutex::new(Inputs::new(clock))) }
    }

    /// Makes checkpoints as `settings` say, and compares the trail with those that left the database.
    pub fn with_checkpoints(settings: CheckpointSettings) -> Self {
        let audit = Self::default();
        let notary = Some(Arc::new(Notary::new(settings, &audit.trail)));
        Self { notary, ..audit }
    }
}

impl Projection for Audit {
    const NAME: &'static str = "audit";
    const MIGRATIONS: &'static MigrationSet = &MIGRATIONS;
    const SEES_REPEATS: bool = true;

    async fn apply(&self, tx: &Transaction<'_>, batch: &[ClaimedEvent]) -> Result<Applied, ApplyError> {
        self.trail.append(tx, batch.iter().map(record::of).collect()).await?;
        Ok(Applied::default())
    }

    async fn beside(&self, mut beside: Beside<'_>) -> Result<(), ApplyError> {
        // First, because until it knows what left the database, the trail takes nothing.
        if let Some(notary) = &self.notary
            && !notary.attend(&self.trail, &mut beside).await?
        {
            return Ok(());
        }
        self.inputs.lock().await.step(&mut beside, &self.trail).await
    }
}
