//! `webhook_latency_hourly`: how long events took from the gateway to here.

use std::collections::BTreeMap;

use hookstream_store::{StoreError, Transaction};
use time::OffsetDateTime;

use super::webhooks::{Columns, Kind};
use crate::TaskLogRow;
use crate::histogram::Histogram;

pub(super) async fn add(
    tx: &Transaction<'_>,
    rows: &[TaskLogRow<'_>],
    applied_at: OffsetDateTime,
) -> Result<(), StoreError> {
    let mut sums: BTreeMap<Kind<'_>, Histogram> = BTreeMap::new();
    for row in rows {
        let micros = (applied_at - row.captured_at).whole_microseconds();
        let bounded = i64::try_from(micros).unwrap_or(i64::MAX);
        sums.entry(Kind::of(row)).or_default().observe(bounded);
    }
    if sums.is_empty() {
        return Ok(());
    }
    let Columns { hour, source, event_type, repository, phase_status } = &Columns::of(sums.keys());
    let buckets: Vec<String> = sums.values().map(Histogram::to_sql).collect();
    tx.execute(
        include_str!("../sql/webhook_latency_hourly.sql"),
        &[hour, source, event_type, repository, phase_status, &buckets],
    )
    .await?;
    Ok(())
}
