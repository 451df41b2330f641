use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{Origin, SettingsError, layers, table};

/// One line of the settings file.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// Reads a settings file: TOML whose keys are the names of settings.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, SettingsError> {
    let text = fs::read_to_string(path).map_err(|source| SettingsError::Unreadable {
        what: table::CONFIG.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    parse(path, &text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, SettingsError> {
    let line_at =
        |offset: usize| 1 + text.char_indices().filter(|(at, c)| *at < offset && *c == '\n').count();
    let syntax = |offset: usize, problem: String| SettingsError::Syntax {
        path: path.to_owned(),
        line: line_at(offset),
        problem,
    };
    let table = DeTable::parse(text).map_err(|error| {
        // The message alone: the error's own display quotes the line, which may hold a secret.
        syntax(error.span().map_or(0, |span| span.start), error.message().to_owned())
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let (name, line) = (key.get_ref().to_string(), line_at(key.span().start));
        if name == table::CONFIG || layers::setting_behind(&name).is_none() {
            let hint =
                layers::nearest(&name).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            return Err(SettingsError::UnknownKey { path: path.to_owned(), line, key: name, hint });
        }
        let value = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            _ => {
                let problem = format!("{name} must be a string, a decimal number, true or false");
                return Err(syntax(value.span().start, problem));
            }
        };
        entries.push(Entry { name, value, origin: Origin::File(path.to_owned(), line) });
    }
    Ok(entries)
}
