//! What is announced, and when: pure.
//!
//! Every change of a phase's status is announced, but `ready` only when the phase gets a slot: the queue has
//! `max_concurrent` of them, and each phase that is announced as ready or runs takes one.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::Queue;
use crate::plan::{Change, Place, Plan, PlanKey};
use crate::{Announcement, Moment, Phase};

/// Phases that may be announced or running at once, unless configured otherwise.
const MAX_CONCURRENT: i32 = 3;

/// What applies to the queue as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    /// Nothing is announced as ready; everything else goes on.
    pub paused: bool,
    /// When that changed, if it did since the queue was loaded.
    pub paused_at: Option<OffsetDateTime>,
    /// How many phases may be announced or running at once.
    pub max_concurrent: i32,
    /// When that changed, if it did since the queue was loaded.
    pub configured_at: Option<OffsetDateTime>,
    /// How many are: the slots taken. May exceed `max_concurrent`, because somebody asked for it.
    pub active: i32,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            paused: false,
            paused_at: None,
            max_concurrent: MAX_CONCURRENT,
            configured_at: None,
            active: 0,
        }
    }
}

/// In order of announcement: priority, queue position, number.
pub(super) type Candidates = BTreeSet<(i32, i64, i32, PlanKey)>;

/// A phase's place among the candidates.
pub(super) fn rank(phase: &Phase, key: PlanKey) -> (i32, i64, i32, PlanKey) {
    (phase.priority, phase.queue_position, phase.phase_number, key)
}

impl Queue {
    /// Follows what a step has changed, and announces it; then fills the slots that are free.
    pub(super) fn settle(&mut self, now: Moment) {
        let keys: BTreeSet<PlanKey> = std::mem::take(&mut self.touched);
        let mut ordinal = 0;
        for key in keys {
            let changes = self.plans.get_mut(&key).map(Plan::take_changes).unwrap_or_default();
            for (place, change) in changes {
                self.follow(key, place, &change, now, &mut ordinal);
            }
        }
        while !self.control.paused && self.control.active < self.control.max_concurrent {
            let Some((_, position, number, key)) = self.candidates.first().copied() else { break };
            self.announce_ready(key, (number, position), now, &mut ordinal);
        }
    }

    fn follow(&mut self, key: PlanKey, place: Place, change: &Change, now: Moment, ordinal: &mut i32) {
        let phase = self.plans.get(&key).and_then(|plan| plan.get(place));
        let (is_active, status) =
            phase.map_or((false, DEQUEUED), |phase| (phase.state.is_active(), phase.state.as_str()));
        self.control.active += i32::from(is_active) - i32::from(change.was_active);
        let rank = (change.priority, place.1, place.0, key);
        if phase.is_some_and(|phase| phase.state.is_candidate()) {
            self.candidates.insert(rank);
        } else {
            self.candidates.remove(&rank);
        }
        let is_new_and_gone = change.status_before.is_none() && phase.is_none();
        let is_news = change.status_before != Some(status) && !is_new_and_gone;
        // A ready phase is announced when it gets its slot, or was just now because somebody asked for it.
        let is_told = if status == "ready" { change.announced } else { is_news };
        if let Some(phase) = phase.or(change.removed.as_ref()).filter(|_| is_told) {
            self.announcements.push(Announcement::new(phase, status, now, ordinal));
        }
    }

    fn announce_ready(&mut self, key: PlanKey, place: Place, now: Moment, ordinal: &mut i32) {
        self.candidates.pop_first();
        self.control.active += 1;
        let Some(plan) = self.plans.get_mut(&key) else { return };
        plan.announce(place, now);
        // Followed here and now.
        plan.take_changes();
        self.announcements.push(Announcement::new(plan.phase(place), "ready", now, ordinal));
    }
}

/// The status of a phase that is no more.
const DEQUEUED: &str = "dequeued";
