//! Which row each kind of event becomes.

use hookstream_event::{ATTRIBUTE_BYTES_MAX, attribute};
use hookstream_test_support::{SampleEvent, run_test};
use serde_json::{Value, json};

use crate::support::{apply, database, issue_opened, rows, task_logged, workflow_completed};

/// The columns of `row` that `expected` names equal it; the others are null.
fn assert_row(row: &Value, expected: &Value) {
    let always = json!({
        "captured_at": "2026-11-23T10:00:00.125+00:00",
        "created_at": "2026-11-23T10:00:00.375+00:00",
        "stream_sequence": row["id"],
        "payload_bytes": row["payload_bytes"],
    });
    for (column, value) in row.as_object().expect("a row") {
        if column == "id" {
            continue;
        }
        let expected = expected.get(column).or_else(|| always.get(column)).unwrap_or(&Value::Null);
        assert_eq!(value, expected, "{column} of {row}");
    }
}

#[tokio::test]
async fn a_webhook_becomes_a_row_that_says_it_was_received() {
    run_test(async || {
        let (_database, mut client) = database().await;
        apply(&mut client, &[issue_opened("d-1", 42).recorded(7)]).await?;
        let rows = rows(&client).await?;
        assert_eq!((rows.len(), &rows[0]["id"]), (1, &json!(7)));
        let expected = json!({
            "event_id": "github:d-1", "event_type": "com.github.issues.opened", "source": "github",
            "repository": "octo-org/octo-repo", "issue_number": 42,
            "phase_name": "webhook_received", "phase_status": "completed",
        });
        assert_row(&rows[0], &expected);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_completed_workflow_becomes_the_row_of_its_phase() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let phase = json!({
            "queue_id": "q-2", "parent_issue": 41, "phase_number": 2, "error_message": "tests failed",
            "duration_seconds": 12.5, "tokens_used": 1200, "cost_usd": 0.1, "workflow_template": "adw_build_iso",
        });
        let events = [
            workflow_completed("d-1", "failed", &phase).recorded(1),
            workflow_completed("d-2", "completed", &json!({})).recorded(2),
        ];
        apply(&mut client, &events).await?;
        let rows = rows(&client).await?;
        let common =
            json!({ "event_type": "hookstream.workflow.completed", "source": "internal", "adw_id": "a1b2" });
        let mut failed = json!({
            "event_id": "internal:d-1", "phase_name": "phase_2_complete", "phase_status": "failed", "phase_number": 2,
            "issue_number": 41, "error_message": "tests failed", "duration_seconds": 12.5, "tokens_used": 1200,
            "cost_usd": 0.1, "workflow_template": "adw_build_iso",
        });
        let mut completed = json!({
            "event_id": "internal:d-2", "phase_name": "workflow_complete", "phase_status": "completed",
        });
        for (row, expected) in rows.iter().zip([&mut failed, &mut completed]) {
            expected.as_object_mut().expect("an object").extend(common.as_object().expect("one").clone());
            assert_row(row, expected);
        }
        assert_eq!(rows.len(), 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_logged_task_becomes_a_row_under_its_own_phase_name() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let more = json!({
            "phase_number": 3, "started_at": "2026-11-23T11:00:00+02:00", "completed_at": "2026-11-23T09:00:10.5Z",
            "error_message": null,
        });
        apply(&mut client, &[task_logged("d-1", "skipped", &more).recorded(1)]).await?;
        let expected = json!({
            "event_id": "internal:d-1", "event_type": "hookstream.task.logged", "source": "internal",
            "adw_id": "a1b2", "issue_number": 42, "phase_name": "Build", "phase_number": 3,
            "phase_status": "skipped", "log_message": "built",
            "started_at": "2026-11-23T09:00:00+00:00", "completed_at": "2026-11-23T09:00:10.5+00:00",
        });
        assert_row(&rows(&client).await?[0], &expected);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_transition_of_a_phase_becomes_a_row_under_its_name() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let phase = json!({
            "queue_id": "q-1", "parent_issue": 41, "phase_number": 1,
            "phase_data": { "workflow_type": "adw_plan_iso", "adw_id": "a1b2" },
        });
        let mut enqueued = phase.clone();
        enqueued["type"] = json!("phase.enqueued");
        let bodies = [
            enqueued,
            json!({ "type": "plan.enqueued", "parent_issue": 41, "phases": [phase] }),
            json!({ "type": "phase.started", "queue_id": "q-1", "adw_id": "a1b2" }),
            json!({ "type": "phase.retried", "queue_id": "q-1" }),
            json!({ "type": "phase.dequeued", "queue_id": "q-1" }),
            json!({ "type": "phase.execution_requested", "queue_id": "q-1" }),
            json!({ "type": "queue.paused" }),
            json!({ "type": "queue.resumed" }),
        ];
        let events: Vec<_> = (1_u64..)
            .zip(&bodies)
            .map(|(sequence, body)| SampleEvent::internal(&format!("d-{sequence}"), body).recorded(sequence))
            .collect();
        apply(&mut client, &events).await?;
        let rows = rows(&client).await?;
        assert_eq!(rows.len(), bodies.len());
        let phases = [
            ("phase_1_enqueued", "completed"),
            ("plan_enqueued", "completed"),
            ("phase_started", "started"),
            ("phase_retried", "completed"),
            ("phase_dequeued", "skipped"),
            ("phase_execution_requested", "completed"),
            // Of the queue as a whole, and so no phase's.
            ("webhook_received", "completed"),
            ("webhook_received", "completed"),
        ];
        for ((row, body), (name, status)) in rows.iter().zip(&bodies).zip(phases) {
            let event_type = format!("hookstream.{}", body["type"].as_str().expect("a type"));
            assert_eq!(row["event_type"], event_type);
            assert_eq!((&row["phase_name"], &row["phase_status"]), (&json!(name), &json!(status)), "{row}");
        }
        assert_eq!(rows[1]["issue_number"], 41, "of its plan");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn odd_attributes_are_stored_or_left_out_and_stop_nothing() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let texts = [
            "\0",
            "a\0b",
            "'; DROP TABLE task_logs; --",
            "\u{1b}[31m\r\n{\"a\":[NULL]}\\N\t\"",
            "grüße 😀 \u{2028}\u{202e}",
            &"\u{10ffff}".repeat(2000),
            &"x".repeat(100_000),
            "",
        ];
        let numbers = ["", "-1", "1e400", "NaN", "infinity", "0x1F", "12abc", "١٢"];
        let mut events = Vec::new();
        for (sequence, text) in (1..).zip(texts.iter().chain(&numbers)) {
            let mut event = task_logged("d-1", "completed", &json!({}));
            for name in [
                attribute::REPOSITORY,
                attribute::ADW_ID,
                attribute::PHASE_NAME,
                attribute::PHASE_STATUS,
                attribute::WORKFLOW_TEMPLATE,
                attribute::LOG_MESSAGE,
                attribute::ERROR_MESSAGE,
                attribute::ISSUE,
                attribute::PHASE_NUMBER,
                attribute::STARTED_AT,
                attribute::COMPLETED_AT,
                attribute::DURATION_SECONDS,
                attribute::TOKENS_USED,
                attribute::COST_USD,
            ] {
                event = event.with_attribute(name, text);
            }
            events.push(event.recorded(sequence));
        }
        apply(&mut client, &events).await?;
        let rows = rows(&client).await?;
        assert_eq!(rows.len(), texts.len() + numbers.len());
        for row in &rows {
            for column in
                ["issue_number", "phase_number", "started_at", "duration_seconds", "tokens_used", "cost_usd"]
            {
                assert_eq!(row[column], Value::Null, "{column} of row {}", row["id"]);
            }
            assert_eq!(row["phase_status"], "unknown");
        }
        assert_eq!(rows[1]["log_message"], "a\u{fffd}b");
        assert_eq!(rows[2]["log_message"], texts[2]);
        assert_eq!(rows[3]["error_message"], texts[3]);
        assert_eq!(rows[4]["adw_id"], texts[4]);
        assert_eq!(rows[6]["log_message"].as_str().map(str::len), Some(ATTRIBUTE_BYTES_MAX));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_largest_numbers_that_senders_may_send_are_kept() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let most = json!({
            "issue_number": 9_007_199_254_740_991_i64, "tokens_used": 9_007_199_254_740_991_i64,
            "duration_seconds": 1e9, "cost_usd": 1e9, "phase_number": 20,
        });
        let least =
            json!({ "issue_number": 0, "tokens_used": 0, "duration_seconds": 0, "cost_usd": 0.000_001 });
        let events = [
            task_logged("d-1", "completed", &most).recorded(1),
            task_logged("d-2", "completed", &least).recorded(2),
        ];
        apply(&mut client, &events).await?;
        for (row, sent) in rows(&client).await?.iter().zip([&most, &least]) {
            for (column, value) in sent.as_object().expect("fields") {
                assert_eq!(row[column].as_f64(), value.as_f64(), "{column}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_empty_batch_and_a_large_one_are_applied() {
    run_test(async || {
        let (_database, mut client) = database().await;
        apply(&mut client, &[]).await?;
        let events: Vec<_> =
            (1..=2000).map(|sequence| issue_opened("d-1", sequence).recorded(sequence)).collect();
        apply(&mut client, &events).await?;
        let row = client.query_one("SELECT count(*), max(id) FROM task_logs", &[]).await?;
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2000, 2000));
        Ok(())
    })
    .await;
}
