//! The generic scheme: HMAC-SHA-256 over the raw body, in hex or base64, behind a prefix, in a header of any name.
//!
//! Like GitHub's it signs neither a time nor a header: a captured body verifies for ever.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::only;
use crate::keyring::KeyForm;
use crate::{Key, Keyring, Verified, VerifyError, hex};

/// How a provider writes the tag into its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// What stands before the tag, such as `sha256=`; may be empty.
    pub prefix: String,
    /// How the tag's bytes are written.
    pub encoding: Encoding,
}

/// How 32 bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// 64 hex digits of either case.
    Hex,
    /// 44 characters of padded base64, standard alphabet.
    Base64,
}

/// Verifies the values of the signature header for `body` at `now_unix` (seconds).
///
/// There must be exactly one value: the prefix and the tag, with nothing around them.
pub fn verify(
    keyring: &Keyring,
    form: &Form,
    signatures: &[&[u8]],
    now_unix: i64,
    body: &[u8],
) -> Result<Verified, VerifyError> {
    let value = only(signatures)?;
    let tag = value.strip_prefix(form.prefix.as_bytes()).and_then(|text| form.encoding.decode(text));
    let tag = tag.ok_or(VerifyError::Malformed)?;
    let text = str::from_utf8(value).map_err(|_| VerifyError::Malformed)?;
    let key = keyring.find(KeyForm::Text, &[body], &[tag], now_unix)?;
    Ok(Verified::new(key.id(), text, None))
}

/// The header value for `body`.
pub fn sign(key: &Key, form: &Form, body: &[u8]) -> String {
    let tag = key.tag(KeyForm::Text, &[body]);
    match form.encoding {
        Encoding::Hex => hex::encode(&form.prefix, &tag),
        Encoding::Base64 => format!("{}{}", form.prefix, STANDARD.encode(tag)),
    }
}

impl Encoding {
    fn decode(self, text: &[u8]) -> Option<[u8; 32]> {
        match self {
            Self::Hex => hex::decode(text),
            // Before decoding, so that a long value costs nothing.
            Self::Base64 if text.len() == 44 => STANDARD.decode(text).ok()?.try_into().ok(),
            Self::Base64 => None,
        }
    }
}

#[cfg(test)]
mod tests;
