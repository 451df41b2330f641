//! Files of JSON lines, one for each day and source. A file that has its name is complete.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hookstream_bus::Message;
use hookstream_event::{BodyDigest, Subject, header};
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::cursor::{FileState, sync_folder};

/// The files of a replay, in one folder.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    open: BTreeMap<String, Part>,
    states: BTreeMap<String, FileState>,
    /// The day of the last event. Events come in the order they were recorded in, so earlier days are over.
    day: String,
}

/// A file that is being written, under a name that says so.
type Part = BufWriter<File>;

impl Files {
    /// Files in `folder`, which is made if it is missing. What a run before wrote beyond its cursor is cut off.
    pub(crate) fn open(folder: &Path, states: BTreeMap<String, FileState>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let mut files = Self { folder: folder.to_owned(), open: BTreeMap::new(), states, day: String::new() };
        for (name, state) in files.states.clone() {
            if state.complete {
                files.rename(&name)?;
                continue;
            }
            let part = files.reopen(&name, state)?;
            files.day = name.chars().take(DAY_CHARS).collect();
            files.open.insert(name, part);
        }
        Ok(files)
    }

    /// Whether `message` begins another day than the one before. Then all files so far are complete: the caller saves
    /// its cursor with that, and calls [`Files::publish`].
    pub(crate) fn turn(&mut self, message: &Message) -> anyhow::Result<bool> {
        let day = day(message)?;
        let turned = !self.day.is_empty() && self.day != day;
        self.day = day;
        if turned {
            self.complete_all()?;
        }
        Ok(turned)
    }

    /// Adds an event.
    pub(crate) fn take(&mut self, message: &Message) -> anyhow::Result<()> {
        let (name, line) = (name(message)?, line(message, true)?);
        if !self.open.contains_key(&name) {
            let part = self.create(&name)?;
            self.open.insert(name.clone(), part);
        }
        if let Some(part) = self.open.get_mut(&name) {
            part.write_all(&line).with_context(|| trouble(&self.folder, &name))?;
        }
        let state = self.states.entry(name).or_default();
        state.events += 1;
        state.bytes += line.len() as u64;
        Ok(())
    }

    /// Syncs what was written, and says how much that is.
    pub(crate) fn sync(&mut self) -> anyhow::Result<BTreeMap<String, FileState>> {
        for (name, part) in &mut self.open {
            let synced = part.flush().and_then(|()| part.get_ref().sync_data());
            synced.with_context(|| trouble(&self.folder, name))?;
        }
        Ok(self.states.clone())
    }

    /// Says that nothing more comes for any file so far.
    pub(crate) fn complete_all(&mut self) -> anyhow::Result<()> {
        self.sync()?;
        self.states.values_mut().for_each(|state| state.complete = true);
        Ok(())
    }

    /// Gives complete files their names. The cursor knows of them already, so a crash in between is made good.
    pub(crate) fn publish(&mut self) -> anyhow::Result<()> {
        let complete: Vec<String> =
            self.open.keys().filter(|name| self.states[*name].complete).cloned().collect();
        for name in complete {
            self.open.remove(&name);
            self.rename(&name)?;
        }
        Ok(())
    }

    fn create(&self, name: &str) -> anyhow::Result<Part> {
        anyhow::ensure!(
            !self.folder.join(name).exists(),
            "{} is there already: name another folder, or move it away",
            self.folder.join(name).display()
        );
        let path = self.part_path(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        Ok(BufWriter::new(file.with_context(|| trouble(&self.folder, name))?))
    }

    fn reopen(&self, name: &str, state: FileState) -> anyhow::Result<Part> {
        let path = self.part_path(name);
        let open = || -> std::io::Result<Part> {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            if file.metadata()?.len() < state.bytes {
                return Err(std::io::Error::other("it is shorter than its cursor says"));
            }
            file.set_len(state.bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(BufWriter::new(file))
        };
        open().with_context(|| format!("go on with {}; to begin anew, empty the folder", path.display()))
    }

    fn rename(&self, name: &str) -> anyhow::Result<()> {
        let (part, whole) = (self.part_path(name), self.folder.join(name));
        if !part.exists() && whole.exists() {
            return Ok(());
        }
        let renamed = std::fs::rename(&part, &whole).and_then(|()| sync_folder(&self.folder));
        renamed.with_context(|| format!("name {}", whole.display()))
    }

    fn part_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}.part"))
    }
}

fn trouble(folder: &Path, name: &str) -> String {
    format!("write {}", folder.join(name).display())
}

/// `2026-11-25`.
const DAY_CHARS: usize = 10;

/// The day it was recorded on, in UTC.
fn day(message: &Message) -> anyhow::Result<String> {
    Ok(message.recorded_at.date().format(format_description!("[year]-[month]-[day]"))?)
}

/// `<day>.<source>.ndjson`.
fn name(message: &Message) -> anyhow::Result<String> {
    let day = day(message)?;
    let subject = Subject::parse_stored(&message.subject);
    let source = subject.as_ref().map_or("other", |subject| subject.source.as_str());
    Ok(format!("{day}.{source}.ndjson"))
}

/// The event as one line, with its body or without. A body that is UTF-8 stands as a text, which holds the same bytes; any
/// other in base64.
pub(crate) fn line(message: &Message, with_body: bool) -> anyhow::Result<Vec<u8>> {
    let named = |wanted: &str| {
        let found = message.headers.iter().find(|(name, _)| name == wanted);
        found.map_or(Value::Null, |(_, value)| value.as_str().into())
    };
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in &message.headers {
        headers.entry(name.as_str()).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(Value::Array(values)) = headers.get_mut(name) {
            values.push(value.as_str().into());
        }
    }
    let mut event = json!({
        "stream_sequence": message.stream_sequence,
        "recorded_at": message.recorded_at.format(&Rfc3339)?,
        "subject": message.subject,
        "event_id": named(header::ID),
        "event_type": named(header::TYPE),
        "received_at": named(header::RECEIVED_AT),
        "headers": headers,
    });
    if with_body {
        let (encoding, body) = match std::str::from_utf8(&message.payload) {
            Ok(text) => ("utf-8", text.to_owned()),
            Err(_) => ("base64", STANDARD.encode(&message.payload)),
        };
        event["body_sha256"] = BodyDigest::of(&message.payload).to_string().into();
        event["body_encoding"] = encoding.into();
        event["body"] = body.into();
    }
    let mut line = serde_json::to_vec(&event)?;
    line.push(b'\n');
    Ok(line)
}
