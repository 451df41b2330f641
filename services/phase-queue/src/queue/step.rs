use std::collections::{BTreeMap, BTreeSet};

use super::Control;

use hookstream_event::InternalEvent;
use hookstream_event::internal::{PhaseEnqueued, WorkflowCompleted, WorkflowStatus, limit};

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
    /// An issue was closed on GitHub: its phases that have not begun go.
    Close {
        /// The issue.
        issue: i64,
        /// Its repository.
        repository: Option<String>,
    },
    /// It was opened again: they come back.
    Reopen {
        /// The issue.
        issue: i64,
        /// Its repository.
        repository: Option<String>,
    },
    /// Stop or resume announcing.
    SetPaused(bool),
    /// So many phases may be announced or running at once.
    SetMaxConcurrent(i32),
}

/// How much of a plan a step needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// The phase.
    Alone = -1,
    /// And those that wait for it.
    Near = 0,
    /// And those that wait for them, and so on, and whatever all of these depend on.
    Far = 1,
    /// And all phases that ever had its number.
    History = 2,
}

/// What a queue must have loaded to take some steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Concerns {
    /// Phases by queue id.
    pub queue_ids: BTreeMap<String, Reach>,
    /// Phases that these runs are running.
    pub runs: BTreeMap<String, Reach>,
    /// The newest phases of these issues and numbers.
    pub places: BTreeMap<(i64, i32), Reach>,
    /// Issues whose phases may be taken out or put back, for which what they are to run is needed.
    pub issues: BTreeSet<i64>,
    /// Phases that these runs begin: they are not running yet when the queue is loaded.
    begun: BTreeSet<(String, String)>,
    /// Whether any step is to be taken.
    pub any: bool,
    /// Slots that the steps may set free, and candidates that they may take away.
    turnover: i64,
    /// Whether announcing may resume.
    resumes: bool,
    /// The most slots that the steps ask for.
    max_concurrent: i32,
}

/// Most phases that one step takes out: one of each number.
const NUMBERS: i32 = limit::PHASES;

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
            Step::Start { queue_id, adw_id } => {
                self.include_id(queue_id, Reach::Alone);
                self.begun.insert((adw_id.clone(), queue_id.clone()));
            }
            Step::RequestExecution { queue_id } | Step::Expire { queue_id, .. } => {
                self.include_id(queue_id, Reach::Alone);
            }
            Step::Retry { queue_id } => self.include_id(queue_id, Reach::Far),
            Step::Dequeue { queue_id } => self.include_id(queue_id, Reach::History),
            Step::Report(report) => self.include_reported(report),
            Step::Close { issue, .. } | Step::Reopen { issue, .. } => {
                self.turnover += 2 * i64::from(NUMBERS);
                self.issues.insert(*issue);
                // Whoever had the number before counts again once the last one is taken out.
                for number in 1..=NUMBERS {
                    self.include_place(*issue, number, Reach::History);
                }
            }
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

    /// The place and all that waits for it, what it depends on, and whoever has the queue id already.
    fn include_enqueued(&mut self, phase: &PhaseEnqueued) {
        self.include_id(&phase.queue_id, Reach::Alone);
        self.include_place(phase.parent_issue, phase.phase_number, Reach::Far);
        for number in &phase.depends_on_phases {
            self.include_place(phase.parent_issue, *number, Reach::Alone);
        }
    }

    /// As `Queue` finds the phase of a report: by the most precise of what it says, and by that alone.
    fn include_reported(&mut self, report: &WorkflowCompleted) {
        let reach = match report.status {
            WorkflowStatus::Completed => Reach::Near,
            WorkflowStatus::Failed => Reach::Far,
        };
        if let Some(queue_id) = &report.queue_id {
            self.include_id(queue_id, reach);
        } else if let (Some(issue @ 1..), Some(number)) = (report.parent_issue, report.phase_number) {
            self.include_place(issue, number, reach);
        } else {
            include(&mut self.runs, report.adw_id.clone(), reach);
            let begun = self.begun.range((report.adw_id.clone(), String::new())..);
            let begun: Vec<String> = begun
                .take_while(|(adw_id, _)| *adw_id == report.adw_id)
                .map(|(_, queue_id)| queue_id.clone())
                .collect();
            for queue_id in begun {
                self.include_id(&queue_id, reach);
            }
        }
    }

    fn include_id(&mut self, queue_id: &str, reach: Reach) {
        include(&mut self.queue_ids, queue_id.to_owned(), reach);
    }

    /// Issue 0 is none: its phases are found by their queue ids alone.
    fn include_place(&mut self, issue: i64, number: i32, reach: Reach) {
        if issue > 0 {
            include(&mut self.places, (issue, number), reach);
        }
    }
}

fn include<K: Ord>(concerns: &mut BTreeMap<K, Reach>, key: K, reach: Reach) {
    let known = concerns.entry(key).or_insert(reach);
    *known = reach.max(*known);
}
