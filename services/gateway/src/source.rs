//! From verified bytes to an event, one module per kind of source.

use bytes::Bytes;
use hookstream_event::{Attributes, BodyDigest, Description, Envelope, EventId, attribute};
use hookstream_signature::Verified;
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use time::OffsetDateTime;

use crate::refusal::Refusal;
use crate::route::Endpoint;
use crate::sources::Scheme;

mod generic;
mod github;
mod internal;
mod traceparent;

/// Content type of JSON bodies, as stored.
const JSON: &str = "application/json";
/// Content type of forms, as stored.
const FORM: &str = hookstream_event::form::MEDIA_TYPE;

/// A whole request.
pub(crate) struct Request {
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: HeaderMap,
    pub(crate) content_type: ContentType,
    pub(crate) body: Bytes,
    /// When the whole of it had come.
    pub(crate) received_at: OffsetDateTime,
}

/// An event, ready to be appended.
#[derive(Debug)]
pub(crate) struct Intake {
    /// `ingest.<source>.<event>.<action>`.
    pub(crate) subject: String,
    pub(crate) envelope: Envelope,
    pub(crate) payload: Bytes,
    /// What the sender wants to read in the answer, instead of a receipt.
    pub(crate) challenge: Option<String>,
}

/// What a body claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContentType {
    Json,
    Form,
}

impl ContentType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Form => FORM,
        }
    }
}

/// Verifies a request, then parses it. The keys are those of the request's source.
pub(crate) fn take_in(request: Request) -> Result<Intake, Refusal> {
    let Endpoint { source, default_type } = request.endpoint.clone();
    match &source.scheme {
        Scheme::Github => github::take_in(request, &source),
        Scheme::Internal => internal::take_in(request, &source.keys, default_type),
        Scheme::Generic(verifier, rule) => generic::take_in(request, &source.keys, verifier, rule),
    }
}

/// Checks what the headers say of the body before it is read.
pub(crate) fn check_content(endpoint: &Endpoint, headers: &HeaderMap) -> Result<ContentType, Refusal> {
    match content_type(endpoint, headers) {
        // Whoever does not sign learns nothing else from us.
        Err(_) if !is_signed(endpoint, headers) => {
            Err(Refusal::Signature(hookstream_signature::VerifyError::Missing))
        }
        result => result,
    }
}

fn is_signed(endpoint: &Endpoint, headers: &HeaderMap) -> bool {
    match &endpoint.source.scheme {
        Scheme::Github => github::is_signed(headers),
        Scheme::Internal => internal::is_signed(headers),
        Scheme::Generic(verifier, _) => headers.contains_key(verifier.signature_header()),
    }
}

fn content_type(endpoint: &Endpoint, headers: &HeaderMap) -> Result<ContentType, Refusal> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    if encodings.any(|encoding| !encoding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")) {
        return Err(Refusal::ContentEncoding);
    }
    let taken = match endpoint.source.scheme {
        Scheme::Github => "application/json or application/x-www-form-urlencoded, in UTF-8",
        Scheme::Internal | Scheme::Generic(..) => "application/json, in UTF-8",
    };
    let value = only(headers, CONTENT_TYPE.as_str()).and_then(|value| value.to_str().ok());
    match (value.and_then(parse_content_type), &endpoint.source.scheme) {
        (Some(ContentType::Form), Scheme::Internal | Scheme::Generic(..)) | (None, _) => {
            Err(Refusal::ContentType(taken))
        }
        (Some(content_type), _) => Ok(content_type),
    }
}

/// Reads a media type; the only parameter that changes how the bytes are read is a charset other than UTF-8.
fn parse_content_type(value: &str) -> Option<ContentType> {
    let mut parts = value.split(';').map(str::trim);
    let media_type = parts.next()?;
    let other_charset = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim_matches('"');
        name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8")
    };
    if parts.any(other_charset) {
        return None;
    }
    [ContentType::Json, ContentType::Form]
        .into_iter()
        .find(|content_type| content_type.as_str().eq_ignore_ascii_case(media_type))
}

/// All values of a header, as bytes.
fn values<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h [u8]> {
    headers.get_all(name).iter().map(hyper::header::HeaderValue::as_bytes).collect()
}

/// The value of a header that is there exactly once.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h hyper::header::HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Joins what the headers, the body and the signature say.
fn intake(
    request: Request,
    id: EventId,
    id_derived: bool,
    verified: &Verified,
    description: Description,
) -> Intake {
    let mut attributes: Attributes = description.attributes;
    // Without it nobody can verify the signature again.
    attributes.set_some(attribute::SIGNED_AT, verified.signed_at());
    let envelope = Envelope {
        id,
        id_derived,
        event_type: description.event_type,
        origin: description.origin,
        about: description.about,
        occurred_at: description.occurred_at,
        received_at: request.received_at,
        content_type: request.content_type.as_str().to_owned(),
        body_sha256: BodyDigest::of(&request.body),
        signature: verified.signature().to_owned(),
        key_id: verified.key_id().to_owned(),
        attributes,
        traceparent: traceparent::read(&request.headers),
        suspected_replay: false,
    };
    Intake { subject: description.subject.ingest(), envelope, payload: request.body, challenge: None }
}

/// The same for a large body, away from the threads that serve connections: hashing and parsing take their time.
pub(crate) async fn take_in_aside(request: Request) -> Result<Intake, Refusal> {
    const ASIDE_BYTES_MIN: usize = 128 * 1024;
    if request.body.len() < ASIDE_BYTES_MIN {
        return take_in(request);
    }
    match tokio::task::spawn_blocking(move || take_in(request)).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests;
