//! The tables `[sources.<name>]` of the settings file, and secrets that know where they come from.
//!
//! What a scheme or a header is, is for the gateway to say: here are their texts, and the lines they stand in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file::Lines;
use super::{Origin, SettingsError, layers};

/// Longest secret, in bytes, that a file may hold.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Keys of a source that hold a text, beside `secret`, `secret_file`, `secrets` and `retired`.
pub const SOURCE_TEXTS: [&str; 14] = [
    "scheme",
    "replay",
    "type_prefix",
    "id_header",
    "id_path",
    "event_header",
    "event_path",
    "action_header",
    "action_path",
    "time_header",
    "time_path",
    "signature_header",
    "signature_prefix",
    "signature_encoding",
];
const SECRETS: [&str; 4] = ["secret", "secret_file", "secrets", "retired"];
const SECRET_KEYS: [&str; 4] = ["id", "secret", "secret_file", "not_after"];

/// One table `[sources.<name>]`. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    name: String,
    origin: Origin,
    texts: BTreeMap<&'static str, (String, Origin)>,
    secrets: Vec<SecretSettings>,
    retired: Vec<SecretSettings>,
}

/// A secret, or the file that holds it. `Debug` does not show it.
#[derive(Debug, Clone)]
pub struct SecretSettings {
    setting: String,
    origin: Origin,
    id: Option<String>,
    not_after: Option<OffsetDateTime>,
    place: Place,
}

// `SecretString` shows nothing of itself.
#[derive(Debug, Clone)]
enum Place {
    Value(SecretString),
    File(PathBuf),
}

impl SourceSettings {
    /// The name behind `sources.`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a key of [`SOURCE_TEXTS`], if it is given.
    pub fn text(&self, key: &str) -> Option<&str> {
        debug_assert!(SOURCE_TEXTS.contains(&key), "{key} is no key of a source");
        self.texts.get(key).map(|(text, _)| text.as_str())
    }

    /// The keys of [`SOURCE_TEXTS`] that are given.
    pub fn given(&self) -> impl Iterator<Item = &'static str> {
        self.texts.keys().copied()
    }

    /// Its secrets, in the order of the file.
    pub fn secrets(&self) -> &[SecretSettings] {
        &self.secrets
    }

    /// Secrets that verify nothing that comes in any more, only what was stored while they were good.
    pub fn retired(&self) -> &[SecretSettings] {
        &self.retired
    }

    /// The error for a key that cannot be used, or is missing; `problem` follows the key.
    pub fn invalid(&self, key: &str, problem: impl Into<String>) -> SettingsError {
        let origin = self.texts.get(key).map_or(&self.origin, |(_, origin)| origin);
        let name = format!("sources.{}.{key}", self.name);
        SettingsError::Invalid { name, origin: origin.clone(), problem: problem.into() }
    }
}

impl SecretSettings {
    /// A secret whose value is known; `file` is where it was read, if it came from a file.
    pub(super) fn known(setting: &str, origin: Origin, value: String, file: Option<PathBuf>) -> Self {
        let place = file.map_or_else(|| Place::Value(value.into()), Place::File);
        Self { setting: setting.to_owned(), origin, id: None, not_after: None, place }
    }

    /// The id that logs and events name it by, if one is given.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// From when on it is no longer good.
    pub fn not_after(&self) -> Option<OffsetDateTime> {
        self.not_after
    }

    /// The file that holds it, if one does.
    pub fn file(&self) -> Option<&Path> {
        if let Place::File(path) = &self.place { Some(path) } else { None }
    }

    /// Where it comes from, for people.
    pub fn place(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Value(_) => format!("{} ({})", self.setting, self.origin),
        }
    }

    /// The secret; from a file, what that holds now, without one newline at its end.
    pub fn read(&self) -> Result<SecretString, SettingsError> {
        match &self.place {
            Place::Value(secret) => Ok(secret.clone()),
            Place::File(path) => secret_from_file(&self.setting, path).map(SecretString::from),
        }
    }

    /// The error for a secret that cannot be used; `problem` follows the setting's name.
    pub fn invalid(&self, problem: impl Into<String>) -> SettingsError {
        let problem = problem.into();
        SettingsError::Invalid { name: self.setting.clone(), origin: self.origin.clone(), problem }
    }
}

/// Reads a file with nothing but a secret in it; `setting` names the file.
pub(super) fn secret_from_file(setting: &str, path: &Path) -> Result<String, SettingsError> {
    let what = || setting.to_owned();
    let unreadable = |source| SettingsError::Unreadable { what: what(), path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > SECRET_FILE_BYTES_MAX {
        return Err(unreadable(std::io::Error::other("it is larger than 64 KiB, so it is no secret")));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    // Editors and `echo` end a file with a newline that is no part of the secret.
    let secret = text.strip_suffix('\n').map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    if secret.is_empty() {
        return Err(unreadable(std::io::Error::other("it is empty")));
    }
    Ok(secret.to_owned())
}

/// Reads the table `sources`.
pub(super) fn read(
    lines: &Lines<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<SourceSettings>, SettingsError> {
    let sources = lines.table("sources", value)?;
    sources
        .iter()
        .map(|(name, value)| {
            let name = name.get_ref().as_ref();
            let table = lines.table(&format!("sources.{name}"), value)?;
            source(lines, name, lines.origin(value.span().start), table)
        })
        .collect()
}

fn source(
    lines: &Lines<'_>,
    name: &str,
    origin: Origin,
    table: &DeTable<'_>,
) -> Result<SourceSettings, SettingsError> {
    let path = format!("sources.{name}");
    let mut texts = BTreeMap::new();
    for (key, value) in table {
        let (key, at) = (key.get_ref().as_ref(), key.span().start);
        if let Some(known) = SOURCE_TEXTS.into_iter().find(|known| *known == key) {
            let text = lines.text(&format!("{path}.{key}"), value)?;
            texts.insert(known, (text, lines.origin(at)));
        } else if !SECRETS.contains(&key) {
            return Err(unknown(lines, at, &path, key, SOURCE_TEXTS.iter().chain(&SECRETS)));
        }
    }
    let mut secrets = Vec::new();
    if table.iter().any(|(key, _)| SECRETS[..2].contains(&key.get_ref().as_ref())) {
        secrets.push(secret(lines, &path, origin.clone(), table)?);
    }
    secrets.extend(secret_list(lines, &path, table, SECRETS[2])?);
    let retired = secret_list(lines, &path, table, SECRETS[3])?;
    Ok(SourceSettings { name: name.to_owned(), origin, texts, secrets, retired })
}

/// The secrets that the table has under `wanted`, a list of tables.
fn secret_list(
    lines: &Lines<'_>,
    path: &str,
    table: &DeTable<'_>,
    wanted: &str,
) -> Result<Vec<SecretSettings>, SettingsError> {
    let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref().as_ref() == wanted) else {
        return Ok(Vec::new());
    };
    let DeValue::Array(list) = value.get_ref() else {
        return Err(lines.syntax(key.span().start, format!("{path}.{wanted} must be a list of tables")));
    };
    let mut secrets = Vec::new();
    for (at, value) in list.iter().enumerate() {
        let path = format!("{path}.{wanted}[{at}]");
        let table = lines.table(&path, value)?;
        for (key, _) in table {
            let (key, at) = (key.get_ref().as_ref(), key.span().start);
            if !SECRET_KEYS.contains(&key) {
                return Err(unknown(lines, at, &path, key, SECRET_KEYS.iter()));
            }
        }
        secrets.push(secret(lines, &path, lines.origin(value.span().start), table)?);
    }
    Ok(secrets)
}

/// One secret of a source, out of the source's own table or out of one of its list.
fn secret(
    lines: &Lines<'_>,
    path: &str,
    origin: Origin,
    table: &DeTable<'_>,
) -> Result<SecretSettings, SettingsError> {
    let find =
        |wanted: &str| table.iter().find(|(key, _)| key.get_ref().as_ref() == wanted).map(|(_, value)| value);
    let text = |key: &str| find(key).map(|value| lines.text(&format!("{path}.{key}"), value)).transpose();
    let (setting, place) = match (text("secret")?, text("secret_file")?) {
        (Some(secret), None) => ("secret", Place::Value(secret.into())),
        (None, Some(file)) => ("secret_file", Place::File(file.into())),
        _ => {
            let problem = "must have either secret or secret_file".to_owned();
            return Err(SettingsError::Invalid { name: path.to_owned(), origin, problem });
        }
    };
    let not_after = match find("not_after") {
        None => None,
        Some(value) => Some(time(value.get_ref()).ok_or_else(|| {
            let problem = "must be a time with its offset, such as 2026-12-01T00:00:00Z";
            lines.syntax(value.span().start, format!("{path}.not_after {problem}"))
        })?),
    };
    Ok(SecretSettings { setting: format!("{path}.{setting}"), origin, id: text("id")?, not_after, place })
}

fn time(value: &DeValue<'_>) -> Option<OffsetDateTime> {
    let text = match value {
        DeValue::Datetime(time) => time.to_string(),
        DeValue::String(text) => text.to_string(),
        _ => return None,
    };
    OffsetDateTime::parse(&text, &Rfc3339).ok()
}

fn unknown<'k>(
    lines: &Lines<'_>,
    at: usize,
    path: &str,
    key: &str,
    known: impl Iterator<Item = &'k &'static str>,
) -> SettingsError {
    let near = known.copied().filter(|known| layers::distance(known, key) <= 3);
    let hint = near.min_by_key(|known| layers::distance(known, key));
    let hint = hint.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
    lines.unknown(at, format!("{path}.{key}"), hint)
}

#[cfg(test)]
mod tests;
