//! The internal events as types. Ranges and lengths hold by construction: only `decode` makes them from bytes.

use serde_json::{Map, Value};
use time::OffsetDateTime;

/// A phase of an issue's plan, to be queued.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseEnqueued {
    /// Names the phase in the queue; chosen by the sender.
    pub queue_id: String,
    /// The issue whose plan it belongs to, 0 or more.
    pub parent_issue: i64,
    /// Its place in the plan, 1 to 20.
    pub phase_number: i32,
    /// What to run.
    pub phase_data: PhaseData,
    /// Phase numbers it waits for, each from 1 and below its own; sorted, without doubles.
    pub depends_on_phases: Vec<i32>,
    /// 10 (first) to 90 (last); 50 unless said otherwise.
    pub priority: i32,
    /// The phase's own issue, if it has one.
    pub issue_number: Option<i64>,
}

/// What a phase is to run.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseData {
    /// Names the workflow, such as `adw_plan_iso`.
    pub workflow_type: String,
    /// Names the run.
    pub adw_id: String,
    /// The whole object as sent (`workflow_type`, `adw_id`, title, content, …), free of U+0000.
    pub json: Map<String, Value>,
}

impl PhaseData {
    /// What was decoded before and kept as JSON.
    pub fn from_valid(json: Map<String, Value>) -> Self {
        let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { workflow_type: text("workflow_type"), adw_id: text("adw_id"), json }
    }
}

/// All phases of an issue's plan, to be queued together.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanEnqueued {
    /// The issue, 0 or more. Every phase has it.
    pub parent_issue: i64,
    /// 1 to 20 phases with distinct numbers and queue ids, in the order sent.
    pub phases: Vec<PhaseEnqueued>,
}

/// A worker has taken up a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseStarted {
    /// The phase.
    pub queue_id: String,
    /// The run.
    pub adw_id: String,
}

/// A worker is done.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowCompleted {
    /// The run.
    pub adw_id: String,
    /// How it ended.
    pub status: WorkflowStatus,
    /// The phase it ran, if the worker knows it.
    pub queue_id: Option<String>,
    /// The issue of the plan.
    pub parent_issue: Option<i64>,
    /// The phase's number, 1 to 20.
    pub phase_number: Option<i32>,
    /// The phase's own issue.
    pub issue_number: Option<i64>,
    /// Whether what becomes ready by this is announced at once; else it waits for an execute request.
    pub trigger_next: bool,
    /// Why it failed.
    pub error_message: Option<String>,
    /// How long it took, in seconds, 0 or more.
    pub duration_seconds: Option<f64>,
    /// Tokens a model used, 0 or more.
    pub tokens_used: Option<i64>,
    /// What it cost, in US dollars, 0 or more.
    pub cost_usd: Option<f64>,
    /// Template of the workflow.
    pub workflow_template: Option<String>,
    /// Whatever else the sender wants kept, free of U+0000.
    pub metadata: Option<Map<String, Value>>,
}

/// How a workflow ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkflowStatus {
    /// `completed`
    Completed,
    /// `failed`
    Failed,
}

/// Somebody wants something of one phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseCommand {
    /// The phase.
    pub queue_id: String,
    /// Why.
    pub reason: Option<String>,
}

/// Nobody has begun an announced phase in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseExpired {
    /// The phase.
    pub queue_id: String,
    /// Which announcement of it went unheard, from 1.
    pub announcement: i32,
}

/// Somebody sets what applies to the whole queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfigured {
    /// How many phases may be announced or running at once, 1 to 10,000.
    pub max_concurrent: i32,
    /// Why.
    pub reason: Option<String>,
}

/// Somebody wants something of the whole queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCommand {
    /// Why.
    pub reason: Option<String>,
}

/// A line of the task log.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskLogged {
    /// The run.
    pub adw_id: String,
    /// The issue it works on, 0 or more.
    pub issue_number: i64,
    /// Name of the phase.
    pub phase_name: String,
    /// What became of it.
    pub phase_status: TaskStatus,
    /// The line; may be empty.
    pub log_message: String,
    /// Template of the workflow.
    pub workflow_template: Option<String>,
    /// The phase's number, 1 to 20.
    pub phase_number: Option<i32>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// When it began, in UTC.
    pub started_at: Option<OffsetDateTime>,
    /// When it ended, in UTC.
    pub completed_at: Option<OffsetDateTime>,
    /// How long it took, in seconds, 0 or more.
    pub duration_seconds: Option<f64>,
    /// Tokens a model used, 0 or more.
    pub tokens_used: Option<i64>,
    /// What it cost, in US dollars, 0 or more.
    pub cost_usd: Option<f64>,
}

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    /// `started`
    Started,
    /// `completed`
    Completed,
    /// `failed`
    Failed,
    /// `skipped`
    Skipped,
}

impl WorkflowStatus {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Completed, Self::Failed];

    /// The status as written in bodies, attributes and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

impl TaskStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Started, Self::Completed, Self::Failed, Self::Skipped];

    /// The status as written in bodies, attributes and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}
