//! The secrets of a data directory: made at the first start, kept for the next.

use anyhow::Context as _;
use hookstream_local::{Passwords, random_password};
use hookstream_runtime::Settings;
use hookstream_signature::Key;
use hookstream_trail::note::Signer;
use secrecy::{ExposeSecret as _, SecretString};

use super::data_dir::DataDir;
use crate::env_file;

const AUDIT_KEY: &str = "HOOKSTREAM_AUDIT_KEY";

/// What processes prove themselves with.
#[derive(Debug, Clone)]
pub(super) struct Secrets {
    pub(super) github: SecretString,
    pub(super) internal: SecretString,
    pub(super) api_token: SecretString,
    pub(super) postgres: SecretString,
    /// Signs the checkpoints of the audit trail.
    pub(super) audit_key: SecretString,
    pub(super) nats: Passwords,
}

impl Secrets {
    /// Those that the settings give, else those that the folder keeps, else new ones, which it then keeps.
    pub(super) fn load(data_dir: &DataDir, settings: &Settings) -> anyhow::Result<Self> {
        let path = data_dir.path().join("secrets.env");
        let mut kept = env_file::read(&path)?;
        let made = kept.len();
        let mut secret =
            |name: &'static str, make: fn(&str) -> anyhow::Result<String>| -> anyhow::Result<SecretString> {
                // Postgres's password is no setting: it is between us and our own server.
                let given =
                    hookstream_runtime::settings::Setting::named(name).and_then(|_| settings.secret(name));
                if let Some(given) = given {
                    check(name, given.expose_secret())
                        .map_err(|problem| settings.invalid(name, format!("cannot be used: {problem}")))?;
                    return Ok(given);
                }
                if let Some((_, value)) = kept.iter().find(|(known, _)| known == name) {
                    return Ok(value.clone().into());
                }
                let value = make(&random_password()?)?;
                kept.push((name.to_owned(), value.clone()));
                Ok(value.into())
            };
        let plain = |random: &str| Ok(random.to_owned());
        let secrets = Self {
            github: secret("GITHUB_WEBHOOK_SECRET", plain)?,
            internal: secret("INTERNAL_WEBHOOK_SECRET", standard)?,
            api_token: secret("HOOKSTREAM_API_TOKEN", plain)?,
            postgres: secret("POSTGRES_PASSWORD", plain)?,
            audit_key: secret(AUDIT_KEY, audit_key)?,
            nats: Passwords::load_or_create(&data_dir.path().join("nats-passwords.env"))
                .context("keep the passwords of NATS")?,
        };
        if kept.len() > made {
            let pairs: Vec<(&str, String)> =
                kept.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            env_file::write(&path, "Made by the first `hookstream up`. Keep them with the data.", &pairs)?;
        }
        Ok(secrets)
    }
}

/// In the form of Standard Webhooks, whose libraries decode it: 32 letters of base 64.
#[expect(clippy::unnecessary_wraps, reason = "others can fail")]
fn standard(random: &str) -> anyhow::Result<String> {
    Ok(format!("whsec_{}", &random[1..]))
}

/// The key's name is that of the log, and so is not to be another log's.
fn audit_key(random: &str) -> anyhow::Result<String> {
    Ok(crate::audit::make_key(&format!("hookstream/{}", &random[1..9]))?.0)
}

fn check(name: &'static str, value: &str) -> Result<(), String> {
    if name == AUDIT_KEY {
        return Signer::parse(value).map(|_| ()).map_err(|error| error.to_string());
    }
    Key::new(name, value.as_bytes()).map(|_| ()).map_err(|error| error.to_string())
}

impl Secrets {
    /// What verifies the checkpoints of the audit trail.
    pub(super) fn audit_public_key(&self) -> anyhow::Result<String> {
        let signer = Signer::parse(self.audit_key.expose_secret());
        Ok(signer.context("the key of the audit trail that the data directory keeps")?.public().to_string())
    }
}

/// The text of a secret, for where it has to go.
pub(super) fn text(secret: &SecretString) -> String {
    secret.expose_secret().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_kept_and_usable() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let none = Settings::from_pairs::<&str, &str>([]);
        let first = Secrets::load(&data_dir, &none).unwrap();
        let second = Secrets::load(&data_dir, &none).unwrap();
        for (one, other) in [
            (&first.github, &second.github),
            (&first.internal, &second.internal),
            (&first.api_token, &second.api_token),
            (&first.postgres, &second.postgres),
            (&first.audit_key, &second.audit_key),
        ] {
            assert_eq!(text(one), text(other));
            assert!(text(one).len() >= 32);
        }
        Key::new("test", text(&first.internal).as_bytes()).unwrap();
        assert!(text(&first.internal).starts_with("whsec_"));
        assert!(first.audit_public_key().unwrap().starts_with("hookstream/"));
    }

    #[test]
    fn a_blank_secret_is_refused_by_the_name_of_its_setting() {
        let dir = tempfile::tempdir().unwrap();
        let blank = Settings::from_pairs([("GITHUB_WEBHOOK_SECRET", " ")]);
        let error = Secrets::load(&DataDir::open(dir.path()).unwrap(), &blank).unwrap_err();
        assert!(error.is::<hookstream_runtime::SettingsError>(), "{error:?}");
        assert!(error.to_string().starts_with("GITHUB_WEBHOOK_SECRET"), "{error}");
        let wrong = Settings::from_pairs([("HOOKSTREAM_AUDIT_KEY", "PRIVATE+KEY+a+00000000+canary")]);
        let error = Secrets::load(&DataDir::open(dir.path()).unwrap(), &wrong).unwrap_err().to_string();
        assert!(error.starts_with("HOOKSTREAM_AUDIT_KEY") && !error.contains("canary"), "{error}");
    }

    #[test]
    fn a_secret_that_is_set_wins_and_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = DataDir::open(dir.path()).unwrap();
        let set = Settings::from_pairs([("GITHUB_WEBHOOK_SECRET", "given")]);
        assert_eq!(text(&Secrets::load(&data_dir, &set).unwrap().github), "given");
        let none = Settings::from_pairs::<&str, &str>([]);
        assert_ne!(text(&Secrets::load(&data_dir, &none).unwrap().github), "given");
    }
}
