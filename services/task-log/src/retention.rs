//! Old rows go, if the operator says so: a partition at a time, a month as a whole. The sums over them stay.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hookstream_bus::Operation;
use hookstream_projection::{Beside, Projection as _};
use hookstream_runtime::Metrics;
use hookstream_store::StoreError;
use prometheus_client::metrics::counter::Counter;
use time::OffsetDateTime;

use crate::TaskLog;

/// How often to look for months that are over.
const EVERY: Duration = Duration::from_mins(10);

/// How long the broker may take to be told what was done.
const TELLING_BUDGET: Duration = Duration::from_secs(2);

/// What is kept, and what was done about the rest.
#[derive(Debug)]
pub(crate) struct Retention {
    /// How long after its arrival a row is kept at least.
    keep: Duration,
    looked_at: Mutex<Option<Instant>>,
    /// Done, and not yet told to the audit trail.
    untold: Mutex<Vec<Operation>>,
    dropped: OnceLock<Counter>,
}

impl Retention {
    pub(crate) fn new(keep: Duration) -> Self {
        Self { keep, looked_at: Mutex::default(), untold: Mutex::default(), dropped: OnceLock::new() }
    }

    /// Drops at most one month, if it is time to look.
    pub(crate) async fn step(&self, beside: Beside<'_>) -> Result<(), StoreError> {
        let dropped = self.dropped.get_or_init(|| register(beside.metrics));
        self.tell(&beside).await;
        if self.looked_at().is_some_and(|at| at.elapsed() < EVERY) {
            return Ok(());
        }
        let (now, keep) = (OffsetDateTime::now_utc(), self.keep);
        let before = now - keep;
        let statement = include_str!("sql/drop_partition.sql");
        let row = beside.connection.query_one(statement, &[&before]).await?;
        let Some(rows) = row.try_get::<_, Option<i64>>("rows")? else {
            *self.looked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            return Ok(());
        };
        dropped.inc_by(rows.unsigned_abs());
        tracing::info!(rows, "dropped a month of task_logs with {rows} rows: older than the retention");
        let act =
            Operation::new(TaskLog::NAME, "retention", now).with("table", "task_logs").with("rows", rows);
        self.untold().push(act.with("before", before.to_string()));
        Ok(())
    }

    /// Tells what is untold; what the broker does not take is told next time.
    async fn tell(&self, beside: &Beside<'_>) {
        let acts = std::mem::take(&mut *self.untold());
        for act in acts {
            if let Err(error) = beside.bus.tell_operation(&act, TELLING_BUDGET).await {
                tracing::debug!("cannot tell of retention yet: {error}");
                self.untold().push(act);
            }
        }
    }

    fn untold(&self) -> std::sync::MutexGuard<'_, Vec<Operation>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn looked_at(&self) -> Option<Instant> {
        *self.looked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn register(metrics: &Metrics) -> Counter {
    let help = "Rows of task_logs that went with their month";
    metrics.register("task_log_dropped_rows", help, Counter::default())
}
