use hookstream_event::BodyDigest;
use hookstream_event::internal::{PhaseData, PhaseEnqueued};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::Moment;

/// Longest reason of a failure that is kept, in bytes. A longer one is cut; the whole of it stays in the stream.
pub const REASON_BYTES_MAX: usize = 4096;

/// What a phase is doing, with all that is known of it only then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Waits for phases that have not completed, or are not in the queue yet.
    Queued,
    /// Waits in vain: a phase that it depends on, directly or not, has failed.
    Blocked {
        /// Which phase failed, and why.
        why: String,
    },
    /// May run.
    Ready {
        /// Since when.
        since: OffsetDateTime,
        /// Not to be announced before somebody requests its execution.
        held: bool,
        /// When it was last announced; none while it waits for a slot, or is held.
        announced_at: Option<OffsetDateTime>,
    },
    /// A worker runs it.
    Running {
        /// When it could have run.
        ready_at: OffsetDateTime,
        /// When it began.
        started_at: OffsetDateTime,
    },
    /// It has run.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// When it could have run.
        ready_at: OffsetDateTime,
        /// When it began; not known of a worker that reports only the end.
        started_at: Option<OffsetDateTime>,
        /// When it ended.
        finished_at: OffsetDateTime,
    },
}

/// How a phase ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Completed,
    /// Not well.
    Failed {
        /// Why, as the worker says; never empty.
        why: String,
    },
}

impl State {
    /// The word for it in tables, answers and messages to people.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Blocked { .. } => "blocked",
            Self::Ready { .. } => "ready",
            Self::Running { .. } => "running",
            Self::Finished { outcome: Outcome::Completed, .. } => "completed",
            Self::Finished { outcome: Outcome::Failed { .. }, .. } => "failed",
        }
    }

    /// Whether it is up to other phases when this one may run.
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::Queued | Self::Blocked { .. })
    }

    /// Whether it takes one of the queue's slots: it is announced, or runs.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Ready { announced_at: Some(_), .. } | Self::Running { .. })
    }

    /// Whether it waits for a slot, to be announced.
    pub fn is_candidate(&self) -> bool {
        matches!(self, Self::Ready { held: false, announced_at: None, .. })
    }

    /// Whether a worker runs it.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// Whether it has run.
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Finished { .. })
    }
}

/// A worker's report that came before the phase it is about was ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyReport {
    /// The run.
    pub adw_id: String,
    /// Why it failed; none if it completed.
    pub failed: Option<String>,
    /// Whether what becomes ready by it is announced at once.
    pub trigger_next: bool,
}

impl EarlyReport {
    pub(crate) fn outcome(&self) -> Outcome {
        self.failed.clone().map_or(Outcome::Completed, |why| Outcome::Failed { why })
    }
}

/// A phase of a plan, without what it is to run: the queue has no use for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Names the phase; chosen by who enqueued it.
    pub queue_id: String,
    /// The issue whose plan it belongs to; 0 for none.
    pub parent_issue: i64,
    /// Its place in the plan, 1 to 20.
    pub phase_number: i32,
    /// Numbers of the phases that must complete before it; sorted, without doubles, each below its own.
    pub depends_on: Vec<i32>,
    /// The phase's own issue.
    pub issue_number: Option<i64>,
    /// 10 (first) to 90 (last).
    pub priority: i32,
    /// Stream sequence of the event that enqueued it. Phases of one event are ordered by their numbers.
    pub queue_position: i64,
    /// The run: the one that it was enqueued with, until a worker says otherwise.
    pub adw_id: String,
    /// What it is doing.
    pub state: State,
    /// While it waits: how many of `depends_on` have not completed. Else 0.
    pub waiting_on: i32,
    /// While it waits: how many of `depends_on` have failed or are blocked. Else 0.
    pub blocked_on: i32,
    /// While it waits: the report that it is ended with once it is ready.
    pub early: Option<EarlyReport>,
    /// How often it was announced as ready.
    pub announcements: i32,
    /// Digest of all that it was enqueued with.
    pub content: BodyDigest,
    /// When it was enqueued.
    pub created_at: OffsetDateTime,
    /// When anything of it last changed.
    pub updated_at: OffsetDateTime,
}

impl Phase {
    /// A phase that has just been enqueued. Whether it may run is for its plan to say.
    pub(crate) fn new(enqueued: &PhaseEnqueued, now: Moment) -> Self {
        Self {
            queue_id: enqueued.queue_id.clone(),
            parent_issue: enqueued.parent_issue,
            phase_number: enqueued.phase_number,
            depends_on: enqueued.depends_on_phases.clone(),
            issue_number: enqueued.issue_number,
            priority: enqueued.priority,
            queue_position: now.position,
            adw_id: enqueued.phase_data.adw_id.clone(),
            state: State::Queued,
            waiting_on: 0,
            blocked_on: 0,
            early: None,
            announcements: 0,
            content: content_of(enqueued),
            created_at: now.at,
            updated_at: now.at,
        }
    }

    /// The event that would enqueue it again.
    pub(crate) fn as_enqueued(&self, content: Map<String, Value>) -> PhaseEnqueued {
        PhaseEnqueued {
            queue_id: self.queue_id.clone(),
            parent_issue: self.parent_issue,
            phase_number: self.phase_number,
            phase_data: PhaseData::from_valid(content),
            depends_on_phases: self.depends_on.clone(),
            priority: self.priority,
            issue_number: self.issue_number,
        }
    }

    /// What the table says of its trouble: why it failed, or which phase blocks it.
    pub fn error_message(&self) -> Option<&str> {
        match &self.state {
            State::Blocked { why } | State::Finished { outcome: Outcome::Failed { why }, .. } => Some(why),
            _ => None,
        }
    }
}

/// Digest of everything a phase is enqueued with, so that the same queue id with other contents is noticed without
/// keeping the contents at hand.
pub(crate) fn content_of(enqueued: &PhaseEnqueued) -> BodyDigest {
    // Maps of serde_json are sorted by key, so equal contents have one text.
    let content = serde_json::json!([
        enqueued.parent_issue,
        enqueued.phase_number,
        enqueued.depends_on_phases,
        enqueued.priority,
        enqueued.issue_number,
        enqueued.phase_data.json,
    ]);
    BodyDigest::of(content.to_string().as_bytes())
}
