//! Longer histories, each a sentence.

use hookstream_event::internal::WorkflowStatus;

use super::fixtures::{
    chain, completed, dequeue, diamond, failed, given, id, named_phase, phase, report, request_execution,
    retry, start, states_of,
};
use crate::{Refusal, State, Step, Unchanged};

#[test]
fn a_plan_runs_phase_by_phase() {
    given([chain(7, 3)])
        .then(7, "ready queued queued")
        .when(start(7, 1))
        .then(7, "running queued queued")
        .when(completed(7, 1))
        .then(7, "completed ready queued")
        .when(completed(7, 2))
        .then(7, "completed completed ready")
        .when(completed(7, 3))
        .then(7, "completed completed completed");
}

#[test]
fn phases_complete_in_any_order_that_their_dependencies_allow() {
    given([diamond(7), completed(7, 1)])
        .then(7, "completed ready ready queued")
        .when(completed(7, 3))
        .then(7, "completed ready completed queued")
        .when(completed(7, 4))
        .then_refused(
            &Refusal::NotReady { queue_id: id(7, 4), status: "queued" },
            7,
            "completed ready completed queued",
        )
        .when(completed(7, 2))
        .then(7, "completed completed completed ready");
}

#[test]
fn a_failure_blocks_all_that_depends_on_it_and_says_why() {
    let why = "phase 1 (7-1) failed: tests failed";
    given([chain(7, 3), failed(7, 1)])
        .then(7, "failed blocked blocked")
        .then_error_message("7-1", Some("tests failed"))
        .then_error_message("7-2", Some(why))
        .then_error_message("7-3", Some(why));
    // What does not depend on it goes on.
    given([diamond(7), completed(7, 1), failed(7, 2)])
        .then(7, "completed failed ready blocked")
        .then_error_message("7-3", None)
        .when(completed(7, 3))
        .then(7, "completed failed completed blocked");
}

#[test]
fn a_failure_without_a_reason_says_so_and_a_long_reason_is_cut() {
    for (reason, message) in [
        (None, "run run-7-1 gave no reason".to_owned()),
        (Some(" \n".to_owned()), "run run-7-1 gave no reason".to_owned()),
        (Some("é".repeat(5000)), "é".repeat(2048)),
    ] {
        let mut report = report(7, 1, WorkflowStatus::Failed);
        report.error_message = reason;
        given([chain(7, 1), Step::Report(report)]).then_error_message("7-1", Some(&message));
    }
}

#[test]
fn a_retry_unblocks_what_the_failure_blocked() {
    given([chain(7, 3), failed(7, 1), retry(7, 1)])
        .then(7, "ready queued queued")
        .then_error_message("7-1", None)
        .then_error_message("7-3", None)
        .when(completed(7, 1))
        .then(7, "completed ready queued");
}

#[test]
fn what_two_failures_block_stays_blocked_until_both_are_retried() {
    given([diamond(7), completed(7, 1), failed(7, 3), failed(7, 2)])
        .then_error_message("7-4", Some("phase 2 (7-2) failed: tests failed"))
        .when(retry(7, 2))
        .then(7, "completed ready failed blocked")
        .then_error_message("7-4", Some("phase 3 (7-3) failed: tests failed"))
        .when(retry(7, 3))
        .then(7, "completed ready ready queued");
}

#[test]
fn a_phase_that_comes_later_than_what_depends_on_it_is_waited_for() {
    given([Step::Enqueue(phase(7, 3, &[1, 2])), Step::Enqueue(phase(7, 2, &[]))])
        .then(7, "ready queued")
        .when(completed(7, 2))
        .then(7, "completed queued")
        .when(Step::Enqueue(phase(7, 1, &[])))
        .then(7, "ready completed queued")
        .when(completed(7, 1))
        .then(7, "completed completed ready");
}

#[test]
fn a_phase_enqueued_after_a_failure_it_depends_on_is_blocked_at_once() {
    given([chain(7, 1), failed(7, 1), Step::Enqueue(phase(7, 2, &[1]))]).then(7, "failed blocked");
}

#[test]
fn a_phase_without_dependencies_is_ready_whatever_its_number() {
    given([Step::Enqueue(phase(7, 5, &[]))]).then(7, "ready");
}

#[test]
fn plans_that_cannot_run_are_refused_whole() {
    let cases = [
        (vec![], Refusal::EmptyPlan),
        (
            vec![phase(7, 1, &[]), phase(7, 3, &[1, 2])],
            Refusal::UnknownDependency { phase_number: 3, dependency: 2 },
        ),
        (
            vec![phase(7, 1, &[2]), phase(7, 2, &[1])],
            Refusal::InvalidDependency { phase_number: 1, dependency: 2 },
        ),
        (
            vec![phase(7, 1, &[]), phase(7, 2, &[2])],
            Refusal::InvalidDependency { phase_number: 2, dependency: 2 },
        ),
        (
            vec![phase(7, 1, &[]), named_phase("other", 7, 1, &[])],
            Refusal::RepeatedPhase { phase_number: 1, queue_id: "other".to_owned() },
        ),
        (
            vec![phase(7, 1, &[]), named_phase("7-1", 7, 2, &[])],
            Refusal::RepeatedPhase { phase_number: 2, queue_id: "7-1".to_owned() },
        ),
        (vec![phase(7, 1, &[]), phase(7, 21, &[])], Refusal::InvalidNumber { phase_number: 21 }),
    ];
    for (phases, refusal) in cases {
        given([]).when(Step::EnqueuePlan(phases)).then_refused(&refusal, 7, "");
    }
}

#[test]
fn a_plan_may_depend_on_phases_that_are_in_the_queue() {
    given([chain(7, 2), Step::EnqueuePlan(vec![phase(7, 3, &[2]), phase(7, 4, &[1, 3])])])
        .then(7, "ready queued queued queued");
}

#[test]
fn phases_without_an_issue_have_nothing_in_common_but_their_event() {
    let plan = |name: &str| {
        let first = named_phase(&format!("{name}-1"), 0, 1, &[]);
        Step::EnqueuePlan(vec![first, named_phase(&format!("{name}-2"), 0, 2, &[1])])
    };
    let mut report_of_b = report(0, 1, WorkflowStatus::Completed);
    report_of_b.queue_id = Some("b-1".to_owned());
    let story = given([plan("a"), plan("b"), Step::Report(report_of_b.clone())]);
    let states: Vec<_> = story.queue.phases().map(|p| (p.queue_id.as_str(), p.state.as_str())).collect();
    assert_eq!(states, [("a-1", "ready"), ("a-2", "queued"), ("b-1", "completed"), ("b-2", "ready")]);
    // Without a queue id, issue and number would name two phases: they count for nothing.
    report_of_b.queue_id = None;
    story.when(Step::Report(report_of_b)).then_unchanged(
        Unchanged::NoPhase,
        0,
        "ready queued completed ready",
    );
    given([]).when(Step::Enqueue(phase(0, 2, &[1]))).then_refused(
        &Refusal::UnknownDependency { phase_number: 2, dependency: 1 },
        0,
        "",
    );
}

#[test]
fn what_becomes_ready_without_trigger_next_is_held_until_execution_is_requested() {
    let mut quiet = report(7, 1, WorkflowStatus::Completed);
    quiet.trigger_next = false;
    given([diamond(7), Step::Report(quiet)])
        .then(7, "completed held held queued")
        .when(request_execution(7, 2))
        .then(7, "completed ready held queued")
        .when(start(7, 3))
        .then(7, "completed ready running queued");
}

#[test]
fn a_completed_phase_that_others_count_on_stays() {
    given([diamond(7), completed(7, 1), completed(7, 2)])
        .when(dequeue(7, 2))
        .then_refused(
            &Refusal::StillNeeded { queue_id: id(7, 2), dependent: id(7, 4) },
            7,
            "completed completed ready queued",
        )
        .when(completed(7, 3))
        .when(dequeue(7, 2))
        .then(7, "completed completed ready");
}

#[test]
fn a_completed_phase_that_was_replaced_can_go() {
    let replaced = [chain(7, 1), completed(7, 1), Step::Enqueue(named_phase("again", 7, 1, &[]))];
    given(replaced.into_iter().chain([Step::Enqueue(phase(7, 2, &[1]))]))
        .then(7, "completed ready queued")
        .when(dequeue(7, 1))
        .then(7, "ready queued");
}

#[test]
fn a_phase_that_was_replaced_cannot_be_retried() {
    given([chain(7, 1), failed(7, 1), Step::Enqueue(named_phase("again", 7, 1, &[]))])
        .when(retry(7, 1))
        .then_refused(
            &Refusal::Superseded { queue_id: id(7, 1), successor: "again".to_owned() },
            7,
            "failed ready",
        )
        .when(Step::Dequeue { queue_id: "again".to_owned() })
        .when(retry(7, 1))
        .then(7, "ready");
}

#[test]
fn a_dequeued_phase_can_be_enqueued_again() {
    given([chain(7, 2), dequeue(7, 1)])
        .then(7, "queued")
        .when(Step::Enqueue(phase(7, 1, &[])))
        .then(7, "ready queued");
}

#[test]
fn pausing_stops_no_bookkeeping() {
    let story = given([chain(7, 2), Step::SetPaused(true), completed(7, 1)]).then(7, "completed ready");
    assert!(story.queue.control().paused);
    let story =
        story.when(Step::SetPaused(true)).then_unchanged(Unchanged::Already("paused"), 7, "completed ready");
    assert_eq!(story.queue.control().paused_at, Some(super::fixtures::moment(2).at));
    let story = story.when(Step::SetPaused(false));
    assert!(!story.queue.control().paused);
}

#[test]
fn times_are_those_of_the_events() {
    let story = given([chain(7, 2), start(7, 1), completed(7, 1)]);
    let at = |position| super::fixtures::moment(position).at;
    let [first, second] = story.queue.phases().collect::<Vec<_>>()[..] else { panic!("two phases") };
    assert_eq!((first.created_at, first.updated_at), (at(1), at(3)));
    let State::Finished { ready_at, started_at, finished_at, .. } = first.state else { panic!("finished") };
    assert_eq!((ready_at, started_at, finished_at), (at(1), Some(at(2)), at(3)));
    assert_eq!(second.state, State::Ready { since: at(3), held: false, announced_at: Some(at(3)) });
    assert_eq!(states_of(&story.queue, 7), "completed ready");
}

#[test]
fn closing_an_issue_takes_out_what_has_not_begun_and_reopening_puts_it_back() {
    let repository = || Some("octo-org/octo-repo".to_owned());
    let close = || Step::Close { issue: 7, repository: repository() };
    let reopen = || Step::Reopen { issue: 7, repository: repository() };
    let story = given([diamond(7), completed(7, 1), start(7, 2), close()]).then(7, "completed running");
    let story = story.when(close()).then_unchanged(Unchanged::NoPhase, 7, "completed running");
    let story = story.when(reopen()).then(7, "completed running ready queued");
    assert_eq!(story.queue.control().active, 2);
    story.when(reopen()).then_unchanged(Unchanged::NoPhase, 7, "completed running ready queued");
    // Whoever took the place meanwhile keeps it.
    given([chain(7, 2), close(), Step::Enqueue(named_phase("other", 7, 1, &[])), reopen()])
        .then(7, "ready queued");
    given([chain(8, 1), close()]).then(8, "ready");
}

#[test]
fn an_issue_of_another_repository_is_another_issue() {
    let mut phase = phase(7, 1, &[]);
    phase.phase_data.json.insert("repository".to_owned(), "octo-org/octo-repo".into());
    let close = |repository: &str| Step::Close { issue: 7, repository: Some(repository.to_owned()) };
    let reopen = |repository: &str| Step::Reopen { issue: 7, repository: Some(repository.to_owned()) };
    given([Step::Enqueue(phase)])
        .when(close("octo-org/other"))
        .then_unchanged(Unchanged::NoPhase, 7, "ready")
        .when(close("Octo-Org/octo-repo"))
        .then(7, "")
        .when(reopen("octo-org/other"))
        .then_unchanged(Unchanged::NoPhase, 7, "")
        .when(reopen("octo-org/octo-repo"))
        .then(7, "ready");
}

#[test]
fn a_lease_that_expires_announces_again_and_while_paused_gives_the_slot_back() {
    let expire = |announcement| Step::Expire { queue_id: id(7, 1), announcement };
    let story = given([chain(7, 1), expire(1)]).when(expire(1)).then_unchanged(Unchanged::Heard, 7, "ready");
    assert_eq!(story.queue.control().active, 1);
    let story = story.when(Step::SetPaused(true)).when(expire(2)).then(7, "ready");
    assert_eq!(story.queue.control().active, 0);
    let story = story.when(Step::SetPaused(false));
    let told: Vec<_> = story.queue.announcements().iter().map(|told| told.subject.as_str()).collect();
    assert_eq!(told, ["phases.7.1.ready"; 3]);
    story.when(start(7, 1)).when(expire(3)).then_unchanged(Unchanged::Heard, 7, "running");
}
