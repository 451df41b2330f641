//! What an internal event says in its headers.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{InternalEvent, PhaseEnqueued, TaskLogged, WorkflowCompleted};
use crate::{Attributes, Description, EventType, Source, Subject, attribute};

/// CloudEvents source of internal events, a URI reference.
pub const ORIGIN: &str = "/hookstream/internal";

impl InternalEvent {
    /// The parts of the envelope that come from the event.
    pub fn describe(&self, received_at: OffsetDateTime) -> Description {
        let (event, action) = self.type_tokens();
        let prefix = EventType::INTERNAL_PREFIX.trim_end_matches('.');
        Description {
            event_type: EventType::join(prefix, [&event, &action]),
            origin: ORIGIN.to_owned(),
            about: self.about(),
            occurred_at: self.occurred_at().unwrap_or(received_at),
            attributes: self.attributes(),
            subject: Subject { source: Source::internal().token().clone(), event, action },
        }
    }

    /// The phase, else the run, else the issue that it is about.
    fn about(&self) -> Option<String> {
        match self {
            Self::PhaseEnqueued(phase) => Some(phase.queue_id.clone()),
            Self::PlanEnqueued(plan) => Some(plan.parent_issue.to_string()),
            Self::PhaseStarted(started) => Some(started.queue_id.clone()),
            Self::WorkflowCompleted(done) => Some(done.queue_id.as_ref().unwrap_or(&done.adw_id).clone()),
            Self::PhaseRetried(command)
            | Self::PhaseDequeued(command)
            | Self::PhaseExecutionRequested(command) => Some(command.queue_id.clone()),
            Self::PhaseLeaseExpired(expired) => Some(expired.queue_id.clone()),
            Self::QueuePaused(_) | Self::QueueResumed(_) | Self::QueueConfigured(_) => None,
            Self::TaskLogged(task) => Some(task.adw_id.clone()),
        }
    }

    fn occurred_at(&self) -> Option<OffsetDateTime> {
        match self {
            Self::TaskLogged(task) => task.completed_at.or(task.started_at),
            _ => None,
        }
    }

    fn attributes(&self) -> Attributes {
        let mut attributes = Attributes::default();
        match self {
            Self::PhaseEnqueued(phase) => set_phase(&mut attributes, phase),
            Self::PlanEnqueued(plan) => {
                attributes.set_some(attribute::PARENT_ISSUE, Some(plan.parent_issue));
            }
            Self::PhaseStarted(started) => {
                attributes.set(attribute::QUEUE_ID, &started.queue_id);
                attributes.set(attribute::ADW_ID, &started.adw_id);
            }
            Self::WorkflowCompleted(done) => set_workflow(&mut attributes, done),
            Self::PhaseRetried(command)
            | Self::PhaseDequeued(command)
            | Self::PhaseExecutionRequested(command) => {
                attributes.set(attribute::QUEUE_ID, &command.queue_id);
            }
            Self::PhaseLeaseExpired(expired) => attributes.set(attribute::QUEUE_ID, &expired.queue_id),
            Self::QueuePaused(_) | Self::QueueResumed(_) | Self::QueueConfigured(_) => {}
            Self::TaskLogged(task) => set_task(&mut attributes, task),
        }
        attributes
    }
}

fn set_phase(attributes: &mut Attributes, phase: &PhaseEnqueued) {
    attributes.set(attribute::QUEUE_ID, &phase.queue_id);
    attributes.set(attribute::ADW_ID, &phase.phase_data.adw_id);
    attributes.set_some(attribute::PARENT_ISSUE, Some(phase.parent_issue));
    attributes.set_some(attribute::PHASE_NUMBER, Some(phase.phase_number));
    attributes.set_some(attribute::ISSUE, phase.issue_number);
}

fn set_workflow(attributes: &mut Attributes, done: &WorkflowCompleted) {
    attributes.set(attribute::ADW_ID, &done.adw_id);
    attributes.set(attribute::PHASE_STATUS, done.status.as_str());
    attributes.set_some(attribute::QUEUE_ID, done.queue_id.as_deref());
    attributes.set_some(attribute::PARENT_ISSUE, done.parent_issue);
    attributes.set_some(attribute::PHASE_NUMBER, done.phase_number);
    attributes.set_some(attribute::ISSUE, done.issue_number);
    attributes.set_some(attribute::WORKFLOW_TEMPLATE, done.workflow_template.as_deref());
    attributes.set_some(attribute::ERROR_MESSAGE, done.error_message.as_deref());
    attributes.set_some(attribute::DURATION_SECONDS, done.duration_seconds);
    attributes.set_some(attribute::TOKENS_USED, done.tokens_used);
    attributes.set_some(attribute::COST_USD, done.cost_usd);
}

fn set_task(attributes: &mut Attributes, task: &TaskLogged) {
    attributes.set(attribute::ADW_ID, &task.adw_id);
    attributes.set_some(attribute::ISSUE, Some(task.issue_number));
    attributes.set(attribute::PHASE_NAME, &task.phase_name);
    attributes.set(attribute::PHASE_STATUS, task.phase_status.as_str());
    attributes.set(attribute::LOG_MESSAGE, &task.log_message);
    attributes.set_some(attribute::WORKFLOW_TEMPLATE, task.workflow_template.as_deref());
    attributes.set_some(attribute::PHASE_NUMBER, task.phase_number);
    attributes.set_some(attribute::ERROR_MESSAGE, task.error_message.as_deref());
    attributes.set_some(attribute::STARTED_AT, task.started_at.map(rfc3339));
    attributes.set_some(attribute::COMPLETED_AT, task.completed_at.map(rfc3339));
    attributes.set_some(attribute::DURATION_SECONDS, task.duration_seconds);
    attributes.set_some(attribute::TOKENS_USED, task.tokens_used);
    attributes.set_some(attribute::COST_USD, task.cost_usd);
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).expect("decoded times are of the years 1 to 9999")
}
