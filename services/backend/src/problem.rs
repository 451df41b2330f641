//! Errors of the API: what the caller learns, and what the log does.

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hookstream_event::InvalidBody;
use hookstream_runtime::http::RequestId;
use hookstream_store::{Kind, StoreError};
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use serde::Serialize;

/// A request was not answered with what it asked for. Becomes a problem document (RFC 9457).
///
/// **Invariant:** one of status 5xx tells the caller nothing but a title of this module's: no text of a database, a
/// broker or a path is in it. That goes to the log, with the request's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// 400: a parameter, named here, is not what it may be.
    BadParameter {
        /// The parameter.
        name: String,
        /// `must be …`.
        rule: String,
    },
    /// 400: the cursor is not one of ours, or belongs to another list or other filters.
    BadCursor,
    /// 401: no bearer token, or not the right one.
    Unauthorized,
    /// 403: no token is set here, so there are no commands.
    CommandsOff,
    /// 400: the body makes no event; `Display` of the decoder names the field.
    InvalidEvent(InvalidBody),
    /// 400: the body ended early.
    BrokenBody,
    /// 408: the body came too slowly.
    SlowBody,
    /// 413: the body exceeds so many bytes.
    TooLarge(usize),
    /// 415: the body is not JSON.
    ContentType,
    /// 404: the queue has no phase of this queue id, and has applied all that the stream held a moment ago. None is told
    /// where it is none that a phase could have.
    UnknownPhase(Option<String>),
    /// 409: the queue is not in a state for the command, told in a sentence that names the field.
    NotNow(String),
    /// 404: the trail has no entry of this event.
    NoEntry,
    /// 404: no checkpoint covers it yet; there will be one, if the trail makes any.
    NoCheckpoint,
    /// 404: there is nothing at this path.
    NotFound,
    /// 405: the path has other methods.
    MethodNotAllowed,
    /// 503: Postgres is away or busy; try again.
    Unavailable {
        /// For the log.
        reason: String,
    },
    /// 503: the stream cannot be read.
    NoStream {
        /// For the log.
        reason: String,
    },
    /// 503: the stream did not take the event.
    NotStored {
        /// For the log.
        reason: String,
    },
    /// 503: as many clients as may read live events do.
    TooManyReaders,
    /// 504: the projections asked for have not come to `min_sequence` in time.
    NotYetApplied,
    /// 500: a fault of ours.
    Internal {
        /// For the log.
        reason: String,
    },
}

/// The document.
#[derive(Serialize)]
struct Document<'p> {
    r#type: String,
    title: &'p str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    request_id: Option<String>,
}

/// How long to wait before asking again, in seconds.
const RETRY_AFTER_SECONDS: &str = "2";

impl Problem {
    /// A parameter is not what it may be.
    pub(crate) fn parameter(name: &str, rule: impl Into<String>) -> Self {
        Self::BadParameter { name: name.to_owned(), rule: rule.into() }
    }

    /// Status, code and title.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadParameter { .. } => {
                (StatusCode::BAD_REQUEST, "bad-parameter", "A parameter of the request is wrong")
            }
            Self::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "Commands need the bearer token")
            }
            Self::CommandsOff => {
                (StatusCode::FORBIDDEN, "commands-off", "Commands are off: HOOKSTREAM_API_TOKEN is not set")
            }
            Self::InvalidEvent(_) => {
                (StatusCode::BAD_REQUEST, "invalid-event", "The command makes no valid event")
            }
            Self::BrokenBody => (StatusCode::BAD_REQUEST, "broken-body", "The body is incomplete"),
            Self::SlowBody => (StatusCode::REQUEST_TIMEOUT, "slow-body", "The body came too slowly"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content-type",
                "The content type must be application/json",
            ),
            Self::UnknownPhase(_) => (StatusCode::NOT_FOUND, "unknown-phase", "The queue has no such phase"),
            Self::NoEntry => (StatusCode::NOT_FOUND, "no-entry", "The trail has no entry of this event"),
            Self::NoCheckpoint => {
                (StatusCode::NOT_FOUND, "no-checkpoint", "No signed checkpoint covers this yet")
            }
            Self::NotNow(_) => (StatusCode::CONFLICT, "not-now", "The queue is not in a state for this"),
            Self::BadCursor => (StatusCode::BAD_REQUEST, "bad-cursor", "The cursor is not one of this list"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is nothing here"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path has other methods")
            }
            Self::Unavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The read models are not available now")
            }
            Self::NoStream { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The stream is not available now")
            }
            Self::NotStored { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "not-stored",
                "The command was not stored; send it again later",
            ),
            Self::TooManyReaders => {
                (StatusCode::SERVICE_UNAVAILABLE, "too-many-readers", "Too many clients read live events")
            }
            Self::NotYetApplied => {
                (StatusCode::GATEWAY_TIMEOUT, "not-yet-applied", "min_sequence was not applied in time")
            }
            Self::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
        }
    }

    /// For the caller, where it is the caller's to mend.
    fn detail(&self) -> Option<String> {
        match self {
            Self::BadParameter { name, rule } => Some(format!("{name} {rule}")),
            Self::InvalidEvent(invalid) => Some(invalid.to_string()),
            Self::TooLarge(max) => Some(format!("a body has at most {max} bytes")),
            Self::UnknownPhase(Some(queue_id)) => Some(format!("queue_id {queue_id} is not in the queue")),
            Self::UnknownPhase(None) => Some("queue_id is none that a phase can have".to_owned()),
            Self::NotNow(why) => Some(why.clone()),
            Self::BadCursor => {
                Some("use next_cursor as it was given, with the same path and filters".to_owned())
            }
            _ => None,
        }
    }

    fn document(&self, request_id: Option<RequestId>) -> Response {
        let (status, code, title) = self.kind();
        let document = Document {
            r#type: format!("urn:hookstream:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: self.detail(),
            request_id: request_id.map(|id| id.to_string()),
        };
        // Texts and a number are always JSON.
        let mut response = Response::new(Body::from(serde_json::to_vec(&document).unwrap_or_default()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(self, Self::Unauthorized) {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }

    fn log(&self, request_id: Option<RequestId>, path: &str) {
        let id = request_id.map(|id| id.to_string()).unwrap_or_default();
        match self {
            Self::Unavailable { reason } | Self::NoStream { reason } | Self::NotStored { reason } => {
                tracing::warn!(request_id = id, path, reason, "request {id} not answered: {reason}");
            }
            Self::Internal { reason } => {
                tracing::error!(request_id = id, path, reason, "request {id} failed: {reason}");
            }
            _ => {}
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let reason = error.chain();
        // A table or column that is absent: the projection that makes it has not started yet.
        let not_migrated = matches!(error.sqlstate(), Some("42P01" | "42703"));
        match error.kind() {
            Kind::Outage | Kind::Transient => Self::Unavailable { reason },
            _ if not_migrated => Self::Unavailable { reason },
            _ => Self::Internal { reason },
        }
    }
}

/// An empty response that carries the problem; `render` writes the document.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind().0;
        (status, Extension(self)).into_response()
    }
}

/// Writes the documents of the problems that handlers and the router answer with, and logs them once.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let request_id = request.extensions().get::<RequestId>().copied();
    let path = request.uri().path().to_owned();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        problem.log(request_id, &path);
        let (document, body) = problem.document(request_id).into_parts();
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().extend(document.headers);
        *response.body_mut() = body;
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
