use hookstream_event::generic::{Rule, digest_id};
use hookstream_event::{EventId, attribute};
use hookstream_signature::{Keyring, Verified, VerifyError, gitlab, hmac, slack, standard_webhooks, stripe};
use hyper::header::HeaderValue;
use serde::Deserialize;
use time::OffsetDateTime;

use super::{Intake, Request, intake, only, values};
use crate::refusal::Refusal;
use crate::sources::Verifier;

/// Verifies a delivery by the source's scheme, then reads what its rule says.
pub(super) fn take_in(
    request: Request,
    keys: &Keyring,
    how: &Verifier,
    rule: &Rule,
) -> Result<Intake, Refusal> {
    let verified = verify(&request, keys, how).map_err(Refusal::Signature)?;
    if rule.id_headers().any(|name| request.headers.get_all(name).iter().nth(1).is_some()) {
        return Err(Refusal::Header("of the id", "must be there once"));
    }
    // Any bytes make a text of their own, read as ISO 8859-1.
    let text = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect::<String>();
    let header = |name: &str| only(&request.headers, name).map(text);
    let signed_at = verified.signed_at().and_then(|time| OffsetDateTime::from_unix_timestamp(time).ok());
    let fallback = signed_at.unwrap_or(request.received_at);
    let delivery = rule.describe(&header, &request.body, fallback).map_err(Refusal::Body)?;
    let derived = delivery.id.is_none();
    let id = delivery.id.unwrap_or_else(|| digest_id(&request.body));
    let id = EventId::new(rule.source(), &id).expect("a rule gives ids that an event id can hold");
    let mut description = delivery.description;
    if matches!(how, Verifier::StandardWebhooks) {
        // The id is part of what was signed, also where the settings take the event's from elsewhere.
        let signed = header(standard_webhooks::ID_HEADER).filter(|signed| *signed != id.delivery_id());
        description.attributes.set_some(attribute::SIGNED_ID, signed);
    }
    let challenge = matches!(how, Verifier::Slack).then(|| challenge(&request.body)).flatten();
    Ok(Intake { challenge, ..intake(request, id, derived, &verified, description) })
}

/// The text that Slack wants to read in the answer before it sends events to an address.
/// (<https://docs.slack.dev/reference/events/url_verification>)
fn challenge(body: &[u8]) -> Option<String> {
    /// Some ten times what Slack sends.
    const BYTES_MAX: usize = 2048;
    #[derive(Deserialize)]
    struct Handshake {
        r#type: String,
        challenge: String,
    }
    if body.len() > BYTES_MAX {
        return None;
    }
    let handshake: Handshake = serde_json::from_slice(body).ok()?;
    (handshake.r#type == "url_verification").then_some(handshake.challenge)
}

fn verify(request: &Request, keys: &Keyring, verifier: &Verifier) -> Result<Verified, VerifyError> {
    let (now, body) = (request.received_at.unix_timestamp(), &request.body);
    let values = |name: &str| values(&request.headers, name);
    let signature = values(verifier.signature_header());
    match verifier {
        Verifier::StandardWebhooks => {
            let (id, timestamp) =
                (values(standard_webhooks::ID_HEADER), values(standard_webhooks::TIMESTAMP_HEADER));
            let headers =
                standard_webhooks::Headers { id: &id, timestamp: &timestamp, signature: &signature };
            standard_webhooks::verify(keys, &headers, now, body)
        }
        Verifier::Stripe => stripe::verify(keys, &signature, now, body),
        Verifier::Slack => {
            let timestamp = values(slack::TIMESTAMP_HEADER);
            let headers = slack::Headers { timestamp: &timestamp, signature: &signature };
            slack::verify(keys, &headers, now, body)
        }
        Verifier::Gitlab => gitlab::verify(keys, &signature, now),
        Verifier::Hmac { form, .. } => hmac::verify(keys, form, &signature, now, body),
    }
}
