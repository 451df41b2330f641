//! GitHub's scheme: header `X-Hub-Signature-256: sha256=<64 hex digits>`, HMAC-SHA-256 over the raw body.
//! (GitHub documentation, "Validating webhook deliveries")
//!
//! It signs neither a time nor any header, so a captured body verifies for ever, under any event name and delivery
//! id. What that leaves open is closed behind the gateway: by event ids, body digests and the check of the body
//! against its event.

use crate::error::only;
use crate::keyring::KeyForm;
use crate::{Key, Keyring, Verified, VerifyError, hex};

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "X-Hub-Signature-256";

const PREFIX: &str = "sha256=";

/// Verifies the values of `X-Hub-Signature-256` for `body` at `now_unix` (seconds), which decides what keys have expired.
///
/// There must be exactly one value: `sha256=` and 64 hex digits of either case, with nothing around them.
pub fn verify(
    keyring: &Keyring,
    signatures: &[&[u8]],
    now_unix: i64,
    body: &[u8],
) -> Result<Verified, VerifyError> {
    let value = only(signatures)?;
    let tag = value.strip_prefix(PREFIX.as_bytes()).and_then(hex::decode).ok_or(VerifyError::Malformed)?;
    let text = str::from_utf8(value).map_err(|_| VerifyError::Malformed)?;
    let key = keyring.find(KeyForm::Text, &[body], &[tag], now_unix)?;
    Ok(Verified::new(key.id(), text, None))
}

/// The header value for `body`, in lower case.
pub fn sign(key: &Key, body: &[u8]) -> String {
    hex::encode(PREFIX, &key.tag(KeyForm::Text, &[body]))
}

#[cfg(test)]
mod tests;
