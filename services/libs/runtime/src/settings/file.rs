use std::fs;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Origin, SettingsError, SourceSettings, layers, sources, table};

/// One line of the settings file.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) origin: Origin,
}

/// What a settings file holds.
#[derive(Default)]
pub(super) struct Content {
    pub(super) entries: Vec<Entry>,
    pub(super) sources: Vec<SourceSettings>,
}

/// Where in the file something stands.
pub(super) struct Lines<'f> {
    path: &'f Path,
    text: &'f str,
}

impl Lines<'_> {
    fn line(&self, offset: usize) -> usize {
        1 + self.text.char_indices().filter(|(at, c)| *at < offset && *c == '\n').count()
    }

    pub(super) fn origin(&self, offset: usize) -> Origin {
        Origin::File(self.path.to_owned(), self.line(offset))
    }

    pub(super) fn syntax(&self, offset: usize, problem: String) -> SettingsError {
        SettingsError::Syntax { path: self.path.to_owned(), line: self.line(offset), problem }
    }

    pub(super) fn unknown(&self, offset: usize, key: String, hint: String) -> SettingsError {
        SettingsError::UnknownKey { path: self.path.to_owned(), line: self.line(offset), key, hint }
    }

    /// The table that must stand at `name`.
    pub(super) fn table<'v, 't>(
        &self,
        name: &str,
        value: &'v Spanned<DeValue<'t>>,
    ) -> Result<&'v DeTable<'t>, SettingsError> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.syntax(value.span().start, format!("{name} must be a table"))),
        }
    }

    /// The text, not empty, that must stand at `name`.
    pub(super) fn text(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<String, SettingsError> {
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Ok(text.to_string()),
            _ => Err(self.syntax(value.span().start, format!("{name} must be a text"))),
        }
    }
}

/// Reads a settings file: TOML whose keys are the names of settings, and the table of sources.
pub(super) fn read(path: &Path) -> Result<Content, SettingsError> {
    let text = fs::read_to_string(path).map_err(|source| SettingsError::Unreadable {
        what: table::CONFIG.to_owned(),
        path: path.to_owned(),
        source,
    })?;
    parse(path, &text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Content, SettingsError> {
    let lines = Lines { path, text };
    let table = DeTable::parse(text).map_err(|error| {
        // The message alone: the error's own display quotes the line, which may hold a secret.
        lines.syntax(error.span().map_or(0, |span| span.start), error.message().to_owned())
    })?;
    let mut content = Content::default();
    for (key, value) in table.get_ref() {
        let (name, at) = (key.get_ref().to_string(), key.span().start);
        if name == table::SOURCES {
            content.sources = sources::read(&lines, value)?;
            continue;
        }
        if name == table::CONFIG || layers::setting_behind(&name).is_none() {
            let hint =
                layers::nearest(&name).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
            return Err(lines.unknown(at, name, hint));
        }
        let value = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            _ => {
                let problem = format!("{name} must be a string, a decimal number, true or false");
                return Err(lines.syntax(value.span().start, problem));
            }
        };
        content.entries.push(Entry { name, value, origin: lines.origin(at) });
    }
    Ok(content)
}
