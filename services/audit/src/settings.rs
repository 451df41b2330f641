use std::path::PathBuf;
use std::time::Duration;

use hookstream_runtime::{Settings, SettingsError};
use hookstream_trail::note::{PublicKey, Signer};
use secrecy::ExposeSecret as _;

/// How checkpoints are made, and which are trusted.
#[derive(Debug)]
pub struct CheckpointSettings {
    /// Signs them; without it none are made.
    pub signer: Option<Signer>,
    /// The keys that are trusted, the signer's own among them.
    pub keys: Vec<PublicKey>,
    /// The log's name.
    pub origin: String,
    /// A checkpoint is due after so many entries…
    pub entries: u64,
    /// … or after so long, if there was an entry.
    pub every: Duration,
    /// Where they are appended to.
    pub file: Option<PathBuf>,
}

impl CheckpointSettings {
    /// From the settings `HOOKSTREAM_AUDIT_…`; `None` if there is no key.
    pub fn read(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        let key = "HOOKSTREAM_AUDIT_KEY";
        let signer = settings.secret(key).map(|text| Signer::parse(text.expose_secret()));
        let signer = signer.transpose().map_err(|error| settings.invalid(key, error.to_string()))?;
        let mut keys = public_keys(settings)?;
        if let Some(signer) = &signer
            && !keys.contains(signer.public())
        {
            keys.insert(0, signer.public().clone());
        }
        let Some(first) = keys.first() else { return Ok(None) };
        let origin = settings.get("HOOKSTREAM_AUDIT_ORIGIN").unwrap_or_else(|| first.name().to_owned());
        if origin.contains(char::is_control) {
            return Err(settings.invalid("HOOKSTREAM_AUDIT_ORIGIN", "must be one line of text"));
        }
        Ok(Some(Self {
            signer,
            keys,
            origin,
            entries: settings.parse("HOOKSTREAM_AUDIT_CHECKPOINT_ENTRIES")?,
            every: settings.duration("HOOKSTREAM_AUDIT_CHECKPOINT_EVERY")?,
            file: settings.get("HOOKSTREAM_AUDIT_CHECKPOINT_PATH").map(PathBuf::from),
        }))
    }
}

/// The keys of `HOOKSTREAM_AUDIT_PUBLIC_KEYS`.
pub fn public_keys(settings: &Settings) -> Result<Vec<PublicKey>, SettingsError> {
    let name = "HOOKSTREAM_AUDIT_PUBLIC_KEYS";
    let keys = PublicKey::parse_list(&settings.get(name).unwrap_or_default());
    keys.map_err(|error| settings.invalid(name, error.to_string()))
}
