//! Appends commands to the stream, as the internal events that they are.

use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use hookstream_bus::Publisher;
use hookstream_event::internal::{self, BODY_BYTES_MAX};
use hookstream_event::{BodyDigest, Envelope, EventId, InternalEvent, Source, attribute};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::STREAM;
use crate::caller::Caller;
use crate::problem::Problem;

/// How long the stream may take to store a command.
pub(crate) const PUBLISH_BUDGET: Duration = Duration::from_secs(4);

/// How long a body may take.
const BODY_WITHIN: Duration = Duration::from_secs(15);

/// The header that names a command, so that it can be sent again.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Stands where events of the gateway have a signature: the token is what vouches for a command.
const SIGNATURE: &str = "none";

/// The fields of a command's event.
pub(crate) type Fields = Map<String, Value>;

/// What a command became, as the gateway tells it of a webhook.
#[derive(Debug, Serialize)]
pub(crate) struct Receipt {
    /// `accepted`, or `duplicate` if it was stored before under the same id.
    pub(crate) status: &'static str,
    event_id: String,
    stream: String,
    /// What `min_sequence` takes.
    sequence: u64,
}

/// Reads the fields that a request brings; none are as good as an empty object.
pub(crate) async fn read_fields(headers: &HeaderMap, body: Body) -> Result<Fields, Problem> {
    let bytes = read(headers, body).await?;
    if bytes.is_empty() {
        return Ok(Fields::new());
    }
    let is_json = |value: &str| {
        value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    };
    let stated = headers.get(CONTENT_TYPE).map(|value| value.to_str().is_ok_and(is_json));
    if stated == Some(false) {
        return Err(Problem::ContentType);
    }
    hookstream_event::select::check_body(&bytes).map_err(|error| Problem::InvalidEvent(error.into()))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Problem::InvalidEvent(hookstream_event::BodyError::NotAnObject.into())),
        Err(_) => Err(Problem::InvalidEvent(hookstream_event::BodyError::NotJson.into())),
    }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_large = Problem::TooLarge(BODY_BYTES_MAX);
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        return Err(too_large);
    }
    match tokio::time::timeout(BODY_WITHIN, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large),
        Ok(Err(_)) => Err(Problem::BrokenBody),
        Err(_) => Err(Problem::SlowBody),
    }
}

/// The id that the caller gives the command, or a fresh one.
pub(crate) fn event_id(headers: &HeaderMap) -> Result<EventId, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let given = keys.next();
    let rule = "must be one text of 1 to 128 characters of A-Z, a-z, 0-9, '_' and '-'";
    let problem = || Problem::parameter("Idempotency-Key", rule);
    if keys.next().is_some() {
        return Err(problem());
    }
    let key = match given {
        Some(key) => key.to_str().map_err(|_| problem())?.to_owned(),
        None => format!("api-{}", hookstream_runtime::unique_id()),
    };
    EventId::new(&Source::internal(), &key).map_err(|_| problem())
}

/// A command's event, valid in itself.
#[derive(Debug)]
pub(crate) struct Event {
    payload: Bytes,
    pub(crate) event: InternalEvent,
}

impl Receipt {
    /// Of what was stored before.
    pub(crate) fn duplicate(id: &EventId, sequence: u64) -> Self {
        Self { status: "duplicate", event_id: id.to_string(), stream: STREAM.to_owned(), sequence }
    }
}

impl Event {
    /// Validates it as the gateway would.
    pub(crate) fn new(event_type: &'static str, mut fields: Fields) -> Result<Self, Problem> {
        fields.insert("type".to_owned(), event_type.into());
        let payload = Bytes::from(Value::Object(fields).to_string());
        if payload.len() > BODY_BYTES_MAX {
            return Err(Problem::TooLarge(BODY_BYTES_MAX));
        }
        let event = internal::decode(&payload, None).map_err(Problem::InvalidEvent)?;
        Ok(Self { payload, event })
    }

    /// The digest of its body.
    pub(crate) fn digest(&self) -> BodyDigest {
        BodyDigest::of(&self.payload)
    }
}

/// Appends the event, and returns once it is durable.
pub(crate) async fn append(
    publisher: &Publisher,
    caller: &Caller,
    headers: &HeaderMap,
    Event { payload, event }: Event,
) -> Result<Receipt, Problem> {
    let id = event_id(headers)?;
    let event_type = event.type_name();
    let now = OffsetDateTime::now_utc();
    let description = event.describe(now);
    let mut attributes = description.attributes;
    attributes.set(attribute::ACTOR, &caller.to_string());
    let envelope = Envelope {
        id,
        id_derived: false,
        event_type: description.event_type,
        origin: description.origin,
        about: description.about,
        occurred_at: description.occurred_at,
        received_at: now,
        content_type: "application/json".to_owned(),
        body_sha256: BodyDigest::of(&payload),
        signature: SIGNATURE.to_owned(),
        key_id: caller.token_name().to_owned(),
        attributes,
        traceparent: None,
        suspected_replay: false,
    };
    let (id, kind) = (envelope.id.to_string(), envelope.event_type.clone());
    let stored = publisher.publish(description.subject.ingest(), envelope.to_headers(), payload).await;
    let receipt = stored.map_err(|error| Problem::NotStored { reason: error.to_string() })?;
    let stream_sequence = receipt.sequence;
    let (status, disposition) =
        if receipt.duplicate { ("duplicate", "duplicate") } else { ("accepted", "stored") };
    tracing::info!(
        disposition,
        event.id = %id,
        event.r#type = kind.as_str(),
        stream_sequence,
        actor = %caller,
        "{disposition} command {id} ({event_type}) at {stream_sequence}"
    );
    Ok(Receipt { status, event_id: id, stream: receipt.stream, sequence: stream_sequence })
}
