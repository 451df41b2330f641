//! One plan: the phases of an issue, and the steps that they may take.
//!
//! A phase that waits counts how many of its dependencies have not completed, and how many never will as things stand.
//! When a number's phase changes, [`Plan::settle`] follows the edges to those that wait for it, and so on: nothing else is
//! looked at, so a plan need not be loaded whole. Dependencies have lower numbers, so one pass in order of numbers does it,
//! and a cycle cannot be. A phase that was once ready stays so until a worker takes it.
//!
//! A number may come again after its phase has finished (somebody asks for the same workflow twice). What depends on
//! that number then waits for the newer one, the *current* phase of the number.

mod refusal;
mod settle;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use hookstream_event::internal::{PhaseEnqueued, limit};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::{EarlyReport, Effect, Moment, Phase, State};
pub use refusal::Refusal;
use settle::Ripple;
pub(crate) use steps::why;

/// Which plan. Phases without an issue have nothing in common but the event that enqueued them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlanKey {
    /// All phases of an issue.
    Issue(i64),
    /// The phases without an issue that one event enqueued: its stream sequence.
    Alone(i64),
}

impl PlanKey {
    /// The plan of phases that are enqueued now.
    pub(crate) fn of(parent_issue: i64, queue_position: i64) -> Self {
        if parent_issue == 0 { Self::Alone(queue_position) } else { Self::Issue(parent_issue) }
    }
}

/// Number and queue position: places of one number are in order of time.
pub(crate) type Place = (i32, i64);

/// A phase of a plan, and what its table knows of it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) phase: Phase,
    pub(crate) kept: Kept,
    /// Its dependencies have rows of their own.
    linked: bool,
}

/// How a phase stands to its row.
#[derive(Debug, Clone)]
pub(crate) enum Kept {
    /// The row is as the phase is.
    Same,
    /// The row is older.
    Changed,
    /// There is no row yet. Holds what the phase is to run.
    New(Map<String, Value>),
}

impl Entry {
    fn touch(&mut self) {
        if matches!(self.kept, Kept::Same) {
            self.kept = Kept::Changed;
        }
    }
}

/// What became of a phase since it was last looked at.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// Its status then; none if it was not there.
    pub(crate) status_before: Option<&'static str>,
    /// Whether it took a slot then.
    pub(crate) was_active: bool,
    /// Its priority, which never changes.
    pub(crate) priority: i32,
    /// It was announced as ready meanwhile.
    pub(crate) announced: bool,
    /// The phase, if it has gone.
    pub(crate) removed: Option<Phase>,
}

/// The phases of a plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    entries: BTreeMap<Place, Entry>,
    /// Who waits for a number.
    dependents: BTreeMap<i32, BTreeSet<Place>>,
    /// Rows that are to go, and whether their dependencies have some, too.
    removed: Vec<(Phase, bool)>,
    /// What phases were to run that came and went since the plan was loaded.
    orphans: BTreeMap<(String, i64), Map<String, Value>>,
    /// What changed since [`Plan::take_changes`].
    changes: BTreeMap<Place, Change>,
}

impl Plan {
    pub(crate) fn load(&mut self, phase: Phase) {
        let place = (phase.phase_number, phase.queue_position);
        let linked = phase.state.is_waiting();
        self.entries.insert(place, Entry { phase, kept: Kept::Same, linked });
        self.link(place);
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(crate) fn removed(&self) -> impl Iterator<Item = &Phase> {
        self.removed.iter().map(|(phase, _)| phase)
    }

    /// Phases whose dependencies are to have rows, and have none.
    pub(crate) fn unlinked(&self) -> impl Iterator<Item = &Phase> {
        self.entries()
            .filter(|entry| entry.phase.state.is_waiting() && !entry.linked)
            .map(|entry| &entry.phase)
    }

    /// Phases whose dependencies have rows that are to go.
    pub(crate) fn overlinked(&self) -> impl Iterator<Item = &Phase> {
        let here = self.entries().filter(|entry| !entry.phase.state.is_waiting() && entry.linked);
        let gone = self.removed.iter().filter(|(_, linked)| *linked).map(|(phase, _)| phase);
        here.map(|entry| &entry.phase).chain(gone)
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Phase> {
        self.entries.get(&place).map(|entry| &entry.phase)
    }

    pub(crate) fn phase(&self, place: Place) -> &Phase {
        self.get(place).expect("places come from the index, which follows the plan")
    }

    /// What a phase is to run, if that is at hand.
    pub(crate) fn content(&self, place: Place) -> Option<Map<String, Value>> {
        match &self.entries.get(&place)?.kept {
            Kept::New(content) => Some(content.clone()),
            Kept::Same | Kept::Changed => None,
        }
    }

    /// What has changed since this was last asked, in order of numbers.
    pub(crate) fn take_changes(&mut self) -> BTreeMap<Place, Change> {
        std::mem::take(&mut self.changes)
    }

    /// The newest phase of a number.
    pub(crate) fn current(&self, number: i32) -> Option<&Phase> {
        let places = (number, i64::MIN)..=(number, i64::MAX);
        self.entries.range(places).next_back().map(|(_, entry)| &entry.phase)
    }

    /// Adds phases, all or none. Where they `are_all`, nothing that comes later can bring a dependency. `early` finds what
    /// was reported of a phase before it came.
    pub(crate) fn enqueue(
        &mut self,
        phases: Vec<PhaseEnqueued>,
        are_all: bool,
        early: impl Fn(&PhaseEnqueued) -> Option<EarlyReport>,
        now: Moment,
    ) -> Result<Effect, Refusal> {
        self.check_enqueue(&phases, are_all)?;
        let numbers = phases.iter().map(|phase| phase.phase_number);
        let before = numbers.map(|number| (number, self.class(number))).collect();
        let mut ripple = Ripple { before, ..Ripple::default() };
        for phase in phases {
            let place = (phase.phase_number, now.position);
            let early = early(&phase);
            let entry = Entry {
                phase: Phase { early, ..Phase::new(&phase, now) },
                kept: Kept::New(phase.phase_data.json),
                linked: false,
            };
            self.note(place, None, false, entry.phase.priority);
            self.entries.insert(place, entry);
            ripple.fresh.insert(place);
        }
        self.settle(ripple, now.at);
        Ok(Effect::Changed)
    }

    fn check_enqueue(&self, phases: &[PhaseEnqueued], are_all: bool) -> Result<(), Refusal> {
        let numbers: BTreeSet<i32> = phases.iter().map(|phase| phase.phase_number).collect();
        let mut seen = BTreeSet::new();
        let mut seen_ids = BTreeSet::new();
        if phases.is_empty() {
            return Err(Refusal::EmptyPlan);
        }
        for phase in phases {
            let phase_number = phase.phase_number;
            if !(1..=limit::PHASES).contains(&phase_number) {
                return Err(Refusal::InvalidNumber { phase_number });
            }
            if !seen.insert(phase_number) || !seen_ids.insert(&phase.queue_id) {
                return Err(Refusal::RepeatedPhase { phase_number, queue_id: phase.queue_id.clone() });
            }
            for &dependency in &phase.depends_on_phases {
                if !(1..phase_number).contains(&dependency) {
                    return Err(Refusal::InvalidDependency { phase_number, dependency });
                }
                if are_all && !numbers.contains(&dependency) && self.current(dependency).is_none() {
                    return Err(Refusal::UnknownDependency { phase_number, dependency });
                }
            }
            if let Some(current) = self.current(phase_number).filter(|current| !current.state.is_finished()) {
                return Err(Refusal::PhaseExists {
                    parent_issue: current.parent_issue,
                    phase_number,
                    queue_id: current.queue_id.clone(),
                    status: current.state.as_str(),
                });
            }
        }
        Ok(())
    }

    /// What phases were to run that came and went since the plan was loaded, by queue id and position.
    pub(crate) fn orphans(&self) -> impl Iterator<Item = (&(String, i64), &Map<String, Value>)> {
        self.orphans.iter()
    }

    /// What is to be followed once the number's phase has changed.
    fn ripple(&self, number: i32) -> Ripple {
        Ripple { before: [(number, self.class(number))].into(), ..Ripple::default() }
    }

    fn enter(&mut self, place: Place, state: State, at: OffsetDateTime) {
        let phase = self.phase(place);
        let (status, is_active, priority) = (phase.state.as_str(), phase.state.is_active(), phase.priority);
        self.note(place, Some(status), is_active, priority);
        self.unlink(place);
        let entry = self.entry(place);
        if !state.is_waiting() {
            (entry.phase.waiting_on, entry.phase.blocked_on, entry.phase.early) = (0, 0, None);
        }
        entry.phase.state = state;
        entry.phase.updated_at = at;
        entry.touch();
        self.link(place);
    }

    /// Remembers what a phase was before the step in hand, once.
    fn note(&mut self, place: Place, status_before: Option<&'static str>, was_active: bool, priority: i32) {
        let change = Change { status_before, was_active, priority, announced: false, removed: None };
        self.changes.entry(place).or_insert(change);
    }

    fn entry(&mut self, place: Place) -> &mut Entry {
        self.entries.get_mut(&place).expect("places come from the index, which follows the plan")
    }
}
