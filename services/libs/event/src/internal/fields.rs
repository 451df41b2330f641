//! The fields of one object, by name. Errors name the field and the rule, never the value.

use std::cell::Cell;

use super::json;
use super::read::Rule;
use crate::InvalidBody;

/// All fields that internal events have at some level.
const NAMES: [&str; 27] = [
    "adw_id",
    "announcement",
    "completed_at",
    "cost_usd",
    "depends_on_phases",
    "duration_seconds",
    "error_message",
    "issue_number",
    "log_message",
    "max_concurrent",
    "metadata",
    "parent_issue",
    "phase_data",
    "phase_name",
    "phase_number",
    "phase_status",
    "phases",
    "priority",
    "queue_id",
    "reason",
    "started_at",
    "status",
    "tokens_used",
    "trigger_next",
    "type",
    "workflow_template",
    "workflow_type",
];

/// The fields of one object, each as its JSON text.
pub(super) struct Fields<'t> {
    /// Path of the object, with its dot: `phases[2].`, or nothing.
    path: String,
    values: Vec<Option<&'t str>>,
    /// The first name that no internal event has at any level.
    foreign: Option<String>,
    /// Which of [`NAMES`] were asked for, as bits: what the type has, once all of it was read.
    asked: Cell<u32>,
}

impl<'t> Fields<'t> {
    /// Reads an object.
    pub(super) fn read(text: &'t str, path: String) -> Result<Self, serde_json::Error> {
        let json::Members { values, foreign } = json::members(text, &NAMES)?;
        Ok(Self { path, values, foreign, asked: Cell::new(0) })
    }

    /// The JSON text of a field; `null` is as good as absent.
    pub(super) fn raw(&self, name: &str) -> Option<&'t str> {
        let place = NAMES.iter().position(|known| *known == name);
        debug_assert!(place.is_some(), "'{name}' is not in NAMES");
        let place = place?;
        self.asked.set(self.asked.get() | 1 << place);
        self.values[place].filter(|raw| *raw != "null")
    }

    /// A field that must be there.
    pub(super) fn required<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, Rule>,
    ) -> Result<T, InvalidBody> {
        self.optional(name, read)?.ok_or_else(|| InvalidBody::FieldMissing { field: self.path_of(name) })
    }

    /// A field that need not be there.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Result<T, Rule>,
    ) -> Result<Option<T>, InvalidBody> {
        self.raw(name).map(|raw| read(raw).map_err(|rule| self.invalid(name, rule))).transpose()
    }

    /// The fields of an object that must be there.
    pub(super) fn object(&self, name: &str) -> Result<Self, InvalidBody> {
        let field = self.path_of(name);
        let raw = self.raw(name).ok_or_else(|| InvalidBody::FieldMissing { field: field.clone() })?;
        Self::read(raw, format!("{field}.")).map_err(|_| self.invalid(name, "must be an object"))
    }

    /// The objects of a list that must be there.
    pub(super) fn objects(&self, name: &str, max: usize) -> Result<Vec<Self>, InvalidBody> {
        let field = self.path_of(name);
        let raw = self.raw(name).ok_or_else(|| InvalidBody::FieldMissing { field: field.clone() })?;
        let elements = json::elements(raw, max)
            .filter(|elements| !elements.is_empty())
            .ok_or_else(|| self.invalid(name, format!("must be a list of 1 to {max}")))?;
        let objects = elements.into_iter().enumerate().map(|(at, element)| {
            Self::read(element, format!("{field}[{at}].")).map_err(|_| InvalidBody::FieldInvalid {
                field: format!("{field}[{at}]"),
                rule: "must be an object".to_owned(),
            })
        });
        objects.collect()
    }

    /// The error for a field that breaks a rule.
    pub(super) fn invalid(&self, name: &str, rule: impl Into<Rule>) -> InvalidBody {
        InvalidBody::FieldInvalid { field: self.path_of(name), rule: rule.into().into_owned() }
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }
}

/// Refuses what was never asked for: a field that this type does not have here.
pub(super) fn refuse_unknown(fields: &Fields<'_>) -> Result<(), InvalidBody> {
    let asked = fields.asked.get();
    let known_elsewhere = NAMES.iter().zip(&fields.values).enumerate();
    let mut misplaced = known_elsewhere
        .filter(|(place, (_, value))| value.is_some() && asked & (1 << place) == 0)
        .map(|(_, (name, _))| *name);
    match fields.foreign.as_deref().or_else(|| misplaced.next()) {
        Some(name) => Err(InvalidBody::FieldUnknown { field: fields.path_of(&shown(name)) }),
        None => Ok(()),
    }
}

/// A sender's own name for a field, within bounds.
fn shown(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '?' };
    name.chars().take(64).map(plain).collect()
}
