//! Plans in the tables, batch by batch.

use hookstream_test_support::run_test;
use serde_json::{Value, json};

use crate::support::{
    Queue, chain, command, completed, diamond, dump, dump_of, enqueued, failed, internal, pause, phase,
    report, started,
};
use crate::tables;

#[tokio::test]
async fn a_plan_of_three_phases_runs_to_its_end() {
    run_test(async || {
        let mut queue = Queue::create().await;
        let steps = [
            (chain(7, 3), "ready queued queued"),
            // The replaced system's workers report only the end.
            (completed(7, 1), "completed ready queued"),
            (started(7, 2), "completed running queued"),
            (completed(7, 2), "completed completed ready"),
            (completed(7, 3), "completed completed completed"),
        ];
        for (event, states) in steps {
            assert_eq!(queue.apply([event]).await?, [""; 0]);
            assert_eq!(queue.states(7).await?, states);
        }
        let sql = "SELECT to_jsonb(p) - 'content_sha256' FROM phase_queue AS p WHERE queue_id = '7-2'";
        let row: Value = queue.client.query_one(sql, &[]).await?.try_get(0)?;
        let expected = json!({
            "queue_id": "7-2", "parent_issue": 7, "phase_number": 2, "issue_number": null, "status": "completed",
            "held": false, "announcements": 1, "announced_at": null, "waiting_on": 0,
            "blocked_on": 0, "early_report": null, "depends_on_phases": [1], "priority": 50, "queue_position": 1, "adw_id": "adw-7-2",
            "phase_data": {"workflow_type": "adw_build_iso", "adw_id": "adw-7-2", "title": "Phase 2"},
            "error_message": null,
            "created_at": "2026-11-23T10:00:01.375+00:00", "updated_at": "2026-11-23T10:00:04.375+00:00",
            "ready_at": "2026-11-23T10:00:02.375+00:00", "started_at": "2026-11-23T10:00:03.375+00:00",
            "finished_at": "2026-11-23T10:00:04.375+00:00",
        });
        assert_eq!(row, expected);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_failure_blocks_what_depends_on_it_until_a_retry() {
    run_test(async || {
        let mut queue = Queue::create().await;
        queue.apply_each([chain(7, 3), failed(7, 1, "tests \u{0} failed")]).await?;
        assert_eq!(queue.states(7).await?, "failed blocked blocked");
        let message = queue.text("error_message", "7-3").await?;
        assert_eq!(message.as_deref(), Some("phase 1 (7-1) failed: tests \u{fffd} failed"));

        queue.apply([command("phase.retried", 7, 1)]).await?;
        assert_eq!(queue.states(7).await?, "ready queued queued");
        assert_eq!(queue.text("error_message", "7-3").await?, None);
        queue.apply_each([completed(7, 1)]).await?;
        assert_eq!(queue.states(7).await?, "completed ready queued");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn phases_complete_in_any_order_and_the_last_one_frees_what_waits_for_all() {
    run_test(async || {
        let mut queue = Queue::create().await;
        queue.apply_each([diamond(7), completed(7, 1), completed(7, 3)]).await?;
        assert_eq!(queue.states(7).await?, "completed ready completed queued");
        assert_eq!(queue.apply([completed(7, 4)]).await?, ["not_ready"]);
        queue.apply([completed(7, 2)]).await?;
        assert_eq!(queue.states(7).await?, "completed completed completed ready");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn pausing_and_resuming_are_in_the_configuration_with_their_times() {
    run_test(async || {
        let mut queue = Queue::create().await;
        let config = async |queue: &Queue| -> anyhow::Result<String> {
            let sql = "SELECT string_agg(concat_ws(' ', config_key, config_value, extract(epoch FROM updated_at)::int),
                           ', ' ORDER BY config_key) FROM queue_config";
            Ok(queue.client.query_one(sql, &[]).await?.try_get(0)?)
        };
        assert_eq!(config(&queue).await?, "max_concurrent 3 0, queue_paused false 0");
        queue.apply([chain(7, 1), pause("queue.paused"), pause("queue.paused")]).await?;
        let paused_at = 1_795_428_002;
        assert_eq!(config(&queue).await?, format!("max_concurrent 3 0, queue_paused true {paused_at}"));
        queue.apply([pause("queue.resumed"), pause("queue.paused"), pause("queue.resumed")]).await?;
        let resumed_at = paused_at + 4;
        assert_eq!(config(&queue).await?, format!("max_concurrent 3 0, queue_paused false {resumed_at}"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_becomes_ready_quietly_is_held_until_execution_is_requested() {
    run_test(async || {
        let mut queue = Queue::create().await;
        let mut quiet = report(7, 1, "completed");
        quiet["trigger_next"] = json!(false);
        queue.apply_each([chain(7, 3), internal(&quiet)]).await?;
        assert_eq!(queue.states(7).await?, "completed held queued");
        queue.apply([command("phase.execution_requested", 7, 2)]).await?;
        assert_eq!(queue.states(7).await?, "completed ready queued");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_dequeued_phase_is_gone_and_its_queue_id_is_free() {
    run_test(async || {
        let mut queue = Queue::create().await;
        queue.apply([chain(7, 2)]).await?;
        queue.apply([command("phase.dequeued", 7, 1)]).await?;
        assert_eq!(queue.states(7).await?, "queued");
        // Gone and back in one batch, with other contents.
        let mut urgent = phase(7, 2, &[]);
        urgent["type"] = json!("phase.enqueued");
        urgent["parent_issue"] = json!(7);
        urgent["priority"] = json!(10);
        queue.apply([command("phase.dequeued", 7, 2), internal(&urgent)]).await?;
        assert_eq!(queue.states(7).await?, "ready");
        assert_eq!(queue.text("priority", "7-2").await?.as_deref(), Some("10"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_legal_is_refused_with_a_code_and_changes_nothing() {
    run_test(async || {
        let mut queue = Queue::create().await;
        queue.apply([chain(7, 3), started(7, 1)]).await?;
        let before = dump(&queue.client).await?;
        let mut other_contents = phase(7, 1, &[]);
        other_contents["type"] = json!("phase.enqueued");
        other_contents["parent_issue"] = json!(7);
        other_contents["priority"] = json!(10);
        let incomplete = json!({"type": "plan.enqueued", "parent_issue": 8, "phases": [phase(8, 2, &[1])]});
        let mut by_other_run = report(7, 1, "completed");
        by_other_run["adw_id"] = json!("other");
        let mut of_other_issue = report(7, 1, "completed");
        of_other_issue["parent_issue"] = json!(8);
        let refused = queue
            .apply([
                internal(&other_contents),
                internal(&incomplete),
                internal(&by_other_run),
                internal(&of_other_issue),
                started(7, 2),
                completed(7, 2),
                command("phase.retried", 7, 1),
                command("phase.dequeued", 7, 1),
                command("phase.dequeued", 9, 1),
                command("phase.execution_requested", 7, 2),
                // These are no faults: said before, or not the queue's business.
                chain(7, 3),
                started(7, 1),
            ])
            .await?;
        let codes = [
            "queue_id_reused",
            "unknown_dependency",
            "other_run",
            "phase_mismatch",
            "not_ready",
            "not_ready",
            "not_failed",
            "running",
            "unknown_phase",
            "not_ready",
        ];
        assert_eq!(refused, codes);
        assert_eq!(dump(&queue.client).await?, before);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_reason_that_is_recorded_names_the_field() {
    run_test(async || {
        let mut queue = Queue::create().await;
        queue.apply([chain(7, 3), chain(8, 1), started(7, 1)]).await?;
        let with = |mut body: Value, field: &str, value: Value| {
            body[field] = value;
            internal(&body)
        };
        let lone = |queue_id: &str, number: i32| {
            let mut body = phase(7, number, &[]);
            body["type"] = json!("phase.enqueued");
            (body["parent_issue"], body["queue_id"]) = (json!(7), json!(queue_id));
            body
        };
        let incomplete = json!({"type": "plan.enqueued", "parent_issue": 9, "phases": [phase(9, 2, &[1])]});
        let cases = [
            (command("phase.retried", 9, 1), "queue_id 9-1 is not in the queue"),
            (started(9, 1), "queue_id 9-1 is not in the queue"),
            (command("phase.dequeued", 9, 1), "queue_id 9-1 is not in the queue"),
            (command("phase.execution_requested", 9, 1), "queue_id 9-1 is not in the queue"),
            (
                with(report(7, 1, "completed"), "parent_issue", json!(8)),
                "queue_id 7-1 is phase 1 of issue 7, which is not what the event says",
            ),
            (
                with(report(7, 1, "completed"), "phase_number", json!(2)),
                "queue_id 7-1 is phase 1 of issue 7, which is not what the event says",
            ),
            (
                with(lone("7-1", 1), "priority", json!(10)),
                "queue_id 7-1 was enqueued before, with other contents, in another plan or beside other phases",
            ),
            // Of another plan.
            (
                internal(&lone("8-1", 4)),
                "queue_id 8-1 was enqueued before, with other contents, in another plan or beside other phases",
            ),
            (
                internal(&lone("new", 2)),
                "phase_number 2 of issue 7 is that of an unfinished phase (7-2, queued)",
            ),
            (
                internal(&incomplete),
                "depends_on_phases of phase 2 has 1, which is neither in the plan nor in the queue",
            ),
            (
                with(report(7, 1, "completed"), "adw_id", json!("other")),
                "queue_id 7-1 is run by adw_id adw-7-1, not by other",
            ),
            (completed(7, 2), "queue_id 7-2 is queued"),
            (command("phase.retried", 7, 2), "queue_id 7-2 is queued: only a failed phase can be retried"),
            (command("phase.dequeued", 7, 1), "queue_id 7-1 is running"),
        ];
        for (event, reason) in cases {
            let refused = queue.refused([event]).await?;
            assert_eq!(refused.iter().map(|refused| refused.error.as_str()).collect::<Vec<_>>(), [reason]);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn reports_find_their_phase_by_issue_and_number_or_by_the_run() {
    run_test(async || {
        let mut queue = Queue::create().await;
        let mut by_number = report(7, 1, "completed");
        by_number.as_object_mut().expect("an object").remove("queue_id");
        queue.apply_each([chain(7, 3), internal(&by_number)]).await?;
        assert_eq!(queue.states(7).await?, "completed ready queued");
        let by_run = json!({"type": "workflow.completed", "adw_id": "adw-7-2", "status": "completed"});
        // Nothing runs under it yet.
        queue.apply([internal(&by_run)]).await?;
        assert_eq!(queue.states(7).await?, "completed ready queued");
        queue.apply([started(7, 2)]).await?;
        queue.apply([internal(&by_run)]).await?;
        assert_eq!(queue.states(7).await?, "completed completed ready");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn phases_without_an_issue_belong_together_by_their_event_alone() {
    run_test(async || {
        let mut queue = Queue::create().await;
        let plan = |name: &str| {
            let mut phases = [phase(0, 1, &[]), phase(0, 2, &[1])];
            for (number, phase) in (1..).zip(&mut phases) {
                phase["queue_id"] = json!(format!("{name}-{number}"));
            }
            internal(&json!({"type": "plan.enqueued", "parent_issue": 0, "phases": phases}))
        };
        let report =
            json!({"type": "workflow.completed", "adw_id": "x", "status": "completed", "queue_id": "b-1"});
        let refused = queue.apply_each([plan("a"), plan("b"), internal(&report)]).await?;
        assert_eq!(refused, [""; 0]);
        assert_eq!(queue.text("status", "a-2").await?.as_deref(), Some("queued"));
        assert_eq!(queue.text("status", "b-2").await?.as_deref(), Some("ready"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_number_may_come_again_when_its_phase_has_finished() {
    run_test(async || {
        let mut queue = Queue::create().await;
        let mut again = phase(7, 1, &[]);
        again["type"] = json!("phase.enqueued");
        again["parent_issue"] = json!(7);
        again["queue_id"] = json!("again");
        queue.apply([chain(7, 2)]).await?;
        assert_eq!(queue.apply([internal(&again)]).await?, ["phase_exists"]);
        // The first one's end and the second one's beginning in one batch.
        queue.apply([failed(7, 1, "no"), internal(&again)]).await?;
        assert_eq!(queue.states(7).await?, "failed ready queued");
        assert_eq!(queue.apply([command("phase.retried", 7, 1)]).await?, ["superseded"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn one_batch_or_many_give_the_same_rows() {
    run_test(async || {
        let history = || {
            let mut events =
                vec![chain(7, 3), diamond(8), enqueued(9, 2, &[1]), completed(7, 1), started(7, 2)];
            events.extend([completed(8, 1), failed(8, 2, "no"), pause("queue.paused"), enqueued(9, 1, &[])]);
            events.extend([command("phase.retried", 8, 2), completed(7, 2), command("phase.dequeued", 7, 3)]);
            events.extend([completed(9, 1), failed(9, 2, "no"), started(8, 3), completed(7, 3)]);
            events
        };
        let (mut in_one, mut in_many) = (Queue::create().await, Queue::create().await);
        let refused = in_one.apply(history()).await?;
        assert_eq!(refused, in_many.apply_each(history()).await?);
        let dump_of_one = dump(&in_one.client).await?;
        // Phases, settings, totals, edges of what still waits, and a report of a phase that is gone.
        assert_eq!(dump_of_one.len(), 8 + 2 + 1 + 2 + 1);
        assert_eq!(dump_of_one, dump(&in_many.client).await?);
        // And what is to be announced.
        let all = tables::names();
        assert_eq!(dump_of(&in_one.client, &all).await?, dump_of(&in_many.client, &all).await?);
        Ok(())
    })
    .await;
}
