//! `webhook_hourly` and `webhook_daily`: how many events of which kind.

use std::collections::BTreeMap;

use hookstream_store::{StoreError, Transaction};
use time::{Date, OffsetDateTime};

use super::{day, hour};
use crate::TaskLogRow;

/// What events are told apart by, beside their hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind<'r> {
    pub(super) hour: OffsetDateTime,
    pub(super) source: &'r str,
    pub(super) event_type: &'r str,
    pub(super) repository: &'r str,
    pub(super) phase_status: &'r str,
}

impl<'r> Kind<'r> {
    pub(super) fn of(row: &'r TaskLogRow<'_>) -> Self {
        Self {
            hour: hour(row.captured_at),
            source: row.source,
            event_type: row.event_type,
            repository: row.repository.unwrap_or_default(),
            phase_status: row.phase_status,
        }
    }
}

pub(super) async fn add_hourly(tx: &Transaction<'_>, rows: &[TaskLogRow<'_>]) -> Result<(), StoreError> {
    let mut sums: BTreeMap<Kind<'_>, (i64, i64)> = BTreeMap::new();
    for row in rows {
        let (events, bytes) = sums.entry(Kind::of(row)).or_default();
        *events += 1;
        *bytes += row.payload_bytes;
    }
    if sums.is_empty() {
        return Ok(());
    }
    let kinds = Columns::of(sums.keys());
    let (events, bytes): (Vec<i64>, Vec<i64>) = sums.into_values().unzip();
    let Columns { hour, source, event_type, repository, phase_status } = &kinds;
    tx.execute(
        include_str!("../sql/webhook_hourly.sql"),
        &[hour, source, event_type, repository, phase_status, &events, &bytes],
    )
    .await?;
    Ok(())
}

/// Kinds, column by column.
#[derive(Default)]
pub(super) struct Columns<'r> {
    pub(super) hour: Vec<OffsetDateTime>,
    pub(super) source: Vec<&'r str>,
    pub(super) event_type: Vec<&'r str>,
    pub(super) repository: Vec<&'r str>,
    pub(super) phase_status: Vec<&'r str>,
}

impl<'r> Columns<'r> {
    pub(super) fn of<'k>(kinds: impl IntoIterator<Item = &'k Kind<'r>>) -> Self
    where
        'r: 'k,
    {
        let mut columns = Self::default();
        for kind in kinds {
            columns.hour.push(kind.hour);
            columns.source.push(kind.source);
            columns.event_type.push(kind.event_type);
            columns.repository.push(kind.repository);
            columns.phase_status.push(kind.phase_status);
        }
        columns
    }
}

/// Events of a day, and those among them that have a duration.
#[derive(Default)]
struct Daily {
    events: i64,
    durations: i64,
    /// Far below 2^63: a batch has few events, and each at most 2^60 microseconds.
    duration_us: i128,
    shortest_us: Option<i64>,
    longest_us: Option<i64>,
}

pub(super) async fn add_daily(tx: &Transaction<'_>, rows: &[TaskLogRow<'_>]) -> Result<(), StoreError> {
    let mut sums: BTreeMap<(Date, &str, &str), Daily> = BTreeMap::new();
    for row in rows {
        let sum = sums.entry((day(row.captured_at), row.event_type, row.phase_status)).or_default();
        sum.events += 1;
        if let Some(micros) = row.duration_us() {
            sum.durations += 1;
            sum.duration_us += i128::from(micros);
            sum.shortest_us = Some(sum.shortest_us.map_or(micros, |shortest| shortest.min(micros)));
            sum.longest_us = sum.longest_us.max(Some(micros));
        }
    }
    if sums.is_empty() {
        return Ok(());
    }
    let (mut dates, mut types, mut statuses) = (Vec::new(), Vec::new(), Vec::new());
    let (mut events, mut durations, mut totals) = (Vec::new(), Vec::new(), Vec::new());
    let (mut shortest, mut longest) = (Vec::new(), Vec::new());
    for ((date, event_type, status), sum) in sums {
        dates.push(date);
        types.push(event_type);
        statuses.push(status);
        events.push(sum.events);
        durations.push(sum.durations);
        totals.push(sum.duration_us.to_string());
        shortest.push(sum.shortest_us);
        longest.push(sum.longest_us);
    }
    tx.execute(
        include_str!("../sql/webhook_daily.sql"),
        &[&dates, &types, &statuses, &events, &durations, &totals, &shortest, &longest],
    )
    .await?;
    Ok(())
}
