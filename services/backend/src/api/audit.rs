use axum::Json as Answer;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use hookstream_proofs::{Proofs, newest_checkpoint, prove, prove_extension, prove_resumptions};
use hookstream_store::Row;
use hookstream_store::types::Type;
use hookstream_trail::{Hash, Proof, kind};
use hyper::header::CONTENT_TYPE;
use serde::Serialize;

use crate::Backend;
use crate::freshness::AUDIT;
use crate::page::Page;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::values::{Hex, Json, Timestamp, column};

/// Streams that the trail records.
const STREAMS: [&str; 3] = ["WEBHOOKS", "REJECTIONS", "OPERATIONS"];

#[derive(Debug, Serialize)]
pub(super) struct AuditEntry {
    audit_sequence: i64,
    kind: String,
    stream: Option<String>,
    stream_sequence: Option<i64>,
    event_id: Option<String>,
    source: Option<String>,
    event_type: Option<String>,
    body_sha256: Option<Hex>,
    signature: Option<String>,
    key_id: Option<String>,
    actor: Option<String>,
    count: i64,
    details: Json,
    received_at: Timestamp,
    recorded_at: Timestamp,
    version: i16,
    previous_hash: Hex,
    entry_hash: Hex,
}

impl AuditEntry {
    fn read(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            audit_sequence: column(row, "audit_sequence")?,
            kind: column(row, "kind")?,
            stream: column(row, "stream")?,
            stream_sequence: column(row, "stream_sequence")?,
            event_id: column(row, "event_id")?,
            source: column(row, "source")?,
            event_type: column(row, "event_type")?,
            body_sha256: column(row, "body_sha256")?,
            signature: column(row, "signature")?,
            key_id: column(row, "key_id")?,
            actor: column(row, "actor")?,
            count: column(row, "count")?,
            details: column(row, "details")?,
            received_at: column(row, "received_at")?,
            recorded_at: column(row, "recorded_at")?,
            version: column(row, "version")?,
            previous_hash: column(row, "previous_hash")?,
            entry_hash: column(row, "entry_hash")?,
        })
    }
}

/// `GET /audit`: newest first. Filters: `kind`, `source`, `event_id`, `stream`, `stream_sequence`, `audit_sequence`, and
/// `since` (inclusive) and `until` (exclusive) on `recorded_at`.
pub(super) async fn list(
    State(backend): State<Backend>,
    mut parameters: Parameters,
) -> Result<Answer<Page<AuditEntry>>, Problem> {
    let kind = parameters.one_of("kind", &kind::ALL)?;
    let source = parameters.text("source");
    let event_id = parameters.text("event_id");
    let stream = parameters.one_of("stream", &STREAMS)?;
    let (stream_sequence, audit_sequence) =
        (parameters.number("stream_sequence")?, parameters.number("audit_sequence")?);
    let (since, until) = (parameters.time("since")?, parameters.time("until")?);
    let page = parameters.page::<i64>()?;
    backend.freshness.wait(&[AUDIT], page.min_sequence).await?;
    let rows = backend
        .database
        .rows(
            include_str!("../sql/audit.sql"),
            &[
                (&kind, Type::TEXT),
                (&source, Type::TEXT),
                (&event_id, Type::TEXT),
                (&since, Type::TIMESTAMPTZ),
                (&until, Type::TIMESTAMPTZ),
                (&page.after, Type::INT8),
                (&page.rows_wanted(), Type::INT8),
                (&stream, Type::TEXT),
                (&stream_sequence, Type::INT8),
                (&audit_sequence, Type::INT8),
            ],
        )
        .await?;
    Ok(Answer(page.answer(&rows, AuditEntry::read, |entry| entry.audit_sequence)?))
}

/// `GET /audit/checkpoint`: the newest signed note, as it is.
pub(super) async fn checkpoint(
    State(backend): State<Backend>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    backend.freshness.wait(&[AUDIT], parameters.finish()?).await?;
    let note = backend.database.ask(async |client| newest_checkpoint(client).await).await?;
    let note = note.ok_or(Problem::NoCheckpoint)?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
}

#[derive(Debug, Serialize)]
pub(super) struct Extension {
    /// Entries of the smaller tree.
    from: u64,
    /// Entries of the larger one.
    to: u64,
    /// The proof's hashes, in its order, in hex.
    consistency: Vec<Hash>,
    /// The newest signed note: of `to` entries, unless the request said which.
    checkpoint: String,
}

/// `GET /audit/consistency`: that the trail of `from` entries is the beginning of that of `to`, or of the newest
/// checkpoint.
pub(super) async fn consistency(
    State(backend): State<Backend>,
    mut parameters: Parameters,
) -> Result<Answer<Extension>, Problem> {
    let from = parameters.number("from")?.ok_or_else(|| Problem::parameter("from", "must be given"))?;
    let to = parameters.number("to")?;
    if to.is_some_and(|to| to < from) {
        return Err(Problem::parameter("to", "must not be less than from"));
    }
    backend.freshness.wait(&[AUDIT], parameters.finish()?).await?;
    let (from, to) = (from.unsigned_abs(), to.map(i64::unsigned_abs));
    let found = backend.database.ask(async |client| prove_extension(client, from, to).await).await?;
    let found = found.ok_or(Problem::NoCheckpoint)?;
    let (consistency, checkpoint) = (found.hashes, found.checkpoint);
    Ok(Answer(Extension { from: found.from, to: found.to, consistency, checkpoint }))
}

#[derive(Debug, Serialize)]
pub(super) struct EntryProofs {
    /// Each as `hookstream audit check` takes it.
    proofs: Vec<Proof>,
    /// Entries that the newest checkpoint does not cover.
    uncovered_count: usize,
}

impl From<Proofs> for EntryProofs {
    fn from(found: Proofs) -> Self {
        Self { proofs: found.covered, uncovered_count: found.uncovered }
    }
}

/// `GET /audit/resumptions`: what the trail says of gaps in itself, by the newest checkpoint.
pub(super) async fn resumptions(
    State(backend): State<Backend>,
    parameters: Parameters,
) -> Result<Answer<EntryProofs>, Problem> {
    backend.freshness.wait(&[AUDIT], parameters.finish()?).await?;
    let found = backend.database.ask(async |client| prove_resumptions(client).await).await?;
    Ok(Answer(found.into()))
}

/// `GET /audit/proof/{event_id}`: that an event is in the trail, by the newest checkpoint.
pub(super) async fn proof(
    State(backend): State<Backend>,
    event_id: Result<Path<String>, PathRejection>,
    parameters: Parameters,
) -> Result<Answer<EntryProofs>, Problem> {
    let Path(event_id) = event_id.map_err(|_| Problem::NoEntry)?;
    // Postgres refuses it in a text; no event id holds it.
    if event_id.contains('\0') {
        return Err(Problem::NoEntry);
    }
    backend.freshness.wait(&[AUDIT], parameters.finish()?).await?;
    let found = backend.database.ask(async |client| prove(client, &event_id).await).await?;
    match (found.covered.is_empty(), found.uncovered) {
        (true, 0) => Err(Problem::NoEntry),
        (true, _) => Err(Problem::NoCheckpoint),
        (false, _) => Ok(Answer(found.into())),
    }
}
