use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use hyper::header::CONTENT_TYPE;

use crate::Backend;
use crate::live::NoReader;
use crate::parameters::{Parameters, whole_number};
use crate::problem::Problem;

/// Where a reader has stopped, as browsers send it when they connect again.
const LAST_EVENT_ID: &str = "last-event-id";

/// `GET /events`: server-sent events, one for each event of the stream, in order, from now on; with `Last-Event-ID`, or
/// else `after`, from the event behind that sequence on. Filter: `source`.
pub(super) async fn live(
    State(backend): State<Backend>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let source = parameters.text("source");
    let after = parameters.number("after")?;
    parameters.none()?;
    let (name, after) = match headers.get(LAST_EVENT_ID) {
        // A browser that has had no event yet sends none, or an empty one.
        Some(last) if !last.is_empty() => {
            let name = "Last-Event-ID";
            (name, Some(whole_number(name, last.to_str().unwrap_or_default())?))
        }
        _ => ("after", after),
    };
    let reader = backend.live.reader(after.map(i64::unsigned_abs), source).await;
    let reader = reader.map_err(|problem| match problem {
        NoReader::Full => Problem::TooManyReaders,
        NoReader::Beyond => Problem::parameter(name, "is beyond the end of the stream"),
        NoReader::Bus(error) => Problem::NoStream { reason: error.to_string() },
    })?;
    let mut response = Body::from_stream(reader.into_stream()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // For nginx, which would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}
