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
pub(in crate::api) struct WebhookAnalytics {
    date: String,
    webhook_type: String,
    phase_status: String,
    event_count: i64,
    avg_duration_seconds: Option<f64>,
    min_duration_seconds: Option<f64>,
    max_duration_seconds: Option<f64>,
    success_count: i64,
    failure_count: i64,
    success_rate_percent: Option<f64>,
}

impl WebhookAnalytics {
    fn read(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            date: column(row, "date")?,
            webhook_type: column(row, "webhook_type")?,
            phase_status: column(row, "phase_status")?,
            event_count: column(row, "event_count")?,
            avg_duration_seconds: column(row, "avg_duration_seconds")?,
            min_duration_seconds: column(row, "min_duration_seconds")?,
            max_duration_seconds: column(row, "max_duration_seconds")?,
            success_count: column(row, "success_count")?,
            failure_count: column(row, "failure_count")?,
            success_rate_percent: column(row, "success_rate_percent")?,
        })
    }

    fn key(&self) -> (String, String, String) {
        (self.date.clone(), self.webhook_type.clone(), self.phase_status.clone())
    }
}

/// `GET /analytics/webhooks`: view `webhook_analytics`, newest day first. Filters: `webhook_type`, `status`, and the
/// days `since` (inclusive) and `until` (exclusive).
pub(in crate::api) async fn list(
    State(backend): State<Backend>,
    mut parameters: Parameters,
) -> Result<Answer<Page<WebhookAnalytics>>, Problem> {
    let (since, until) = (parameters.date("since")?, parameters.date("until")?);
    let webhook_type = parameters.text("webhook_type");
    let status = parameters.text("status");
    let page = parameters.page::<(String, String, String)>()?;
    backend.freshness.wait(&[TASK_LOG], page.min_sequence).await?;
    let (date, after_type, after_status) = match &page.after {
        Some((date, after_type, after_status)) => (Some(date), Some(after_type), Some(after_status)),
        None => (None, None, None),
    };
    let rows = backend
        .database
        .rows(
            include_str!("../../sql/webhook_analytics.sql"),
            &[
                (&since, Type::TEXT),
                (&until, Type::TEXT),
                (&webhook_type, Type::TEXT),
                (&status, Type::TEXT),
                (&date, Type::TEXT),
                (&after_type, Type::TEXT),
                (&after_status, Type::TEXT),
                (&page.rows_wanted(), Type::INT8),
            ],
        )
        .await?;
    Ok(Answer(page.answer(&rows, WebhookAnalytics::read, WebhookAnalytics::key)?))
}
