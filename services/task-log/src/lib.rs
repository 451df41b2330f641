//! The task log: a row per event, for people and for analytics, and the sums over its rows that dashboards read.
//!
//! **Invariant:** it reads envelopes and attributes, never bodies: its consumer is `headers_only`.
//!
//! **Invariant:** every event gives exactly one row, whose id is the event's stream sequence, so a rebuild into empty
//! tables gives equal rows and equal sums. Only the latency of events is observed when they are applied.

mod histogram;
mod insert;
mod retention;
mod rollups;
mod row;

use std::time::Duration;

use hookstream_projection::{Applied, ApplyError, Beside, ClaimedEvent, Projection};
use hookstream_runtime::{Settings, SettingsError};
use hookstream_store::{MigrationSet, Transaction, together};
use time::OffsetDateTime;

use retention::Retention;
pub use row::{TaskLogRow, UNKNOWN, WEBHOOK_RECEIVED};

/// Table `task_logs`, the sums over it, and view `webhook_analytics`.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    name: "task_log",
    migrations: &[
        ("0001_task_logs", include_str!("../../../schemas/postgres/task_log/0001_task_logs.sql")),
        ("0002_rollups", include_str!("../../../schemas/postgres/task_log/0002_rollups.sql")),
    ],
};

/// Name of the setting that says how long rows are kept.
pub const RETENTION: &str = "HOOKSTREAM_TASK_LOG_RETENTION";

/// The projection `task_log`.
#[derive(Debug, Default)]
pub struct TaskLog {
    /// None keeps everything.
    retention: Option<Retention>,
}

impl TaskLog {
    /// One that keeps rows for `keep` after their arrival, and the months they are in.
    pub fn keeping(keep: Duration) -> Self {
        Self { retention: Some(Retention::new(keep)) }
    }

    /// The same, as long as the settings say.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        match settings.get(RETENTION) {
            Some(_) => Ok(Self::keeping(settings.duration(RETENTION)?)),
            None => Ok(Self::default()),
        }
    }
}

impl Projection for TaskLog {
    const NAME: &'static str = "task_log";
    const MIGRATIONS: &'static MigrationSet = &MIGRATIONS;
    const ORIGINS: &'static [(&'static str, &'static str)] = &[("task_logs", "stream_sequence")];
    const CARRIED: &'static [&'static str] = &["webhook_latency_hourly"];

    async fn apply(&self, tx: &Transaction<'_>, batch: &[ClaimedEvent]) -> Result<Applied, ApplyError> {
        let rows: Vec<_> = batch.iter().map(|claimed| TaskLogRow::of(&claimed.event)).collect();
        together(insert::insert(tx, &rows), rollups::add(tx, &rows, OffsetDateTime::now_utc())).await?;
        Ok(Applied::default())
    }

    async fn beside(&self, beside: Beside<'_>) -> Result<(), ApplyError> {
        match &self.retention {
            Some(retention) => Ok(retention.step(beside).await?),
            None => Ok(()),
        }
    }
}
