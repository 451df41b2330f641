use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

use super::{REQUEST_ID_HEADER, RequestId};

/// How errors look that are answered before any service is asked, or in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorShape {
    /// `{"error": …, "detail": …, "request_id": …}`.
    #[default]
    Plain,
    /// A problem document (RFC 9457).
    Problem,
}

/// What is answered without asking the service, or when it panicked; and what the pages of every process refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is no HTTP/1 request.
    Malformed,
    /// Two servers could read its framing differently; how.
    Ambiguous(&'static str),
    /// The target is too long.
    UriTooLong,
    /// There are too many headers, or they are too large.
    HeadersTooLarge,
    /// The client has too many connections.
    TooManyConnections,
    /// The service panicked.
    Internal,
    /// There is no such page.
    NoPage,
    /// Pages are only read.
    PageMethod,
}

impl Fault {
    /// What hyper answers by itself, with an empty body: told by the start of its answer.
    pub(super) fn of_hyper(answer: &[u8]) -> Option<Self> {
        let status = answer.strip_prefix(b"HTTP/1.1 ").or_else(|| answer.strip_prefix(b"HTTP/1.0 "))?;
        match status.get(..3)? {
            b"400" => Some(Self::Malformed),
            b"414" => Some(Self::UriTooLong),
            b"431" => Some(Self::HeadersTooLarge),
            _ => None,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Ambiguous(_) => StatusCode::BAD_REQUEST,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooManyConnections => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoPage => StatusCode::NOT_FOUND,
            Self::PageMethod => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The code in the answer, and of the count.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_request",
            Self::Ambiguous(_) => "ambiguous_request",
            Self::UriTooLong => "uri_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::TooManyConnections => "too_many_connections",
            Self::Internal => "internal",
            Self::NoPage => "not_found",
            Self::PageMethod => "method_not_allowed",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::Malformed => "this is no request of HTTP/1.1",
            Self::Ambiguous(how) => how,
            Self::UriTooLong => "the request target is too long",
            Self::HeadersTooLarge => "the headers are too many or too large",
            Self::TooManyConnections => "too many connections from this address",
            Self::Internal => "internal error",
            Self::NoPage => "the pages are /healthz, /readyz and /metrics",
            Self::PageMethod => "this page is read with GET or HEAD",
        }
    }

    /// The answer to a request.
    pub(crate) fn response<B: From<Bytes>>(self, shape: ErrorShape, id: RequestId) -> Response<B> {
        let (content_type, body) = self.page(shape, id);
        let mut response = Response::new(B::from(Bytes::from(body)));
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// The content type and the body of the answer.
    fn page(self, shape: ErrorShape, id: RequestId) -> (&'static str, String) {
        let (code, detail, request_id) = (self.code(), self.detail(), id.to_string());
        match shape {
            ErrorShape::Plain => (
                "application/json",
                json!({ "error": code, "detail": detail, "request_id": request_id }).to_string(),
            ),
            ErrorShape::Problem => (
                "application/problem+json",
                json!({
                    "type": format!("urn:hookstream:problem:{}", code.replace('_', "-")),
                    "title": self.status().canonical_reason(),
                    "status": self.status().as_u16(),
                    "detail": detail,
                    "request_id": request_id,
                })
                .to_string(),
            ),
        }
    }

    /// The whole answer, for a connection that is closed after it.
    pub(super) fn answer(self, shape: ErrorShape) -> Vec<u8> {
        let id = RequestId::new();
        let (content_type, body) = self.page(shape, id);
        let retry = if self == Self::TooManyConnections { "retry-after: 5\r\n" } else { "" };
        format!(
            "HTTP/1.1 {}\r\ncontent-type: {content_type}\r\ncache-control: no-store\r\n{REQUEST_ID_HEADER}: {id}\r\n\
             {retry}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            self.status(),
            body.len()
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_and_in_the_listeners_shape() {
        let plain = String::from_utf8(Fault::Malformed.answer(ErrorShape::Plain)).unwrap();
        let (head, body) = plain.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"], "malformed_request");
        assert!(head.contains(body["request_id"].as_str().unwrap()), "{head}");

        let problem = String::from_utf8(Fault::TooManyConnections.answer(ErrorShape::Problem)).unwrap();
        assert!(problem.contains("application/problem+json") && problem.contains("retry-after: 5\r\n"));
        let (_, body) = problem.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["type"], "urn:hookstream:problem:too-many-connections");
        assert_eq!((&body["status"], &body["title"]), (&429.into(), &"Too Many Requests".into()));
    }

    #[test]
    fn only_what_hyper_answers_by_itself_is_taken_for_it() {
        assert_eq!(Fault::of_hyper(b"HTTP/1.1 431 Request Header"), Some(Fault::HeadersTooLarge));
        assert_eq!(Fault::of_hyper(b"HTTP/1.1 200 OK"), None);
        assert_eq!(Fault::of_hyper(b"{\"a\":1}"), None);
    }
}
