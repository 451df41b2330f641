//! What a change of one phase does to those that wait for it.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;

use super::{Place, Plan};
use crate::{Outcome, State};

/// What a number means to those that wait for it: the state of its newest phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Class {
    /// Has not completed yet; or there is no such phase yet.
    Pending,
    /// Has completed.
    Done,
    /// Will not complete as things stand: why.
    Blocking(String),
}

/// What a step has changed and is still to be followed.
#[derive(Default)]
pub(super) struct Ripple {
    /// Phases that are to be derived from scratch.
    pub(super) fresh: BTreeSet<Place>,
    /// Numbers that may mean something else than before.
    pub(super) before: BTreeMap<i32, Class>,
    /// Numbers whose end is to announce nothing: what becomes ready by it is held.
    pub(super) quiet: BTreeSet<i32>,
}

impl Plan {
    /// What a number means to those that wait for it.
    pub(super) fn class(&self, number: i32) -> Class {
        let Some(phase) = self.current(number) else { return Class::Pending };
        match &phase.state {
            State::Finished { outcome: Outcome::Completed, .. } => Class::Done,
            State::Finished { outcome: Outcome::Failed { why }, .. } => {
                Class::Blocking(format!("phase {number} ({}) failed: {why}", phase.queue_id))
            }
            State::Blocked { why } => Class::Blocking(why.clone()),
            State::Queued | State::Ready { .. } | State::Running { .. } => Class::Pending,
        }
    }

    /// Who waits for a number.
    pub(super) fn dependents_of(&self, number: i32) -> Vec<Place> {
        self.dependents.get(&number).into_iter().flatten().copied().collect()
    }

    pub(super) fn link(&mut self, place: Place) {
        let Some(phase) = self.get(place).filter(|phase| phase.state.is_waiting()) else { return };
        for number in phase.depends_on.clone() {
            self.dependents.entry(number).or_default().insert(place);
        }
    }

    pub(super) fn unlink(&mut self, place: Place) {
        for number in self.phase(place).depends_on.clone() {
            if let Some(dependents) = self.dependents.get_mut(&number) {
                dependents.remove(&place);
            }
        }
    }

    /// Derives phases that are fresh from what they depend on, and follows numbers that have changed to all that waits for
    /// them. In order of numbers, so that whatever a phase depends on is settled before it.
    pub(super) fn settle(&mut self, mut ripple: Ripple, at: OffsetDateTime) {
        loop {
            let fresh = ripple.fresh.first().map(|place| place.0);
            let next = fresh.into_iter().chain(ripple.before.keys().next().copied()).min();
            let Some(number) = next else { break };
            while let Some(place) = ripple.fresh.first().copied().filter(|place| place.0 == number) {
                ripple.fresh.pop_first();
                self.count(place);
                self.derive(place, true, &mut ripple, at);
            }
            let Some(before) = ripple.before.remove(&number) else { continue };
            let after = self.class(number);
            if after == before {
                continue;
            }
            for place in self.dependents_of(number) {
                if !ripple.fresh.contains(&place) {
                    self.shift(place, &before, &after, &mut ripple, at);
                }
            }
        }
    }

    /// Something that a phase waits for has changed.
    fn shift(
        &mut self,
        place: Place,
        before: &Class,
        after: &Class,
        ripple: &mut Ripple,
        at: OffsetDateTime,
    ) {
        let class = self.class(place.0);
        ripple.before.entry(place.0).or_insert(class);
        let was_blocking = matches!(before, Class::Blocking(_));
        let is_blocking = matches!(after, Class::Blocking(_));
        let entry = self.entry(place);
        entry.phase.waiting_on += i32::from(*after != Class::Done) - i32::from(*before != Class::Done);
        entry.phase.blocked_on += i32::from(is_blocking) - i32::from(was_blocking);
        entry.touch();
        self.derive(place, was_blocking || is_blocking, ripple, at);
    }

    /// Counts what a phase waits for, which must be loaded.
    fn count(&mut self, place: Place) {
        let classes: Vec<Class> =
            self.phase(place).depends_on.iter().map(|number| self.class(*number)).collect();
        let count = |wanted: fn(&Class) -> bool| {
            // At most 19.
            i32::try_from(classes.iter().filter(|class| wanted(class)).count()).unwrap_or(i32::MAX)
        };
        let waiting_on = count(|class| *class != Class::Done);
        let blocked_on = count(|class| matches!(class, Class::Blocking(_)));
        let entry = self.entry(place);
        (entry.phase.waiting_on, entry.phase.blocked_on) = (waiting_on, blocked_on);
        entry.touch();
        self.link(place);
    }

    /// Derives what a waiting phase is from what it counts. `look` finds out anew what blocks it.
    fn derive(&mut self, place: Place, look: bool, ripple: &mut Ripple, at: OffsetDateTime) {
        let phase = self.phase(place);
        let state = match (phase.blocked_on, phase.waiting_on, phase.early.clone()) {
            (1.., ..) if !look => return,
            (1.., ..) => State::Blocked { why: self.what_blocks(&phase.depends_on) },
            (_, 1.., _) => State::Queued,
            (_, _, None) => {
                let held = phase.depends_on.iter().any(|number| ripple.quiet.contains(number));
                State::Ready { since: at, held, announced_at: None }
            }
            (_, _, Some(early)) => {
                if !early.trigger_next {
                    ripple.quiet.insert(place.0);
                }
                let outcome = early.outcome();
                self.entry(place).phase.adw_id = early.adw_id;
                State::Finished { outcome, ready_at: at, started_at: None, finished_at: at }
            }
        };
        if state != self.phase(place).state {
            self.enter(place, state, at);
        }
    }

    /// The first of these numbers that will not complete says why.
    fn what_blocks(&self, numbers: &[i32]) -> String {
        let why = |number: &i32| match self.class(*number) {
            Class::Blocking(why) => Some(why),
            Class::Pending | Class::Done => None,
        };
        numbers.iter().find_map(why).unwrap_or_default()
    }
}
