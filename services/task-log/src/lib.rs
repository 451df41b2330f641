//! The task log: a row per event, for people and for analytics.
//!
//! **Invariant:** it reads envelopes and attributes, never bodies: its consumer is `headers_only`.
//!
//! **Invariant:** every event gives exactly one row, whose id is the event's stream sequence, so a rebuild into empty
//! tables gives equal rows.

mod insert;
mod row;

use hookstream_projection::{Applied, ApplyError, ClaimedEvent, Projection};
use hookstream_store::{MigrationSet, Transaction};

pub use row::{TaskLogRow, UNKNOWN, WEBHOOK_RECEIVED};

/// Table `task_logs` and view `webhook_analytics`.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    name: "task_log",
    migrations: &[("0001_task_logs", include_str!("../../../schemas/postgres/task_log/0001_task_logs.sql"))],
};

/// The projection `task_log`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TaskLog;

impl Projection for TaskLog {
    const NAME: &'static str = "task_log";
    const MIGRATIONS: &'static MigrationSet = &MIGRATIONS;

    async fn apply(&self, tx: &Transaction<'_>, batch: &[ClaimedEvent]) -> Result<Applied, ApplyError> {
        let rows: Vec<_> = batch.iter().map(|claimed| TaskLogRow::of(&claimed.event)).collect();
        insert::insert(tx, &rows).await?;
        Ok(Applied::default())
    }
}
