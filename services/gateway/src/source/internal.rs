use hookstream_event::{EventId, Source, internal};
use hookstream_signature::{Keyring, Verified, VerifyError, hub, standard_webhooks};
use hyper::HeaderMap;

use super::{Intake, Request, intake, only, values};
use crate::refusal::Refusal;

/// The headers of Standard Webhooks. Any of them means that scheme, so that a delivery id which nobody signed cannot
/// ride on a signature that covers the body alone.
const STANDARD: [&str; 3] =
    [standard_webhooks::ID_HEADER, standard_webhooks::TIMESTAMP_HEADER, standard_webhooks::SIGNATURE_HEADER];

pub(super) fn is_signed(headers: &HeaderMap) -> bool {
    headers.contains_key(standard_webhooks::SIGNATURE_HEADER) || headers.contains_key(hub::SIGNATURE_HEADER)
}

/// Verifies by Standard Webhooks or by `X-Hub-Signature-256`, then reads the event.
pub(super) fn take_in(
    request: Request,
    keys: &Keyring,
    default_type: Option<&str>,
) -> Result<Intake, Refusal> {
    let standard = STANDARD.iter().any(|name| request.headers.contains_key(*name));
    let verified = if standard { by_standard_webhooks(&request, keys) } else { by_hub(&request, keys) }
        .map_err(Refusal::Signature)?;
    let event = internal::decode(&request.body, default_type).map_err(Refusal::Body)?;
    // The scheme has checked the id, which is part of what it signs.
    let sent_id = standard
        .then(|| only(&request.headers, standard_webhooks::ID_HEADER)?.to_str().ok())
        .flatten()
        .map(str::to_owned);
    let delivery_id = match &sent_id {
        Some(id) => id.clone(),
        None => event.derived_delivery_id(&request.body),
    };
    let id = EventId::new(&Source::internal(), &delivery_id).map_err(|_| {
        let rule = "must be 1 to 128 characters of A-Z, a-z, 0-9, '_' and '-'";
        Refusal::Header(standard_webhooks::ID_HEADER, rule)
    })?;
    let description = event.describe(request.received_at);
    Ok(intake(request, id, sent_id.is_none(), &verified, description))
}

fn by_standard_webhooks(request: &Request, keys: &Keyring) -> Result<Verified, VerifyError> {
    let [id, timestamp, signature] = STANDARD.map(|name| values(&request.headers, name));
    // Of those that the scheme allows, it has to be one that an event can have.
    let is_id = |id: &&[u8]| str::from_utf8(id).is_ok_and(|id| EventId::new(&Source::internal(), id).is_ok());
    if !id.iter().all(is_id) {
        return Err(VerifyError::Malformed);
    }
    let headers = standard_webhooks::Headers { id: &id, timestamp: &timestamp, signature: &signature };
    standard_webhooks::verify(keys, &headers, request.received_at.unix_timestamp(), &request.body)
}

fn by_hub(request: &Request, keys: &Keyring) -> Result<Verified, VerifyError> {
    let (signatures, now) =
        (values(&request.headers, hub::SIGNATURE_HEADER), request.received_at.unix_timestamp());
    hub::verify(keys, &signatures, now, &request.body)
}
