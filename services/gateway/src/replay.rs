//! The same body under another id: GitHub signs neither a time nor the delivery's id, so whoever holds one captured
//! delivery can send it again as a new one.
//!
//! This is the first line, within one process and a bounded window; the projections' memory of seven days is the
//! second. Sources that sign the id, or whose ids are derived from the body, need neither.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hookstream_event::{BodyDigest, Envelope, EventId, attribute};
use hookstream_runtime::{Settings, SettingsError};

mod window;

use window::{Sight, Window};

use crate::metrics::GatewayMetrics;
use crate::refusal::Refusal;

/// What to do about suspected replays of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayPolicy {
    /// Store it, with `hs-suspected-replay: 1`.
    Flag,
    /// Refuse it.
    Reject,
}

/// How a source's replays are found, and what is done about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayWindow {
    /// Bodies remembered.
    pub entries_max: usize,
    /// How long each is remembered.
    pub age_max: Duration,
    /// What to do.
    pub policy: ReplayPolicy,
}

impl ReplayWindow {
    /// Reads the settings of GitHub's webhooks.
    pub(crate) fn github(settings: &Settings) -> Result<Self, SettingsError> {
        let policy = match settings.parse::<String>("HOOKSTREAM_GITHUB_REPLAY")?.as_str() {
            "reject" => ReplayPolicy::Reject,
            _ => ReplayPolicy::Flag,
        };
        Ok(Self {
            entries_max: settings.parse("HOOKSTREAM_REPLAY_ENTRIES_MAX")?,
            age_max: settings.duration("HOOKSTREAM_REPLAY_WINDOW")?,
            policy,
        })
    }
}

/// Watches over the bodies of one source. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Replays {
    source: &'static str,
    policy: ReplayPolicy,
    window: Arc<Mutex<Window>>,
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
    pub(crate) fn new(source: &'static str, window: &ReplayWindow, metrics: &GatewayMetrics) -> Self {
        let ReplayWindow { entries_max, age_max, policy } = *window;
        let window = Arc::new(Mutex::new(Window::new(entries_max, age_max)));
        Self { source, policy, window, metrics: metrics.clone() }
    }

    /// Looks at an event before it is stored. A suspected replay is flagged or refused, as the policy says.
    pub(crate) fn claim(&self, envelope: &mut Envelope) -> Result<Option<Claim>, Refusal> {
        let (body, id) = (envelope.body_sha256, envelope.id.clone());
        if self.policy == ReplayPolicy::Reject {
            // The projections remember for longer than this window, and need no settings for it.
            envelope.attributes.set(attribute::REPLAY_POLICY, "reject");
        }
        let sight = lock(&self.window).claim(body, &id, Instant::now());
        let refusal = match (sight, self.policy) {
            (Sight::New | Sight::Again, _) => {
                return Ok(Some(Claim { window: Arc::clone(&self.window), body, id, stored: false }));
            }
            (Sight::Replayed | Sight::InHand, ReplayPolicy::Flag) => {
                envelope.suspected_replay = true;
                self.metrics.suspected_replay(self.source, "flagged");
                return Ok(None);
            }
            (Sight::Replayed, ReplayPolicy::Reject) => Refusal::Replay,
            // If the one in hand fails, this one must not have been refused for good.
            (Sight::InHand, ReplayPolicy::Reject) => Refusal::ReplayInHand,
        };
        self.metrics.suspected_replay(self.source, "refused");
        Err(refusal)
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

fn lock(window: &Mutex<Window>) -> MutexGuard<'_, Window> {
    // Nothing panics while it is held.
    window.lock().unwrap_or_else(PoisonError::into_inner)
}
