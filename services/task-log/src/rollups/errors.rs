//! `error_daily`: which errors are the most frequent, where they differ only in what differs each time.

use std::collections::BTreeMap;

use hookstream_store::{StoreError, Transaction};
use time::Date;

use super::{day, message};
use crate::TaskLogRow;

/// Longest start of a message that is kept as it was, in bytes.
const KEPT_BYTES_MAX: usize = 500;

pub(super) async fn add(tx: &Transaction<'_>, rows: &[TaskLogRow<'_>]) -> Result<(), StoreError> {
    let mut sums: BTreeMap<(Date, &str, String), (i64, i64, &str)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_work()) {
        let Some(error) = row.error_message else { continue };
        let template = row.workflow_template.unwrap_or_default();
        let key = (day(row.captured_at), template, message::normalised(error));
        let (events, last_id, last) = sums.entry(key).or_default();
        *events += 1;
        *last_id = row.stream_sequence;
        *last = &error[..error.floor_char_boundary(KEPT_BYTES_MAX)];
    }
    if sums.is_empty() {
        return Ok(());
    }
    let (mut dates, mut templates, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    let (mut events, mut last_ids, mut last_messages) = (Vec::new(), Vec::new(), Vec::new());
    for ((date, template, message), (count, last_id, last)) in sums {
        dates.push(date);
        templates.push(template);
        messages.push(message);
        events.push(count);
        last_ids.push(last_id);
        last_messages.push(last);
    }
    tx.execute(
        include_str!("../sql/error_daily.sql"),
        &[&dates, &templates, &messages, &events, &last_ids, &last_messages],
    )
    .await?;
    Ok(())
}
