//! Phases, column by column.

use hookstream_store::types::Json;
use hookstream_store::{StoreError, Transaction};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::announcement::Times;
use crate::queue::NewPhase;
use crate::{EarlyReport, Phase, Queue, State};

/// Writes the phases that have changed.
pub(super) async fn phases(tx: &Transaction<'_>, queue: &Queue) -> Result<(), StoreError> {
    // In this order: a queue id, or the place of an unfinished phase, may be free only after the one before.
    let removed: Vec<&str> = queue.removed().collect();
    if !removed.is_empty() {
        tx.execute(include_str!("delete_phases.sql"), &[&removed]).await?;
    }
    let changed = Mutable::of(queue.changed());
    if !changed.queue_id.is_empty() {
        update(tx, &changed).await?;
    }
    let added: Vec<NewPhase<'_>> = queue.added().collect();
    if !added.is_empty() {
        insert(tx, &added).await?;
    }
    Ok(())
}

async fn update(tx: &Transaction<'_>, phases: &Mutable<'_>) -> Result<(), StoreError> {
    let Mutable { queue_id, status, held, adw_id, error_message, updated_at, times, announcements, counts } =
        phases;
    let statement = include_str!("update_phases.sql");
    tx.execute(
        statement,
        &[
            queue_id,
            status,
            held,
            adw_id,
            error_message,
            updated_at,
            &times.ready,
            &times.started,
            &times.finished,
            announcements,
            &times.announced,
            &counts.waiting_on,
            &counts.blocked_on,
            &counts.early,
        ],
    )
    .await?;
    Ok(())
}

async fn insert(tx: &Transaction<'_>, added: &[NewPhase<'_>]) -> Result<(), StoreError> {
    let Mutable { queue_id, status, held, adw_id, error_message, updated_at, times, announcements, counts } =
        Mutable::of(added.iter().map(|added| added.phase));
    let fixed = Fixed::of(added);
    let statement = include_str!("insert_phases.sql");
    tx.execute(
        statement,
        &[
            &queue_id,
            &status,
            &held,
            &adw_id,
            &error_message,
            &updated_at,
            &times.ready,
            &times.started,
            &times.finished,
            &fixed.parent_issue,
            &fixed.phase_number,
            &fixed.issue_number,
            &fixed.depends_on_phases,
            &fixed.phase_data,
            &fixed.priority,
            &fixed.queue_position,
            &fixed.content_sha256,
            &fixed.created_at,
            &announcements,
            &times.announced,
            &counts.waiting_on,
            &counts.blocked_on,
            &counts.early,
        ],
    )
    .await?;
    Ok(())
}

/// What may change of phases, column by column, as `unnest` takes it.
#[derive(Default)]
struct Mutable<'q> {
    queue_id: Vec<&'q str>,
    status: Vec<&'static str>,
    held: Vec<bool>,
    adw_id: Vec<&'q str>,
    error_message: Vec<Option<&'q str>>,
    updated_at: Vec<OffsetDateTime>,
    times: Columns,
    announcements: Vec<i32>,
    counts: Counts<'q>,
}

/// What waiting phases count, likewise.
#[derive(Default)]
struct Counts<'q> {
    waiting_on: Vec<i32>,
    blocked_on: Vec<i32>,
    early: Vec<Option<Json<&'q EarlyReport>>>,
}

/// What never changes of phases, likewise.
#[derive(Default)]
struct Fixed<'q> {
    parent_issue: Vec<i64>,
    phase_number: Vec<i32>,
    issue_number: Vec<Option<i64>>,
    depends_on_phases: Vec<String>,
    phase_data: Vec<Json<&'q Map<String, Value>>>,
    priority: Vec<i32>,
    queue_position: Vec<i64>,
    content_sha256: Vec<&'q [u8]>,
    created_at: Vec<OffsetDateTime>,
}

/// The times of phases, likewise.
#[derive(Default)]
struct Columns {
    ready: Vec<Option<OffsetDateTime>>,
    announced: Vec<Option<OffsetDateTime>>,
    started: Vec<Option<OffsetDateTime>>,
    finished: Vec<Option<OffsetDateTime>>,
}

impl<'q> Mutable<'q> {
    fn of(phases: impl Iterator<Item = &'q Phase>) -> Self {
        let mut columns = Self::default();
        for phase in phases {
            let times: Times = phase.state.times();
            columns.queue_id.push(&phase.queue_id);
            columns.status.push(phase.state.as_str());
            columns.held.push(matches!(phase.state, State::Ready { held: true, .. }));
            columns.adw_id.push(&phase.adw_id);
            columns.error_message.push(phase.error_message());
            columns.updated_at.push(phase.updated_at);
            columns.times.ready.push(times.ready);
            columns.times.announced.push(times.announced);
            columns.counts.waiting_on.push(phase.waiting_on);
            columns.counts.blocked_on.push(phase.blocked_on);
            columns.counts.early.push(phase.early.as_ref().map(Json));
            columns.announcements.push(phase.announcements);
            columns.times.started.push(times.started);
            columns.times.finished.push(times.finished);
        }
        columns
    }
}

impl<'q> Fixed<'q> {
    fn of(added: &[NewPhase<'q>]) -> Self {
        let mut columns = Self::default();
        for NewPhase { phase, phase_data } in added {
            columns.parent_issue.push(phase.parent_issue);
            columns.phase_number.push(phase.phase_number);
            columns.issue_number.push(phase.issue_number);
            columns.depends_on_phases.push(array_literal(&phase.depends_on));
            columns.phase_data.push(Json(phase_data));
            columns.priority.push(phase.priority);
            columns.queue_position.push(phase.queue_position);
            columns.content_sha256.push(phase.content.as_bytes());
            columns.created_at.push(phase.created_at);
        }
        columns
    }
}

/// Numbers as the text of a Postgres array: `{1,2}`.
pub(super) fn array_literal(numbers: &[i32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(i32::to_string).collect();
    format!("{{{}}}", numbers.join(","))
}
