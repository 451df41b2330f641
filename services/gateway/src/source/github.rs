use hookstream_event::{EventId, Token, form, github};
use hookstream_signature::hub;
use hyper::HeaderMap;

use super::{ContentType, Intake, Request, intake, only, values};
use crate::refusal::Refusal;
use crate::sources::Source;

/// Names the event; not signed.
const EVENT: &str = "X-GitHub-Event";
/// Names the delivery; not signed.
pub(crate) const DELIVERY: &str = "X-GitHub-Delivery";

pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key(hub::SIGNATURE_HEADER)
}

/// Verifies the bytes as they came, a form included; then reads the event, which is the form's `payload`.
pub(super) fn take_in(request: Request, source: &Source) -> Result<Intake, Refusal> {
    let (signatures, now) =
        (values(&request.headers, hub::SIGNATURE_HEADER), request.received_at.unix_timestamp());
    let verified = hub::verify(&source.keys, &signatures, now, &request.body).map_err(Refusal::Signature)?;
    let event = event(&request.headers)?;
    let id = delivery(&request.headers, source)?;
    let decoded;
    let json: &[u8] = match request.content_type {
        ContentType::Json => &request.body,
        ContentType::Form => {
            decoded = form::payload(&request.body).map_err(Refusal::Body)?;
            &decoded
        }
    };
    let mut description = github::describe(&event, json, request.received_at).map_err(Refusal::Body)?;
    // There may be more than one source of GitHub's webhooks.
    description.subject.source = source.origin.token().clone();
    Ok(intake(request, id, false, &verified, description))
}

fn event(headers: &HeaderMap) -> Result<Token, Refusal> {
    let rule = "must be there once: 1 to 64 characters of a-z, 0-9, '_' and '-'";
    let value = only(headers, EVENT).and_then(|value| value.to_str().ok());
    value.and_then(|value| Token::parse(value).ok()).ok_or(Refusal::Header(EVENT, rule))
}

fn delivery(headers: &HeaderMap, source: &Source) -> Result<EventId, Refusal> {
    let rule = "must be there once: 1 to 128 characters of A-Z, a-z, 0-9, '_' and '-'";
    let value = only(headers, DELIVERY).and_then(|value| value.to_str().ok());
    let id = value.and_then(|value| EventId::new(&source.origin, value).ok());
    id.ok_or(Refusal::Header(DELIVERY, rule))
}
