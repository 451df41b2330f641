//! The steps that a phase of a plan may take.

use hookstream_event::internal::{WorkflowCompleted, WorkflowStatus};

use super::{Entry, Kept, Place, Plan, Refusal, Ripple};
use crate::phase::REASON_BYTES_MAX;
use crate::{Effect, Moment, Outcome, Phase, State, Unchanged};

impl Plan {
    /// A worker has begun.
    pub(crate) fn start(&mut self, place: Place, adw_id: &str, now: Moment) -> Result<Effect, Refusal> {
        let Entry { phase, .. } = self.entry(place);
        let same_run = phase.adw_id == adw_id;
        match &phase.state {
            State::Ready { since, .. } => {
                let state = State::Running { ready_at: *since, started_at: now.at };
                adw_id.clone_into(&mut phase.adw_id);
                self.enter(place, state, now.at);
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
        let quiet = (!report.trigger_next).then_some(place.0).into_iter().collect();
        let ripple = Ripple { quiet, ..self.ripple(place.0) };
        self.enter(place, state, now.at);
        self.settle(ripple, now.at);
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
        let ripple = Ripple { fresh: [place].into(), ..self.ripple(place.0) };
        self.enter(place, State::Queued, now.at);
        self.settle(ripple, now.at);
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
        if completed
            && is_current
            && let Some(dependent) = self.dependents_of(place.0).first()
        {
            let dependent = self.phase(*dependent).queue_id.clone();
            return Err(Refusal::StillNeeded { queue_id, dependent });
        }
        self.remove(place, now);
        Ok(Effect::Changed)
    }

    /// Takes a phase out.
    pub(crate) fn remove(&mut self, place: Place, now: Moment) {
        let ripple = self.ripple(place.0);
        let phase = self.phase(place);
        let (status, is_active, priority) = (phase.state.as_str(), phase.state.is_active(), phase.priority);
        self.note(place, Some(status), is_active, priority);
        self.unlink(place);
        if let Some(Entry { phase, kept, linked }) = self.entries.remove(&place) {
            if let Some(change) = self.changes.get_mut(&place) {
                change.removed = Some(Phase { updated_at: now.at, ..phase.clone() });
            }
            match kept {
                Kept::Same | Kept::Changed => self.removed.push((phase, linked)),
                Kept::New(phase_data) => {
                    self.orphans.insert((phase.queue_id, place.1), phase_data);
                }
            }
        }
        self.settle(ripple, now.at);
    }

    /// A ready phase is to be announced now, whatever the queue's slots and its pause say.
    pub(crate) fn request_execution(&mut self, place: Place, now: Moment) -> Result<Effect, Refusal> {
        let phase = self.phase(place);
        match &phase.state {
            State::Ready { announced_at: Some(_), .. } => {
                Ok(Effect::Unchanged(Unchanged::Already("announced")))
            }
            State::Ready { .. } => {
                self.announce(place, now);
                Ok(Effect::Changed)
            }
            state => Err(Refusal::not_ready(&phase.queue_id, state)),
        }
    }

    /// Nobody has begun what was announced. It is announced again, or waits for that while the queue is `paused`.
    pub(crate) fn expire(&mut self, place: Place, announcement: i32, paused: bool, now: Moment) -> Effect {
        let phase = self.phase(place);
        match &phase.state {
            State::Ready { since, announced_at: Some(_), .. } if phase.announcements == announcement => {
                let since = *since;
                if paused {
                    self.enter(place, State::Ready { since, held: false, announced_at: None }, now.at);
                } else {
                    self.announce(place, now);
                }
                Effect::Changed
            }
            _ => Effect::Unchanged(Unchanged::Heard),
        }
    }

    /// Announces a ready phase, for the first time or again.
    pub(crate) fn announce(&mut self, place: Place, now: Moment) {
        let State::Ready { since, .. } = self.phase(place).state else { return };
        self.enter(place, State::Ready { since, held: false, announced_at: Some(now.at) }, now.at);
        let entry = self.entry(place);
        entry.phase.announcements = entry.phase.announcements.saturating_add(1);
        if let Some(change) = self.changes.get_mut(&place) {
            change.announced = true;
        }
    }
}

/// Why a workflow failed, bounded and never empty.
pub(crate) fn why(report: &WorkflowCompleted) -> String {
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
