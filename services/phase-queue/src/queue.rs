//! The whole queue, or as much of it as a batch concerns: finds the plan of each step and keeps count of what changed.

mod dispatch;
mod early;
mod report;
mod shelf;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use hookstream_event::internal::PhaseEnqueued;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::phase::content_of;
use crate::plan::{Kept, Place, Plan};
use crate::{Announcement, Phase, PlanKey, Refusal};
pub use dispatch::Control;
use dispatch::{Candidates, rank};
use early::EarlyReports;
pub use early::{EARLY_REPORT_HORIZON, EARLY_REPORTS_MAX, KeptReport};
use shelf::Shelf;
pub use step::{Concerns, Reach, Step};

/// When and where in the stream a step was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Stream sequence of the event.
    pub position: i64,
    /// When the stream stored it, in whole microseconds.
    pub at: OffsetDateTime,
}

/// What a legal step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Phases or the pause are not as before.
    Changed,
    /// All is as before.
    Unchanged(Unchanged),
}

/// Why a legal step changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// It was so already.
    #[error("already {0}")]
    Already(&'static str),
    /// A lease has expired of an announcement that was heard, or of one that is not the last.
    #[error("no announcement waits to be heard")]
    Heard,
    /// A phase that is not in the queue has ended; the report is kept in case that it comes.
    #[error("kept for a phase that may come")]
    Kept,
    /// A workflow has ended that the queue did not start; or an issue has no phases that this is about.
    #[error("no phase of the queue")]
    NoPhase,
    /// Somebody asks for a workflow on an issue whose first phase has not ended.
    #[error("issue {parent_issue} has an unfinished phase 1 ({queue_id}) already")]
    Unfinished {
        /// The issue.
        parent_issue: i64,
        /// The phase.
        queue_id: String,
    },
}

/// Plans in memory. Starts from what the tables hold, takes steps, and says what has to be written back.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    plans: BTreeMap<PlanKey, Plan>,
    places: BTreeMap<String, (PlanKey, Place)>,
    /// Run and queue id of each phase that runs.
    running: BTreeSet<(String, String)>,
    control: Control,
    candidates: Candidates,
    early: EarlyReports,
    shelf: Shelf,
    /// Plans that the step in hand has changed.
    touched: BTreeSet<PlanKey>,
    announcements: Vec<Announcement>,
}

/// A phase that has no row yet.
#[derive(Debug, Clone, Copy)]
pub struct NewPhase<'q> {
    /// The phase.
    pub phase: &'q Phase,
    /// What it is to run.
    pub phase_data: &'q Map<String, Value>,
}

impl Queue {
    /// A queue as the tables have it; all phases of the plans that will be touched, and of those that may be announced
    /// as many as [`Concerns::announcements_max`] says, the first ones first.
    pub fn load(phases: impl IntoIterator<Item = Phase>, control: Control) -> Self {
        let mut queue = Self { control, ..Self::default() };
        for phase in phases {
            let key = PlanKey::of(phase.parent_issue, phase.queue_position);
            let place = (phase.phase_number, phase.queue_position);
            queue.places.insert(phase.queue_id.clone(), (key, place));
            if phase.state.is_running() {
                queue.running.insert((phase.adw_id.clone(), phase.queue_id.clone()));
            }
            if phase.state.is_candidate() {
                queue.candidates.insert(rank(&phase, key));
            }
            queue.plans.entry(key).or_default().load(phase);
        }
        queue
    }

    /// The same with reports that were kept, and the ordinal of the last one that ever was.
    #[must_use]
    pub fn with_early_reports(mut self, last: i64, reports: Vec<KeptReport>) -> Self {
        self.early = EarlyReports::load(last, reports);
        self
    }

    /// The same with phases of closed issues, and with what phases are to run whose issues may be closed.
    #[must_use]
    pub fn with_shelf(
        mut self,
        shelved: Vec<PhaseEnqueued>,
        contents: BTreeMap<String, Map<String, Value>>,
    ) -> Self {
        let phases = shelved.into_iter().map(|phase| (phase.queue_id.clone(), (phase, true))).collect();
        self.shelf = Shelf { phases, contents, ..Shelf::default() };
        self
    }

    /// Takes a step. A refused one changes nothing.
    pub fn apply(&mut self, step: Step, now: Moment) -> Result<Effect, Refusal> {
        let effect = self.take(step, now)?;
        if effect == Effect::Changed {
            self.settle(now);
        }
        Ok(effect)
    }

    fn take(&mut self, step: Step, now: Moment) -> Result<Effect, Refusal> {
        match step {
            Step::Enqueue(phase) => self.enqueue(vec![phase], false, now),
            Step::EnqueuePlan(phases) => self.enqueue(phases, true, now),
            Step::Command(phase) => self.command(phase, now),
            Step::Start { queue_id, adw_id } => {
                self.with_phase(&queue_id, |plan, place| plan.start(place, &adw_id, now))
            }
            Step::Report(report) => match self.find_reported(&report)? {
                Some(queue_id) => self.with_phase(&queue_id, |plan, place| plan.report(place, &report, now)),
                None => match &report.queue_id {
                    Some(queue_id) => self.early.keep(queue_id, &report, now),
                    None => Ok(Effect::Unchanged(Unchanged::NoPhase)),
                },
            },
            Step::Retry { queue_id } => self.with_phase(&queue_id, |plan, place| plan.retry(place, now)),
            Step::Dequeue { queue_id } => {
                let effect = self.with_phase(&queue_id, |plan, place| plan.dequeue(place, now))?;
                self.places.remove(&queue_id);
                Ok(effect)
            }
            Step::RequestExecution { queue_id } => {
                self.with_phase(&queue_id, |plan, place| plan.request_execution(place, now))
            }
            Step::Expire { queue_id, announcement } => {
                let paused = self.control.paused;
                if !self.places.contains_key(&queue_id) {
                    return Ok(Effect::Unchanged(Unchanged::Heard));
                }
                self.with_phase(&queue_id, |plan, place| Ok(plan.expire(place, announcement, paused, now)))
            }
            Step::Close { issue, repository } => Ok(self.close(issue, repository.as_deref(), now)),
            Step::Reopen { issue, repository } => Ok(self.reopen(issue, repository.as_deref(), now)),
            Step::SetPaused(paused) => Ok(self.set_paused(paused, now)),
            Step::SetMaxConcurrent(max_concurrent) => Ok(self.set_max_concurrent(max_concurrent, now)),
        }
    }

    /// All phases, in order of plan, number and queue position.
    pub fn phases(&self) -> impl Iterator<Item = &Phase> {
        self.plans.values().flat_map(Plan::entries).map(|entry| &entry.phase)
    }

    /// Phases whose rows are older than they are.
    pub fn changed(&self) -> impl Iterator<Item = &Phase> {
        let entries = self.plans.values().flat_map(Plan::entries);
        entries.filter(|entry| matches!(entry.kept, Kept::Changed)).map(|entry| &entry.phase)
    }

    /// Phases that have no row yet.
    pub fn added(&self) -> impl Iterator<Item = NewPhase<'_>> {
        self.plans.values().flat_map(Plan::entries).filter_map(|entry| match &entry.kept {
            Kept::New(phase_data) => Some(NewPhase { phase: &entry.phase, phase_data }),
            Kept::Same | Kept::Changed => None,
        })
    }

    /// Queue ids of rows that are to go, before others are written: one may come back.
    pub fn removed(&self) -> impl Iterator<Item = &str> {
        self.plans.values().flat_map(Plan::removed).map(|phase| phase.queue_id.as_str())
    }

    /// Phases whose dependencies are to get rows.
    pub fn unlinked(&self) -> impl Iterator<Item = &Phase> {
        self.plans.values().flat_map(Plan::unlinked)
    }

    /// Phases whose dependencies' rows are to go, before others are written.
    pub fn overlinked(&self) -> impl Iterator<Item = &Phase> {
        self.plans.values().flat_map(Plan::overlinked)
    }

    /// Ordinal of the last report that was kept for a phase that may come.
    pub fn last_early_report(&self) -> i64 {
        self.early.last
    }

    /// Kept reports that have no row yet.
    pub fn early_reports_added(&self) -> impl Iterator<Item = &KeptReport> {
        self.early.added()
    }

    /// Queue ids of kept reports whose rows are to go, before others are written.
    pub fn early_reports_removed(&self) -> impl Iterator<Item = &str> {
        self.early.removed.iter().map(String::as_str)
    }

    /// Phases of closed issues that have no row yet.
    pub fn shelf_added(&self) -> impl Iterator<Item = &PhaseEnqueued> {
        self.shelf.phases.values().filter(|(_, has_row)| !has_row).map(|(phase, _)| phase)
    }

    /// Queue ids of phases of closed issues whose rows are to go, before others are written.
    pub fn shelf_removed(&self) -> impl Iterator<Item = &str> {
        self.shelf.removed.iter().map(String::as_str)
    }

    /// What applies to the queue as a whole.
    pub fn control(&self) -> Control {
        self.control
    }

    /// What is to be told, in order.
    pub fn announcements(&self) -> &[Announcement] {
        &self.announcements
    }

    /// What phases were to run that came and went since the queue was loaded, by queue id and position.
    pub fn orphans(&self) -> impl Iterator<Item = (&(String, i64), &Map<String, Value>)> {
        self.plans.values().flat_map(Plan::orphans)
    }

    fn enqueue(&mut self, phases: Vec<PhaseEnqueued>, is_plan: bool, now: Moment) -> Result<Effect, Refusal> {
        let known = |phase: &PhaseEnqueued| {
            self.find(&phase.queue_id).is_some_and(|known| known.content == content_of(phase))
        };
        if !phases.is_empty() && phases.iter().all(known) {
            return Ok(Effect::Unchanged(Unchanged::Already("enqueued")));
        }
        if let Some(phase) = phases.iter().find(|phase| self.places.contains_key(&phase.queue_id)) {
            return Err(Refusal::QueueIdReused { queue_id: phase.queue_id.clone() });
        }
        let Some(first) = phases.first() else { return Err(Refusal::EmptyPlan) };
        let key = PlanKey::of(first.parent_issue, now.position);
        let mut places = Vec::with_capacity(phases.len());
        for phase in &phases {
            places.push((phase.queue_id.clone(), (key, (phase.phase_number, now.position))));
        }
        // What has no issue is on its own: no later event can add to it.
        let are_all = is_plan || matches!(key, PlanKey::Alone(_));
        let early = |phase: &PhaseEnqueued| self.early.find(phase, now);
        let effect = self.plans.entry(key).or_default().enqueue(phases, are_all, early, now)?;
        for (queue_id, _) in &places {
            self.early.forget(queue_id);
        }
        self.places.extend(places);
        self.touched.insert(key);
        Ok(effect)
    }

    /// Somebody asks for a workflow on an issue. To ask again while it runs is normal and no error.
    fn command(&mut self, phase: PhaseEnqueued, now: Moment) -> Result<Effect, Refusal> {
        if self.places.contains_key(&phase.queue_id) {
            return Ok(Effect::Unchanged(Unchanged::Already("enqueued")));
        }
        let parent_issue = phase.parent_issue;
        let current =
            self.plans.get(&PlanKey::Issue(parent_issue)).and_then(|plan| plan.current(phase.phase_number));
        if let Some(current) = current.filter(|current| !current.state.is_finished()) {
            let queue_id = current.queue_id.clone();
            return Ok(Effect::Unchanged(Unchanged::Unfinished { parent_issue, queue_id }));
        }
        self.enqueue(vec![phase], false, now)
    }

    fn set_paused(&mut self, paused: bool, now: Moment) -> Effect {
        if self.control.paused == paused {
            return Effect::Unchanged(Unchanged::Already(if paused { "paused" } else { "resumed" }));
        }
        (self.control.paused, self.control.paused_at) = (paused, Some(now.at));
        Effect::Changed
    }

    fn set_max_concurrent(&mut self, max_concurrent: i32, now: Moment) -> Effect {
        if self.control.max_concurrent == max_concurrent {
            return Effect::Unchanged(Unchanged::Already("configured so"));
        }
        (self.control.max_concurrent, self.control.configured_at) = (max_concurrent, Some(now.at));
        Effect::Changed
    }

    fn find(&self, queue_id: &str) -> Option<&Phase> {
        let (key, place) = self.places.get(queue_id)?;
        Some(self.plans.get(key)?.phase(*place))
    }

    /// Lets one phase take a step, and follows whether it runs.
    fn with_phase(
        &mut self,
        queue_id: &str,
        step: impl FnOnce(&mut Plan, Place) -> Result<Effect, Refusal>,
    ) -> Result<Effect, Refusal> {
        let unknown = || Refusal::UnknownPhase { queue_id: queue_id.to_owned() };
        let (key, place) = *self.places.get(queue_id).ok_or_else(unknown)?;
        let plan = self.plans.get_mut(&key).ok_or_else(unknown)?;
        let run_before = plan.phase(place).adw_id.clone();
        let effect = step(plan, place)?;
        self.touched.insert(key);
        let run_after =
            plan.get(place).filter(|phase| phase.state.is_running()).map(|phase| phase.adw_id.clone());
        self.running.remove(&(run_before, queue_id.to_owned()));
        self.running.extend(run_after.map(|run| (run, queue_id.to_owned())));
        Ok(effect)
    }
}

#[cfg(test)]
mod tests;
