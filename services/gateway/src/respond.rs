use bytes::Bytes;
use hookstream_bus::Receipt;
use hookstream_event::EventId;
use hookstream_runtime::http::RequestId;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::refusal::{Refusal, TooMany};

/// What every answer is: small and complete.
pub(crate) type Answer = Response<Full<Bytes>>;

#[derive(Serialize)]
struct ReceiptBody<'a> {
    status: &'static str,
    event_id: &'a str,
    stream: &'a str,
    sequence: u64,
}

#[derive(Serialize)]
struct ChallengeBody<'a> {
    challenge: &'a str,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'static str,
    detail: &'a str,
    request_id: String,
}

/// 202 for an event that was stored now, 200 for one that was before.
pub(crate) fn receipt(id: &EventId, receipt: &Receipt) -> Answer {
    let (code, status) =
        if receipt.duplicate { (StatusCode::OK, "duplicate") } else { (StatusCode::ACCEPTED, "accepted") };
    let body =
        ReceiptBody { status, event_id: id.as_str(), stream: &receipt.stream, sequence: receipt.sequence };
    json(code, &body)
}

/// 200 for a stored event whose sender wants to read this text.
pub(crate) fn challenge(text: &str) -> Answer {
    json(StatusCode::OK, &ChallengeBody { challenge: text })
}

/// The answer to a webhook that was not stored.
pub(crate) fn refusal(refusal: &Refusal, request_id: RequestId) -> Answer {
    let detail = refusal.detail();
    let body = ErrorBody { error: refusal.code(), detail: &detail, request_id: request_id.to_string() };
    let mut answer = json(refusal.status(), &body);
    if let Some(seconds) = refusal.retry_after_seconds() {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Refusal::TooMany(TooMany::BadSignatures, _) = refusal {
        // Whoever guesses may at least connect again each time.
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if *refusal == Refusal::Method {
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    answer
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(body).expect("texts and numbers are JSON");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
