//! The same body under another id: GitHub signs neither a time nor the delivery's id, so whoever holds one captured
//! delivery can send it again as a new one.
//!
//! This is the first line, within one process and a bounded window; the projections' memory of seven days is the
//! second. Sources that sign the id, or whose ids are derived from the body, need neither.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hookstream_event::{BodyDigest, Envelope, EventId, attribute};
use hookstream_runtime::{Settings, SettingsError};

mod window;

use window::{Sight, Window};

use crate::metrics::GatewayMetrics;
use crate::refusal::Refusal;
use crate::sources::Source;

/// What to do about suspected replays of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayPolicy {
    /// Store it, with `hs-suspected-replay: 1`.
    Flag,
    /// Refuse it.
    Reject,
}

impl ReplayPolicy {
    /// `flag` or `reject`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "flag" => Some(Self::Flag),
            "reject" => Some(Self::Reject),
            _ => None,
        }
    }
}

/// By how much of what a source sent its replays are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayWindow {
    /// Bodies remembered of each source.
    pub entries_max: usize,
    /// How long each is remembered.
    pub age_max: Duration,
}

impl ReplayWindow {
    pub(crate) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            entries_max: settings.parse("HOOKSTREAM_REPLAY_ENTRIES_MAX")?,
            age_max: settings.duration("HOOKSTREAM_REPLAY_WINDOW")?,
        })
    }
}

/// Watches over the bodies of the sources that do not sign their ids.
#[derive(Debug)]
pub(crate) struct Replays {
    size: ReplayWindow,
    /// By source: what the settings say of it may change, what it sent stays.
    windows: Mutex<HashMap<&'static str, Arc<Mutex<Window>>>>,
    metrics: GatewayMetrics,
}

/// A body on its way into the stream. Dropped without a word, it was not stored.
#[derive(Debug)]
pub(crate) struct Claim {
    window: Arc<Mutex<Window>>,
    body: BodyDigest,
    id: EventId,
    stored: bool,
}

impl Replays {
    pub(crate) fn new(size: ReplayWindow, metrics: &GatewayMetrics) -> Self {
        Self { size, windows: Mutex::default(), metrics: metrics.clone() }
    }

    /// Looks at an event before it is stored. A suspected replay is flagged or refused, as the source's policy says.
    pub(crate) fn claim(&self, source: &Source, envelope: &mut Envelope) -> Result<Option<Claim>, Refusal> {
        let Some(policy) = source.replay else { return Ok(None) };
        let window = self.window(source.name());
        let (body, id) = (envelope.body_sha256, envelope.id.clone());
        if policy == ReplayPolicy::Reject {
            // The projections remember for longer than this window, and need no settings for it.
            envelope.attributes.set(attribute::REPLAY_POLICY, "reject");
        }
        let sight = lock(&window).claim(body, &id, Instant::now());
        let refusal = match (sight, policy) {
            (Sight::New | Sight::Again, _) => {
                return Ok(Some(Claim { window, body, id, stored: false }));
            }
            (Sight::Replayed | Sight::InHand, ReplayPolicy::Flag) => {
                envelope.suspected_replay = true;
                self.metrics.suspected_replay(source.name(), "flagged");
                return Ok(None);
            }
            (Sight::Replayed, ReplayPolicy::Reject) => Refusal::Replay,
            // If the one in hand fails, this one must not have been refused for good.
            (Sight::InHand, ReplayPolicy::Reject) => Refusal::ReplayInHand,
        };
        self.metrics.suspected_replay(source.name(), "refused");
        Err(refusal)
    }

    fn window(&self, source: &'static str) -> Arc<Mutex<Window>> {
        let new = || Arc::new(Mutex::new(Window::new(self.size.entries_max, self.size.age_max)));
        Arc::clone(lock(&self.windows).entry(source).or_insert_with(new))
    }
}

impl Claim {
    /// The stream holds it since just now. A duplicate does not count: what the stream holds under that id may be
    /// another body.
    pub(crate) fn stored(mut self) {
        self.stored = true;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.window).settle(self.body, &self.id, self.stored, Instant::now());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
