//! Phases as rows: a fixed number of statements per batch, whatever its size.

use hookstream_event::BodyDigest;
use hookstream_store::types::Json;
use hookstream_store::{Row, StoreError, Transaction};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::queue::NewPhase;
use crate::{Concerns, Outcome, Phase, Queue, State};

/// Loads all that steps with these concerns may touch or look at.
pub(crate) async fn load(tx: &Transaction<'_>, concerns: &Concerns) -> Result<Queue, StoreError> {
    let mut phases = Vec::new();
    if concerns.needs_phases() {
        let issues: Vec<i64> = concerns.issues.iter().copied().collect();
        let queue_ids: Vec<&str> = concerns.queue_ids.iter().map(String::as_str).collect();
        let runs: Vec<&str> = concerns.runs.iter().map(String::as_str).collect();
        let statement = include_str!("rows/load_phases.sql");
        for row in tx.query(statement, &[&issues, &queue_ids, &runs]).await? {
            phases.push(read(&row)?);
        }
    }
    let mut paused = false;
    if concerns.pause {
        let row = tx.query_opt(include_str!("rows/load_pause.sql"), &[]).await?;
        paused = row.map(|row| row.try_get("paused")).transpose()?.unwrap_or(false);
    }
    Ok(Queue::load(phases, paused))
}

/// Writes what has changed since the queue was loaded.
pub(crate) async fn write(tx: &Transaction<'_>, queue: &Queue) -> Result<(), StoreError> {
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
    let pause = queue.pause();
    if let Some(changed_at) = pause.changed_at {
        let value = if pause.paused { "true" } else { "false" };
        tx.execute(include_str!("rows/set_paused.sql"), &[&value, &changed_at]).await?;
    }
    Ok(())
}

async fn update(tx: &Transaction<'_>, phases: &Mutable<'_>) -> Result<(), StoreError> {
    let Mutable { queue_id, status, held, adw_id, error_message, updated_at, times } = phases;
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
        ],
    )
    .await?;
    Ok(())
}

async fn insert(tx: &Transaction<'_>, added: &[NewPhase<'_>]) -> Result<(), StoreError> {
    let Mutable { queue_id, status, held, adw_id, error_message, updated_at, times } =
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
    times: Times<Vec<Option<OffsetDateTime>>>,
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

#[derive(Default)]
struct Times<T> {
    ready: T,
    started: T,
    finished: T,
}

impl<'q> Mutable<'q> {
    fn of(phases: impl Iterator<Item = &'q Phase>) -> Self {
        let mut columns = Self::default();
        for phase in phases {
            let times = times(&phase.state);
            columns.queue_id.push(&phase.queue_id);
            columns.status.push(phase.state.as_str());
            columns.held.push(matches!(phase.state, State::Ready { held: true, .. }));
            columns.adw_id.push(&phase.adw_id);
            columns.error_message.push(phase.error_message());
            columns.updated_at.push(phase.updated_at);
            columns.times.ready.push(times.ready);
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

fn times(state: &State) -> Times<Option<OffsetDateTime>> {
    match *state {
        State::Queued | State::Blocked { .. } => Times::default(),
        State::Ready { since, .. } => Times { ready: Some(since), ..Times::default() },
        State::Running { ready_at, started_at } => {
            Times { ready: Some(ready_at), started: Some(started_at), finished: None }
        }
        State::Finished { ready_at, started_at, finished_at, .. } => {
            Times { ready: Some(ready_at), started: started_at, finished: Some(finished_at) }
        }
    }
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
        "ready" => Ok(State::Ready { since: row.try_get("ready_at")?, held: row.try_get("held")? }),
        "running" => {
            Ok(State::Running { ready_at: row.try_get("ready_at")?, started_at: row.try_get("started_at")? })
        }
        "completed" => finished(Outcome::Completed),
        "failed" => finished(Outcome::Failed { why: row.try_get("error_message")? }),
        _ => Err(StoreError::OutOfRange { column: "status" }),
    }
}
