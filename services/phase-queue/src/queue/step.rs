use std::collections::BTreeSet;

use super::Control;

use hookstream_event::InternalEvent;
use hookstream_event::internal::{PhaseEnqueued, WorkflowCompleted};

/// What an event asks of the queue.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Add a phase. It may depend on phases that are enqueued later.
    Enqueue(PhaseEnqueued),
    /// Add phases, all or none. What they depend on is among them or in the queue.
    EnqueuePlan(Vec<PhaseEnqueued>),
    /// Add a first phase, unless the issue has an unfinished one: somebody wrote a workflow command on GitHub.
    Command(PhaseEnqueued),
    /// A worker has begun.
    Start {
        /// The phase.
        queue_id: String,
        /// The run.
        adw_id: String,
    },
    /// A worker is done.
    Report(WorkflowCompleted),
    /// A failed phase shall run again.
    Retry {
        /// The phase.
        queue_id: String,
    },
    /// A phase shall not run.
    Dequeue {
        /// The phase.
        queue_id: String,
    },
    /// A ready phase is to be announced now, past the pause and the number of slots.
    RequestExecution {
        /// The phase.
        queue_id: String,
    },
    /// Nobody has begun an announced phase in time.
    Expire {
        /// The phase.
        queue_id: String,
        /// Which of its announcements.
        announcement: i32,
    },
    /// Stop or resume announcing.
    SetPaused(bool),
    /// So many phases may be announced or running at once.
    SetMaxConcurrent(i32),
}

/// What a queue must have loaded to take some steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Concerns {
    /// Issues whose plans may change.
    pub issues: BTreeSet<i64>,
    /// Phases whose plans may change.
    pub queue_ids: BTreeSet<String>,
    /// Runs whose phases' plans may change.
    pub runs: BTreeSet<String>,
    /// Whether any step is to be taken.
    pub any: bool,
    /// Slots that the steps may set free, and candidates that they may take away.
    turnover: i64,
    /// Whether announcing may resume.
    resumes: bool,
    /// The most slots that the steps ask for.
    max_concurrent: i32,
}

impl Step {
    /// The step that an internal event is; `None` if it does not concern the queue.
    pub fn from_internal(event: InternalEvent) -> Option<Self> {
        Some(match event {
            InternalEvent::PhaseEnqueued(phase) => Self::Enqueue(phase),
            InternalEvent::PlanEnqueued(plan) => Self::EnqueuePlan(plan.phases),
            InternalEvent::PhaseStarted(started) => {
                Self::Start { queue_id: started.queue_id, adw_id: started.adw_id }
            }
            InternalEvent::WorkflowCompleted(report) => Self::Report(report),
            InternalEvent::PhaseRetried(command) => Self::Retry { queue_id: command.queue_id },
            InternalEvent::PhaseDequeued(command) => Self::Dequeue { queue_id: command.queue_id },
            InternalEvent::PhaseExecutionRequested(command) => {
                Self::RequestExecution { queue_id: command.queue_id }
            }
            InternalEvent::PhaseLeaseExpired(expired) => {
                Self::Expire { queue_id: expired.queue_id, announcement: expired.announcement }
            }
            InternalEvent::QueuePaused(_) => Self::SetPaused(true),
            InternalEvent::QueueResumed(_) => Self::SetPaused(false),
            InternalEvent::QueueConfigured(config) => Self::SetMaxConcurrent(config.max_concurrent),
            InternalEvent::TaskLogged(_) => return None,
        })
    }
}

impl Concerns {
    /// Adds what one more step needs.
    pub fn include(&mut self, step: &Step) {
        self.any = true;
        // A phase that starts, ends or goes may have been the next one to be announced, and may leave its slot to the
        // one after.
        self.turnover += 2;
        match step {
            Step::Enqueue(phase) | Step::Command(phase) => self.include_enqueued(phase),
            Step::EnqueuePlan(phases) => phases.iter().for_each(|phase| self.include_enqueued(phase)),
            Step::Start { queue_id, .. }
            | Step::Retry { queue_id }
            | Step::Dequeue { queue_id }
            | Step::RequestExecution { queue_id }
            | Step::Expire { queue_id, .. } => {
                self.queue_ids.insert(queue_id.clone());
            }
            Step::Report(report) => self.include_reported(report),
            Step::SetPaused(paused) => self.resumes |= !paused,
            Step::SetMaxConcurrent(most) => self.max_concurrent = self.max_concurrent.max(*most),
        }
    }

    /// How many candidates have to be loaded, the first ones first, so that the steps never have to look for another.
    pub fn announcements_max(&self, control: &Control) -> i64 {
        if control.paused && !self.resumes {
            return 0;
        }
        let slots = control.max_concurrent.max(self.max_concurrent) - control.active;
        i64::from(slots.max(0)) + self.turnover
    }

    /// Whether phases have to be loaded at all.
    pub fn needs_phases(&self) -> bool {
        !(self.issues.is_empty() && self.queue_ids.is_empty() && self.runs.is_empty())
    }

    /// The plan, and whoever has the queue id already.
    fn include_enqueued(&mut self, phase: &PhaseEnqueued) {
        self.queue_ids.insert(phase.queue_id.clone());
        if phase.parent_issue > 0 {
            self.issues.insert(phase.parent_issue);
        }
    }

    /// As `Queue` finds the phase of a report: by the most precise of what it says, and by that alone.
    fn include_reported(&mut self, report: &WorkflowCompleted) {
        if let Some(queue_id) = &report.queue_id {
            self.queue_ids.insert(queue_id.clone());
        } else if let (Some(issue @ 1..), Some(_)) = (report.parent_issue, report.phase_number) {
            self.issues.insert(issue);
        } else {
            self.runs.insert(report.adw_id.clone());
        }
    }
}
