use std::fmt;
use std::path::PathBuf;

use super::Setting;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The table.
    Default,
    /// This line of this settings file.
    File(PathBuf, usize),
    /// An environment variable.
    Environment,
    /// A flag on the command line.
    Flag,
    /// This file, which a running `hookstream up` writes.
    Beside(PathBuf),
    /// A test, or the command that starts the process within itself.
    Given,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
            Self::Beside(path) => path.display().fmt(f),
            Self::Given => f.write_str("given"),
        }
    }
}

/// A setting is wrong or missing. Never shows the value of a secret.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The settings file, or the file that a `…_FILE` names, cannot be read.
    #[error("{what}: cannot read {}", path.display())]
    Unreadable {
        /// The setting that names the file.
        what: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The settings file is not TOML.
    #[error("{}, line {line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there, without the line's text.
        problem: String,
    },
    /// The settings file has a key that is no setting.
    #[error("{}, line {line}: {key:?} is no setting{hint}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// ` (did you mean …?)`, or nothing.
        hint: String,
    },
    /// A value is not what the setting may hold.
    #[error("{name} ({origin}) {problem}")]
    Invalid {
        /// The setting.
        name: String,
        /// Where the value came from.
        origin: Origin,
        /// `must be …`.
        problem: String,
    },
    /// `X` and `X_FILE` are both set in one place.
    #[error("{name} and {name}_FILE are both set ({origin}): set one of them")]
    Both {
        /// The setting.
        name: &'static str,
        /// Where.
        origin: Origin,
    },
    /// A setting that is needed is not set.
    #[error("{name} is not set{}", hint(name))]
    Unset {
        /// The setting.
        name: &'static str,
    },
    /// A library that reads its own settings refuses them; its error names the setting.
    #[error(transparent)]
    Refused(Box<dyn std::error::Error + Send + Sync>),
}

impl SettingsError {
    /// Wraps the error of a library that reads its own settings, so that the process ends with exit code 2.
    pub fn refused(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Refused(Box::new(error))
    }
}

fn hint(name: &str) -> String {
    match Setting::named(name) {
        Some(setting) if setting.is_secret() => format!(" (nor is {name}_FILE): {}", setting.doc),
        Some(setting) => format!(": {}", setting.doc),
        None => String::new(),
    }
}
