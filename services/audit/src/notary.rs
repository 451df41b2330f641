//! Makes checkpoints of the trail, and sees to it that they leave the database.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hookstream_bus::{Bus, BusError};
use hookstream_event::header;
use hookstream_projection::Beside;
use hookstream_store::types::Type;
use hookstream_store::{Connection, StoreError};
use hookstream_trail::Checkpoint;
use hookstream_trail::note::Signer;

use crate::compare::size_of;
use crate::outside::{self, SUBJECT};
use crate::settings::CheckpointSettings;
use crate::trail::{Outside, Trail};

/// How long NATS may take to store a checkpoint. The next one covers what was in this.
const PUBLISH_WITHIN: Duration = Duration::from_secs(5);

/// Makes checkpoints, beside the projection.
#[derive(Debug)]
pub(crate) struct Notary {
    settings: CheckpointSettings,
    progress: Mutex<Progress>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    /// The leader in whose time the checkpoints outside were read.
    epoch: Option<i64>,
    /// Entries that the newest checkpoint covers.
    size: u64,
    /// When it was made; `None` if it was not us.
    at: Option<Instant>,
}

impl Notary {
    /// With what is known outside still to be read: until then `trail` takes nothing.
    pub(crate) fn new(settings: CheckpointSettings, trail: &Trail) -> Self {
        trail.know_outside(Outside::Unread);
        Self { settings, progress: Mutex::default() }
    }

    /// Reads what is known outside, once per leader, and makes a checkpoint if one is due. False if what is outside
    /// cannot be known now.
    pub(crate) async fn attend(&self, trail: &Trail, beside: &mut Beside<'_>) -> Result<bool, StoreError> {
        if self.progress().epoch != Some(beside.epoch) {
            if !self.read_outside(trail, beside.bus).await {
                return Ok(false);
            }
            // At once, so that an older database is noticed although nothing is to be appended.
            let tx = beside.connection.transaction().await?;
            let tip = trail.lock(&tx).await?;
            let newest = hookstream_proofs::newest_checkpoint(&*tx).await?;
            tx.commit().await?;
            let size = newest.and_then(|note| Checkpoint::open(&note, &self.settings.keys).ok());
            let size = size.map_or(0, |checkpoint| checkpoint.size.min(tip.frontier.size()));
            self.set_progress(Progress { epoch: Some(beside.epoch), size, at: None });
        }
        let Some(signer) = &self.settings.signer else { return Ok(true) };
        if self.is_due(size_of(&**beside.connection).await?) {
            self.make(signer, trail, beside.connection, beside.bus).await?;
        }
        Ok(true)
    }

    fn is_due(&self, size: u64) -> bool {
        let Progress { size: covered, at, .. } = self.progress();
        let waited = at.is_none_or(|at| at.elapsed() >= self.settings.every);
        size > covered && (waited || size - covered >= self.settings.entries)
    }

    async fn make(
        &self,
        signer: &Signer,
        trail: &Trail,
        connection: &mut Connection,
        bus: &Bus,
    ) -> Result<(), StoreError> {
        let tx = connection.transaction().await?;
        let tip = trail.lock(&tx).await?;
        let (origin, size) = (self.settings.origin.clone(), tip.frontier.size());
        let checkpoint = Checkpoint { origin, size, root: tip.frontier.root() };
        let note = checkpoint.sign(signer);
        let parameters = [(&tip.head.audit_sequence as _, Type::INT8), (&note as _, Type::TEXT)];
        tx.execute_typed(include_str!("sql/checkpoint.sql"), &parameters).await?;
        tx.commit().await?;
        // Only now: a checkpoint outside is never ahead of the database, unless that was restored.
        self.write(&note).await;
        self.publish(bus, &note, size).await;
        trail.left(checkpoint);
        self.set_progress(Progress { size, at: Some(Instant::now()), ..self.progress() });
        tracing::debug!(entries = size, "made a checkpoint of {size} entries");
        Ok(())
    }

    async fn write(&self, note: &str) {
        let Some(path) = self.settings.file.clone() else { return };
        let (name, note) = (path.display().to_string(), note.to_owned());
        let written = tokio::task::spawn_blocking(move || outside::append_to_file(&path, &note)).await;
        if let Err(error) = written.map_err(std::io::Error::other).and_then(|written| written) {
            tracing::error!(error = %error, "a checkpoint could not be appended to {name}: {error}");
        }
    }

    async fn publish(&self, bus: &Bus, note: &str, size: u64) {
        let id = format!("{}:{size}", self.settings.origin);
        let headers = vec![
            (header::MSG_ID.into(), id),
            (header::CONTENT_TYPE.into(), "text/plain; charset=utf-8".to_owned()),
        ];
        let publisher = bus.publisher(PUBLISH_WITHIN);
        if let Err(error) = publisher.publish(SUBJECT.to_owned(), headers, note.to_owned().into()).await {
            tracing::warn!(error = %error, "the checkpoint of {size} entries was not published: {error}");
        }
    }

    /// Tells the trail what is known outside; false if that cannot be known now.
    async fn read_outside(&self, trail: &Trail, bus: &Bus) -> bool {
        trail.know_outside(Outside::Unread);
        let notes = match self.notes(bus).await {
            Ok(Ok(notes)) => notes,
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "the last checkpoint on NATS could not be read yet: {error}");
                return false;
            }
            Err(refused) => {
                trail.know_outside(Outside::Refused(refused));
                return true;
            }
        };
        let mut checkpoints = Vec::new();
        for (place, note) in notes {
            match Checkpoint::open(&note, &self.settings.keys) {
                Ok(checkpoint) => checkpoints.push(checkpoint),
                Err(error) => {
                    let refused = format!(
                        "the last checkpoint in {place} is not to be trusted: {error}. A former key goes into \
                         HOOKSTREAM_AUDIT_PUBLIC_KEYS"
                    );
                    trail.know_outside(Outside::Refused(refused));
                    return true;
                }
            }
        }
        trail.know_outside(Outside::Checkpoints(checkpoints));
        true
    }

    /// The last note of each place; what is wrong with the file is told as a reason to stop.
    async fn notes(&self, bus: &Bus) -> Result<Result<Vec<(String, String)>, BusError>, String> {
        let mut notes = Vec::new();
        if let Some(path) = &self.settings.file {
            let place = path.display().to_string();
            let last = outside::last_in_file(path);
            let last = last.map_err(|error| format!("the checkpoints in {place} cannot be read: {error}"))?;
            notes.extend(last.map(|note| (place, note)));
        }
        match outside::last_in_stream(bus).await {
            Ok(last) => notes.extend(last.map(|note| (format!("stream {}", outside::STREAM), note))),
            Err(error) => return Ok(Err(error)),
        }
        Ok(Ok(notes))
    }

    fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_progress(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }
}
