//! Phases as rows: a fixed number of statements per batch, whatever its size.

use std::collections::BTreeMap;

use hookstream_event::BodyDigest;
use hookstream_store::types::Json;
use hookstream_store::{Row, StoreError, Transaction};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::announcement::Times;
use crate::queue::NewPhase;
use crate::{Concerns, Control, Outcome, Phase, Queue, State};

/// Loads all that steps with these concerns may touch or look at.
pub(crate) async fn load(tx: &Transaction<'_>, concerns: &Concerns) -> Result<Queue, StoreError> {
    let row = tx.query_one(include_str!("rows/load_control.sql"), &[]).await?;
    let fallback = Control::default();
    let control = Control {
        active: row.try_get("active")?,
        paused: row.try_get::<_, Option<bool>>("paused")?.unwrap_or(fallback.paused),
        max_concurrent: row.try_get::<_, Option<i32>>("max_concurrent")?.unwrap_or(fallback.max_concurrent),
        ..fallback
    };
    let issues: Vec<i64> = concerns.issues.iter().copied().collect();
    let queue_ids: Vec<&str> = concerns.queue_ids.iter().map(String::as_str).collect();
    let runs: Vec<&str> = concerns.runs.iter().map(String::as_str).collect();
    let mut rows = tx.query(include_str!("rows/load_phases.sql"), &[&issues, &queue_ids, &runs]).await?;
    let candidates_max = concerns.announcements_max(&control);
    rows.extend(tx.query(include_str!("rows/load_candidates.sql"), &[&candidates_max]).await?);
    let phases: Vec<Phase> = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Queue::load(phases, control))
}

/// Writes what has changed since the queue was loaded.
pub(crate) async fn write(tx: &Transaction<'_>, queue: &Queue) -> Result<(), StoreError> {
    if !queue.announcements().is_empty() {
        insert_outbox(tx, queue).await?;
    }
    // In this order: a queue id, or the place of an unfinished phase, may be free only after the one before.
    let removed: Vec<&str> = queue.removed().collect();
    if !removed.is_empty() {
        tx.execute(include_str!("rows/delete_phases.sql"), &[&removed]).await?;
    }
    let changed = Mutable::of(queue.changed());
    if !changed.queue_id.is_empty() {
        update(tx, &changed).await?;
    }
    let added: Vec<NewPhase<'_>> = queue.added().collect();
    if !added.is_empty() {
        insert(tx, &added).await?;
    }
    write_control(tx, &queue.control()).await
}

async fn write_control(tx: &Transaction<'_>, control: &Control) -> Result<(), StoreError> {
    tx.execute(include_str!("rows/set_state.sql"), &[&control.active]).await?;
    let paused = control.paused_at.map(|at| ("queue_paused", control.paused.to_string(), at));
    let most = control.configured_at.map(|at| ("max_concurrent", control.max_concurrent.to_string(), at));
    let changes: Vec<_> = paused.into_iter().chain(most).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = changes.iter().map(|(key, ..)| *key).collect();
    let values: Vec<&str> = changes.iter().map(|(_, value, _)| value.as_str()).collect();
    let times: Vec<OffsetDateTime> = changes.iter().map(|(.., at)| *at).collect();
    tx.execute(include_str!("rows/set_config.sql"), &[&keys, &values, &times]).await?;
    Ok(())
}

async fn insert_outbox(tx: &Transaction<'_>, queue: &Queue) -> Result<(), StoreError> {
    let told = queue.announcements();
    let orphans: BTreeMap<(&str, i64), &Map<String, Value>> =
        queue.orphans().map(|((queue_id, position), data)| ((queue_id.as_str(), *position), data)).collect();
    let causes: Vec<i64> = told.iter().map(|told| told.cause).collect();
    let ordinals: Vec<i32> = told.iter().map(|told| told.ordinal).collect();
    let queue_ids: Vec<&str> = told.iter().map(|told| told.queue_id.as_str()).collect();
    let positions: Vec<i64> = told.iter().map(|told| told.queue_position).collect();
    let subjects: Vec<&str> = told.iter().map(|told| told.subject.as_str()).collect();
    let phases: Vec<&str> = told.iter().map(|told| told.phase.as_str()).collect();
    let data: Vec<Option<Json<&Map<String, Value>>>> = told
        .iter()
        .map(|told| orphans.get(&(told.queue_id.as_str(), told.queue_position)).copied().map(Json))
        .collect();
    let statement = include_str!("rows/insert_outbox.sql");
    tx.execute(statement, &[&causes, &ordinals, &queue_ids, &positions, &subjects, &phases, &data]).await?;
    Ok(())
}

async fn update(tx: &Transaction<'_>, phases: &Mutable<'_>) -> Result<(), StoreError> {
    let Mutable { queue_id, status, held, adw_id, error_message, updated_at, times, announcements } = phases;
    let statement = include_str!("rows/update_phases.sql");
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
        ],
    )
    .await?;
    Ok(())
}

async fn insert(tx: &Transaction<'_>, added: &[NewPhase<'_>]) -> Result<(), StoreError> {
    let Mutable { queue_id, status, held, adw_id, error_message, updated_at, times, announcements } =
        Mutable::of(added.iter().map(|added| added.phase));
    let fixed = Fixed::of(added);
    let statement = include_str!("rows/insert_phases.sql");
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
fn array_literal(numbers: &[i32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(i32::to_string).collect();
    format!("{{{}}}", numbers.join(","))
}

fn read(row: &Row) -> Result<Phase, StoreError> {
    let content: &[u8] = row.try_get("content_sha256")?;
    let content = content.try_into().map_err(|_| StoreError::OutOfRange { column: "content_sha256" })?;
    Ok(Phase {
        queue_id: row.try_get("queue_id")?,
        parent_issue: row.try_get("parent_issue")?,
        phase_number: row.try_get("phase_number")?,
        depends_on: row.try_get("depends_on_phases")?,
        issue_number: row.try_get("issue_number")?,
        priority: row.try_get("priority")?,
        queue_position: row.try_get("queue_position")?,
        adw_id: row.try_get("adw_id")?,
        state: read_state(row)?,
        announcements: row.try_get("announcements")?,
        content: BodyDigest(content),
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

/// The columns that a state needs are there: the table's constraints see to it.
fn read_state(row: &Row) -> Result<State, StoreError> {
    let finished = |outcome| -> Result<State, StoreError> {
        Ok(State::Finished {
            outcome,
            ready_at: row.try_get("ready_at")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    };
    match row.try_get("status")? {
        "queued" => Ok(State::Queued),
        "blocked" => Ok(State::Blocked { why: row.try_get("error_message")? }),
        "ready" => Ok(State::Ready {
            since: row.try_get("ready_at")?,
            held: row.try_get("held")?,
            announced_at: row.try_get("announced_at")?,
        }),
        "running" => {
            Ok(State::Running { ready_at: row.try_get("ready_at")?, started_at: row.try_get("started_at")? })
        }
        "completed" => finished(Outcome::Completed),
        "failed" => finished(Outcome::Failed { why: row.try_get("error_message")? }),
        _ => Err(StoreError::OutOfRange { column: "status" }),
    }
}
