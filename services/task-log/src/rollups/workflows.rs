//! `workflow_daily`: how the phases of workflows end, how long they take and what they cost.

use std::collections::BTreeMap;

use hookstream_store::{StoreError, Transaction};
use time::Date;

use super::day;
use crate::TaskLogRow;
use crate::histogram::Histogram;

type Key<'r> = (Date, &'r str, &'r str, &'r str);

#[derive(Default)]
struct Sum {
    events: i64,
    durations: i64,
    duration_us: i128,
    buckets: Histogram,
    tokens: i128,
    cost_micros: i128,
}

pub(super) async fn add(tx: &Transaction<'_>, rows: &[TaskLogRow<'_>]) -> Result<(), StoreError> {
    let mut sums: BTreeMap<Key<'_>, Sum> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_work()) {
        let template = row.workflow_template.unwrap_or_default();
        let key = (day(row.captured_at), template, &*row.phase_name, row.phase_status);
        let sum = sums.entry(key).or_default();
        sum.events += 1;
        if let Some(micros) = row.duration_us() {
            sum.durations += 1;
            sum.duration_us += i128::from(micros);
            sum.buckets.observe(micros);
        }
        sum.tokens += i128::from(row.tokens_used.unwrap_or_default());
        sum.cost_micros += i128::from(row.cost_micros.unwrap_or_default());
    }
    if sums.is_empty() {
        return Ok(());
    }
    let (mut dates, mut templates, mut names, mut statuses) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut events, mut durations, mut totals, mut buckets) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut tokens, mut costs) = (Vec::new(), Vec::new());
    for ((date, template, name, status), sum) in sums {
        dates.push(date);
        templates.push(template);
        names.push(name);
        statuses.push(status);
        events.push(sum.events);
        durations.push(sum.durations);
        totals.push(sum.duration_us.to_string());
        buckets.push(sum.buckets.to_sql());
        tokens.push(sum.tokens.to_string());
        costs.push(sum.cost_micros.to_string());
    }
    tx.execute(
        include_str!("../sql/workflow_daily.sql"),
        &[&dates, &templates, &names, &statuses, &events, &durations, &totals, &buckets, &tokens, &costs],
    )
    .await?;
    Ok(())
}
