//! Stripe's scheme: `Stripe-Signature: t=<Unix seconds>,v1=<64 hex digits>`, HMAC-SHA-256 over `<t>.<body>`, with the
//! whole text of the endpoint's secret, `whsec_` included, as the key.
//! (Stripe documentation, "Verify webhook signatures manually")
//!
//! While a secret is rolled at Stripe the header carries a `v1` for each. Other schemes in it, such as `v0` of test
//! events, are passed over.

use crate::error::only;
use crate::keyring::KeyForm;
use crate::{Key, Keyring, Verified, VerifyError, hex, timestamp};

/// The header that carries time and signatures.
pub const SIGNATURE_HEADER: &str = "Stripe-Signature";
/// Most elements in one header, so that a long list costs us nothing.
pub const ELEMENTS_MAX: usize = 16;

/// Longest header, in bytes: sixteen signatures fit.
const BYTES_MAX: usize = 2048;

/// Verifies the values of `Stripe-Signature` for `body` at `now_unix` (seconds).
///
/// There must be exactly one value, with one `t` and at least one `v1`, none of them out of form. The time may be
/// [`crate::TOLERANCE_SECONDS`] from ours, both ways.
pub fn verify(
    keyring: &Keyring,
    signatures: &[&[u8]],
    now_unix: i64,
    body: &[u8],
) -> Result<Verified, VerifyError> {
    let value = text(only(signatures)?).ok_or(VerifyError::Malformed)?;
    let (time, candidates) = parse(value).ok_or(VerifyError::Malformed)?;
    let signed_at = timestamp::parse(time.as_bytes()).ok_or(VerifyError::Malformed)?;
    let key = keyring.find(KeyForm::Text, &[time.as_bytes(), b".", body], &candidates, now_unix)?;
    timestamp::check(signed_at, now_unix)?;
    Ok(Verified::new(key.id(), value, Some(signed_at)))
}

/// The header value for a `body` that is signed at `timestamp`.
pub fn sign(key: &Key, timestamp: i64, body: &[u8]) -> String {
    let time = timestamp.to_string();
    let tag = key.tag(KeyForm::Text, &[time.as_bytes(), b".", body]);
    hex::encode(&format!("t={time},v1="), &tag)
}

fn text(value: &[u8]) -> Option<&str> {
    let fits = value.len() <= BYTES_MAX && value.iter().all(u8::is_ascii_graphic);
    if fits { str::from_utf8(value).ok() } else { None }
}

/// The text of `t` and the tags of all `v1`; `None` if the header breaks the form.
fn parse(value: &str) -> Option<(&str, Vec<[u8; 32]>)> {
    if value.split(',').count() > ELEMENTS_MAX {
        return None;
    }
    let (mut time, mut tags) = (None, Vec::new());
    for element in value.split(',') {
        match element.split_once('=')? {
            ("t", text) if time.is_none() => time = Some(text),
            // Two times would leave open which one was signed.
            ("t", _) => return None,
            ("v1", digits) => tags.push(hex::decode(digits.as_bytes())?),
            _ => {}
        }
    }
    if tags.is_empty() { None } else { Some((time?, tags)) }
}

#[cfg(test)]
mod tests;
