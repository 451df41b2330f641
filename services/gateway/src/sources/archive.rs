//! Every key that ever verified anything, for verifying what is stored once more.

use std::collections::BTreeMap;

use hookstream_event::{BodyDigest, Envelope, attribute};
use hookstream_runtime::{Settings, SettingsError};
use hookstream_signature::{Keyring, VerifyError, gitlab, hmac, hub, slack, standard_webhooks, stripe};

use super::{Scheme, Verifier, read};

/// Stands where the backend appended a command, or the phase queue that a lease had expired.
const UNSIGNED: &str = "none";
/// The one type that the phase queue appends by itself.
const LEASE_EXPIRED: &str = "hookstream.phase.lease_expired";

/// The keys of all sources by their ids: those in force, those that have expired, and those that are `retired`.
///
/// **Invariant:** nothing here verifies what comes in.
#[derive(Debug)]
pub struct Archive(BTreeMap<String, Known>);

#[derive(Debug)]
struct Known {
    scheme: Scheme,
    /// By id, without an end. Two secrets may have had the same id, one after the other.
    keys: BTreeMap<String, Vec<Keyring>>,
}

/// A stored event whose signature is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The key of its id made the signature for these bytes.
    Verified,
    /// The source's scheme signs nothing: the digest of the body is as it was, and that is all that can be said.
    DigestOnly,
    /// The backend appended it for who gave the command; nobody signed it.
    Appended,
}

/// A stored event does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// No settings say what its source's scheme is.
    #[error("its source is not in the settings")]
    SourceMissing,
    /// No settings hold a key of its id.
    #[error("no key of its id is in the settings")]
    KeyMissing,
    /// The body is not the one that its digest is of.
    #[error("its body is not the one that was received: the digest differs")]
    BodyAltered,
    /// Nothing says that the backend appended it, and yet it has no signature.
    #[error("it has no signature")]
    SignatureMissing,
    /// The stored signature, or what it needs beside the body, is not in the scheme's form.
    #[error("its stored signature is malformed")]
    SignatureMalformed,
    /// The key did not make the stored signature for the stored body.
    #[error("its signature does not match")]
    SignatureMismatch,
}

impl Doubt {
    /// A short name for reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::SourceMissing => "source_missing",
            Self::KeyMissing => "key_missing",
            Self::BodyAltered => "body_altered",
            Self::SignatureMissing => "signature_missing",
            Self::SignatureMalformed => "signature_malformed",
            Self::SignatureMismatch => "signature_mismatch",
        }
    }
}

impl Archive {
    /// Reads all keys that the settings name. A source without any is known all the same: its events miss their keys.
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let mut sources = BTreeMap::new();
        for declared in read::declared(settings)? {
            let mut keys: BTreeMap<String, Vec<Keyring>> = BTreeMap::new();
            for secret in declared.secrets.iter().chain(&declared.retired) {
                let key = read::key(&declared.scheme, secret)?.until(None);
                let id = key.id().to_owned();
                let ring = Keyring::new(vec![key]).map_err(SettingsError::refused)?;
                keys.entry(id).or_default().push(ring);
            }
            sources.insert(declared.origin.as_str().to_owned(), Known { scheme: declared.scheme, keys });
        }
        Ok(Self(sources))
    }

    /// How many keys it holds.
    pub fn keys(&self) -> usize {
        self.0.values().flat_map(|known| known.keys.values()).map(Vec::len).sum()
    }

    /// Verifies a stored event: from its exact bytes, its stored signature, and the key of its stored id.
    pub fn verify_again(&self, envelope: &Envelope, payload: &[u8]) -> Result<Verdict, Doubt> {
        if BodyDigest::of(payload) != envelope.body_sha256 {
            return Err(Doubt::BodyAltered);
        }
        let source = self.0.get(envelope.source().as_str()).ok_or(Doubt::SourceMissing)?;
        if ["", UNSIGNED].contains(&envelope.signature.as_str()) {
            let by_backend = envelope.attributes.text(attribute::ACTOR).is_some();
            let by_phase_queue = envelope.event_type.as_str() == LEASE_EXPIRED;
            let appended = (by_backend || by_phase_queue) && matches!(source.scheme, Scheme::Internal);
            return if appended { Ok(Verdict::Appended) } else { Err(Doubt::SignatureMissing) };
        }
        let rings = source.keys.get(&envelope.key_id).ok_or(Doubt::KeyMissing)?;
        if matches!(source.scheme, Scheme::Generic(Verifier::Gitlab, _)) {
            let as_stored = envelope.signature == gitlab::NO_SIGNATURE;
            return if as_stored { Ok(Verdict::DigestOnly) } else { Err(Doubt::SignatureMalformed) };
        }
        let mut doubt = Doubt::KeyMissing;
        for ring in rings {
            match verify(&source.scheme, ring, envelope, payload) {
                Ok(()) => return Ok(Verdict::Verified),
                Err(VerifyError::Mismatch) => doubt = Doubt::SignatureMismatch,
                Err(_) => doubt = Doubt::SignatureMalformed,
            }
        }
        Err(doubt)
    }
}

/// As the gateway verified it, at the time that was signed.
fn verify(scheme: &Scheme, ring: &Keyring, envelope: &Envelope, payload: &[u8]) -> Result<(), VerifyError> {
    let signature: &[&[u8]] = &[envelope.signature.as_bytes()];
    let signed_at = envelope.attributes.number::<i64>(attribute::SIGNED_AT);
    let now = signed_at.unwrap_or_else(|| envelope.received_at.unix_timestamp());
    // One time has one spelling: the schemes take plain digits only.
    let time = signed_at.map(|time| time.to_string());
    let timestamp: &[&[u8]] = &time.iter().map(String::as_bytes).collect::<Vec<_>>();
    let by_standard_webhooks = || {
        let id = envelope.attributes.text(attribute::SIGNED_ID).unwrap_or(envelope.id.delivery_id());
        let headers = standard_webhooks::Headers { id: &[id.as_bytes()], timestamp, signature };
        standard_webhooks::verify(ring, &headers, now, payload)
    };
    let verified = match scheme {
        Scheme::Github => hub::verify(ring, signature, now, payload),
        // Only one of the two schemes that our own events have signs a time.
        Scheme::Internal if signed_at.is_none() => hub::verify(ring, signature, now, payload),
        Scheme::Internal => by_standard_webhooks(),
        Scheme::Generic(verifier, _) => match verifier {
            Verifier::StandardWebhooks => by_standard_webhooks(),
            Verifier::Stripe => stripe::verify(ring, signature, now, payload),
            Verifier::Slack => slack::verify(ring, &slack::Headers { timestamp, signature }, now, payload),
            Verifier::Hmac { form, .. } => hmac::verify(ring, form, signature, now, payload),
            Verifier::Gitlab => Err(VerifyError::Malformed),
        },
    };
    verified.map(drop)
}
