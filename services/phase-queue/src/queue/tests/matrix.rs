//! Every step on a phase in every state.

use hookstream_event::internal::WorkflowStatus;

use super::fixtures::{
    Story, chain, completed, dequeue, failed, given, id, named_phase, phase, report, request_execution,
    retry, start, states_of,
};
use crate::Step;

/// Phase 2 of issue 7, which depends on phase 1 and on which phase 3 depends, in this state.
fn phase_2_is(state: &str) -> Story {
    let mut held_report = report(7, 1, WorkflowStatus::Completed);
    held_report.trigger_next = false;
    let steps = match state {
        "queued" => vec![],
        "blocked" => vec![failed(7, 1)],
        "ready" => vec![completed(7, 1)],
        "held" => vec![Step::Report(held_report)],
        "running" => vec![completed(7, 1), start(7, 2)],
        "completed" => vec![completed(7, 1), start(7, 2), completed(7, 2)],
        "failed" => vec![completed(7, 1), start(7, 2), failed(7, 2)],
        other => panic!("no state {other}"),
    };
    let story = given(std::iter::once(chain(7, 3)).chain(steps));
    assert_eq!(states_of(&story.queue, 7).split(' ').nth(1), Some(state));
    story
}

const STATES: [&str; 7] = ["queued", "blocked", "ready", "held", "running", "completed", "failed"];

/// Takes a step on phase 2 in each state. `expected` is per state: outcome, arrow, all phases' states after it.
#[track_caller]
fn check(step: &Step, expected: [&str; 7]) {
    for (state, expected) in STATES.into_iter().zip(expected) {
        let before = phase_2_is(state);
        let phases_before: Vec<_> = before.queue.phases().cloned().collect();
        let after = before.when(step.clone());
        let found = format!("{} -> {}", after.outcome(), states_of(&after.queue, 7));
        assert_eq!(found, expected, "{step:?} on a phase that is {state}");
        if after.outcome() != "changed" {
            assert!(after.queue.phases().eq(&phases_before), "{step:?} on a phase that is {state}");
        }
    }
}

#[test]
fn starting() {
    check(
        &start(7, 2),
        [
            "not_ready -> ready queued queued",
            "not_ready -> failed blocked blocked",
            "changed -> completed running queued",
            "changed -> completed running queued",
            "already running -> completed running queued",
            "already finished -> completed completed ready",
            "already finished -> completed failed blocked",
        ],
    );
}

#[test]
fn starting_by_another_run() {
    check(
        &Step::Start { queue_id: id(7, 2), adw_id: "other".to_owned() },
        [
            "not_ready -> ready queued queued",
            "not_ready -> failed blocked blocked",
            "changed -> completed running queued",
            "changed -> completed running queued",
            "other_run -> completed running queued",
            "already_finished -> completed completed ready",
            "already_finished -> completed failed blocked",
        ],
    );
}

#[test]
fn completing() {
    check(
        &completed(7, 2),
        [
            "not_ready -> ready queued queued",
            "not_ready -> failed blocked blocked",
            "changed -> completed completed ready",
            "changed -> completed completed ready",
            "changed -> completed completed ready",
            "already completed -> completed completed ready",
            "already_finished -> completed failed blocked",
        ],
    );
}

#[test]
fn completing_by_another_run() {
    let mut by_other = report(7, 2, WorkflowStatus::Completed);
    by_other.adw_id = "other".to_owned();
    check(
        &Step::Report(by_other),
        [
            "not_ready -> ready queued queued",
            "not_ready -> failed blocked blocked",
            "changed -> completed completed ready",
            "changed -> completed completed ready",
            "other_run -> completed running queued",
            "already_finished -> completed completed ready",
            "already_finished -> completed failed blocked",
        ],
    );
}

#[test]
fn failing() {
    check(
        &failed(7, 2),
        [
            "not_ready -> ready queued queued",
            "not_ready -> failed blocked blocked",
            "changed -> completed failed blocked",
            "changed -> completed failed blocked",
            "changed -> completed failed blocked",
            "already_finished -> completed completed ready",
            "already failed -> completed failed blocked",
        ],
    );
}

#[test]
fn retrying() {
    check(
        &retry(7, 2),
        [
            "not_failed -> ready queued queued",
            "not_failed -> failed blocked blocked",
            "not_failed -> completed ready queued",
            "not_failed -> completed held queued",
            "not_failed -> completed running queued",
            "not_failed -> completed completed ready",
            "changed -> completed ready queued",
        ],
    );
}

#[test]
fn dequeuing() {
    check(
        &dequeue(7, 2),
        [
            "changed -> ready queued",
            // Phase 3 depends on a number that is not there: it waits.
            "changed -> failed queued",
            "changed -> completed queued",
            "changed -> completed queued",
            "running -> completed running queued",
            // Phase 3 is ready, and no longer counts on it.
            "changed -> completed ready",
            "changed -> completed queued",
        ],
    );
}

#[test]
fn requesting_execution() {
    check(
        &request_execution(7, 2),
        [
            "not_ready -> ready queued queued",
            "not_ready -> failed blocked blocked",
            "already announced -> completed ready queued",
            "changed -> completed ready queued",
            "not_ready -> completed running queued",
            "not_ready -> completed completed ready",
            "not_ready -> completed failed blocked",
        ],
    );
}

#[test]
fn enqueuing_the_same_again() {
    let after = [
        "already enqueued -> ready queued queued",
        "already enqueued -> failed blocked blocked",
        "already enqueued -> completed ready queued",
        "already enqueued -> completed held queued",
        "already enqueued -> completed running queued",
        "already enqueued -> completed completed ready",
        "already enqueued -> completed failed blocked",
    ];
    check(&Step::Enqueue(phase(7, 2, &[1])), after);
    check(&chain(7, 3), after);
}

#[test]
fn enqueuing_other_contents_under_the_same_queue_id() {
    let after = [
        "queue_id_reused -> ready queued queued",
        "queue_id_reused -> failed blocked blocked",
        "queue_id_reused -> completed ready queued",
        "queue_id_reused -> completed held queued",
        "queue_id_reused -> completed running queued",
        "queue_id_reused -> completed completed ready",
        "queue_id_reused -> completed failed blocked",
    ];
    check(&Step::Enqueue(phase(7, 2, &[])), after);
    let mut urgent = phase(7, 2, &[1]);
    urgent.priority = 10;
    check(&Step::Enqueue(urgent), after);
    check(&Step::Enqueue(named_phase("7-2", 8, 2, &[])), after);
    // All or none: phase 4 would be new.
    check(&Step::EnqueuePlan(vec![phase(7, 2, &[1]), phase(7, 4, &[])]), after);
}

#[test]
fn enqueuing_another_phase_of_the_same_number() {
    check(
        &Step::Enqueue(named_phase("other", 7, 2, &[1])),
        [
            "phase_exists -> ready queued queued",
            "phase_exists -> failed blocked blocked",
            "phase_exists -> completed ready queued",
            "phase_exists -> completed held queued",
            "phase_exists -> completed running queued",
            // The new one takes the old one's place. What is ready stays so; what was blocked waits for it.
            "changed -> completed completed ready ready",
            "changed -> completed failed ready queued",
        ],
    );
}

#[test]
fn commanding_on_an_issue_that_has_a_plan() {
    // A command enqueues phase 1, so this is about what phase 1 is doing.
    let command = Step::Command(named_phase("gh", 7, 1, &[]));
    let unfinished = "issue 7 has an unfinished phase 1 (7-1) already";
    let cases = [
        (vec![], format!("{unfinished} -> ready queued")),
        (vec![start(7, 1)], format!("{unfinished} -> running queued")),
        (vec![completed(7, 1)], "changed -> completed ready ready".to_owned()),
        (vec![failed(7, 1)], "changed -> failed ready queued".to_owned()),
    ];
    for (steps, expected) in cases {
        let after = given(std::iter::once(chain(7, 2)).chain(steps)).when(command.clone());
        assert_eq!(format!("{} -> {}", after.outcome(), states_of(&after.queue, 7)), expected);
        let repeated = after.when(command.clone());
        assert!(repeated.outcome() != "changed");
    }
}
