//! Sources from the settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use hookstream_event::generic::{Field, Fields, Rule};
use hookstream_runtime::settings::{SecretSettings, SourceSettings};
use hookstream_runtime::{Settings, SettingsError};
use hookstream_signature::{Key, Keyring, hmac, standard_webhooks};
use hyper::header::HeaderName;
use secrecy::ExposeSecret as _;

use crate::replay::ReplayPolicy;

use super::{KeyInfo, NO_SOURCE, Scheme, Source, Sources, Verifier, label};

const GITHUB: &str = "github";
const INTERNAL: &str = "internal";
/// What the settings may say of a source of GitHub's, beside its secrets.
const GITHUB_TEXTS: [&str; 2] = ["scheme", "replay"];
const SCHEMES: &str = "must be one of github, standard-webhooks, stripe, slack, gitlab, hmac";

/// A source as the settings declare it; its secrets are not read yet.
pub(super) struct Declared {
    pub(super) origin: hookstream_event::Source,
    pub(super) scheme: Scheme,
    /// Those that verify what comes in. None of them: the source is gone, and kept for its history.
    pub(super) secrets: Vec<SecretSettings>,
    /// Those that verified what came in once.
    pub(super) retired: Vec<SecretSettings>,
    replay: Option<ReplayPolicy>,
    /// The setting without which the source is not there at all.
    needs: Option<&'static str>,
}

impl Sources {
    /// Reads and checks the sources and their secrets: `github` and `internal`, which have settings of their own, and
    /// those of the settings file. A source without a secret is an error that names what to set.
    pub fn read(settings: &Settings) -> Result<Self, SettingsError> {
        let mut sources = BTreeMap::new();
        for declared in declared(settings)? {
            match (declared.secrets.is_empty(), declared.needs) {
                (true, Some(name)) => return Err(SettingsError::Unset { name }),
                (true, None) => {}
                (false, _) => {
                    let source = assemble(declared)?;
                    sources.insert(source.name, Arc::new(source));
                }
            }
        }
        Ok(Self(sources))
    }

    /// The keys that are retired: they verify nothing that comes in, and so are no keys of a source.
    pub fn retired_keys(settings: &Settings) -> Result<Vec<KeyInfo>, SettingsError> {
        let mut keys = Vec::new();
        for Declared { origin, scheme, retired, .. } in declared(settings)? {
            for secret in &retired {
                let key = key(&scheme, secret)?;
                keys.push(KeyInfo {
                    source: label(origin.as_str()),
                    scheme: scheme.name(),
                    key_id: key.id().to_owned(),
                    not_after: key.not_after(),
                    place: secret.place(),
                });
            }
        }
        Ok(keys)
    }
}

/// All sources, `github` and `internal` first.
pub(super) fn declared(settings: &Settings) -> Result<Vec<Declared>, SettingsError> {
    let mut all = Vec::new();
    for (name, setting, former) in [
        (GITHUB, "GITHUB_WEBHOOK_SECRET", "GITHUB_WEBHOOK_SECRET_PREVIOUS"),
        (INTERNAL, "INTERNAL_WEBHOOK_SECRET", "INTERNAL_WEBHOOK_SECRET_PREVIOUS"),
    ] {
        let table = settings.sources().iter().find(|source| source.name() == name);
        if let Some(table) = table {
            only_texts(table, name, if name == GITHUB { &GITHUB_TEXTS } else { &["scheme"] })?;
            if table.text("scheme").is_some_and(|scheme| scheme != name) {
                return Err(table.invalid("scheme", format!("must be {name} for the source of that name")));
            }
        }
        let own = [setting, former].into_iter().filter_map(|name| settings.secret_settings(name));
        let scheme = if name == GITHUB { Scheme::Github } else { Scheme::Internal };
        all.push(Declared {
            origin: hookstream_event::Source::parse(name).map_err(SettingsError::refused)?,
            replay: replay(settings, table, &scheme)?,
            scheme,
            secrets: own.chain(table.iter().flat_map(|t| t.secrets()).cloned()).collect(),
            retired: table.iter().flat_map(|t| t.retired()).cloned().collect(),
            needs: Some(setting),
        });
    }
    let tables = settings.sources().iter().filter(|table| ![GITHUB, INTERNAL].contains(&table.name()));
    for table in tables {
        all.push(configured(settings, table)?);
    }
    Ok(all)
}

/// A source of the settings file.
fn configured(settings: &Settings, table: &SourceSettings) -> Result<Declared, SettingsError> {
    let source = hookstream_event::Source::parse(table.name())
        .map_err(|error| table.invalid("<name>", format!("is no name of a source, which {error}")))?;
    if source.as_str() == NO_SOURCE {
        return Err(
            table.invalid("<name>", "stands for unknown paths in metrics and rejections: choose another")
        );
    }
    let name =
        table.text("scheme").ok_or_else(|| table.invalid("scheme", format!("is missing: it {SCHEMES}")))?;
    let verifier = match name {
        "github" => None,
        "standard-webhooks" => Some(Verifier::StandardWebhooks),
        "stripe" => Some(Verifier::Stripe),
        "slack" => Some(Verifier::Slack),
        "gitlab" => Some(Verifier::Gitlab),
        "hmac" => Some(hmac_verifier(table)?),
        _ => return Err(table.invalid("scheme", SCHEMES)),
    };
    if table.secrets().is_empty() && table.retired().is_empty() {
        return Err(table.invalid("secrets", "is missing: without a secret anybody could send"));
    }
    let scheme = match verifier {
        None => {
            only_texts(table, name, &GITHUB_TEXTS)?;
            Scheme::Github
        }
        Some(verifier) => {
            if !matches!(verifier, Verifier::Hmac { .. })
                && let Some(key) = table.given().find(|key| key.starts_with("signature_"))
            {
                return Err(table.invalid(key, "is for the scheme hmac only"));
            }
            let (prefix, defaults) = defaults(&verifier, table.name());
            let fields = Fields {
                id: fields(table, ["id_header", "id_path"], defaults.id)?,
                event: fields(table, ["event_header", "event_path"], defaults.event)?,
                action: fields(table, ["action_header", "action_path"], defaults.action)?,
                time: fields(table, ["time_header", "time_path"], defaults.time)?,
            };
            let prefix = type_prefix(table)?.unwrap_or(prefix);
            Scheme::Generic(verifier, Box::new(Rule::new(source.clone(), &prefix, fields)))
        }
    };
    let (secrets, retired) = (table.secrets().to_vec(), table.retired().to_vec());
    let replay = replay(settings, Some(table), &scheme)?;
    Ok(Declared { origin: source, scheme, secrets, retired, replay, needs: None })
}

/// What is done about a body that comes again under another id. Schemes that sign the id need nothing.
fn replay(
    settings: &Settings,
    table: Option<&SourceSettings>,
    scheme: &Scheme,
) -> Result<Option<ReplayPolicy>, SettingsError> {
    const KEY: &str = "replay";
    let given = table.and_then(|table| Some((table, table.text(KEY)?)));
    let default = match scheme {
        Scheme::Github => Some(settings.parse("HOOKSTREAM_GITHUB_REPLAY")?),
        Scheme::Generic(Verifier::Gitlab | Verifier::Hmac { .. }, _) => Some("flag".to_owned()),
        Scheme::Internal | Scheme::Generic(..) => None,
    };
    match (given, default) {
        (None, default) => Ok(default.and_then(|text| ReplayPolicy::parse(&text))),
        (Some((table, _)), None) => Err(table.invalid(KEY, "is for schemes that sign no id")),
        (Some((table, text)), Some(_)) => {
            let policy = ReplayPolicy::parse(text);
            policy.map(Some).ok_or_else(|| table.invalid(KEY, "must be one of flag, reject"))
        }
    }
}

fn assemble(declared: Declared) -> Result<Source, SettingsError> {
    let Declared { origin, scheme, secrets, replay, .. } = declared;
    let (mut keys, mut places): (Vec<Key>, Vec<String>) = (Vec::new(), Vec::new());
    for secret in &secrets {
        let key = key(&scheme, secret)?;
        let (id, not_after) = (key.id().to_owned(), key.not_after());
        // The same secret in two places is one key. It is good until the later end.
        if let Some(known) = keys.iter_mut().find(|known| secret.id().is_none() && known.id() == id) {
            let end = known.not_after().zip(not_after).map(|(one, other)| one.max(other));
            *known = key.until(end);
        } else {
            keys.push(key);
            places.push(secret.place());
        }
    }
    let name = label(origin.as_str());
    let keys = Keyring::new(keys)
        .map_err(|error| secrets[0].invalid(format!("cannot be used for source {name}: {error}")))?;
    Ok(Source { name, origin, scheme, keys, replay, places })
}

/// Reads a secret.
pub(super) fn key(scheme: &Scheme, secret: &SecretSettings) -> Result<Key, SettingsError> {
    let decodes = matches!(scheme, Scheme::Internal | Scheme::Generic(Verifier::StandardWebhooks, _));
    let value = secret.read()?;
    let bytes = value.expose_secret().as_bytes();
    let id = secret.id().map_or_else(|| Key::fingerprint(bytes), str::to_owned);
    let key = if decodes { Key::new(&id, bytes) } else { Key::plain(&id, bytes) };
    let not_after = secret.not_after().map(time::OffsetDateTime::unix_timestamp);
    Ok(key.map_err(|error| secret.invalid(format!("cannot be used: {error}")))?.until(not_after))
}

/// Where deliveries of a scheme carry what we need, and how their event types begin.
///
/// Those of the providers are documented by them. GitLab's `X-Gitlab-Event-UUID` is not among them: webhooks that
/// cause each other share it.
fn defaults(verifier: &Verifier, name: &str) -> (String, Fields) {
    let header = |name: &str| Field::Header(name.to_owned());
    let path = |path: &str| Field::Path(path.to_owned());
    let own = || format!("source.{name}");
    match verifier {
        Verifier::StandardWebhooks => {
            let id = vec![header(standard_webhooks::ID_HEADER)];
            let fields =
                Fields { id, event: vec![path("type")], action: vec![], time: vec![path("timestamp")] };
            (own(), fields)
        }
        Verifier::Stripe => {
            let fields = Fields {
                id: vec![path("id")],
                event: vec![path("type")],
                action: vec![],
                time: vec![path("created")],
            };
            ("com.stripe".to_owned(), fields)
        }
        Verifier::Slack => {
            let fields = Fields {
                id: vec![path("event_id")],
                event: vec![path("event.type"), path("type")],
                action: vec![path("event.subtype")],
                time: vec![path("event_time")],
            };
            ("com.slack".to_owned(), fields)
        }
        Verifier::Gitlab => {
            let fields = Fields {
                id: vec![header("Idempotency-Key")],
                event: vec![path("object_kind"), path("event_name"), header("X-Gitlab-Event")],
                action: vec![path("object_attributes.action")],
                time: vec![path("object_attributes.updated_at")],
            };
            ("com.gitlab".to_owned(), fields)
        }
        Verifier::Hmac { .. } => (own(), Fields::default()),
    }
}

/// The field that the file names for something, in place of the scheme's own.
fn fields(
    table: &SourceSettings,
    [header, path]: [&str; 2],
    defaults: Vec<Field>,
) -> Result<Vec<Field>, SettingsError> {
    match (table.text(header), table.text(path)) {
        (Some(_), Some(_)) => Err(table.invalid(path, format!("and {header} are both set: set one of them"))),
        (Some(name), None) => Ok(vec![Field::Header(header_name(table, header, name)?)]),
        (None, Some(text)) if text.split('.').any(str::is_empty) => {
            Err(table.invalid(path, "must be keys joined by dots, such as data.id"))
        }
        (None, Some(text)) => Ok(vec![Field::Path(text.to_owned())]),
        (None, None) => Ok(defaults),
    }
}

fn hmac_verifier(table: &SourceSettings) -> Result<Verifier, SettingsError> {
    let key = "signature_header";
    let header = table.text(key).ok_or_else(|| table.invalid(key, "is missing: the scheme hmac needs it"))?;
    let encoding = match table.text("signature_encoding").unwrap_or("hex") {
        "hex" => hmac::Encoding::Hex,
        "base64" => hmac::Encoding::Base64,
        _ => return Err(table.invalid("signature_encoding", "must be one of hex, base64")),
    };
    let prefix = table.text("signature_prefix").unwrap_or_default().to_owned();
    if !prefix.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return Err(table.invalid("signature_prefix", "must be visible ASCII and spaces"));
    }
    if prefix.starts_with(' ') {
        return Err(
            table.invalid("signature_prefix", "must not begin with a space, with which no header begins")
        );
    }
    let header = header_name(table, key, header)?;
    Ok(Verifier::Hmac { header, form: hmac::Form { prefix, encoding } })
}

fn header_name(table: &SourceSettings, key: &str, name: &str) -> Result<String, SettingsError> {
    let name = HeaderName::from_bytes(name.as_bytes());
    name.map(|name| name.as_str().to_owned()).map_err(|_| table.invalid(key, "must be the name of a header"))
}

/// The configured beginning of event types. Those that tell projections what they have before them are not free.
fn type_prefix(table: &SourceSettings) -> Result<Option<String>, SettingsError> {
    let key = "type_prefix";
    let Some(prefix) = table.text(key) else { return Ok(None) };
    let clean = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if prefix.len() > 100 || !prefix.split('.').all(clean) {
        return Err(table.invalid(key, "must be a reversed domain name such as com.example"));
    }
    let taken = ["hookstream", "com.github"];
    if taken.iter().any(|taken| prefix == *taken || prefix.starts_with(&format!("{taken}."))) {
        return Err(table.invalid(key, "must not be that of another kind of event"));
    }
    Ok(Some(prefix.to_owned()))
}

fn only_texts(table: &SourceSettings, scheme: &str, allowed: &[&str]) -> Result<(), SettingsError> {
    match table.given().find(|key| !allowed.contains(key)) {
        Some(key) => Err(table.invalid(key, format!("is not for the scheme {scheme}, which has its own"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
