//! One plan: the phases of an issue, and the steps that they may take.
//!
//! A phase that has not begun is never told what to be: after each step [`Plan::settle`] derives it from what the
//! phase depends on. Dependencies have lower numbers, so one pass in order of numbers does it, and a cycle cannot be.
//! A phase that was once ready stays so until a worker takes it.
//!
//! A number may come again after its phase has finished (somebody asks for the same workflow twice). What depends on
//! that number then waits for the newer one, the *current* phase of the number.

mod refusal;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

use hookstream_event::internal::{PhaseEnqueued, WorkflowCompleted, WorkflowStatus, limit};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::phase::REASON_BYTES_MAX;
use crate::{Effect, Moment, Outcome, Phase, State, Unchanged};
pub use refusal::Refusal;

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
    fn enter(&mut self, state: State, at: OffsetDateTime) {
        self.phase.state = state;
        self.phase.updated_at = at;
        if matches!(self.kept, Kept::Same) {
            self.kept = Kept::Changed;
        }
    }
}

/// The phases of a plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    entries: BTreeMap<Place, Entry>,
    /// Queue ids of rows that are to go.
    removed: BTreeSet<String>,
}

impl Plan {
    pub(crate) fn load(&mut self, phase: Phase) {
        let place = (phase.phase_number, phase.queue_position);
        self.entries.insert(place, Entry { phase, kept: Kept::Same });
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(crate) fn removed(&self) -> impl Iterator<Item = &str> {
        self.removed.iter().map(String::as_str)
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Phase> {
        self.entries.get(&place).map(|entry| &entry.phase)
    }

    pub(crate) fn phase(&self, place: Place) -> &Phase {
        self.get(place).expect("places come from the index, which follows the plan")
    }

    /// The newest phase of a number.
    pub(crate) fn current(&self, number: i32) -> Option<&Phase> {
        let places = (number, i64::MIN)..=(number, i64::MAX);
        self.entries.range(places).next_back().map(|(_, entry)| &entry.phase)
    }

    /// Adds phases, all or none. Where they `are_all`, nothing that comes later can bring a dependency.
    pub(crate) fn enqueue(
        &mut self,
        phases: Vec<PhaseEnqueued>,
        are_all: bool,
        now: Moment,
    ) -> Result<Effect, Refusal> {
        self.check_enqueue(&phases, are_all)?;
        for phase in phases {
            let place = (phase.phase_number, now.position);
            let entry = Entry { phase: Phase::new(&phase, now), kept: Kept::New(phase.phase_data.json) };
            self.entries.insert(place, entry);
        }
        self.settle(now.at, false);
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

    /// A worker has begun.
    pub(crate) fn start(&mut self, place: Place, adw_id: &str, now: Moment) -> Result<Effect, Refusal> {
        let Entry { phase, .. } = self.entry(place);
        let same_run = phase.adw_id == adw_id;
        match &phase.state {
            State::Ready { since, .. } => {
                let state = State::Running { ready_at: *since, started_at: now.at };
                adw_id.clone_into(&mut phase.adw_id);
                self.entry(place).enter(state, now.at);
                Ok(Effect::Changed)
            }
            State::Running { .. } if same_run => Ok(Effect::Unchanged(Unchanged::Already("running"))),
            // The two reports came in the wrong order.
            State::Finished { .. } if same_run => Ok(Effect::Unchanged(Unchanged::Already("finished"))),
            State::Running { .. } => Err(other_run(phase, adw_id)),
            State::Finished { .. } => Err(already_finished(phase)),
            state @ (State::Queued | State::Blocked { .. }) => {
                Err(Refusal::not_ready(&phase.queue_id, state))
            }
        }
    }

    /// A worker is done. Also straight from ready: not all workers report that they begin.
    pub(crate) fn report(
        &mut self,
        place: Place,
        report: &WorkflowCompleted,
        now: Moment,
    ) -> Result<Effect, Refusal> {
        let Entry { phase, .. } = self.entry(place);
        let same_run = phase.adw_id == report.adw_id;
        let (ready_at, started_at) = match &phase.state {
            State::Ready { since, .. } => (*since, None),
            State::Running { ready_at, started_at } if same_run => (*ready_at, Some(*started_at)),
            State::Running { .. } => return Err(other_run(phase, &report.adw_id)),
            state @ State::Finished { .. } if same_run && state.as_str() == report.status.as_str() => {
                return Ok(Effect::Unchanged(Unchanged::Already(report.status.as_str())));
            }
            State::Finished { .. } => return Err(already_finished(phase)),
            state @ (State::Queued | State::Blocked { .. }) => {
                return Err(Refusal::not_ready(&phase.queue_id, state));
            }
        };
        report.adw_id.clone_into(&mut phase.adw_id);
        let outcome = match report.status {
            WorkflowStatus::Completed => Outcome::Completed,
            WorkflowStatus::Failed => Outcome::Failed { why: why(report) },
        };
        let state = State::Finished { outcome, ready_at, started_at, finished_at: now.at };
        self.entry(place).enter(state, now.at);
        self.settle(now.at, !report.trigger_next);
        Ok(Effect::Changed)
    }

    /// A failed phase shall run again.
    pub(crate) fn retry(&mut self, place: Place, now: Moment) -> Result<Effect, Refusal> {
        let phase = self.phase(place);
        let queue_id = phase.queue_id.clone();
        if !matches!(phase.state, State::Finished { outcome: Outcome::Failed { .. }, .. }) {
            return Err(Refusal::NotFailed { queue_id, status: phase.state.as_str() });
        }
        if let Some(current) = self.current(place.0).filter(|current| current.queue_id != queue_id) {
            return Err(Refusal::Superseded { queue_id, successor: current.queue_id.clone() });
        }
        self.entry(place).enter(State::Queued, now.at);
        self.settle(now.at, false);
        Ok(Effect::Changed)
    }

    /// A phase shall not run. What depends on it waits until its number is enqueued again.
    pub(crate) fn dequeue(&mut self, place: Place, now: Moment) -> Result<Effect, Refusal> {
        let phase = self.phase(place);
        let queue_id = phase.queue_id.clone();
        if phase.state.is_running() {
            return Err(Refusal::Running { queue_id });
        }
        let completed = matches!(phase.state, State::Finished { outcome: Outcome::Completed, .. });
        let is_current = self.current(place.0).is_some_and(|current| current.queue_id == queue_id);
        let counts_on_it =
            |entry: &&Entry| entry.phase.state.is_waiting() && entry.phase.depends_on.contains(&place.0);
        if completed
            && is_current
            && let Some(entry) = self.entries().find(counts_on_it)
        {
            return Err(Refusal::StillNeeded { queue_id, dependent: entry.phase.queue_id.clone() });
        }
        if let Some(Entry { kept: Kept::Same | Kept::Changed, .. }) = self.entries.remove(&place) {
            self.removed.insert(queue_id);
        }
        self.settle(now.at, false);
        Ok(Effect::Changed)
    }

    /// A ready phase need not wait any longer to be announced.
    pub(crate) fn request_execution(&mut self, place: Place, now: Moment) -> Result<Effect, Refusal> {
        let phase = self.phase(place);
        match &phase.state {
            State::Ready { since, held: true } => {
                let state = State::Ready { since: *since, held: false };
                self.entry(place).enter(state, now.at);
                Ok(Effect::Changed)
            }
            State::Ready { .. } => Ok(Effect::Unchanged(Unchanged::Already("ready"))),
            state => Err(Refusal::not_ready(&phase.queue_id, state)),
        }
    }

    fn entry(&mut self, place: Place) -> &mut Entry {
        self.entries.get_mut(&place).expect("places come from the index, which follows the plan")
    }
}

/// Why a workflow failed, bounded and never empty.
fn why(report: &WorkflowCompleted) -> String {
    match report.error_message.as_deref().map(str::trim) {
        None | Some("") => format!("run {} gave no reason", report.adw_id),
        Some(reason) => reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned(),
    }
}

fn other_run(phase: &Phase, adw_id: &str) -> Refusal {
    Refusal::OtherRun {
        queue_id: phase.queue_id.clone(),
        running: phase.adw_id.clone(),
        adw_id: adw_id.to_owned(),
    }
}

fn already_finished(phase: &Phase) -> Refusal {
    Refusal::AlreadyFinished {
        queue_id: phase.queue_id.clone(),
        status: phase.state.as_str(),
        adw_id: phase.adw_id.clone(),
    }
}
