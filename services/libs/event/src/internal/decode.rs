//! Each type's fields, put together.

use super::fields::Fields;
use super::read::{
    amount, boolean, count, dependencies, id, integer, limit, name, object, one_of, phase_number, text, time,
};
use super::{
    InternalEvent, LeaseExpired, PhaseCommand, PhaseData, PhaseEnqueued, PhaseStarted, PlanEnqueued,
    QueueCommand, QueueConfigured, TaskLogged, TaskStatus, WorkflowCompleted, WorkflowStatus,
};
use crate::InvalidBody;

/// The priority of a phase whose sender does not care.
const PRIORITY_DEFAULT: i32 = 50;

/// What to do about fields that were not asked for, once all others are read.
pub(super) type Unknown = fn(&Fields<'_>) -> Result<(), InvalidBody>;

pub(super) fn event(
    fields: &Fields<'_>,
    default_type: Option<&str>,
    unknown: Unknown,
) -> Result<InternalEvent, InvalidBody> {
    let stated: Option<String> = fields.raw("type").map(serde_json::from_str).transpose().unwrap_or_default();
    let type_name = match (&stated, fields.raw("type")) {
        (Some(stated), _) => stated.as_str(),
        (None, Some(_)) => return Err(InvalidBody::TypeUnknown),
        (None, None) => default_type.ok_or(InvalidBody::TypeMissing)?,
    };
    Ok(match type_name {
        "phase.enqueued" => {
            let parent_issue = fields.required("parent_issue", count)?;
            InternalEvent::PhaseEnqueued(phase_enqueued(fields, parent_issue)?)
        }
        "plan.enqueued" => InternalEvent::PlanEnqueued(plan_enqueued(fields, unknown)?),
        "phase.started" => InternalEvent::PhaseStarted(PhaseStarted {
            queue_id: fields.required("queue_id", id)?,
            adw_id: fields.required("adw_id", id)?,
        }),
        "workflow.completed" => InternalEvent::WorkflowCompleted(workflow_completed(fields)?),
        "phase.retried" => InternalEvent::PhaseRetried(phase_command(fields)?),
        "phase.dequeued" => InternalEvent::PhaseDequeued(phase_command(fields)?),
        "phase.execution_requested" => InternalEvent::PhaseExecutionRequested(phase_command(fields)?),
        "phase.lease_expired" => InternalEvent::PhaseLeaseExpired(LeaseExpired {
            queue_id: fields.required("queue_id", id)?,
            announcement: fields.required("announcement", integer(1..=i64::from(i32::MAX)))?,
        }),
        "queue.paused" => InternalEvent::QueuePaused(queue_command(fields)?),
        "queue.resumed" => InternalEvent::QueueResumed(queue_command(fields)?),
        "queue.configured" => InternalEvent::QueueConfigured(QueueConfigured {
            max_concurrent: fields.required("max_concurrent", integer(1..=limit::CONCURRENT))?,
            reason: fields.optional("reason", text)?,
        }),
        "task.logged" => InternalEvent::TaskLogged(task_logged(fields)?),
        _ => return Err(InvalidBody::TypeUnknown),
    })
}

fn phase_enqueued(fields: &Fields<'_>, parent_issue: i64) -> Result<PhaseEnqueued, InvalidBody> {
    let number = fields.required("phase_number", phase_number)?;
    Ok(PhaseEnqueued {
        queue_id: fields.required("queue_id", id)?,
        parent_issue,
        phase_number: number,
        phase_data: phase_data(fields)?,
        depends_on_phases: fields
            .optional("depends_on_phases", |raw| dependencies(raw, number))?
            .unwrap_or_default(),
        priority: fields.optional("priority", integer(10..=90))?.unwrap_or(PRIORITY_DEFAULT),
        issue_number: fields.optional("issue_number", count)?,
    })
}

fn phase_data(fields: &Fields<'_>) -> Result<PhaseData, InvalidBody> {
    let inner = fields.object("phase_data")?;
    Ok(PhaseData {
        workflow_type: inner.required("workflow_type", name)?,
        adw_id: inner.required("adw_id", id)?,
        json: fields.required("phase_data", object)?,
    })
}

fn plan_enqueued(fields: &Fields<'_>, unknown: Unknown) -> Result<PlanEnqueued, InvalidBody> {
    let parent_issue = fields.required("parent_issue", count)?;
    let most = usize::try_from(limit::PHASES).unwrap_or_default();
    let mut phases: Vec<PhaseEnqueued> = Vec::new();
    for inner in fields.objects("phases", most)? {
        if inner.optional("parent_issue", count)?.is_some_and(|other| other != parent_issue) {
            return Err(inner.invalid("parent_issue", "must be the plan's own, or absent"));
        }
        let phase = phase_enqueued(&inner, parent_issue)?;
        unknown(&inner)?;
        if phases.iter().any(|earlier| earlier.phase_number == phase.phase_number) {
            return Err(inner.invalid("phase_number", "occurs twice in the plan"));
        }
        if phases.iter().any(|earlier| earlier.queue_id == phase.queue_id) {
            return Err(inner.invalid("queue_id", "occurs twice in the plan"));
        }
        phases.push(phase);
    }
    Ok(PlanEnqueued { parent_issue, phases })
}

fn workflow_completed(fields: &Fields<'_>) -> Result<WorkflowCompleted, InvalidBody> {
    Ok(WorkflowCompleted {
        adw_id: fields.required("adw_id", id)?,
        status: fields.required("status", one_of(&WorkflowStatus::ALL, WorkflowStatus::as_str))?,
        queue_id: fields.optional("queue_id", id)?,
        parent_issue: fields.optional("parent_issue", count)?,
        phase_number: fields.optional("phase_number", phase_number)?,
        issue_number: fields.optional("issue_number", count)?,
        trigger_next: fields.optional("trigger_next", boolean)?.unwrap_or(true),
        error_message: fields.optional("error_message", text)?,
        duration_seconds: fields.optional("duration_seconds", amount)?,
        tokens_used: fields.optional("tokens_used", count)?,
        cost_usd: fields.optional("cost_usd", amount)?,
        workflow_template: fields.optional("workflow_template", name)?,
        metadata: fields.optional("metadata", object)?,
    })
}

fn phase_command(fields: &Fields<'_>) -> Result<PhaseCommand, InvalidBody> {
    Ok(PhaseCommand { queue_id: fields.required("queue_id", id)?, reason: fields.optional("reason", text)? })
}

fn queue_command(fields: &Fields<'_>) -> Result<QueueCommand, InvalidBody> {
    Ok(QueueCommand { reason: fields.optional("reason", text)? })
}

fn task_logged(fields: &Fields<'_>) -> Result<TaskLogged, InvalidBody> {
    Ok(TaskLogged {
        adw_id: fields.required("adw_id", id)?,
        issue_number: fields.required("issue_number", count)?,
        phase_name: fields.required("phase_name", name)?,
        phase_status: fields.required("phase_status", one_of(&TaskStatus::ALL, TaskStatus::as_str))?,
        log_message: fields.required("log_message", text)?,
        workflow_template: fields.optional("workflow_template", name)?,
        phase_number: fields.optional("phase_number", phase_number)?,
        error_message: fields.optional("error_message", text)?,
        started_at: fields.optional("started_at", time)?,
        completed_at: fields.optional("completed_at", time)?,
        duration_seconds: fields.optional("duration_seconds", amount)?,
        tokens_used: fields.optional("tokens_used", count)?,
        cost_usd: fields.optional("cost_usd", amount)?,
    })
}
