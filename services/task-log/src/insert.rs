//! Rows become columns, and one statement.

use std::collections::BTreeSet;

use hookstream_store::{StoreError, Transaction};
use time::{Date, OffsetDateTime};

use crate::TaskLogRow;

/// Inserts `rows` in one statement, and makes the partitions that they need before.
pub(crate) async fn insert(tx: &Transaction<'_>, rows: &[TaskLogRow<'_>]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let months: BTreeSet<Date> = rows.iter().map(|row| month(row.captured_at)).collect();
    let months: Vec<Date> = months.into_iter().collect();
    tx.execute(include_str!("sql/make_partitions.sql"), &[&months]).await?;
    let columns = Columns::of(rows);
    tx.execute(
        include_str!("sql/insert.sql"),
        &[
            &columns.stream_sequence,
            &columns.issue_number,
            &columns.tokens_used,
            &columns.duration_seconds,
            &columns.started_at,
            &columns.completed_at,
            &columns.captured_at,
            &columns.created_at,
            &columns.phase_number,
            &columns.event_id,
            &columns.event_type,
            &columns.source,
            &columns.phase_name,
            &columns.phase_status,
            &columns.repository,
            &columns.adw_id,
            &columns.workflow_template,
            &columns.log_message,
            &columns.error_message,
            &columns.cost_micros,
            &columns.payload_bytes,
        ],
    )
    .await?;
    Ok(())
}

/// The first day of the UTC month of a time.
fn month(time: OffsetDateTime) -> Date {
    time.to_utc().date().replace_day(1).expect("every month has a first day")
}

/// The rows, column by column, as `unnest` takes them.
struct Columns<'r> {
    stream_sequence: Vec<i64>,
    issue_number: Vec<Option<i64>>,
    tokens_used: Vec<Option<i64>>,
    duration_seconds: Vec<Option<f64>>,
    started_at: Vec<Option<OffsetDateTime>>,
    completed_at: Vec<Option<OffsetDateTime>>,
    captured_at: Vec<OffsetDateTime>,
    created_at: Vec<OffsetDateTime>,
    phase_number: Vec<Option<i32>>,
    event_id: Vec<&'r str>,
    event_type: Vec<&'r str>,
    source: Vec<&'r str>,
    phase_name: Vec<&'r str>,
    phase_status: Vec<&'r str>,
    repository: Vec<Option<&'r str>>,
    adw_id: Vec<Option<&'r str>>,
    workflow_template: Vec<Option<&'r str>>,
    log_message: Vec<Option<&'r str>>,
    error_message: Vec<Option<&'r str>>,
    cost_micros: Vec<Option<i64>>,
    payload_bytes: Vec<i64>,
}

impl<'r> Columns<'r> {
    fn of(rows: &'r [TaskLogRow<'r>]) -> Self {
        Self {
            stream_sequence: column(rows, |row| row.stream_sequence),
            issue_number: column(rows, |row| row.issue_number),
            tokens_used: column(rows, |row| row.tokens_used),
            duration_seconds: column(rows, |row| row.duration_seconds),
            started_at: column(rows, |row| row.started_at),
            completed_at: column(rows, |row| row.completed_at),
            captured_at: column(rows, |row| row.captured_at),
            created_at: column(rows, |row| row.created_at),
            phase_number: column(rows, |row| row.phase_number),
            event_id: column(rows, |row| row.event_id),
            event_type: column(rows, |row| row.event_type),
            source: column(rows, |row| row.source),
            phase_name: column(rows, |row| &*row.phase_name),
            phase_status: column(rows, |row| row.phase_status),
            repository: column(rows, |row| row.repository),
            adw_id: column(rows, |row| row.adw_id),
            workflow_template: column(rows, |row| row.workflow_template),
            log_message: column(rows, |row| row.log_message),
            error_message: column(rows, |row| row.error_message),
            cost_micros: column(rows, |row| row.cost_micros),
            payload_bytes: column(rows, |row| row.payload_bytes),
        }
    }
}

fn column<'r, T>(rows: &'r [TaskLogRow<'r>], value: impl Fn(&'r TaskLogRow<'r>) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
