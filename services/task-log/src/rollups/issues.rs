//! `issue_progress`: how far the work on each issue has come.

use std::collections::BTreeMap;

use hookstream_store::{StoreError, Transaction};
use time::OffsetDateTime;

use crate::TaskLogRow;

struct Sum<'r> {
    events: i64,
    /// Started, completed, failed, skipped.
    ended: [i64; 4],
    duration_us: i128,
    tokens: i128,
    cost_micros: i128,
    first_at: OffsetDateTime,
    last_at: OffsetDateTime,
    last_id: i64,
    last_phase: Option<(&'r str, &'r str)>,
}

impl<'r> Sum<'r> {
    fn new(row: &TaskLogRow<'_>) -> Self {
        Self {
            events: 0,
            ended: [0; 4],
            duration_us: 0,
            tokens: 0,
            cost_micros: 0,
            first_at: row.captured_at,
            last_at: row.captured_at,
            last_id: row.stream_sequence,
            last_phase: None,
        }
    }

    fn note(&mut self, row: &'r TaskLogRow<'_>) {
        self.events += 1;
        self.first_at = self.first_at.min(row.captured_at);
        self.last_at = self.last_at.max(row.captured_at);
        self.last_id = row.stream_sequence;
        if !row.is_work() {
            return;
        }
        let counted = ["started", "completed", "failed", "skipped"];
        if let Some(place) = counted.iter().position(|status| *status == row.phase_status) {
            self.ended[place] += 1;
        }
        self.duration_us += i128::from(row.duration_us().unwrap_or_default());
        self.tokens += i128::from(row.tokens_used.unwrap_or_default());
        self.cost_micros += i128::from(row.cost_micros.unwrap_or_default());
        self.last_phase = Some((&row.phase_name, row.phase_status));
    }
}

pub(super) async fn add(tx: &Transaction<'_>, rows: &[TaskLogRow<'_>]) -> Result<(), StoreError> {
    let mut sums: BTreeMap<i64, Sum<'_>> = BTreeMap::new();
    for row in rows {
        if let Some(issue) = row.issue_number {
            sums.entry(issue).or_insert_with(|| Sum::new(row)).note(row);
        }
    }
    if sums.is_empty() {
        return Ok(());
    }
    let issues: Vec<i64> = sums.keys().copied().collect();
    let sums: Vec<Sum<'_>> = sums.into_values().collect();
    let [started, completed, failed, skipped] =
        [0, 1, 2, 3].map(|place| sums.iter().map(|sum| sum.ended[place]).collect::<Vec<_>>());
    let numeric =
        |value: fn(&Sum<'_>) -> i128| sums.iter().map(|sum| value(sum).to_string()).collect::<Vec<_>>();
    tx.execute(
        include_str!("../sql/issue_progress.sql"),
        &[
            &issues,
            &sums.iter().map(|sum| sum.events).collect::<Vec<_>>(),
            &started,
            &completed,
            &failed,
            &skipped,
            &numeric(|sum| sum.duration_us),
            &numeric(|sum| sum.tokens),
            &numeric(|sum| sum.cost_micros),
            &sums.iter().map(|sum| sum.first_at).collect::<Vec<_>>(),
            &sums.iter().map(|sum| sum.last_at).collect::<Vec<_>>(),
            &sums.iter().map(|sum| sum.last_id).collect::<Vec<_>>(),
            &sums.iter().map(|sum| sum.last_phase.map(|(name, _)| name)).collect::<Vec<_>>(),
            &sums.iter().map(|sum| sum.last_phase.map(|(_, status)| status)).collect::<Vec<_>>(),
        ],
    )
    .await?;
    Ok(())
}
