//! How far a replay has come: a file, so that one that was stopped or killed goes on.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::filter::Filter;
use super::range::Range;

/// What was asked for. A cursor is good for the same request only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) stream: String,
    /// Tells a stream that was made again from the one the cursor knows.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) stream_created: OffsetDateTime,
    pub(crate) destination: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) filter: Filter,
}

/// How much of a file is written and synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// Nothing more comes: it has its final name, or is about to get it.
    pub(crate) complete: bool,
}

/// Where a replay stands. What lies before `next` is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) request: Request,
    /// What the request meant when it began.
    pub(crate) range: Range,
    /// The next sequence.
    pub(crate) next: u64,
    /// Events read.
    pub(crate) read: u64,
    /// Events sent, written or counted.
    pub(crate) events: u64,
    /// Bytes of their bodies.
    pub(crate) bytes: u64,
    /// Sequences that had left the stream.
    pub(crate) gaps: Vec<Range>,
    pub(crate) files: BTreeMap<String, FileState>,
}

impl Progress {
    pub(crate) fn new(request: Request, range: Range) -> Self {
        let (next, files) = (range.from, BTreeMap::new());
        Self { request, range, next, read: 0, events: 0, bytes: 0, gaps: Vec::new(), files }
    }
}

/// The file.
#[derive(Debug, Clone)]
pub(crate) struct Cursor(pub(crate) PathBuf);

impl Cursor {
    /// What a run before has left; an error if it belongs to another request.
    pub(crate) fn load(&self, request: &Request) -> anyhow::Result<Option<Progress>> {
        let path = self.0.display();
        let text = match std::fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("read {path}")),
        };
        let progress: Progress = serde_json::from_slice(&text)
            .with_context(|| format!("{path} is no cursor of a replay: delete it to begin anew"))?;
        anyhow::ensure!(
            progress.request == *request,
            "{path} belongs to another replay (of {}, to {}): repeat that one's command to go on with it, or delete the \
             file to begin anew",
            progress.request.stream,
            progress.request.destination
        );
        Ok(Some(progress))
    }

    /// Keeps it, in one step.
    pub(crate) fn save(&self, progress: &Progress) -> anyhow::Result<()> {
        write_whole(&self.0, &serde_json::to_vec(progress)?)
    }

    /// The replay is done.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", self.0.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Writes a file, synced and in one step: a reader sees the old one or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let folder = folder_of(path);
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync_folder(folder)
    };
    write().with_context(|| format!("write {}", path.display()))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a new name in `folder` survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}
