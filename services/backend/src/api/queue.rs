use axum::Json as Answer;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use hookstream_store::Row;
use hookstream_store::types::Type;
use serde::Serialize;

use crate::Backend;
use crate::freshness::PHASE_QUEUE;
use crate::page::{Page, PageRequest};
use crate::parameters::{Parameters, whole_number};
use crate::problem::Problem;
use crate::values::{Json, Timestamp, column};

/// States of a phase.
const STATUSES: [&str; 6] = ["queued", "ready", "running", "completed", "blocked", "failed"];

/// A page ends early once the data of its phases exceed this. One phase's may be 1 MiB.
const DATA_BYTES_MAX: i64 = 8 << 20;

/// Where a page ends: `queue_position` and `phase_number`.
type Key = (i64, i32);

#[derive(Debug, Serialize)]
pub(super) struct QueueItem {
    queue_id: String,
    parent_issue: i64,
    phase_number: i32,
    issue_number: Option<i64>,
    status: String,
    held: bool,
    depends_on_phases: Vec<i32>,
    phase_data: Json,
    priority: i32,
    queue_position: i64,
    adw_id: String,
    error_message: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    ready_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl QueueItem {
    fn read(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            queue_id: column(row, "queue_id")?,
            parent_issue: column(row, "parent_issue")?,
            phase_number: column(row, "phase_number")?,
            issue_number: column(row, "issue_number")?,
            status: column(row, "status")?,
            held: column(row, "held")?,
            depends_on_phases: column(row, "depends_on_phases")?,
            phase_data: column(row, "phase_data")?,
            priority: column(row, "priority")?,
            queue_position: column(row, "queue_position")?,
            adw_id: column(row, "adw_id")?,
            error_message: column(row, "error_message")?,
            created_at: column(row, "created_at")?,
            updated_at: column(row, "updated_at")?,
            ready_at: column(row, "ready_at")?,
            started_at: column(row, "started_at")?,
            finished_at: column(row, "finished_at")?,
        })
    }

    fn key(&self) -> Key {
        (self.queue_position, self.phase_number)
    }
}

/// `GET /queue`: phases of all issues, first enqueued first. Filter: `status`.
pub(super) async fn list(
    State(backend): State<Backend>,
    mut parameters: Parameters,
) -> Result<Answer<Page<QueueItem>>, Problem> {
    let status = parameters.one_of("status", &STATUSES)?;
    phases(&backend, None, status, &parameters.page()?).await
}

/// `GET /queue/{parent_issue}`: phases of one issue's plan. None is an empty list: an issue without a plan is no error.
pub(super) async fn of_issue(
    State(backend): State<Backend>,
    parent_issue: Result<Path<String>, PathRejection>,
    mut parameters: Parameters,
) -> Result<Answer<Page<QueueItem>>, Problem> {
    // What is not even text is no number either.
    let parent_issue = parent_issue.map(|Path(text)| text).unwrap_or_default();
    let parent_issue = whole_number("parent_issue", &parent_issue)?;
    let status = parameters.one_of("status", &STATUSES)?;
    phases(&backend, Some(parent_issue), status, &parameters.page()?).await
}

async fn phases(
    backend: &Backend,
    parent_issue: Option<i64>,
    status: Option<String>,
    page: &PageRequest<Key>,
) -> Result<Answer<Page<QueueItem>>, Problem> {
    backend.freshness.wait(&[PHASE_QUEUE], page.min_sequence).await?;
    let (position, number) = page.after.unzip();
    let rows = backend
        .database
        .rows(
            include_str!("../sql/queue.sql"),
            &[
                (&parent_issue, Type::INT8),
                (&status, Type::TEXT),
                (&position, Type::INT8),
                (&number, Type::INT4),
                (&DATA_BYTES_MAX, Type::INT8),
                (&page.rows_wanted(), Type::INT8),
            ],
        )
        .await?;
    Ok(Answer(page.answer_cut(&rows, QueueItem::read, QueueItem::key)?))
}

#[derive(Debug, Serialize)]
pub(super) struct Config {
    items: Vec<ConfigRow>,
}

#[derive(Debug, Serialize)]
struct ConfigRow {
    config_key: String,
    config_value: String,
    updated_at: Timestamp,
}

/// `GET /queue/config`: what applies to the queue as a whole.
pub(super) async fn config(
    State(backend): State<Backend>,
    parameters: Parameters,
) -> Result<Answer<Config>, Problem> {
    backend.freshness.wait(&[PHASE_QUEUE], parameters.finish()?).await?;
    let rows = backend.database.rows(include_str!("../sql/queue_config.sql"), &[]).await?;
    let read = |row| {
        Ok(ConfigRow {
            config_key: column(row, "config_key")?,
            config_value: column(row, "config_value")?,
            updated_at: column(row, "updated_at")?,
        })
    };
    Ok(Answer(Config { items: rows.iter().map(read).collect::<Result<_, Problem>>()? }))
}
