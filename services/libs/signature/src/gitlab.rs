//! GitLab's scheme: `X-Gitlab-Token` repeats the secret itself. (GitLab documentation, "Webhooks", secret token)
//!
//! It covers neither the body nor anything else: whoever has seen one delivery can make any other. Use it over TLS
//! only, and never store or log the header.

use crate::error::only;
use crate::{Keyring, Verified, VerifyError};

/// The header that carries the secret.
pub const TOKEN_HEADER: &str = "X-Gitlab-Token";
/// What stands for the signature in [`Verified`]: there is none, and the token must not be kept.
pub const NO_SIGNATURE: &str = "token";

/// Longest token, in bytes.
const BYTES_MAX: usize = 1024;

/// Verifies the values of `X-Gitlab-Token` at `now_unix` (seconds).
///
/// There must be exactly one value, of whatever bytes: GitLab only forbids line breaks in it. Digests are compared, so
/// that the time taken tells neither the length of the secret nor how much of a guess was right.
pub fn verify(keyring: &Keyring, tokens: &[&[u8]], now_unix: i64) -> Result<Verified, VerifyError> {
    let token = only(tokens)?;
    if token.is_empty() || token.len() > BYTES_MAX {
        return Err(VerifyError::Malformed);
    }
    let key = keyring.find_text(token, now_unix)?;
    Ok(Verified::new(key.id(), NO_SIGNATURE, None))
}

#[cfg(test)]
mod tests;
