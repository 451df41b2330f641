//! Workflow commands on GitHub.

use hookstream_test_support::{SampleEvent, run_test};
use serde_json::{Value, json};

use crate::support::{MARKER, Queue, commented, completed, dump, enqueued, internal, started};

#[tokio::test]
async fn a_command_enqueues_the_first_phase_of_its_issue_once() {
    run_test(async || {
        let mut queue = Queue::create().await;
        let comment = |delivery_id: &str| commented(delivery_id, 42, 901, "adw_plan_iso please");
        // The same comment under another delivery id, in one batch and later.
        assert_eq!(queue.apply([comment("d-1"), comment("d-2")]).await?, [""; 0]);
        assert_eq!(queue.apply([comment("d-3")]).await?, [""; 0]);
        assert_eq!(queue.states(42).await?, "ready");
        let sql = "SELECT to_jsonb(p) FROM phase_queue AS p";
        let row: Value = queue.client.query_one(sql, &[]).await?.try_get(0)?;
        assert_eq!((&row["issue_number"], &row["phase_number"]), (&json!(42), &json!(1)));
        assert_eq!(row["phase_data"]["workflow_type"], "adw_plan_iso");
        assert_eq!(row["phase_data"]["repository"], "octo-org/octo-repo");
        assert_eq!(row["phase_data"]["title"], "Crash");
        assert_eq!(row["phase_data"]["author"], "jo");
        assert_eq!(row["phase_data"]["adw_id"], row["adw_id"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_second_command_waits_its_turn_without_a_dead_letter() {
    run_test(async || {
        let mut queue = Queue::create().await;
        let first = commented("d-1", 42, 901, "adw_plan_iso");
        let second = commented("d-2", 42, 902, "adw_build_iso");
        assert_eq!(queue.apply_each([first.clone(), second]).await?, [""; 0]);
        assert_eq!(queue.states(42).await?, "ready");

        let report = json!({"type": "workflow.completed", "adw_id": "x", "status": "failed", "parent_issue": 42,
                            "phase_number": 1});
        let third = commented("d-3", 42, 903, "adw_build_iso");
        // The first comment comes once more: it has had its phase.
        assert_eq!(queue.apply_each([internal(&report), first, third]).await?, [""; 0]);
        assert_eq!(queue.states(42).await?, "failed ready");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_joins_the_plan_of_its_issue() {
    run_test(async || {
        let mut queue = Queue::create().await;
        queue.apply([enqueued(42, 2, &[1]), commented("d-1", 42, 901, "adw_plan_iso")]).await?;
        assert_eq!(queue.states(42).await?, "ready queued");
        let sql = "SELECT queue_id FROM phase_queue WHERE parent_issue = 42 AND phase_number = 1";
        let queue_id: String = queue.client.query_one(sql, &[]).await?.try_get(0)?;
        let report =
            json!({"type": "workflow.completed", "adw_id": "x", "status": "completed", "queue_id": queue_id});
        queue.apply([internal(&report), completed(42, 2)]).await?;
        assert_eq!(queue.states(42).await?, "completed completed");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn bots_and_the_bot_marker_enqueue_nothing() {
    run_test(async || {
        let mut queue = Queue::create().await;
        let by_bot = json!({
            "action": "opened",
            "issue": {"id": 900, "number": 42, "title": "adw_plan_iso", "body": null},
            "sender": {"login": "helper[bot]", "type": "Bot"},
        });
        let events = [
            commented("d-1", 42, 901, &format!("{MARKER} adw_plan_iso has begun")),
            SampleEvent::github("issues", "d-2", &by_bot),
            commented("d-3", 42, 902, "no command here"),
        ];
        assert_eq!(queue.apply(events).await?, [""; 0]);
        assert_eq!(queue.states(42).await?, "");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn texts_that_postgres_would_refuse_are_kept_without_what_it_refuses() {
    run_test(async || {
        let mut queue = Queue::create().await;
        let mut event = commented("d-1", 42, 901, "adw_plan_iso \u{0}");
        let text = String::from_utf8(event.payload)?.replace("It crashes.", r"\ud800 \u0000 \udfff");
        event.payload = text.into_bytes();
        assert_eq!(queue.apply([event]).await?, [""; 0]);
        let sql = "SELECT phase_data ->> 'comment', phase_data ->> 'content' FROM phase_queue";
        let row = queue.client.query_one(sql, &[]).await?;
        assert_eq!(row.try_get::<_, &str>(0)?, "adw_plan_iso \u{fffd}");
        let content: &str = row.try_get(1)?;
        assert!(content.contains(" \u{fffd} "), "{content:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn closing_an_issue_takes_its_phases_out_and_reopening_puts_them_back() {
    run_test(async || {
        let issue = |delivery_id: &str, action: &str| {
            let issue = json!({"id": 900, "number": 42, "title": "Crash", "body": null});
            let repository = json!({"full_name": "octo-org/octo-repo"});
            let body = json!({"action": action, "issue": issue, "repository": repository});
            SampleEvent::github("issues", delivery_id, &body)
        };
        let steps = || {
            vec![
                commented("d-1", 42, 901, "adw_plan_iso please"),
                enqueued(42, 2, &[1]),
                enqueued(42, 3, &[]),
                started(42, 3),
                issue("d-2", "closed"),
                issue("d-3", "edited"),
                issue("d-4", "reopened"),
                completed(42, 3),
            ]
        };
        let mut in_many = Queue::create().await;
        let mut states = Vec::new();
        for step in steps() {
            assert_eq!(in_many.apply([step]).await?, [""; 0]);
            states.push(in_many.states(42).await?);
        }
        assert_eq!(
            states[3..],
            ["ready queued running", "running", "running", "ready queued running", "ready queued completed"]
        );
        let comment = "SELECT phase_data ->> 'comment' FROM phase_queue WHERE phase_number = 1";
        let comment: Option<String> = in_many.client.query_one(comment, &[]).await?.try_get(0)?;
        assert_eq!(comment.as_deref(), Some("adw_plan_iso please"));

        let mut in_one = Queue::create().await;
        assert_eq!(in_one.apply(steps()).await?, [""; 0]);
        assert_eq!(dump(&in_one.client).await?, dump(&in_many.client).await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_issue_that_is_reopened_in_another_repository_brings_nothing_back() {
    run_test(async || {
        let issue = |action: &str, repository: &str| {
            let issue = json!({"id": 900, "number": 42, "title": "Crash", "body": null});
            let body = json!({"action": action, "issue": issue, "repository": {"full_name": repository}});
            SampleEvent::github("issues", &hookstream_test_support::unique_id(), &body)
        };
        let mut queue = Queue::create().await;
        queue
            .apply([commented("d-1", 42, 901, "adw_plan_iso"), issue("closed", "octo-org/octo-repo")])
            .await?;
        assert_eq!(queue.apply([issue("reopened", "octo-org/other")]).await?, [""; 0]);
        assert_eq!(queue.states(42).await?, "", "its own issue is closed");
        queue.apply([issue("reopened", "Octo-Org/octo-repo")]).await?;
        assert_eq!(queue.states(42).await?, "ready");
        Ok(())
    })
    .await;
}
