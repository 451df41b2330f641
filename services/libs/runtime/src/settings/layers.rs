use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::file::Entry;
use super::{Held, Origin, SETTINGS, Setting, Settings, SettingsError, table};

/// Longest secret, in bytes, that a file may hold.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// One place that settings come from.
pub(super) struct Layer(BTreeMap<String, Held>);

impl Layer {
    pub(super) fn from_map(values: BTreeMap<String, String>, origin: &Origin) -> Self {
        let held = |(name, value)| (name, Held { value, origin: origin.clone() });
        Self(values.into_iter().filter(|(_, value)| !value.is_empty()).map(held).collect())
    }

    pub(super) fn from_file(entries: Vec<Entry>) -> Self {
        let held = |entry: Entry| (entry.name, Held { value: entry.value, origin: entry.origin });
        Self(entries.into_iter().filter(|entry| !entry.value.is_empty()).map(held).collect())
    }
}

/// The setting that a name sets: `X` itself, or the secret `X` for `X_FILE`.
pub(super) fn setting_behind(name: &str) -> Option<&'static Setting> {
    let secret = || Setting::named(name.strip_suffix("_FILE")?).filter(|setting| setting.is_secret());
    Setting::named(name).or_else(secret)
}

/// The variables of `environment` that are settings.
pub(super) fn environment(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>, SettingsError> {
    let mut found = BTreeMap::new();
    for (name, value) in environment {
        let Some(name) = name.into_string().ok().filter(|name| setting_behind(name).is_some()) else {
            continue;
        };
        let value = value.into_string().map_err(|_| SettingsError::Invalid {
            name: name.clone(),
            origin: Origin::Environment,
            problem: "must be UTF-8".to_owned(),
        })?;
        found.insert(name, value);
    }
    Ok(found)
}

/// For each setting the value of the first layer that has one, else the default.
pub(super) fn resolve(layers: &[Layer]) -> Result<Settings, SettingsError> {
    let mut settings = Settings::default();
    for setting in SETTINGS {
        let mut held = None;
        for layer in layers {
            held = from_layer(setting, layer)?;
            if held.is_some() {
                break;
            }
        }
        let default =
            || setting.default.map(|value| Held { value: value.to_owned(), origin: Origin::Default });
        let Some(held) = held.or_else(default) else { continue };
        if !setting.kind.admits(&held.value) {
            return Err(SettingsError::Invalid {
                name: setting.name.to_owned(),
                origin: held.origin,
                problem: format!("must be {}", setting.kind.expectation()),
            });
        }
        settings.values.insert(setting.name, held);
    }
    Ok(settings)
}

fn from_layer(setting: &'static Setting, layer: &Layer) -> Result<Option<Held>, SettingsError> {
    let direct = layer.0.get(setting.name);
    let file = setting.file_name().and_then(|name| layer.0.get(&name));
    match (direct, file) {
        (Some(held), Some(_)) => Err(SettingsError::Both { name: setting.name, origin: held.origin.clone() }),
        (Some(held), None) => Ok(Some(held.clone())),
        (None, Some(file)) => {
            let value = secret_from_file(setting, file)?;
            Ok(Some(Held { value, origin: file.origin.clone() }))
        }
        (None, None) => Ok(None),
    }
}

fn secret_from_file(setting: &Setting, file: &Held) -> Result<String, SettingsError> {
    let path = Path::new(&file.value);
    let name = format!("{}_FILE", setting.name);
    let unreadable = |source| SettingsError::Unreadable { what: name.clone(), path: path.to_owned(), source };
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

/// The setting whose name is nearest to a misspelt one, if any is near.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    let near = |setting: &&Setting| distance(setting.name, &name) <= 3 && setting.name != table::CONFIG;
    SETTINGS
        .iter()
        .filter(near)
        .min_by_key(|setting| distance(setting.name, &name))
        .map(|setting| setting.name)
}

/// How many letters must be put in, taken out or changed to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
