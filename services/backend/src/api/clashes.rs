//! Whether phases that are to be enqueued have queue ids or numbers that the queue has already.

use std::time::Duration;

use hookstream_event::InternalEvent;
use hookstream_event::internal::PhaseEnqueued;
use hookstream_store::types::{Json, Type};
use serde_json::{Value, json};

use crate::Backend;
use crate::freshness::PHASE_QUEUE;
use crate::problem::Problem;
use crate::values::column;

/// How long the look may take. A command is not kept waiting for a database that it does not need.
const LOOK_WITHIN: Duration = Duration::from_secs(1);

/// Refuses phases that the queue will not take, if it has applied all that the stream held a moment ago. Where that cannot
/// be told, the command is appended all the same: the event log decides.
pub(super) async fn check(backend: &Backend, event: &InternalEvent) -> Result<(), Problem> {
    let phases = match event {
        InternalEvent::PhaseEnqueued(phase) => std::slice::from_ref(phase),
        InternalEvent::PlanEnqueued(plan) => plan.phases.as_slice(),
        _ => return Ok(()),
    };
    let Some(first) = phases.first() else { return Ok(()) };
    let phases: Value = phases.iter().map(as_json).collect();
    let clash = async || {
        let asked = clash(backend, first.parent_issue, &phases);
        tokio::time::timeout(LOOK_WITHIN, asked).await.unwrap_or(Ok(None))
    };
    let Ok(Some(_)) = clash().await else { return Ok(()) };
    if !backend.freshness.caught_up(PHASE_QUEUE).await {
        return Ok(());
    }
    match clash().await {
        Ok(Some(why)) => Err(Problem::NotNow(why)),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// What the query reads of a phase.
fn as_json(phase: &PhaseEnqueued) -> Value {
    json!({
        "queue_id": phase.queue_id,
        "phase_number": phase.phase_number,
        "priority": phase.priority,
        "issue_number": phase.issue_number,
        "depends_on_phases": phase.depends_on_phases,
        "phase_data": phase.phase_data.json,
    })
}

/// Why the queue as it is will not take the phases, as the projection would have it; none if it will, or has them all.
async fn clash(backend: &Backend, parent_issue: i64, phases: &Value) -> Result<Option<String>, Problem> {
    let parameters = [(&Json(phases) as _, Type::JSONB), (&parent_issue as _, Type::INT8)];
    let rows = backend.database.rows(include_str!("../sql/clashes.sql"), &parameters).await?;
    let (mut all_are_known, mut reused, mut taken) = (true, None, None);
    for row in &rows {
        let queue_id: String = column(row, "queue_id")?;
        all_are_known &= column::<bool>(row, "is_same")?;
        if column(row, "is_known")? {
            reused.get_or_insert(format!(
                "queue_id {queue_id} was enqueued before, with other contents, in another plan or beside other phases"
            ));
        }
        let by: Option<String> = column(row, "taken_by")?;
        let status: Option<String> = column(row, "taken_status")?;
        if let Some((by, status)) = by.zip(status) {
            let number: i32 = column(row, "phase_number")?;
            taken.get_or_insert(format!(
                "phase_number {number} of issue {parent_issue} is that of an unfinished phase ({by}, {status})"
            ));
        }
    }
    Ok(if all_are_known { None } else { reused.or(taken) })
}
