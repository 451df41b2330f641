//! Sums over the rows of a batch, and how they are added to those in the tables: one module per table, one statement each.

mod errors;
mod issues;
mod latency;
mod message;
mod sequences;
mod webhooks;
mod workflows;

use hookstream_store::{StoreError, Transaction};
use time::{Date, OffsetDateTime, Time};

use crate::TaskLogRow;

/// Adds `rows`, in stream order, to every sum; `applied_at` is now.
pub(crate) async fn add(
    tx: &Transaction<'_>,
    rows: &[TaskLogRow<'_>],
    applied_at: OffsetDateTime,
) -> Result<(), StoreError> {
    webhooks::add_hourly(tx, rows).await?;
    webhooks::add_daily(tx, rows).await?;
    latency::add(tx, rows, applied_at).await?;
    workflows::add(tx, rows).await?;
    issues::add(tx, rows).await?;
    errors::add(tx, rows).await?;
    sequences::add(tx, rows).await
}

/// The start of the UTC hour of a time.
fn hour(time: OffsetDateTime) -> OffsetDateTime {
    let time = time.to_utc();
    let start = Time::from_hms(time.hour(), 0, 0).expect("the hour of a time");
    time.replace_time(start).into()
}

/// The UTC day of a time.
fn day(time: OffsetDateTime) -> Date {
    time.to_utc().date()
}
