use crate::State;

/// Why an event is not legal as things stand. It has changed nothing. The text names the field at fault first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No phase has this queue id.
    #[error("queue_id {queue_id} is not in the queue")]
    UnknownPhase {
        /// The queue id.
        queue_id: String,
    },
    /// The queue id names another phase already, or that of a plan whose other phases are not those of the event.
    #[error(
        "queue_id {queue_id} was enqueued before, with other contents, in another plan or beside other phases"
    )]
    QueueIdReused {
        /// The queue id.
        queue_id: String,
    },
    /// The plan has an unfinished phase of this number.
    #[error(
        "phase_number {phase_number} of issue {parent_issue} is that of an unfinished phase ({queue_id}, {status})"
    )]
    PhaseExists {
        /// The plan's issue.
        parent_issue: i64,
        /// The phase's number.
        phase_number: i32,
        /// The one that is there.
        queue_id: String,
        /// What that one is doing.
        status: &'static str,
    },
    /// A plan without phases.
    #[error("phases is empty")]
    EmptyPlan,
    /// A phase number out of range.
    #[error("phase_number {phase_number} is not within 1 to 20")]
    InvalidNumber {
        /// The number.
        phase_number: i32,
    },
    /// A phase number or a queue id occurs twice in one plan.
    #[error("phase_number {phase_number} or queue_id {queue_id} occurs twice in the plan")]
    RepeatedPhase {
        /// The phase's number.
        phase_number: i32,
        /// Its queue id.
        queue_id: String,
    },
    /// A phase that depends on itself, or on a later one: the plan could hold a cycle.
    #[error("depends_on_phases of phase {phase_number} has {dependency}, which does not come before it")]
    InvalidDependency {
        /// The phase's number.
        phase_number: i32,
        /// The number it depends on.
        dependency: i32,
    },
    /// A dependency that is neither in the plan nor in the queue, and that no later event can bring.
    #[error(
        "depends_on_phases of phase {phase_number} has {dependency}, which is neither in the plan nor in the queue"
    )]
    UnknownDependency {
        /// The phase's number.
        phase_number: i32,
        /// The number it depends on.
        dependency: i32,
    },
    /// The event gives a queue id, and a plan or number that is not that phase's.
    #[error(
        "queue_id {queue_id} is phase {phase_number} of issue {parent_issue}, which is not what the event says"
    )]
    PhaseMismatch {
        /// The queue id.
        queue_id: String,
        /// The issue of its plan.
        parent_issue: i64,
        /// Its number.
        phase_number: i32,
    },
    /// The event names a run that several phases are running under.
    #[error("adw_id {adw_id} runs more than one phase: name the phase by its queue_id")]
    AmbiguousRun {
        /// The run.
        adw_id: String,
    },
    /// Only a ready (or running) phase can do this.
    #[error("queue_id {queue_id} is {status}")]
    NotReady {
        /// The queue id.
        queue_id: String,
        /// What it is doing.
        status: &'static str,
    },
    /// Another run has the phase.
    #[error("queue_id {queue_id} is run by adw_id {running}, not by {adw_id}")]
    OtherRun {
        /// The queue id.
        queue_id: String,
        /// The run that has it.
        running: String,
        /// The run that reports.
        adw_id: String,
    },
    /// The phase has run, and this report is not the one that ended it.
    #[error("queue_id {queue_id} has {status} already, by adw_id {adw_id}")]
    AlreadyFinished {
        /// The queue id.
        queue_id: String,
        /// How it ended.
        status: &'static str,
        /// The run that ended it.
        adw_id: String,
    },
    /// A phase that is not in the queue yet was reported before, in other words.
    #[error("queue_id {queue_id} is not in the queue, and adw_id {adw_id} has reported its end already")]
    AlreadyReported {
        /// The queue id.
        queue_id: String,
        /// The run that has reported.
        adw_id: String,
    },
    /// Only a failed phase can be retried.
    #[error("queue_id {queue_id} is {status}: only a failed phase can be retried")]
    NotFailed {
        /// The queue id.
        queue_id: String,
        /// What it is doing.
        status: &'static str,
    },
    /// The phase has been replaced by one that was enqueued later under its number.
    #[error("queue_id {queue_id} was replaced by {successor}")]
    Superseded {
        /// The queue id.
        queue_id: String,
        /// The one that took its place.
        successor: String,
    },
    /// A running phase cannot be taken out of the queue.
    #[error("queue_id {queue_id} is running")]
    Running {
        /// The queue id.
        queue_id: String,
    },
    /// A completed phase cannot be taken out while others wait with it as a dependency: they would wait for ever.
    #[error("queue_id {queue_id} has completed, and {dependent} still counts on that")]
    StillNeeded {
        /// The queue id.
        queue_id: String,
        /// The queue id of one that waits.
        dependent: String,
    },
}

impl Refusal {
    /// The code for metrics and for the reason of a dead letter.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPhase { .. } => "unknown_phase",
            Self::QueueIdReused { .. } => "queue_id_reused",
            Self::PhaseExists { .. } => "phase_exists",
            Self::EmptyPlan => "empty_plan",
            Self::InvalidNumber { .. } => "invalid_number",
            Self::RepeatedPhase { .. } => "repeated_phase",
            Self::InvalidDependency { .. } => "invalid_dependency",
            Self::UnknownDependency { .. } => "unknown_dependency",
            Self::PhaseMismatch { .. } => "phase_mismatch",
            Self::AmbiguousRun { .. } => "ambiguous_run",
            Self::NotReady { .. } => "not_ready",
            Self::OtherRun { .. } => "other_run",
            Self::AlreadyFinished { .. } => "already_finished",
            Self::AlreadyReported { .. } => "already_reported",
            Self::NotFailed { .. } => "not_failed",
            Self::Superseded { .. } => "superseded",
            Self::Running { .. } => "running",
            Self::StillNeeded { .. } => "still_needed",
        }
    }

    pub(super) fn not_ready(queue_id: &str, state: &State) -> Self {
        Self::NotReady { queue_id: queue_id.to_owned(), status: state.as_str() }
    }
}
