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
use crate::values::column;

#[derive(Debug, Serialize)]
pub(in crate::api) struct WorkflowAnalytics {
    /// Empty where the events name none.
    workflow_template: String,
    phase_name: String,
    /// Those that ended: completed and failed.
    run_count: i64,
    started_count: i64,
    completed_count: i64,
    failed_count: i64,
    skipped_count: i64,
    success_rate_percent: Option<f64>,
    avg_duration_seconds: Option<f64>,
    p50_duration_seconds: Option<f64>,
    p95_duration_seconds: Option<f64>,
    p99_duration_seconds: Option<f64>,
    tokens_used: i64,
    cost_usd: f64,
}

impl WorkflowAnalytics {
    fn read(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            workflow_template: column(row, "workflow_template")?,
            phase_name: column(row, "phase_name")?,
            run_count: column(row, "run_count")?,
            started_count: column(row, "started_count")?,
            completed_count: column(row, "completed_count")?,
            failed_count: column(row, "failed_count")?,
            skipped_count: column(row, "skipped_count")?,
            success_rate_percent: column(row, "success_rate_percent")?,
            avg_duration_seconds: column(row, "avg_duration_seconds")?,
            p50_duration_seconds: column(row, "p50_duration_seconds")?,
            p95_duration_seconds: column(row, "p95_duration_seconds")?,
            p99_duration_seconds: column(row, "p99_duration_seconds")?,
            tokens_used: column(row, "tokens_used")?,
            cost_usd: column(row, "cost_usd")?,
        })
    }

    fn key(&self) -> (String, String) {
        (self.workflow_template.clone(), self.phase_name.clone())
    }
}

/// `GET /analytics/workflows`: completed workflows and logged tasks by template and phase. Filters: `workflow_template`,
/// `phase`, and the days `since` (inclusive) and `until` (exclusive).
pub(in crate::api) async fn list(
    State(backend): State<Backend>,
    mut parameters: Parameters,
) -> Result<Answer<Page<WorkflowAnalytics>>, Problem> {
    let (since, until) = (parameters.date("since")?, parameters.date("until")?);
    let template = parameters.text("workflow_template");
    let phase = parameters.text("phase");
    let page = parameters.page::<(String, String)>()?;
    backend.freshness.wait(&[TASK_LOG], page.min_sequence).await?;
    let (after_template, after_phase) = page.after.clone().unzip();
    let rows = backend
        .database
        .rows(
            include_str!("../../sql/workflow_analytics.sql"),
            &[
                (&since, Type::TEXT),
                (&until, Type::TEXT),
                (&template, Type::TEXT),
                (&phase, Type::TEXT),
                (&after_template, Type::TEXT),
                (&after_phase, Type::TEXT),
                (&page.rows_wanted(), Type::INT8),
            ],
        )
        .await?;
    Ok(Answer(page.answer(&rows, WorkflowAnalytics::read, WorkflowAnalytics::key)?))
}
