//! Every setting of every process: declared in one table, read once, from flags, environment and a file.
//!
//! Flags win over the environment, that over the TOML file, that over the defaults. A secret `X` may come from the file
//! that `X_FILE` names. The file may also hold tables `[sources.<name>]`. An empty value counts as not set. All values are checked when the settings are loaded.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

mod error;
mod file;
pub mod flags;
mod layers;
mod sources;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use error::{Origin, SettingsError};
pub use sources::{SOURCE_TEXTS, SecretSettings, SourceSettings};
pub use table::SETTINGS;
pub use value::{Kind, duration_from_text};

/// One setting: a row of [`SETTINGS`].
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Name of the environment variable, and the key in the settings file.
    pub name: &'static str,
    /// What it is without being set; `None` means off, or that it must be set where it is needed.
    pub default: Option<&'static str>,
    /// What it may hold.
    pub kind: Kind,
    /// Which heading it stands under in `--help` and `.env.example`.
    pub group: &'static str,
    /// What it is for, for the operator: one or two plain sentences.
    pub doc: &'static str,
}

impl Setting {
    /// The row of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Whether the value must never be shown, nor stand on a command line.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// For a secret `X`: `X_FILE`.
    pub fn file_name(&self) -> Option<String> {
        self.is_secret().then(|| format!("{}_FILE", self.name))
    }
}

/// Who is asking: for `--help` and `--version`.
#[derive(Debug, Clone, Copy)]
pub struct ProcessInfo {
    /// Name of the executable.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Version of the package, `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
}

#[derive(Clone)]
struct Held {
    value: String,
    origin: Origin,
    /// The file that a secret was read from.
    file: Option<PathBuf>,
}

/// What settings were made of, from the first that wins to the last; the settings file comes after them.
#[derive(Default)]
struct Inputs(Vec<(BTreeMap<String, String>, Origin)>);

/// All settings, checked. `Debug` shows where each came from, never a value.
#[derive(Clone, Default)]
pub struct Settings {
    values: BTreeMap<&'static str, Held>,
    sources: Vec<SourceSettings>,
    inputs: Arc<Inputs>,
}

impl Settings {
    /// Reads the command line and the environment of this process, and the settings file if one is named.
    ///
    /// As clap does: `--help` and `--version` print and end the process with 0, a wrong flag ends it with 2.
    pub fn load(process: &ProcessInfo) -> Result<Self, SettingsError> {
        let matches = flags::command(process).get_matches();
        Self::with_overrides(flags::given(&matches))
    }

    /// Reads the environment of this process and the settings file, under values that win over both.
    /// For commands that have flags of their own: see [`flags::arguments`] and [`flags::given`].
    pub fn with_overrides(
        overrides: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        Self::from_layers(overrides.into_iter().collect(), std::env::vars_os())
    }

    /// The same with a given environment.
    pub fn from_layers(
        overrides: BTreeMap<String, String>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let environment = layers::environment(environment)?;
        let layers = vec![(overrides, Origin::Flag), (environment, Origin::Environment)];
        Self::from_inputs(Arc::new(Inputs(layers)))
    }

    /// The same settings, read again: with what the settings file and the files of secrets hold now.
    pub fn read_again(&self) -> Result<Self, SettingsError> {
        Self::from_inputs(Arc::clone(&self.inputs))
    }

    /// The same settings, read again, with `more` behind flags and environment.
    pub fn with_more(
        &self,
        more: impl IntoIterator<Item = (String, String)>,
        origin: Origin,
    ) -> Result<Self, SettingsError> {
        let mut layers = self.inputs.0.clone();
        layers.push((more.into_iter().collect(), origin));
        Self::from_inputs(Arc::new(Inputs(layers)))
    }

    fn from_inputs(inputs: Arc<Inputs>) -> Result<Self, SettingsError> {
        let config =
            inputs.0.iter().find_map(|(layer, _)| layer.get(table::CONFIG).filter(|path| !path.is_empty()));
        let file = match config {
            Some(path) => file::read(Path::new(path))?,
            None => file::Content::default(),
        };
        let given = inputs.0.iter().map(|(layer, origin)| layers::Layer::from_map(layer.clone(), origin));
        let layers: Vec<_> = given.chain([layers::Layer::from_file(file.entries)]).collect();
        let values = layers::resolve(&layers)?;
        Ok(Self { values, sources: file.sources, inputs })
    }

    /// Settings of a test: these, and the defaults. Panics at a name that is no setting, or a value it cannot hold.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let given: BTreeMap<String, String> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        for name in given.keys() {
            assert!(layers::setting_behind(name).is_some(), "{name} is no setting");
        }
        match Self::from_inputs(Arc::new(Inputs(vec![(given, Origin::Given)]))) {
            Ok(settings) => settings,
            Err(error) => panic!("{}", crate::exit::chain(&error)),
        }
    }

    /// The value of a setting. A name that is not in the table, such as `USER`, is looked up in the environment, for
    /// the libraries that follow another program's conventions.
    pub fn get(&self, name: &str) -> Option<String> {
        match self.values.get(name) {
            Some(held) => Some(held.value.clone()),
            None if Setting::named(name).is_some() => None,
            None => std::env::var(name).ok().filter(|value| !value.is_empty()),
        }
    }

    /// The value of a setting of the table, as a `T`; an error if it is not set and has no default.
    pub fn parse<T: FromStr>(&self, name: &str) -> Result<T, SettingsError> {
        self.parse_some(name)?.ok_or(SettingsError::Unset { name: row(name).name })
    }

    /// The value of a setting of the table, as a `T`, if it is set or has a default.
    pub fn parse_some<T: FromStr>(&self, name: &str) -> Result<Option<T>, SettingsError> {
        let setting = row(name);
        let Some(held) = self.values.get(setting.name) else { return Ok(None) };
        held.value.parse().map(Some).map_err(|_| self.must_be(setting))
    }

    /// The value of a setting that is a duration.
    pub fn duration(&self, name: &str) -> Result<Duration, SettingsError> {
        let setting = row(name);
        let held = self.values.get(setting.name).ok_or(SettingsError::Unset { name: setting.name })?;
        duration_from_text(&held.value).ok_or_else(|| self.must_be(setting))
    }

    /// The value of a setting that is `true` or `false`.
    pub fn flag(&self, name: &str) -> Result<bool, SettingsError> {
        self.parse(name)
    }

    /// A secret, if it is set.
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        let setting = row(name);
        self.values.get(setting.name).map(|held| SecretString::from(held.value.clone()))
    }

    /// A secret and where it comes from, if it is set.
    pub fn secret_settings(&self, name: &str) -> Option<SecretSettings> {
        let (name, held) = self.values.get_key_value(row(name).name)?;
        let name = if held.file.is_some() { format!("{name}_FILE") } else { (*name).to_owned() };
        Some(SecretSettings::known(&name, held.origin.clone(), held.value.clone(), held.file.clone()))
    }

    /// The tables `[sources.<name>]` of the settings file, by name.
    pub fn sources(&self) -> &[SourceSettings] {
        &self.sources
    }

    /// Every file that these settings were read from: the settings file and those of secrets.
    pub fn files(&self) -> Vec<PathBuf> {
        let config = self.get(table::CONFIG).map(PathBuf::from);
        let of_settings = self.values.values().filter_map(|held| held.file.clone());
        let secrets = self.sources.iter().flat_map(SourceSettings::secrets);
        let of_sources = secrets.filter_map(|secret| secret.file().map(Path::to_owned));
        config.into_iter().chain(of_settings).chain(of_sources).collect()
    }

    /// A secret that must be set.
    pub fn required_secret(&self, name: &str) -> Result<SecretString, SettingsError> {
        self.secret(name).ok_or(SettingsError::Unset { name: row(name).name })
    }

    /// Where the value came from.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.values.get(name).map(|held| &held.origin)
    }

    /// The error for a value that is well-formed but cannot be used; `problem` follows the setting's name, as in
    /// "must exceed …".
    pub fn invalid(&self, name: &str, problem: impl Into<String>) -> SettingsError {
        let origin = self.origin(name).cloned().unwrap_or(Origin::Default);
        SettingsError::Invalid { name: row(name).name.to_owned(), origin, problem: problem.into() }
    }

    fn must_be(&self, setting: &'static Setting) -> SettingsError {
        self.invalid(setting.name, format!("must be {}", setting.kind.expectation()))
    }
}

/// The row of a setting that our own code names; a name that is not in the table is a mistake in that code.
fn row(name: &str) -> &'static Setting {
    Setting::named(name).unwrap_or_else(|| panic!("{name} is not in the table of settings"))
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.values.iter().map(|(name, held)| (name, &held.origin))).finish()
    }
}
