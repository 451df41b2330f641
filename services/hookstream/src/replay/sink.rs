//! Where replayed events go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hookstream_bus::{Bus, Message};

use super::cursor::{Cursor, Progress};
use super::ndjson::Files;
use super::subject;

/// How often files are synced, and with them the cursor.
const SYNC_EVERY: Duration = Duration::from_secs(2);

/// What a replay does with events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Counts them.
    Count,
    /// Publishes them on a subject.
    Subject(String),
    /// Writes them to files in a folder.
    Ndjson(PathBuf),
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count => f.write_str("be counted"),
            Self::Subject(subject) => write!(f, "subject {subject}"),
            Self::Ndjson(folder) => write!(f, "files in {}", folder.display()),
        }
    }
}

/// A destination at work.
#[derive(Debug)]
pub(crate) enum Sink {
    Count { kinds: BTreeMap<String, (u64, u64)> },
    Subject { subject: String, cursor: Cursor },
    Ndjson { files: Files, cursor: Cursor, synced: Instant },
}

impl Sink {
    /// Takes up a destination where `progress` has left it.
    pub(crate) fn open(
        destination: &Destination,
        cursor: Option<Cursor>,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        Ok(match (destination, cursor) {
            (Destination::Subject(subject), Some(cursor)) => {
                Self::Subject { subject: subject.clone(), cursor }
            }
            (Destination::Ndjson(folder), Some(cursor)) => {
                let files = Files::open(folder, progress.files.clone())?;
                Self::Ndjson { files, cursor, synced: Instant::now() }
            }
            _ => Self::Count { kinds: BTreeMap::new() },
        })
    }

    /// Takes one event. `progress` stands before it.
    pub(crate) async fn take(
        &mut self,
        bus: &Bus,
        message: &Message,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        match self {
            Self::Count { kinds } => {
                let kind = message.subject.splitn(4, '.').skip(1).take(2).collect::<Vec<_>>().join(" ");
                let (events, bytes) = kinds.entry(kind).or_default();
                *events += 1;
                *bytes += body_bytes(message);
            }
            Self::Subject { subject, .. } => {
                subject::publish(bus, subject, &progress.request.stream, message).await?;
            }
            Self::Ndjson { files, cursor, .. } => {
                if files.turn(message)? {
                    progress.files = files.sync()?;
                    cursor.save(progress)?;
                    files.publish()?;
                }
                files.take(message)?;
            }
        }
        Ok(())
    }

    /// A batch is taken: what must be safe is made so, now and then or `at_once`.
    pub(crate) fn commit(&mut self, progress: &mut Progress, at_once: bool) -> anyhow::Result<()> {
        match self {
            Self::Count { .. } => {}
            // The caller has made sure that the server took it all.
            Self::Subject { cursor, .. } => cursor.save(progress)?,
            Self::Ndjson { files, cursor, synced } => {
                if at_once || synced.elapsed() >= SYNC_EVERY {
                    progress.files = files.sync()?;
                    cursor.save(progress)?;
                    *synced = Instant::now();
                }
            }
        }
        Ok(())
    }

    /// All is taken.
    pub(crate) fn finish(&mut self, progress: &mut Progress) -> anyhow::Result<()> {
        match self {
            Self::Count { .. } => Ok(()),
            Self::Subject { cursor, .. } => cursor.remove(),
            Self::Ndjson { files, cursor, .. } => {
                files.complete_all()?;
                progress.files = files.sync()?;
                cursor.save(progress)?;
                files.publish()?;
                cursor.remove()
            }
        }
    }
}

/// Size of the body, also where it was left out.
pub(crate) fn body_bytes(message: &Message) -> u64 {
    let size = message.headers.iter().find(|(name, _)| name == "Nats-Msg-Size");
    size.and_then(|(_, size)| size.parse().ok()).unwrap_or(message.payload.len() as u64)
}
