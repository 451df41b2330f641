//! Internal events: what the team's own services and workflows report, and the commands of people.
//!
//! A body is `{"type": "workflow.completed", …fields}`. Each type has a JSON Schema in `schemas/events/internal`;
//! tests hold schema and decoder together, example by example. `null` for an optional field means that it is absent.
//!
//! A field that the type does not have is refused when an event comes in ([`decode`]): it is a slip of the pen more often
//! than not, and would do nothing. What is stored already is read without it ([`decode_stored`]), for it may have been
//! taken by another version. `phase_data` and `metadata` hold whatever the sender likes.
//!
//! U+0000, which Postgres refuses in a text, is refused in ids and names and becomes U+FFFD in free texts and in the
//! JSON of `phase_data` and `metadata`.

mod decode;
mod describe;
mod fields;
mod json;
mod read;
mod types;

use serde_json::error::Category;

use crate::select::check_body;
use crate::{BodyDigest, BodyError, InvalidBody, Token};
pub use describe::ORIGIN;
use fields::Fields;
pub use read::{is_name, limit};
pub use types::{
    LeaseExpired, PhaseCommand, PhaseData, PhaseEnqueued, PhaseStarted, PlanEnqueued, QueueCommand,
    QueueConfigured, TaskLogged, TaskStatus, WorkflowCompleted, WorkflowStatus,
};

/// The type that a body without one has on `/workflow-complete`.
pub const WORKFLOW_COMPLETED: &str = "workflow.completed";

/// An internal event, valid in itself. Whether it makes sense now (is there such a phase?) is for who applies it.
#[derive(Debug, Clone, PartialEq)]
pub enum InternalEvent {
    /// `phase.enqueued`: a phase is to be run when its dependencies are done.
    PhaseEnqueued(PhaseEnqueued),
    /// `plan.enqueued`: all phases of an issue, or none.
    PlanEnqueued(PlanEnqueued),
    /// `phase.started`: a worker runs it.
    PhaseStarted(PhaseStarted),
    /// `workflow.completed`: a worker is done with it, well or not.
    WorkflowCompleted(WorkflowCompleted),
    /// `phase.retried`: a failed phase shall run again.
    PhaseRetried(PhaseCommand),
    /// `phase.dequeued`: a phase shall not run.
    PhaseDequeued(PhaseCommand),
    /// `phase.execution_requested`: announce a ready phase that waits for it.
    PhaseExecutionRequested(PhaseCommand),
    /// `phase.lease_expired`: nobody began an announced phase in time. The phase queue appends it itself.
    PhaseLeaseExpired(LeaseExpired),
    /// `queue.paused`: announce nothing until resumed.
    QueuePaused(QueueCommand),
    /// `queue.resumed`.
    QueueResumed(QueueCommand),
    /// `queue.configured`: what applies to the queue as a whole.
    QueueConfigured(QueueConfigured),
    /// `task.logged`: a line of the task log.
    TaskLogged(TaskLogged),
}

impl InternalEvent {
    /// All types, as the `type` field has them.
    pub const TYPES: [&'static str; 12] = [
        "phase.enqueued",
        "plan.enqueued",
        "phase.started",
        WORKFLOW_COMPLETED,
        "phase.retried",
        "phase.dequeued",
        "phase.execution_requested",
        "phase.lease_expired",
        "queue.paused",
        "queue.resumed",
        "queue.configured",
        "task.logged",
    ];

    /// The type, as the `type` field has it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::PhaseEnqueued(_) => "phase.enqueued",
            Self::PlanEnqueued(_) => "plan.enqueued",
            Self::PhaseStarted(_) => "phase.started",
            Self::WorkflowCompleted(_) => WORKFLOW_COMPLETED,
            Self::PhaseRetried(_) => "phase.retried",
            Self::PhaseDequeued(_) => "phase.dequeued",
            Self::PhaseExecutionRequested(_) => "phase.execution_requested",
            Self::PhaseLeaseExpired(_) => "phase.lease_expired",
            Self::QueuePaused(_) => "queue.paused",
            Self::QueueResumed(_) => "queue.resumed",
            Self::QueueConfigured(_) => "queue.configured",
            Self::TaskLogged(_) => "task.logged",
        }
    }

    /// The delivery id of an event whose sender gave none.
    ///
    /// For `workflow.completed` the first 16 hex digits of SHA-256 of `adw_id:status:queue_id` (`None` for an absent
    /// queue id), as the system that hookstream replaces had it; else the first 32 of SHA-256 of the body.
    pub fn derived_delivery_id(&self, body: &[u8]) -> String {
        let (digest, digits) = match self {
            Self::WorkflowCompleted(done) => {
                let queue_id = done.queue_id.as_deref().unwrap_or("None");
                let text = format!("{}:{}:{queue_id}", done.adw_id, done.status.as_str());
                (BodyDigest::of(text.as_bytes()), 16)
            }
            _ => (BodyDigest::of(body), 32),
        };
        let mut id = digest.to_string();
        id.truncate(digits);
        id
    }

    /// The two tokens of the type: `workflow` and `completed`.
    fn type_tokens(&self) -> (Token, Token) {
        let (event, action) = self.type_name().split_once('.').expect("every type has one dot");
        (Token::lossy(event), Token::lossy(action))
    }
}

/// Largest body of an internal event, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Reads and validates the body of an internal event that comes in. `default_type` is its type where the body names
/// none: on the path of workflow reports.
pub fn decode(body: &[u8], default_type: Option<&str>) -> Result<InternalEvent, InvalidBody> {
    read(body, default_type, fields::refuse_unknown)
}

/// Reads an event that is stored: fields that its type does not have are passed over. The envelope has the type
/// (`EventType::internal_name`).
pub fn decode_stored(body: &[u8], default_type: Option<&str>) -> Result<InternalEvent, InvalidBody> {
    read(body, default_type, |_| Ok(()))
}

fn read(
    body: &[u8],
    default_type: Option<&str>,
    unknown: decode::Unknown,
) -> Result<InternalEvent, InvalidBody> {
    let text = check_body(body)?;
    let fields = Fields::read(text, String::new()).map_err(|error| match error.classify() {
        Category::Data => BodyError::NotAnObject,
        _ => BodyError::NotJson,
    })?;
    let event = decode::event(&fields, default_type, unknown)?;
    unknown(&fields)?;
    Ok(event)
}

#[cfg(test)]
mod tests;
