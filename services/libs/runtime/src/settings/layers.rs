use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::file::Entry;
use super::sources::secret_from_file;
use super::{Held, Origin, SETTINGS, Setting, SettingsError, table};

/// One place that settings come from.
pub(super) struct Layer(BTreeMap<String, Held>);

impl Layer {
    pub(super) fn from_map(values: BTreeMap<String, String>, origin: &Origin) -> Self {
        let held = |(name, value)| (name, Held { value, origin: origin.clone(), file: None });
        Self(values.into_iter().filter(|(_, value)| !value.is_empty()).map(held).collect())
    }

    pub(super) fn from_file(entries: Vec<Entry>) -> Self {
        let held = |entry: Entry| (entry.name, Held { value: entry.value, origin: entry.origin, file: None });
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
pub(super) fn resolve(layers: &[Layer]) -> Result<BTreeMap<&'static str, Held>, SettingsError> {
    let mut values = BTreeMap::new();
    for setting in SETTINGS {
        let mut held = None;
        for layer in layers {
            held = from_layer(setting, layer)?;
            if held.is_some() {
                break;
            }
        }
        let default = || {
            setting.default.map(|value| Held { value: value.to_owned(), origin: Origin::Default, file: None })
        };
        let Some(held) = held.or_else(default) else { continue };
        if !setting.kind.admits(&held.value) {
            return Err(SettingsError::Invalid {
                name: setting.name.to_owned(),
                origin: held.origin,
                problem: format!("must be {}", setting.kind.expectation()),
            });
        }
        values.insert(setting.name, held);
    }
    Ok(values)
}

fn from_layer(setting: &'static Setting, layer: &Layer) -> Result<Option<Held>, SettingsError> {
    let direct = layer.0.get(setting.name);
    let file = setting.file_name().and_then(|name| layer.0.get(&name));
    match (direct, file) {
        (Some(held), Some(_)) => Err(SettingsError::Both { name: setting.name, origin: held.origin.clone() }),
        (Some(held), None) => Ok(Some(held.clone())),
        (None, Some(file)) => {
            let path = PathBuf::from(&file.value);
            let value = secret_from_file(&format!("{}_FILE", setting.name), &path)?;
            Ok(Some(Held { value, origin: file.origin.clone(), file: Some(path) }))
        }
        (None, None) => Ok(None),
    }
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
pub(super) fn distance(one: &str, other: &str) -> usize {
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
