//! GitHub's scheme: header `X-Hub-Signature-256: sha256=<64 hex digits>`, HMAC-SHA-256 over the raw body.
//! (GitHub documentation, "Validating webhook deliveries")
//!
//! It signs neither a time nor any header, so a captured body verifies for ever, under any event name and delivery
//! id. What that leaves open is closed behind the gateway: by event ids, body digests and the check of the body
//! against its event.

use std::fmt::Write as _;

use crate::error::only;
use crate::keyring::KeyForm;
use crate::{Key, Keyring, Verified, VerifyError};

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "X-Hub-Signature-256";

const PREFIX: &[u8] = b"sha256=";

/// Verifies the values of `X-Hub-Signature-256` for `body`.
///
/// There must be exactly one value: `sha256=` and 64 hex digits of either case, with nothing around them.
pub fn verify(keyring: &Keyring, signatures: &[&[u8]], body: &[u8]) -> Result<Verified, VerifyError> {
    let value = only(signatures)?;
    let tag = value.strip_prefix(PREFIX).and_then(decode_hex).ok_or(VerifyError::Malformed)?;
    let text = str::from_utf8(value).map_err(|_| VerifyError::Malformed)?;
    let key = keyring.find(KeyForm::Text, &[body], &[tag]).ok_or(VerifyError::Mismatch)?;
    Ok(Verified::new(key.id(), text, None))
}

/// The header value for `body`, in lower case.
pub fn sign(key: &Key, body: &[u8]) -> String {
    let mut value = String::with_capacity(71);
    value.push_str("sha256=");
    for byte in key.tag(KeyForm::Text, &[body]) {
        write!(value, "{byte:02x}").expect("writing to a String does not fail");
    }
    value
}

fn decode_hex(digits: &[u8]) -> Option<[u8; 32]> {
    if digits.len() != 64 {
        return None;
    }
    let mut tag = [0; 32];
    for (byte, pair) in tag.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(tag)
}

#[cfg(test)]
mod tests;
