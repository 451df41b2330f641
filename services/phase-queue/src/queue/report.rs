//! Which phase a worker's report is about.

use hookstream_event::internal::WorkflowCompleted;

use super::Queue;
use crate::{Phase, PlanKey, Refusal};

impl Queue {
    /// The phase that a worker's report is about. `None` if it is about none: workflows also run outside of the queue.
    ///
    /// The most precise of what the report says counts alone; it never falls back on something vaguer, which could
    /// end another phase than the one that ran.
    pub(super) fn find_reported(&self, report: &WorkflowCompleted) -> Result<Option<String>, Refusal> {
        if let Some(queue_id) = &report.queue_id {
            let Some(phase) = self.find(queue_id) else { return Ok(None) };
            let agree = report.parent_issue.is_none_or(|issue| issue == phase.parent_issue)
                && report.phase_number.is_none_or(|number| number == phase.phase_number);
            return if agree { Ok(Some(queue_id.clone())) } else { Err(mismatch(phase)) };
        }
        // Issue 0 is none: its phases have nothing in common.
        let issue = report.parent_issue.filter(|issue| *issue > 0);
        if let (Some(issue), Some(number)) = (issue, report.phase_number) {
            let plan = self.plans.get(&PlanKey::Issue(issue));
            return Ok(plan.and_then(|plan| plan.current(number)).map(|phase| phase.queue_id.clone()));
        }
        let runs = self.running.range((report.adw_id.clone(), String::new())..);
        let mut ids = runs.take_while(|(run, _)| *run == report.adw_id).map(|(_, queue_id)| queue_id);
        match (ids.next(), ids.next()) {
            (Some(_), Some(_)) => Err(Refusal::AmbiguousRun { adw_id: report.adw_id.clone() }),
            (only, _) => Ok(only.cloned()),
        }
    }
}

fn mismatch(phase: &Phase) -> Refusal {
    Refusal::PhaseMismatch {
        queue_id: phase.queue_id.clone(),
        parent_issue: phase.parent_issue,
        phase_number: phase.phase_number,
    }
}
