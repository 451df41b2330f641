//! Slack's scheme: `X-Slack-Signature: v0=<64 hex digits>`, HMAC-SHA-256 over `v0:<timestamp>:<body>`, where the
//! timestamp is that of `X-Slack-Request-Timestamp`. (Slack documentation, "Verifying requests from Slack")

use crate::error::only;
use crate::keyring::KeyForm;
use crate::{Key, Keyring, Verified, VerifyError, hex, timestamp};

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "X-Slack-Signature";
/// The header with the time of signing, in Unix seconds.
pub const TIMESTAMP_HEADER: &str = "X-Slack-Request-Timestamp";

const PREFIX: &str = "v0=";

/// All values of the two headers, as received.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'h> {
    /// Values of `X-Slack-Request-Timestamp`.
    pub timestamp: &'h [&'h [u8]],
    /// Values of `X-Slack-Signature`.
    pub signature: &'h [&'h [u8]],
}

/// Verifies a request at `now_unix` (seconds).
///
/// Each header must be there exactly once. The time may be [`crate::TOLERANCE_SECONDS`] from ours, both ways.
pub fn verify(
    keyring: &Keyring,
    headers: &Headers<'_>,
    now_unix: i64,
    body: &[u8],
) -> Result<Verified, VerifyError> {
    let (time, value) = (only(headers.timestamp)?, only(headers.signature)?);
    let signed_at = timestamp::parse(time).ok_or(VerifyError::Malformed)?;
    let tag = value.strip_prefix(PREFIX.as_bytes()).and_then(hex::decode).ok_or(VerifyError::Malformed)?;
    let text = str::from_utf8(value).map_err(|_| VerifyError::Malformed)?;
    let key = keyring.find(KeyForm::Text, &[b"v0:", time, b":", body], &[tag], now_unix)?;
    timestamp::check(signed_at, now_unix)?;
    Ok(Verified::new(key.id(), text, Some(signed_at)))
}

/// The value of `X-Slack-Signature` for a `body` that is signed at `timestamp`.
pub fn sign(key: &Key, timestamp: i64, body: &[u8]) -> String {
    let time = timestamp.to_string();
    hex::encode(PREFIX, &key.tag(KeyForm::Text, &[b"v0:", time.as_bytes(), b":", body]))
}

#[cfg(test)]
mod tests;
