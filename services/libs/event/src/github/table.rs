//! The attribute table, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::template::Template;
use crate::select::Selection;

const TABLE: &str = include_str!("../../../../../schemas/events/github.json");

/// Paths that every webhook may have.
const EVERY_EVENT: [&str; 6] =
    ["action", "organization.url", "repository.full_name", "repository.url", "sender.login", "sender.url"];

/// The rules of all known events.
pub(super) struct Table {
    known: BTreeMap<String, Rule>,
    unknown: Rule,
}

/// How the bodies of one event look and what they say.
pub(super) struct Rule {
    row: Row,
    source: Template,
    selection: Selection,
}

/// The file's shape; it explains itself in `description`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "title")]
    _title: String,
    #[serde(rename = "description")]
    _description: Vec<String>,
    common: BTreeSet<String>,
    events: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    requires: Vec<String>,
    #[serde(default)]
    present: Vec<String>,
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    exclusive: bool,
    #[serde(rename = "type")]
    type_paths: Vec<String>,
    source: String,
    subject: Option<String>,
    #[serde(default)]
    time: Times,
    issue: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Times {
    Always(Vec<String>),
    /// Paths by action; `*` for all others.
    ByAction(BTreeMap<String, Vec<String>>),
}

impl Default for Times {
    fn default() -> Self {
        Self::Always(Vec::new())
    }
}

impl Table {
    /// The table that this crate was built with.
    pub(super) fn embedded() -> &'static Self {
        static EMBEDDED: LazyLock<Table> =
            LazyLock::new(|| Table::parse(TABLE).expect("a test parses the embedded table"));
        &EMBEDDED
    }

    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let mut file: File = serde_json::from_str(text)?;
        let own_keys: BTreeSet<String> = file
            .events
            .values()
            .flat_map(|row| row.requires.iter().chain(&row.present))
            .filter(|key| !file.common.contains(*key))
            .cloned()
            .collect();
        for row in file.events.values_mut().filter(|row| row.exclusive) {
            let foreign = own_keys.iter().filter(|key| !row.requires.contains(key));
            row.absent.extend(foreign.cloned());
        }
        let unknown = Row {
            requires: Vec::new(),
            present: Vec::new(),
            absent: Vec::new(),
            exclusive: false,
            type_paths: vec!["action".to_owned()],
            source: "{repository.url}".to_owned(),
            subject: None,
            time: Times::default(),
            issue: None,
        };
        Ok(Self {
            known: file.events.into_iter().map(|(event, row)| (event, Rule::new(row))).collect(),
            unknown: Rule::new(unknown),
        })
    }

    /// The rule of an event; of an unknown one, what holds for every webhook.
    pub(super) fn rule(&self, event: &str) -> &Rule {
        self.known.get(event).unwrap_or(&self.unknown)
    }

    #[cfg(test)]
    pub(super) fn events(&self) -> impl Iterator<Item = (&str, &Rule)> {
        self.known.iter().map(|(event, rule)| (event.as_str(), rule))
    }
}

impl Rule {
    fn new(row: Row) -> Self {
        let source = Template::parse(&row.source);
        let keys = row.requires.iter().chain(&row.present).chain(&row.absent);
        let paths = keys
            .chain(&row.type_paths)
            .chain(&row.subject)
            .chain(&row.issue)
            .map(String::as_str)
            .chain(row.time.all())
            .chain(source.paths())
            .chain(EVERY_EVENT);
        let selection = Selection::new(paths);
        Self { row, source, selection }
    }

    pub(super) fn selection(&self) -> &Selection {
        &self.selection
    }

    pub(super) fn requires(&self) -> impl Iterator<Item = &str> {
        self.row.requires.iter().map(String::as_str)
    }

    pub(super) fn present(&self) -> impl Iterator<Item = &str> {
        self.row.present.iter().map(String::as_str)
    }

    pub(super) fn absent(&self) -> impl Iterator<Item = &str> {
        self.row.absent.iter().map(String::as_str)
    }

    pub(super) fn type_paths(&self) -> impl Iterator<Item = &str> {
        self.row.type_paths.iter().map(String::as_str)
    }

    pub(super) fn source(&self) -> &Template {
        &self.source
    }

    pub(super) fn subject(&self) -> Option<&str> {
        self.row.subject.as_deref()
    }

    pub(super) fn time_paths<'r>(&'r self, action: &str) -> impl Iterator<Item = &'r str> + use<'r> {
        let paths = match &self.row.time {
            Times::Always(paths) => paths.as_slice(),
            Times::ByAction(by_action) => {
                by_action.get(action).or_else(|| by_action.get("*")).map_or(&[][..], Vec::as_slice)
            }
        };
        paths.iter().map(String::as_str)
    }

    pub(super) fn issue(&self) -> Option<&str> {
        self.row.issue.as_deref()
    }
}

impl Times {
    fn all(&self) -> Vec<&str> {
        match self {
            Self::Always(paths) => paths.iter().map(String::as_str).collect(),
            Self::ByAction(by_action) => by_action.values().flatten().map(String::as_str).collect(),
        }
    }
}
