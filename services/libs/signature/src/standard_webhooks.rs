//! Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`, HMAC-SHA-256 over
//! `<id>.<timestamp>.<body>`. (standard-webhooks/standard-webhooks, spec/standard-webhooks.md)
//!
//! Only symmetric signatures, version `v1`, are known; others in the list are passed over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::only;
use crate::keyring::KeyForm;
use crate::{Key, Keyring, Verified, VerifyError, timestamp};

/// The header that names the delivery.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the time of signing, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// Longest delivery id, in bytes.
pub const ID_BYTES_MAX: usize = 256;
/// Most signatures in one header, so that a long list costs us nothing.
pub const SIGNATURES_MAX: usize = 16;

/// Longest signature header, in bytes: sixteen asymmetric (`v1a`) signatures fit.
const SIGNATURE_BYTES_MAX: usize = 2048;

/// All values of the three headers, as received.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'h> {
    /// Values of `webhook-id`.
    pub id: &'h [&'h [u8]],
    /// Values of `webhook-timestamp`.
    pub timestamp: &'h [&'h [u8]],
    /// Values of `webhook-signature`.
    pub signature: &'h [&'h [u8]],
}

/// Verifies a delivery at `now_unix` (seconds).
///
/// Each header must be there exactly once. The id is visible ASCII without the `.` that would make the signed text
/// ambiguous, which is all that the specification forbids. The timestamp is plain digits without a leading zero,
/// and may be [`crate::TOLERANCE_SECONDS`] from ours, both ways.
/// A stale delivery is told from a forged one: [`VerifyError::Stale`] means that the signature is genuine.
pub fn verify(
    keyring: &Keyring,
    headers: &Headers<'_>,
    now_unix: i64,
    body: &[u8],
) -> Result<Verified, VerifyError> {
    let (id, time, list) = (only(headers.id)?, only(headers.timestamp)?, only(headers.signature)?);
    if !is_id(id) {
        return Err(VerifyError::Malformed);
    }
    let signed_at = timestamp::parse(time).ok_or(VerifyError::Malformed)?;
    let list = signature_list(list).ok_or(VerifyError::Malformed)?;
    let candidates = candidates(list).ok_or(VerifyError::Malformed)?;

    let parts: [&[u8]; 5] = [id, b".", time, b".", body];
    let key = keyring.find(KeyForm::Decoded, &parts, &candidates, now_unix)?;
    timestamp::check(signed_at, now_unix)?;
    Ok(Verified::new(key.id(), list, Some(signed_at)))
}

/// The value of `webhook-signature` for a delivery. `id` and `timestamp` must be what the other headers say.
pub fn sign(key: &Key, id: &str, timestamp: i64, body: &[u8]) -> String {
    let timestamp = timestamp.to_string();
    let tag = key.tag(KeyForm::Decoded, &[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
    format!("v1,{}", STANDARD.encode(tag))
}

fn is_id(id: &[u8]) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.iter().all(|b| b.is_ascii_graphic() && *b != b'.')
}

fn signature_list(value: &[u8]) -> Option<&str> {
    let clean = value.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    if clean && value.len() <= SIGNATURE_BYTES_MAX { str::from_utf8(value).ok() } else { None }
}

/// The tags of all `v1` signatures of a list; `None` if the list breaks the form or holds no whole one.
fn candidates(list: &str) -> Option<Vec<[u8; 32]>> {
    if list.split(' ').count() > SIGNATURES_MAX {
        return None;
    }
    let mut tags = Vec::new();
    for entry in list.split(' ') {
        let (version, encoded) = entry.split_once(',')?;
        if version == "v1" {
            let tag = STANDARD.decode(encoded).ok()?;
            tags.push(<[u8; 32]>::try_from(tag).ok()?);
        }
    }
    (!tags.is_empty()).then_some(tags)
}

#[cfg(test)]
mod tests;
