//! Filters pick the rows that they say, and refuse what they cannot mean.

use hookstream_test_support::run_test;
use serde_json::Value;

use crate::rows;
use crate::support::{App, problem};

/// The values of a column in all rows of a list.
async fn values(app: &App, path: &str, column: &str) -> anyhow::Result<Vec<i64>> {
    let items = app.items(path).await?;
    Ok(items.iter().map(|item| item[column].as_i64().expect("a number")).collect())
}

#[tokio::test]
async fn the_task_log_is_filtered_by_issue_run_phase_status_and_time() {
    run_test(async || {
        let app = App::start().await;
        rows::task_logs(&app.client, 1, 9).await?;
        let other = "UPDATE task_logs SET phase_name = 'phase_1_complete', phase_status = 'failed' WHERE id IN (3, 4)";
        app.client.batch_execute(other).await?;
        let cases: [(&str, &[i64]); 10] = [
            ("issue=1", &[7, 4, 1]),
            ("adw_id=adw-5", &[5]),
            ("phase=phase_1_complete", &[4, 3]),
            ("status=failed", &[4, 3]),
            ("phase=webhook_received&issue=1", &[7, 1]),
            ("since=2026-11-23T00:07:00Z", &[9, 8, 7]),
            ("until=2026-11-23T00:03:00Z", &[2, 1]),
            ("since=2026-11-23T02:02:00%2B02:00&until=2026-11-23T00:04:00Z", &[3, 2]),
            ("since=2026-11-24", &[]),
            ("adw_id=nobody", &[]),
        ];
        for (query, expected) in cases {
            assert_eq!(values(&app, &format!("/task-logs?{query}"), "id").await?, expected, "{query}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_trail_is_filtered_by_kind_source_event_and_time() {
    run_test(async || {
        let app = App::start().await;
        rows::audit_trail(&app.client, 1, 12).await?;
        let cases: [(&str, &[i64]); 10] = [
            ("stream_sequence=7", &[7]),
            ("stream_sequence=7&stream=WEBHOOKS", &[7]),
            ("stream_sequence=7&stream=OPERATIONS", &[]),
            ("audit_sequence=3", &[3]),
            ("kind=redelivered", &[10, 5]),
            ("kind=conflict", &[]),
            ("kind=stored&source=github", &[12, 8, 6, 4, 2]),
            ("event_id=github:1", &[9, 8, 7, 6, 5]),
            ("since=2026-11-23T00:11:00Z", &[12, 11]),
            ("until=2026-11-23T00:02:00Z", &[1]),
        ];
        for (query, expected) in cases {
            assert_eq!(
                values(&app, &format!("/audit?{query}"), "audit_sequence").await?,
                expected,
                "{query}"
            );
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_queue_is_filtered_by_issue_and_status() {
    run_test(async || {
        let app = App::start().await;
        rows::phases(&app.client, 0, 8).await?;
        assert_eq!(values(&app, "/queue/2", "phase_number").await?, [1, 2, 3]);
        assert_eq!(values(&app, "/queue/2?status=queued", "phase_number").await?, [2, 3]);
        assert_eq!(values(&app, "/queue?status=ready", "parent_issue").await?, [0, 1, 2]);
        assert_eq!(values(&app, "/queue/0", "phase_number").await?, [1, 2, 3]);
        assert_eq!(app.items("/queue/99").await?, Vec::<Value>::new());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn dead_letters_are_filtered_and_show_a_payload_only_when_asked() {
    run_test(async || {
        let app = App::start().await;
        rows::dead_letters(&app.client, 1, 4).await?;
        let of_one = app.items("/dead-letters?projection=phase_queue").await?;
        assert_eq!(of_one.len(), 4);
        for letter in &of_one {
            assert_eq!(letter["payload_bytes"], 2);
            assert!(letter.get("payload").is_none(), "{letter}");
            assert_eq!(letter["headers"]["ce-id"][0], "x");
        }
        assert_eq!(
            values(&app, "/dead-letters?redriven=false&projection=task_log", "stream_sequence").await?,
            [3, 1]
        );
        assert_eq!(app.items("/dead-letters?reason=refused").await?.len(), 0);
        let with_payload = app.items("/dead-letters?stream_sequence=2&payload=true").await?;
        let payloads: Vec<_> =
            with_payload.iter().map(|letter| (&letter["projection"], letter.get("payload"))).collect();
        assert_eq!(payloads[0], (&"phase_queue".into(), Some(&"/wA=".into())));
        assert_eq!(payloads[1], (&"task_log".into(), None), "it read headers only");
        let document = problem(&app.get("/dead-letters?payload=true").await?, 400, "bad-parameter");
        assert_eq!(document["detail"], "payload needs stream_sequence: a payload may be 25 MiB");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn analytics_are_filtered_by_day_type_and_status() {
    run_test(async || {
        let app = App::start().await;
        app.client
            .batch_execute(
                "INSERT INTO webhook_daily (date, event_type, phase_status, event_count, duration_count, duration_us)
                 SELECT date '2026-11-20' + n, CASE n % 2 WHEN 0 THEN 'com.github.push' ELSE 'hookstream.task.logged' END,
                     CASE n % 2 WHEN 0 THEN 'completed' ELSE 'failed' END, 1, 0, 0
                 FROM generate_series(1, 4) AS n",
            )
            .await?;
        let days = async |query: &str| {
            let items = app.items(&format!("/analytics/webhooks?{query}")).await?;
            anyhow::Ok(items.iter().map(|item| item["date"].as_str().expect("a date").to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(days("").await?, ["2026-11-24", "2026-11-23", "2026-11-22", "2026-11-21"]);
        assert_eq!(days("since=2026-11-22&until=2026-11-24").await?, ["2026-11-23", "2026-11-22"]);
        assert_eq!(days("webhook_type=com.github.push").await?, ["2026-11-24", "2026-11-22"]);
        assert_eq!(days("status=failed").await?, ["2026-11-23", "2026-11-21"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn filters_that_cannot_be_meant_are_refused_by_name() {
    run_test(async || {
        let app = App::start().await;
        let cases = [
            ("/task-logs?issue=seven", "issue must be a whole number, 0 or more"),
            ("/task-logs?issue=-1", "issue must be a whole number, 0 or more"),
            ("/task-logs?issue=9223372036854775808", "issue must be a whole number, 0 or more"),
            ("/task-logs?since=yesterday", "since must be a time such as 2026-11-23T10:00:00Z, or a date"),
            ("/task-logs?adw_id=a%00b", "adw_id must not hold U+0000"),
            ("/task-logs?adw_id=a&adw_id=b", "adw_id must be given once"),
            ("/analytics/webhooks?since=2026-11-23T10:00:00Z", "since must be a date such as 2026-11-23"),
            ("/analytics/errors?until=%2B2026-11-23", "until must be a date such as 2026-11-23"),
            (
                "/audit?kind=lost",
                "kind must be one of stored, command, redelivered, conflict, suspected_replay, rejected, operation, resumed",
            ),
            ("/audit?stream_sequence=first", "stream_sequence must be a whole number, 0 or more"),
            ("/audit?stream=NONE", "stream must be one of WEBHOOKS, REJECTIONS, OPERATIONS"),
            (
                "/queue?status=done",
                "status must be one of queued, ready, running, completed, blocked, failed",
            ),
            ("/queue/config?limit=1", "limit is not a parameter here; there are min_sequence"),
            ("/queue/abc", "parent_issue must be a whole number, 0 or more"),
            ("/queue/%ff", "parent_issue must be a whole number, 0 or more"),
            ("/queue/-1", "parent_issue must be a whole number, 0 or more"),
            ("/dead-letters?projection=nobody", "projection must be one of phase_queue, task_log, audit"),
            ("/dead-letters?redriven=maybe", "redriven must be one of true, false"),
            ("/task-logs?min_sequence=soon", "min_sequence must be a whole number, 0 or more"),
        ];
        for (path, detail) in cases {
            let document = problem(&app.get(path).await?, 400, "bad-parameter");
            assert_eq!(document["detail"], detail, "{path}");
        }
        let odd = app
            .items(
                "/task-logs?adw_id=%27%3B%20DROP%20TABLE%20task_logs%3B%20--&phase=%ff&status=%F0%9F%98%80",
            )
            .await?;
        assert_eq!(odd, Vec::<Value>::new());
        Ok(())
    })
    .await;
}
