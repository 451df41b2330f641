//! Who may send us webhooks: by name, with a scheme and keys, which can be replaced while requests are served.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use hookstream_event::generic::Rule;
use hookstream_signature::{Keyring, gitlab, hmac, slack, standard_webhooks, stripe};

use crate::replay::ReplayPolicy;

mod acts;
mod archive;
mod read;
pub(crate) mod reload;

pub use archive::{Archive, Doubt, Verdict};

/// What stands in the place of a source's name where a request has none.
pub(crate) const NO_SOURCE: &str = "none";

/// All sources, by name.
#[derive(Debug)]
pub struct Sources(BTreeMap<&'static str, Arc<Source>>);

/// One source.
#[derive(Debug)]
pub(crate) struct Source {
    name: &'static str,
    /// The name, as events carry it.
    pub(crate) origin: hookstream_event::Source,
    pub(crate) scheme: Scheme,
    pub(crate) keys: Keyring,
    /// What to do about a body that comes again under another id; `None` where ids are signed.
    pub(crate) replay: Option<ReplayPolicy>,
    /// Where each key comes from, in the order of the keys.
    places: Vec<String>,
}

/// How deliveries are verified and read.
#[derive(Debug)]
pub(crate) enum Scheme {
    /// GitHub's signature, headers and bodies.
    Github,
    /// Standard Webhooks or GitHub's signature, and our own bodies.
    Internal,
    /// Anything else: a signature, and a rule that says where the rest is.
    Generic(Verifier, Box<Rule>),
}

/// How the deliveries of a generic source are verified.
#[derive(Debug)]
pub(crate) enum Verifier {
    StandardWebhooks,
    Stripe,
    Slack,
    Gitlab,
    Hmac { header: String, form: hmac::Form },
}

/// A key of a source, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// The source.
    pub source: &'static str,
    /// Its scheme, as the settings name it.
    pub scheme: &'static str,
    /// The key's id.
    pub key_id: String,
    /// From which second of Unix time on it is no longer good.
    pub not_after: Option<i64>,
    /// Where it comes from.
    pub place: String,
}

impl Sources {
    /// The source of that name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Source>> {
        self.0.get(name).cloned()
    }

    /// Every key of every source.
    pub fn keys(&self) -> Vec<KeyInfo> {
        self.0.values().flat_map(|source| source.key_infos()).collect()
    }
}

impl Source {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    fn key_infos(&self) -> impl Iterator<Item = KeyInfo> {
        self.keys.keys().iter().zip(&self.places).map(|(key, place)| KeyInfo {
            source: self.name,
            scheme: self.scheme.name(),
            key_id: key.id().to_owned(),
            not_after: key.not_after(),
            place: place.clone(),
        })
    }
}

impl Scheme {
    /// The scheme as the settings name it.
    fn name(&self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Internal => "internal",
            Self::Generic(Verifier::StandardWebhooks, _) => "standard-webhooks",
            Self::Generic(Verifier::Stripe, _) => "stripe",
            Self::Generic(Verifier::Slack, _) => "slack",
            Self::Generic(Verifier::Gitlab, _) => "gitlab",
            Self::Generic(Verifier::Hmac { .. }, _) => "hmac",
        }
    }
}

impl Verifier {
    /// The header without which a delivery is not signed.
    pub(crate) fn signature_header(&self) -> &str {
        match self {
            Self::StandardWebhooks => standard_webhooks::SIGNATURE_HEADER,
            Self::Stripe => stripe::SIGNATURE_HEADER,
            Self::Slack => slack::SIGNATURE_HEADER,
            Self::Gitlab => gitlab::TOKEN_HEADER,
            Self::Hmac { header, .. } => header,
        }
    }
}

/// The sources as they are now. Clones share them.
#[derive(Clone)]
pub struct LiveSources(Arc<RwLock<Arc<Sources>>>);

impl LiveSources {
    /// Sources that can be replaced.
    pub fn new(sources: Sources) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(sources))))
    }

    /// The sources as they are now. A request keeps what it began with.
    pub fn now(&self) -> Arc<Sources> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn replace(&self, sources: Sources) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sources);
    }
}

impl fmt::Debug for LiveSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now().fmt(f)
    }
}

/// A name that labels of metrics can hold. Each different name is kept once, for the life of the process: they come
/// from the settings, so there are few.
fn label(name: &str) -> &'static str {
    static NAMES: LazyLock<Mutex<BTreeSet<&'static str>>> = LazyLock::new(Mutex::default);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}
