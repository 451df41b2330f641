//! Which phase a worker's report is about.

use hookstream_event::internal::WorkflowStatus;

use super::fixtures::{
    chain, completed, dequeue, diamond, failed, given, id, report, request_execution, retry, start,
};
use crate::{Refusal, Step, Unchanged};

#[test]
fn a_report_without_queue_id_is_found_by_issue_and_number() {
    let mut report = report(7, 1, WorkflowStatus::Completed);
    report.queue_id = None;
    given([chain(7, 2), Step::Report(report.clone())]).then(7, "completed ready");
    report.parent_issue = Some(8);
    given([chain(7, 2)]).when(Step::Report(report)).then_unchanged(Unchanged::NoPhase, 7, "ready queued");
}

#[test]
fn a_report_of_a_run_alone_ends_the_phase_that_it_runs() {
    let run_2 = Step::Start { queue_id: id(7, 2), adw_id: "run".to_owned() };
    let run_3 = Step::Start { queue_id: id(7, 3), adw_id: "run".to_owned() };
    let mut of_run = report(7, 1, WorkflowStatus::Completed);
    (of_run.queue_id, of_run.parent_issue, of_run.phase_number) = (None, None, None);
    of_run.adw_id = "run".to_owned();
    let of_run = Step::Report(of_run);
    given([diamond(7), completed(7, 1)])
        .when(of_run.clone())
        .then_unchanged(Unchanged::NoPhase, 7, "completed ready ready queued")
        .when(run_2)
        .when(of_run.clone())
        .then(7, "completed completed ready queued")
        .when(of_run.clone())
        .then_unchanged(Unchanged::NoPhase, 7, "completed completed ready queued");
    let both =
        [diamond(7), completed(7, 1), Step::Start { queue_id: id(7, 2), adw_id: "run".to_owned() }, run_3];
    given(both).when(of_run).then_refused(
        &Refusal::AmbiguousRun { adw_id: "run".to_owned() },
        7,
        "completed running running queued",
    );
}

#[test]
fn a_report_that_contradicts_its_queue_id_is_refused() {
    let refusal = Refusal::PhaseMismatch { queue_id: id(7, 1), parent_issue: 7, phase_number: 1 };
    let mut of_other_issue = report(7, 1, WorkflowStatus::Completed);
    of_other_issue.parent_issue = Some(8);
    let mut of_other_number = report(7, 1, WorkflowStatus::Completed);
    of_other_number.phase_number = Some(2);
    for report in [of_other_issue, of_other_number] {
        given([chain(7, 2)]).when(Step::Report(report)).then_refused(&refusal, 7, "ready queued");
    }
}

#[test]
fn a_report_of_a_phase_that_is_not_in_the_queue_is_kept_for_it() {
    given([chain(7, 1)])
        .when(completed(9, 1))
        .then_unchanged(Unchanged::Kept, 7, "ready")
        .when(completed(9, 1))
        .then_unchanged(Unchanged::Already("reported"), 7, "ready")
        .when(failed(9, 1))
        .then_refused(
            &Refusal::AlreadyReported { queue_id: id(9, 1), adw_id: "run-9-1".to_owned() },
            7,
            "ready",
        )
        .when(chain(9, 2))
        .then(9, "completed ready");
}

#[test]
fn reports_and_phases_may_come_in_any_order() {
    let mut quiet = report(7, 2, WorkflowStatus::Completed);
    quiet.trigger_next = false;
    // The second phase waits for the first, and so does its report.
    given([Step::Report(quiet), completed(7, 1), chain(7, 3)]).then(7, "completed completed held");
    given([completed(7, 2), failed(7, 3), chain(7, 3)])
        .then(7, "ready queued queued")
        .when(completed(7, 1))
        .then(7, "completed completed failed")
        .then_error_message("7-3", Some("tests failed"));
    given([failed(7, 1), chain(7, 2)]).then(7, "failed blocked");
}

#[test]
fn an_early_report_counts_for_the_run_that_the_phase_is_enqueued_with_and_for_an_hour() {
    let mut by_other = report(7, 1, WorkflowStatus::Completed);
    by_other.adw_id = "other".to_owned();
    given([Step::Report(by_other), chain(7, 1)]).then(7, "ready");
    given([completed(7, 1)]).after(3600).when(chain(7, 1)).then(7, "ready");
    given([completed(7, 1)]).after(3599).when(chain(7, 1)).then(7, "completed");
}

#[test]
fn early_reports_are_bounded() {
    let mut queue = crate::Queue::default();
    let many = crate::EARLY_REPORTS_MAX + 1;
    for issue in 1..=many {
        queue.apply(completed(issue, 1), super::fixtures::moment(1)).unwrap();
    }
    assert_eq!(i64::try_from(queue.early_reports_added().count()).unwrap(), crate::EARLY_REPORTS_MAX);
    queue.apply(chain(1, 1), super::fixtures::moment(2)).unwrap();
    queue.apply(chain(2, 1), super::fixtures::moment(3)).unwrap();
    let states = (super::fixtures::states_of(&queue, 1), super::fixtures::states_of(&queue, 2));
    assert_eq!(states, ("ready".to_owned(), "completed".to_owned()));
}

#[test]
fn any_other_step_on_an_unknown_phase_is_refused() {
    for step in [start(9, 1), retry(9, 1), dequeue(9, 1), request_execution(9, 1)] {
        given([chain(7, 1)]).when(step).then_refused(
            &Refusal::UnknownPhase { queue_id: "9-1".to_owned() },
            7,
            "ready",
        );
    }
}
