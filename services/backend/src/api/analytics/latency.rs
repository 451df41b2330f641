use axum::Json as Answer;
use axum::extract::State;
use hookstream_store::Row;
use hookstream_store::types::Type;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::Backend;
use crate::freshness::TASK_LOG;
use crate::page::Page;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::values::{Timestamp, column};

/// Without `since`, this long before `until`, or before now.
const SPAN: Duration = Duration::days(7);

#[derive(Debug, Serialize)]
pub(in crate::api) struct Latency {
    /// Start of the hour in which the events arrived.
    hour: Timestamp,
    source: String,
    event_count: i64,
    p50_seconds: Option<f64>,
    p95_seconds: Option<f64>,
    p99_seconds: Option<f64>,
}

impl Latency {
    fn read(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            hour: column(row, "hour")?,
            source: column(row, "source")?,
            event_count: column(row, "event_count")?,
            p50_seconds: column(row, "p50_seconds")?,
            p95_seconds: column(row, "p95_seconds")?,
            p99_seconds: column(row, "p99_seconds")?,
        })
    }

    fn key(&self) -> (i64, String) {
        (self.hour.unix_seconds(), self.source.clone())
    }
}

/// `GET /analytics/latency`: how long events took from the gateway to the task log, per hour and source, newest hour
/// first. Filters: `source`, `webhook_type`, `repository`, and the times `since` (inclusive; 7 days back unless given)
/// and `until` (exclusive).
pub(in crate::api) async fn list(
    State(backend): State<Backend>,
    mut parameters: Parameters,
) -> Result<Answer<Page<Latency>>, Problem> {
    let (since, until) = (parameters.time("since")?, parameters.time("until")?);
    let source = parameters.text("source");
    let webhook_type = parameters.text("webhook_type");
    let repository = parameters.text("repository");
    let page = parameters.page::<(i64, String)>()?;
    let (after_hour, after_source) = page.after.clone().unzip();
    let after_hour = after_hour.map(OffsetDateTime::from_unix_timestamp).transpose();
    let after_hour = after_hour.map_err(|_| Problem::BadCursor)?;
    let end = until.unwrap_or_else(OffsetDateTime::now_utc);
    let since = since.or_else(|| end.checked_sub(SPAN));
    backend.freshness.wait(&[TASK_LOG], page.min_sequence).await?;
    let rows = backend
        .database
        .rows(
            include_str!("../../sql/latency_analytics.sql"),
            &[
                (&since, Type::TIMESTAMPTZ),
                (&until, Type::TIMESTAMPTZ),
                (&source, Type::TEXT),
                (&webhook_type, Type::TEXT),
                (&repository, Type::TEXT),
                (&after_hour, Type::TIMESTAMPTZ),
                (&after_source, Type::TEXT),
                (&page.rows_wanted(), Type::INT8),
            ],
        )
        .await?;
    Ok(Answer(page.answer(&rows, Latency::read, Latency::key)?))
}
