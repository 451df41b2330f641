//! The commands: each appends one internal event. The event log decides; what the queue is known not to allow is refused
//! beforehand.

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hookstream_event::internal::limit;
use hookstream_store::types::Type;
use serde_json::Value;

use super::clashes;
use crate::Backend;
use crate::caller::Caller;
use crate::commands::{self, Event, Fields, Receipt};
use crate::freshness::PHASE_QUEUE;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::values::column;

/// 202 if it was stored now, 200 if it was before.
impl IntoResponse for Receipt {
    fn into_response(self) -> Response {
        let status = if self.status == "accepted" { StatusCode::ACCEPTED } else { StatusCode::OK };
        (status, Answer(self)).into_response()
    }
}

/// A request for a command, up to its body.
struct Command {
    backend: Backend,
    caller: Caller,
    headers: HeaderMap,
}

impl Command {
    async fn append(&self, event_type: &'static str, fields: Fields) -> Result<Receipt, Problem> {
        let event = Event::new(event_type, fields)?;
        clashes::check(&self.backend, &event.event).await?;
        commands::append(&self.backend.publisher, &self.caller, &self.headers, event).await
    }

    /// The receipt of this very command, if it was given before, under the same key. The queue may not allow it again
    /// just because it was.
    async fn given_before(&self, event_type: &'static str, fields: Fields) -> Option<Receipt> {
        let id = commands::event_id(&self.headers).ok()?;
        let digest = Event::new(event_type, fields).ok()?.digest();
        let (known_id, body) = (id.as_str(), digest.as_bytes().as_slice());
        let parameters = [(&known_id as _, Type::TEXT), (&body as _, Type::BYTEA)];
        let sql = include_str!("../sql/given_before.sql");
        let rows = self.backend.database.rows(sql, &parameters).await.ok()?;
        let sequence: i64 = column(rows.first()?, "stream_sequence").ok()?;
        Some(Receipt::duplicate(&id, sequence.unsigned_abs()))
    }
}

/// `POST /queue/enqueue`: one phase, as `phase.enqueued` has it.
pub(super) async fn enqueue(
    State(backend): State<Backend>,
    caller: Caller,
    parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Receipt, Problem> {
    parameters.none()?;
    let fields = commands::read_fields(&headers, body).await?;
    Command { backend, caller, headers }.append("phase.enqueued", fields).await
}

/// `POST /queue/plan`: all phases of an issue, or none, as `plan.enqueued` has it.
pub(super) async fn plan(
    State(backend): State<Backend>,
    caller: Caller,
    parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Receipt, Problem> {
    parameters.none()?;
    let fields = commands::read_fields(&headers, body).await?;
    Command { backend, caller, headers }.append("plan.enqueued", fields).await
}

/// `POST /queue/config/pause`: `{"paused": true}` or `false`, and a `reason`.
pub(super) async fn pause(
    State(backend): State<Backend>,
    caller: Caller,
    parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Receipt, Problem> {
    parameters.none()?;
    let mut fields = commands::read_fields(&headers, body).await?;
    let event_type = match fields.remove("paused") {
        Some(Value::Bool(true)) => "queue.paused",
        Some(Value::Bool(false)) => "queue.resumed",
        _ => return Err(Problem::parameter("paused", "must be true or false")),
    };
    Command { backend, caller, headers }.append(event_type, fields).await
}

/// `POST /queue/config`: `{"max_concurrent": 5}`, and a `reason`, as `queue.configured` has it.
pub(super) async fn configure(
    State(backend): State<Backend>,
    caller: Caller,
    parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Receipt, Problem> {
    parameters.none()?;
    let fields = commands::read_fields(&headers, body).await?;
    Command { backend, caller, headers }.append("queue.configured", fields).await
}

/// `POST /queue/{queue_id}/execute`: announce a ready phase now, past the concurrency limit and the pause.
pub(super) async fn execute(
    State(backend): State<Backend>,
    caller: Caller,
    queue_id: Result<Path<String>, PathRejection>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Receipt, Problem> {
    let command = Command { backend, caller, headers };
    of_phase(command, "phase.execution_requested", queue_id, parameters, body).await
}

/// `POST /queue/{queue_id}/retry`: a failed phase shall run again.
pub(super) async fn retry(
    State(backend): State<Backend>,
    caller: Caller,
    queue_id: Result<Path<String>, PathRejection>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Receipt, Problem> {
    of_phase(Command { backend, caller, headers }, "phase.retried", queue_id, parameters, body).await
}

/// `DELETE /queue/{queue_id}`: a phase that is not running shall not run.
pub(super) async fn dequeue(
    State(backend): State<Backend>,
    caller: Caller,
    queue_id: Result<Path<String>, PathRejection>,
    parameters: Parameters,
    headers: HeaderMap,
    body: Body,
) -> Result<Receipt, Problem> {
    of_phase(Command { backend, caller, headers }, "phase.dequeued", queue_id, parameters, body).await
}

async fn of_phase(
    command: Command,
    event_type: &'static str,
    queue_id: Result<Path<String>, PathRejection>,
    parameters: Parameters,
    body: Body,
) -> Result<Receipt, Problem> {
    let queue_id = queue_id.map(|Path(id)| id).map_err(|_| Problem::UnknownPhase(None))?;
    let min_sequence = parameters.finish()?;
    let mut fields = commands::read_fields(&command.headers, body).await?;
    command.backend.freshness.wait(&[PHASE_QUEUE], min_sequence).await?;
    let checked = check(&command.backend, event_type, &queue_id).await;
    fields.insert("queue_id".to_owned(), queue_id.into());
    match checked {
        Ok(()) => command.append(event_type, fields).await,
        Err(refusal) => command.given_before(event_type, fields).await.ok_or(refusal),
    }
}

/// Refuses what the queue does not allow, if the queue has applied all that the stream held a moment ago. Where that
/// cannot be told, as while Postgres is away, the command is appended all the same: the event log decides.
async fn check(backend: &Backend, event_type: &str, queue_id: &str) -> Result<(), Problem> {
    let Ok(status) = status_of(backend, queue_id).await else { return Ok(()) };
    if refusal(event_type, queue_id, status.as_deref()).is_none()
        || !backend.freshness.caught_up(PHASE_QUEUE).await
    {
        return Ok(());
    }
    let Ok(status) = status_of(backend, queue_id).await else { return Ok(()) };
    refusal(event_type, queue_id, status.as_deref()).map_or(Ok(()), Err)
}

async fn status_of(backend: &Backend, queue_id: &str) -> Result<Option<String>, Problem> {
    // Postgres takes no U+0000 in a text, and no phase has one.
    if queue_id.contains('\0') {
        return Ok(None);
    }
    let sql = "SELECT status FROM phase_queue WHERE queue_id = $1";
    let rows = backend.database.rows(sql, &[(&queue_id, Type::TEXT)]).await?;
    rows.first().map(|row| column(row, "status")).transpose()
}

fn refusal(event_type: &str, queue_id: &str, status: Option<&str>) -> Option<Problem> {
    let Some(status) = status else {
        let is_id = !queue_id.is_empty() && queue_id.len() <= limit::ID;
        let is_id = is_id && queue_id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b));
        return Some(Problem::UnknownPhase(is_id.then(|| queue_id.to_owned())));
    };
    let rule = match (event_type, status) {
        ("phase.execution_requested", "ready")
        | ("phase.retried", "failed")
        | ("phase.dequeued", "queued" | "ready" | "blocked" | "completed" | "failed") => return None,
        ("phase.execution_requested", _) => "only a ready phase can be executed",
        ("phase.retried", _) => "only a failed phase can be retried",
        _ => "a phase that runs cannot be removed",
    };
    Some(Problem::NotNow(format!("queue_id {queue_id} is {status}: {rule}")))
}
