//! What the answers look like: names of columns, digests in hex, times in UTC.

use hookstream_test_support::run_test;
use serde_json::{Value, json};

use crate::rows;
use crate::support::App;

/// Names of an object's members, in the order of the text.
fn names(text: &str) -> Vec<String> {
    // serde_json sorts members; their order in the text is what the reader sees.
    let item = text.split_once("\"items\":[{").expect("items").1;
    let item = item.split_once('}').expect("an item without objects").0;
    item.split("\",")
        .flat_map(|part| part.split(",\""))
        .filter_map(|part| {
            let name = part.trim_start_matches('"').split_once("\":")?.0;
            Some(name.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn a_row_of_the_task_log_has_the_columns_of_its_table() {
    run_test(async || {
        let app = App::start().await;
        rows::task_logs(&app.client, 1, 1).await?;
        let full = "UPDATE task_logs SET workflow_template = 't', phase_number = 2, log_message = 'm', error_message = 'e',
            started_at = '2026-11-23 10:00:00.5+02', completed_at = '2026-11-23Z', duration_seconds = 1.5, tokens_used = 7,
            cost_usd = 0.100000, repository = 'o/r'";
        app.client.batch_execute(full).await?;
        let expected = json!({
            "id": 1, "adw_id": "adw-1", "issue_number": 1, "workflow_template": "t", "phase_name": "webhook_received",
            "phase_number": 2, "phase_status": "completed", "log_message": "m", "error_message": "e",
            "started_at": "2026-11-23T08:00:00.5Z", "completed_at": "2026-11-23T00:00:00Z", "duration_seconds": 1.5,
            "tokens_used": 7, "cost_usd": 0.1, "captured_at": "2026-11-23T00:01:00Z",
            "created_at": "2026-11-23T00:01:00Z", "event_id": "github:1", "stream_sequence": 1,
            "event_type": "com.github.push", "source": "github", "repository": "o/r",
        });
        let answer = app.get("/task-logs").await?;
        assert_eq!(answer.json(), json!({ "items": [expected], "next_cursor": null }));
        let promised = [
            "id", "adw_id", "issue_number", "workflow_template", "phase_name", "phase_number", "phase_status",
            "log_message", "error_message", "started_at", "completed_at", "duration_seconds", "tokens_used", "cost_usd",
            "captured_at", "created_at", "event_id", "stream_sequence",
        ];
        assert_eq!(names(&answer.text())[..promised.len()], promised);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_entry_of_the_trail_has_digests_in_hex() {
    run_test(async || {
        let app = App::start().await;
        rows::audit_trail(&app.client, 2, 2).await?;
        let hex = async |input: &str| {
            let sql = format!("SELECT encode(sha256({input}), 'hex')");
            anyhow::Ok(app.client.query_one(&sql, &[]).await?.get::<_, String>(0))
        };
        let expected = json!({
            "audit_sequence": 2, "kind": "stored", "event_id": "github:0", "stream_sequence": 2, "source": "github",
            "event_type": "com.github.push", "body_sha256": hex("int8send(2)").await?, "signature": "sha256=00",
            "key_id": "current", "stream": "WEBHOOKS", "actor": null, "count": 1, "details": { "a": 1 },
            "received_at": "2026-11-23T00:02:00Z", "recorded_at": "2026-11-23T00:02:00Z",
            "version": 1, "previous_hash": hex("'p'").await?, "entry_hash": hex("'e'").await?,
        });
        assert_eq!(app.items("/audit").await?, [expected]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_phase_has_the_columns_of_the_queue_and_its_data_as_they_are() {
    run_test(async || {
        let app = App::start().await;
        rows::phases(&app.client, 4, 4).await?;
        // More digits than a double holds must survive.
        let data = r#"UPDATE phase_queue SET phase_data = '{"n": 12345678901234567890.12345, "big": 1e400, "t": "grüße"}'"#;
        app.client.batch_execute(data).await?;
        let text = app.get("/queue").await?.text();
        assert!(text.contains(r#""n": 12345678901234567890.12345"#), "{text}");
        assert!(text.contains("grüße"), "{text}");
        app.client.batch_execute("UPDATE phase_queue SET phase_data = '{\"adw_id\": \"a\"}'").await?;
        let expected = json!({
            "queue_id": "q-4", "parent_issue": 1, "phase_number": 2, "issue_number": null, "status": "queued",
            "held": false, "announced_at": null, "depends_on_phases": [1], "phase_data": { "adw_id": "a" }, "priority": 50,
            "queue_position": 2, "adw_id": "adw-4", "error_message": null, "created_at": "2026-11-23T00:00:00Z",
            "updated_at": "2026-11-23T00:00:00Z", "ready_at": null, "started_at": null, "finished_at": null,
        });
        assert_eq!(app.items("/queue").await?, [expected]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_queues_configuration_is_rows_of_its_table() {
    run_test(async || {
        let app = App::start().await;
        let items = app.items("/queue/config").await?;
        let paused = items.iter().find(|item| item["config_key"] == "queue_paused").expect("queue_paused");
        assert_eq!(paused["config_value"], "false");
        assert!(paused["updated_at"].is_string());
        assert!(items.iter().any(|item| item["config_key"] == "max_concurrent"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn analytics_have_the_columns_of_the_view() {
    run_test(async || {
        let app = App::start().await;
        let sum = "INSERT INTO webhook_daily (date, event_type, phase_status, event_count, duration_count, duration_us,
                 duration_us_min, duration_us_max)
             VALUES ('2026-11-23', 'com.github.push', 'completed', 3, 2, 3000000, 1000000, 2000000)";
        app.client.batch_execute(sum).await?;
        let expected = json!({
            "date": "2026-11-23", "webhook_type": "com.github.push", "phase_status": "completed", "event_count": 3,
            "avg_duration_seconds": 1.5, "min_duration_seconds": 1.0, "max_duration_seconds": 2.0, "success_count": 3,
            "failure_count": 0, "success_rate_percent": 100.0,
        });
        assert_eq!(app.items("/analytics/webhooks").await?, [expected]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn empty_tables_are_empty_lists() {
    run_test(async || {
        let app = App::start().await;
        for list in ["/queue", "/queue/1", "/task-logs", "/analytics/webhooks", "/audit", "/dead-letters"] {
            let answer = app.get(list).await?;
            assert_eq!(answer.json(), json!({ "items": [], "next_cursor": null }), "{list}");
            assert_eq!(answer.header("content-type"), Some("application/json"), "{list}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{list}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn health_readiness_and_metrics_are_at_the_root() {
    run_test(async || {
        let app = App::start().await;
        for path in ["/healthz", "/health", "/ping"] {
            assert_eq!(app.server().get(path).await?.status, 200, "{path}");
        }
        hookstream_test_support::eventually("readiness", crate::support::PATIENCE, async || {
            let answer = app.server().get("/readyz").await.map_err(|error| error.to_string())?;
            if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
        })
        .await;
        let checks = app.server().get("/readyz").await?.json()["checks"].clone();
        assert_eq!(checks, json!({ "nats": { "ok": true }, "postgres": { "ok": true } }));
        app.items("/queue/7").await?;
        app.server().get("/made/up/path").await?;
        let metrics = app.server().get("/metrics").await?.text();
        for line in [
            r#"hookstream_backend_requests_total{route="/api/v1/queue/{id}",status="200"} 1"#,
            r#"hookstream_backend_requests_total{route="none",status="404"} 1"#,
        ] {
            assert!(metrics.contains(line), "{line} is not in\n{metrics}");
        }
        assert!(!metrics.contains("made"), "a path that a caller makes up is no label");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    run_test(async || {
        let app = App::start().await;
        let answer = app.server().request("HEAD", "/api/v1/queue").await?;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        let answer = app.server().request("HEAD", "/api/v1/queue?limit=0").await?;
        assert_eq!((answer.status, answer.body.len()), (400, 0));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_time_that_no_text_can_express_is_an_error_and_harms_no_other_row() {
    run_test(async || {
        let app = App::start().await;
        rows::task_logs(&app.client, 1, 2).await?;
        app.client.batch_execute("UPDATE task_logs SET started_at = 'infinity' WHERE id = 2").await?;
        let answer = app.get("/task-logs").await?;
        let document = crate::support::problem(&answer, 500, "internal");
        assert_eq!(document.get("detail"), None::<&Value>);
        assert_eq!(app.items("/task-logs?adw_id=adw-1").await?.len(), 1);
        Ok(())
    })
    .await;
}
