use axum::Json as Answer;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookstream_store::Row;
use hookstream_store::types::Type;
use serde::Serialize;

use crate::Backend;
use crate::freshness::{self, Awaited};
use crate::page::Page;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::values::{Json, Timestamp, column};

#[derive(Debug, Serialize)]
pub(super) struct DeadLetter {
    projection: String,
    stream_sequence: i64,
    event_id: Option<String>,
    subject: String,
    reason: String,
    error: String,
    attempts: i32,
    /// Null where the projection read headers only: the stream has the payload.
    payload_bytes: Option<i32>,
    /// In base64, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    headers: Json,
    recorded_at: Timestamp,
    created_at: Timestamp,
    redriven_at: Option<Timestamp>,
}

impl DeadLetter {
    fn read(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            projection: column(row, "projection")?,
            stream_sequence: column(row, "stream_sequence")?,
            event_id: column(row, "event_id")?,
            subject: column(row, "subject")?,
            reason: column(row, "reason")?,
            error: column(row, "error")?,
            attempts: column(row, "attempts")?,
            payload_bytes: column(row, "payload_bytes")?,
            payload: column::<Option<&[u8]>>(row, "payload")?.map(|payload| STANDARD.encode(payload)),
            headers: column(row, "headers")?,
            recorded_at: column(row, "recorded_at")?,
            created_at: column(row, "created_at")?,
            redriven_at: column(row, "redriven_at")?,
        })
    }

    fn key(&self) -> (i64, String) {
        (self.stream_sequence, self.projection.clone())
    }
}

/// `GET /dead-letters`: newest event first. Filters: `projection`, `reason`, `redriven`, `stream_sequence`.
///
/// `payload=true` adds the payloads of one `stream_sequence`, in base64: each may be 25 MiB, so there is no list of them.
pub(super) async fn list(
    State(backend): State<Backend>,
    mut parameters: Parameters,
) -> Result<Answer<Page<DeadLetter>>, Problem> {
    let projection = parameters.one_of("projection", &freshness::ALL.map(|awaited| awaited.name))?;
    let reason = parameters.text("reason");
    let redriven = parameters.flag("redriven")?;
    let stream_sequence = parameters.number("stream_sequence")?;
    let payload = parameters.flag("payload")?.unwrap_or(false);
    if payload && stream_sequence.is_none() {
        return Err(Problem::parameter("payload", "needs stream_sequence: a payload may be 25 MiB"));
    }
    let page = parameters.page::<(i64, String)>()?;
    let concerned = |awaited: &Awaited| projection.as_deref().is_none_or(|name| name == awaited.name);
    let awaited: Vec<Awaited> = freshness::ALL.into_iter().filter(concerned).collect();
    backend.freshness.wait(&awaited, page.min_sequence).await?;
    let (after_sequence, after_projection) = page.after.clone().unzip();
    let rows = backend
        .database
        .rows(
            include_str!("../sql/dead_letters.sql"),
            &[
                (&projection, Type::TEXT),
                (&reason, Type::TEXT),
                (&redriven, Type::BOOL),
                (&stream_sequence, Type::INT8),
                (&payload, Type::BOOL),
                (&after_sequence, Type::INT8),
                (&after_projection, Type::TEXT),
                (&page.rows_wanted(), Type::INT8),
            ],
        )
        .await?;
    Ok(Answer(page.answer(&rows, DeadLetter::read, DeadLetter::key)?))
}
