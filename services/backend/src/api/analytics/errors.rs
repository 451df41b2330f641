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
pub(in crate::api) struct ErrorAnalytics {
    /// With numbers, ids, paths and quoted words left out.
    message: String,
    /// Empty where the events name none.
    workflow_template: String,
    event_count: i64,
    first_date: String,
    last_date: String,
    /// The start of the last one, as it was.
    last_message: String,
    /// Its row in the task log.
    last_id: i64,
}

impl ErrorAnalytics {
    fn read(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            message: column(row, "message")?,
            workflow_template: column(row, "workflow_template")?,
            event_count: column(row, "event_count")?,
            first_date: column(row, "first_date")?,
            last_date: column(row, "last_date")?,
            last_message: column(row, "last_message")?,
            last_id: column(row, "last_id")?,
        })
    }

    fn key(&self) -> (i64, String, String) {
        (self.event_count, self.workflow_template.clone(), self.message.clone())
    }
}

/// `GET /analytics/errors`: error messages of workflows and tasks, the most frequent first. Filters:
/// `workflow_template`, and the days `since` (inclusive) and `until` (exclusive).
pub(in crate::api) async fn list(
    State(backend): State<Backend>,
    mut parameters: Parameters,
) -> Result<Answer<Page<ErrorAnalytics>>, Problem> {
    let (since, until) = (parameters.date("since")?, parameters.date("until")?);
    let template = parameters.text("workflow_template");
    let page = parameters.page::<(i64, String, String)>()?;
    backend.freshness.wait(&[TASK_LOG], page.min_sequence).await?;
    let (count, after_template, after_message) = match &page.after {
        Some((count, template, message)) => (Some(count), Some(template), Some(message)),
        None => (None, None, None),
    };
    let rows = backend
        .database
        .rows(
            include_str!("../../sql/error_analytics.sql"),
            &[
                (&since, Type::TEXT),
                (&until, Type::TEXT),
                (&template, Type::TEXT),
                (&count, Type::INT8),
                (&after_template, Type::TEXT),
                (&after_message, Type::TEXT),
                (&page.rows_wanted(), Type::INT8),
            ],
        )
        .await?;
    Ok(Answer(page.answer(&rows, ErrorAnalytics::read, ErrorAnalytics::key)?))
}
