//! Phases of issues that are closed on GitHub: taken out of the queue, and put back if the issue is opened again.

use std::collections::{BTreeMap, BTreeSet};

use hookstream_event::internal::PhaseEnqueued;
use serde_json::{Map, Value};

use super::Queue;
use crate::plan::PlanKey;
use crate::{Effect, Moment, Unchanged};

/// What was taken out, as far as it is loaded, and what became of it since.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf {
    /// By queue id; whether it has a row.
    pub(super) phases: BTreeMap<String, (PhaseEnqueued, bool)>,
    /// Rows that are to go.
    pub(super) removed: BTreeSet<String>,
    /// What phases of issues that may be closed are to run, by queue id.
    pub(super) contents: BTreeMap<String, Map<String, Value>>,
}

impl Shelf {
    fn put(&mut self, phase: PhaseEnqueued) {
        let queue_id = phase.queue_id.clone();
        if let Some((_, true)) = self.phases.insert(queue_id.clone(), (phase, false)) {
            self.removed.insert(queue_id);
        }
    }

    fn take(&mut self, issue: i64, repository: Option<&str>) -> Vec<PhaseEnqueued> {
        let is_meant = |phase: &PhaseEnqueued| {
            phase.parent_issue == issue && !is_of_another(&phase.phase_data.json, repository)
        };
        let ids: Vec<String> = self
            .phases
            .values()
            .filter(|(phase, _)| is_meant(phase))
            .map(|(phase, _)| phase.queue_id.clone())
            .collect();
        let mut taken = Vec::with_capacity(ids.len());
        for queue_id in ids {
            if let Some((phase, has_row)) = self.phases.remove(&queue_id) {
                if has_row {
                    self.removed.insert(queue_id);
                }
                taken.push(phase);
            }
        }
        taken.sort_by_key(|phase| phase.phase_number);
        taken
    }
}

impl Queue {
    /// The issue was closed: its phases that have not begun go.
    pub(super) fn close(&mut self, issue: i64, repository: Option<&str>, now: Moment) -> Effect {
        let key = PlanKey::Issue(issue);
        let Some(plan) = self.plans.get_mut(&key) else { return Effect::Unchanged(Unchanged::NoPhase) };
        // What waits for others first, so that nothing is told that it waits for what goes with it.
        let mut places: Vec<_> = plan
            .entries()
            .filter(|entry| entry.phase.state.is_waiting() || entry.phase.state.as_str() == "ready")
            .map(|entry| (entry.phase.phase_number, entry.phase.queue_position))
            .collect();
        places.reverse();
        let mut changed = false;
        for place in places {
            let Some(content) =
                plan.content(place).or_else(|| self.shelf.contents.get(&plan.phase(place).queue_id).cloned())
            else {
                continue;
            };
            if is_of_another(&content, repository) {
                continue;
            }
            let enqueued = plan.phase(place).as_enqueued(content);
            plan.remove(place, now);
            self.places.remove(&enqueued.queue_id);
            self.shelf.put(enqueued);
            changed = true;
        }
        if !changed {
            return Effect::Unchanged(Unchanged::NoPhase);
        }
        self.touched.insert(key);
        Effect::Changed
    }

    /// The issue was opened again: its phases come back, behind all others, but for those whose place was taken
    /// meanwhile.
    pub(super) fn reopen(&mut self, issue: i64, repository: Option<&str>, now: Moment) -> Effect {
        let mut back = self.shelf.take(issue, repository);
        let plan = self.plans.get(&PlanKey::Issue(issue));
        let is_free = |phase: &PhaseEnqueued| {
            let current = plan.and_then(|plan| plan.current(phase.phase_number));
            current.is_none_or(|current| current.state.is_finished())
                && !self.places.contains_key(&phase.queue_id)
        };
        back.retain(is_free);
        // Of two that were taken out under one number, the later.
        back.reverse();
        let mut seen = BTreeSet::new();
        back.retain(|phase| seen.insert(phase.phase_number));
        if back.is_empty() {
            return Effect::Unchanged(Unchanged::NoPhase);
        }
        // Nothing is left to refuse.
        self.enqueue(back, false, now).unwrap_or(Effect::Unchanged(Unchanged::NoPhase))
    }
}

/// Issues of two repositories may have one number: a phase that says which repository it is of, goes and comes with the
/// issue of that one alone.
fn is_of_another(content: &Map<String, Value>, repository: Option<&str>) -> bool {
    let of = content.get("repository").and_then(Value::as_str);
    of.zip(repository).is_some_and(|(of, named)| !of.eq_ignore_ascii_case(named))
}
