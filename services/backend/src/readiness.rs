//! Whether the backend can do its work.

use std::time::Duration;

use hookstream_bus::Bus;
use hookstream_runtime::Health;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::problem::Problem;
use crate::values::column;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Keeps the checks up to date until `shutdown`.
pub(crate) async fn watch(database: &Database, bus: &Bus, health: &Health, shutdown: &CancellationToken) {
    let (postgres, nats) = (health.check("postgres"), health.check("nats"));
    let mut told = None;
    loop {
        let looked = missing_tables(database).await;
        // What Postgres says is for the log, once; at /readyz it would be for anybody.
        if let Err(Problem::Unavailable { reason } | Problem::Internal { reason }) = &looked
            && told.as_ref() != Some(reason)
        {
            tracing::warn!(reason, "cannot ask Postgres for its tables: {reason}");
            told = Some(reason.clone());
        }
        match looked {
            Ok(None) => {
                postgres.pass();
                told = None;
            }
            Ok(Some(missing)) => {
                postgres.fail(format!("no {missing}: the projections make their tables when they start"));
            }
            Err(Problem::Unavailable { .. }) => postgres.fail("Postgres does not answer"),
            Err(_) => postgres.fail("Postgres refuses the query"),
        }
        if bus.is_connected() {
            nats.pass();
        } else {
            nats.fail("not connected to NATS");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Tables and views that the API reads and that are not there.
async fn missing_tables(database: &Database) -> Result<Option<String>, Problem> {
    let rows = database.rows(include_str!("sql/missing_tables.sql"), &[]).await?;
    match rows.first() {
        Some(row) => column(row, "missing"),
        None => Ok(None),
    }
}
