use std::fmt;

use ::hmac::{Hmac, KeyInit as _, Mac as _};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::{VerifyError, hex};

/// Marks a secret of Standard Webhooks: what follows is the key in base64.
const STANDARD_PREFIX: &[u8] = b"whsec_";

/// Generated secrets come with and without padding.
const SECRET_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret and the id under which logs and stored events name it.
#[derive(Clone)]
pub struct Key {
    id: String,
    /// The bytes of the secret's text.
    text: SecretSlice<u8>,
    /// The key of Standard Webhooks: decoded if the text says that it is encoded, else the text.
    decoded: SecretSlice<u8>,
    /// From this second on, in Unix time, it verifies nothing.
    not_after: Option<i64>,
}

/// The secret or id cannot be used. No variant holds the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// HMAC would accept an empty key, and anybody could sign with it.
    #[error("the secret of key '{0}' is empty or only white space")]
    Empty(String),
    /// `whsec_` is followed by something that is not base64.
    #[error("the secret of key '{0}' begins with whsec_ but does not continue in base64")]
    NotBase64(String),
    /// The id is not `[A-Za-z0-9_-]{1,64}`.
    #[error("a key id must be 1 to 64 characters of A-Z, a-z, 0-9, '_' and '-'")]
    Id,
    /// Two keys of one ring share an id.
    #[error("two keys have the id '{0}'")]
    SameId(String),
    /// A ring without keys would refuse everything.
    #[error("there is no key")]
    NoKeys,
}

impl Key {
    /// Takes a secret as it was configured, without trimming anything.
    ///
    /// `standard_webhooks` decodes what follows `whsec_`, if it begins so; all others use the text's bytes as they are.
    pub fn new(id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        let mut key = Self::plain(id, secret)?;
        if let Some(encoded) = secret.strip_prefix(STANDARD_PREFIX) {
            let decoded = SECRET_BASE64.decode(encoded).map_err(|_| KeyError::NotBase64(id.to_owned()))?;
            if decoded.is_empty() {
                return Err(KeyError::Empty(id.to_owned()));
            }
            key.decoded = decoded.into();
        }
        Ok(key)
    }

    /// The same for schemes that take the text of a secret as it is, whatever it begins with: Stripe's begin with
    /// `whsec_` and are no base64.
    pub fn plain(id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        let clean = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !clean || !(1..=64).contains(&id.len()) {
            return Err(KeyError::Id);
        }
        if secret.trim_ascii().is_empty() {
            return Err(KeyError::Empty(id.to_owned()));
        }
        Ok(Self {
            id: id.to_owned(),
            text: secret.to_vec().into(),
            decoded: secret.to_vec().into(),
            not_after: None,
        })
    }

    /// The id of a secret that was given none: `k-` and 12 hex digits that only this secret has.
    ///
    /// It stays with the secret when that moves from current to former, so it names the same key for ever. It is cut
    /// from an HMAC of a fixed text under the secret, which tells no more of it than any signature does.
    pub fn fingerprint(secret: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
        mac.update(b"hookstream key id");
        hex::encode("k-", &mac.finalize().into_bytes()[..6])
    }

    /// The same key, good until this second of Unix time: at `not_after` itself it verifies nothing any more.
    #[must_use]
    pub fn until(mut self, not_after: Option<i64>) -> Self {
        self.not_after = not_after;
        self
    }

    /// When it ceases to be good, in Unix time.
    pub fn not_after(&self) -> Option<i64> {
        self.not_after
    }

    /// Whether it has ceased to be good.
    pub fn has_expired(&self, now_unix: i64) -> bool {
        self.not_after.is_some_and(|not_after| now_unix >= not_after)
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// HMAC-SHA-256 of `parts`, one after another.
    pub(crate) fn tag(&self, form: KeyForm, parts: &[&[u8]]) -> [u8; 32] {
        let key = match form {
            KeyForm::Text => &self.text,
            KeyForm::Decoded => &self.decoded,
        };
        let mut mac =
            Hmac::<Sha256>::new_from_slice(key.expose_secret()).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Which bytes of a secret a scheme signs with.
#[derive(Clone, Copy)]
pub(crate) enum KeyForm {
    Text,
    Decoded,
}

/// The keys of one source: one, or several while a secret is being rotated. Never empty.
#[derive(Debug, Clone)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    /// Takes at least one key, with distinct ids.
    pub fn new(keys: Vec<Key>) -> Result<Self, KeyError> {
        for (at, key) in keys.iter().enumerate() {
            if keys[..at].iter().any(|earlier| earlier.id == key.id) {
                return Err(KeyError::SameId(key.id.clone()));
            }
        }
        if keys.is_empty() { Err(KeyError::NoKeys) } else { Ok(Self(keys)) }
    }

    /// The keys, in order.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// The ids of the keys, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Key::id)
    }

    /// The key that made one of `candidates` for `parts`, if it is good at `now_unix`.
    pub(crate) fn find(
        &self,
        form: KeyForm,
        parts: &[&[u8]],
        candidates: &[[u8; 32]],
        now_unix: i64,
    ) -> Result<&Key, VerifyError> {
        self.find_by(|key| key.tag(form, parts), candidates, now_unix)
    }

    /// The key whose text is `token`, if it is good at `now_unix`.
    pub(crate) fn find_text(&self, token: &[u8], now_unix: i64) -> Result<&Key, VerifyError> {
        let digest = |text: &[u8]| -> [u8; 32] { Sha256::digest(text).into() };
        self.find_by(|key| digest(key.text.expose_secret()), &[digest(token)], now_unix)
    }

    /// Compares every key with every candidate, each on all 32 bytes, so the time taken tells neither how much of a
    /// guess was right nor which key was close.
    fn find_by(
        &self,
        tag: impl Fn(&Key) -> [u8; 32],
        candidates: &[[u8; 32]],
        now_unix: i64,
    ) -> Result<&Key, VerifyError> {
        let mut good = Choice::from(0);
        let mut expired = Choice::from(0);
        let mut position = 0_u32;
        for (at, key) in (0_u32..).zip(&self.0) {
            let tag = tag(key);
            let active = Choice::from(u8::from(!key.has_expired(now_unix)));
            for candidate in candidates {
                let equal = tag.ct_eq(candidate);
                position.conditional_assign(&at, equal & active);
                good |= equal & active;
                expired |= equal & !active;
            }
        }
        match (bool::from(good), bool::from(expired)) {
            (true, _) => Ok(&self.0[position as usize]),
            (false, true) => Err(VerifyError::Expired),
            (false, false) => Err(VerifyError::Mismatch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Verified, gitlab, hub};

    // L1
    #[test]
    fn no_output_holds_a_secret() {
        let secret = "canary-secret";
        let encoded = "whsec_Y2FuYXJ5LXNlY3JldA==";
        let keys = [secret, encoded].map(|text| Key::new(&text[..5], text.as_bytes()).unwrap());
        let ring = Keyring::new(keys.to_vec()).unwrap();
        let signed = hub::sign(&keys[0], b"{}");
        let verified: Verified = hub::verify(&ring, &[signed.as_bytes()], 0, b"{}").unwrap();
        let printed = format!("{keys:?} {ring:?} {verified:?} {ring:#?}");
        // The secret as text, encoded, and as the list of numbers that bytes print as.
        let numbers = format!("{:?}", secret.as_bytes());
        for forbidden in [secret, "Y2FuYXJ5", numbers.trim_matches(['[', ']']), "99, 97, 110"] {
            assert!(!printed.contains(forbidden), "{printed}");
        }
        assert!(printed.contains("whsec") && printed.contains("canar"), "ids are for printing");
    }

    #[test]
    fn rings_have_keys_with_ids_of_their_own() {
        let key = |id| Key::new(id, b"secret").unwrap();
        assert_eq!(Keyring::new(Vec::new()).unwrap_err(), KeyError::NoKeys);
        let error = Keyring::new(vec![key("a"), key("b"), key("a")]).unwrap_err();
        assert_eq!(error, KeyError::SameId("a".to_owned()));
    }

    #[test]
    fn an_id_fits_into_headers_and_logs() {
        for id in ["", "a b", "a\n", "é", &"a".repeat(65)] {
            assert_eq!(Key::new(id, b"secret").unwrap_err(), KeyError::Id, "{id:?}");
        }
        assert_eq!(Key::new("current-2_B", b"secret").unwrap().id(), "current-2_B");
    }

    // R5
    #[test]
    fn a_key_ceases_to_verify_at_its_second_whatever_the_scheme() {
        const NOT_AFTER: i64 = 1_800_000_000;
        let key = Key::new("old", b"former").unwrap().until(Some(NOT_AFTER));
        let ring = Keyring::new(vec![Key::new("new", b"present").unwrap(), key.clone()]).unwrap();
        let signed = hub::sign(&key, b"{}");
        let by_hub =
            |now| hub::verify(&ring, &[signed.as_bytes()], now, b"{}").map(|v| v.key_id().to_owned());
        let by_token = |now| gitlab::verify(&ring, &[b"former"], now).map(|v| v.key_id().to_owned());
        for (now, expected) in [
            (i64::MIN, Ok("old".to_owned())),
            (NOT_AFTER - 1, Ok("old".to_owned())),
            (NOT_AFTER, Err(VerifyError::Expired)),
            (i64::MAX, Err(VerifyError::Expired)),
        ] {
            assert_eq!(by_hub(now), expected, "{now}");
            assert_eq!(by_token(now), expected, "{now}");
        }
        assert!(gitlab::verify(&ring, &[b"present"], i64::MAX).is_ok(), "the new key has no end");
        let forged = format!("sha256={}", "0".repeat(64));
        let forgery = hub::verify(&ring, &[forged.as_bytes()], NOT_AFTER, b"{}");
        assert_eq!(forgery, Err(VerifyError::Mismatch));
    }

    // T9: the tags are compared by `subtle` on all of their 32 bytes; that no key is left out is shown here. Measured
    // times would only show what the machine was busy with.
    #[test]
    fn every_key_is_tried_whichever_matches() {
        let keys = ["first", "second", "third"].map(|text| Key::new(text, text.as_bytes()).unwrap());
        let ring = Keyring::new(keys.to_vec()).unwrap();
        for candidate in ["first", "second", "third", "none"] {
            let tried = std::cell::RefCell::new(Vec::new());
            let digest = |text: &str| -> [u8; 32] { Sha256::digest(text).into() };
            let tag = |key: &Key| {
                tried.borrow_mut().push(key.id().to_owned());
                digest(key.id())
            };
            let found = ring.find_by(tag, &[[0; 32], digest(candidate)], 0).map(Key::id).ok();
            assert_eq!(found, (candidate != "none").then_some(candidate));
            assert_eq!(*tried.borrow(), ["first", "second", "third"], "{candidate}");
        }
    }

    #[test]
    fn a_fingerprint_stays_with_its_secret_and_is_an_id() {
        // printf 'hookstream key id' | openssl dgst -sha256 -hmac 's3cret'
        assert_eq!(Key::fingerprint(b"s3cret"), "k-56bd30adcbc3");
        assert_ne!(Key::fingerprint(b"s3cret\n"), Key::fingerprint(b"s3cret"));
        assert!(Key::new(&Key::fingerprint(b"x"), b"x").is_ok());
    }
}
