use axum::Json as Answer;
use axum::extract::State;
use hookstream_store::Row;
use hookstream_store::types::Type;
use serde::Serialize;

use crate::Backend;
use crate::freshness::TASK_LOG;
use crate::page::Page;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::values::{Timestamp, column};

#[derive(Debug, Serialize)]
pub(super) struct TaskLog {
    id: i64,
    adw_id: Option<String>,
    issue_number: Option<i64>,
    workflow_template: Option<String>,
    phase_name: String,
    phase_number: Option<i32>,
    phase_status: String,
    log_message: Option<String>,
    error_message: Option<String>,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    duration_seconds: Option<f64>,
    tokens_used: Option<i64>,
    cost_usd: Option<f64>,
    captured_at: Timestamp,
    created_at: Timestamp,
    event_id: String,
    stream_sequence: i64,
    event_type: String,
    source: String,
    repository: Option<String>,
}

impl TaskLog {
    fn read(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            id: column(row, "id")?,
            adw_id: column(row, "adw_id")?,
            issue_number: column(row, "issue_number")?,
            workflow_template: column(row, "workflow_template")?,
            phase_name: column(row, "phase_name")?,
            phase_number: column(row, "phase_number")?,
            phase_status: column(row, "phase_status")?,
            log_message: column(row, "log_message")?,
            error_message: column(row, "error_message")?,
            started_at: column(row, "started_at")?,
            completed_at: column(row, "completed_at")?,
            duration_seconds: column(row, "duration_seconds")?,
            tokens_used: column(row, "tokens_used")?,
            cost_usd: column(row, "cost_usd")?,
            captured_at: column(row, "captured_at")?,
            created_at: column(row, "created_at")?,
            event_id: column(row, "event_id")?,
            stream_sequence: column(row, "stream_sequence")?,
            event_type: column(row, "event_type")?,
            source: column(row, "source")?,
            repository: column(row, "repository")?,
        })
    }
}

/// `GET /task-logs`: newest first. Filters: `issue`, `adw_id`, `phase`, `status`, and `since` (inclusive) and `until`
/// (exclusive) on `captured_at`.
pub(super) async fn list(
    State(backend): State<Backend>,
    mut parameters: Parameters,
) -> Result<Answer<Page<TaskLog>>, Problem> {
    let issue = parameters.number("issue")?;
    let adw_id = parameters.text("adw_id");
    let phase = parameters.text("phase");
    let status = parameters.text("status");
    let (since, until) = (parameters.time("since")?, parameters.time("until")?);
    let page = parameters.page::<i64>()?;
    backend.freshness.wait(&[TASK_LOG], page.min_sequence).await?;
    let rows = backend
        .database
        .rows(
            include_str!("../sql/task_logs.sql"),
            &[
                (&issue, Type::INT8),
                (&adw_id, Type::TEXT),
                (&phase, Type::TEXT),
                (&status, Type::TEXT),
                (&since, Type::TIMESTAMPTZ),
                (&until, Type::TIMESTAMPTZ),
                (&page.after, Type::INT8),
                (&page.rows_wanted(), Type::INT8),
            ],
        )
        .await?;
    Ok(Answer(page.answer(&rows, TaskLog::read, |log| log.id)?))
}
