//! Pages: each row once, whatever is inserted meanwhile.

use hookstream_test_support::run_test;
use serde_json::Value;

use crate::rows;
use crate::support::{App, problem};

/// What a list's rows are known by.
fn keys(pages: &[Vec<Value>], columns: &[&str]) -> Vec<String> {
    let key =
        |row: &Value| columns.iter().map(|column| row[column].to_string()).collect::<Vec<_>>().join(" ");
    pages.iter().flatten().map(key).collect()
}

fn assert_each_once(found: &[String], expected: usize, list: &str) {
    let mut distinct = found.to_vec();
    distinct.sort();
    distinct.dedup();
    assert_eq!((found.len(), distinct.len()), (expected, expected), "{list}");
}

#[tokio::test]
async fn every_row_of_every_list_comes_exactly_once() {
    run_test(async || {
        let app = App::start().await;
        rows::task_logs(&app.client, 1, 100).await?;
        rows::audit_trail(&app.client, 1, 100).await?;
        rows::phases(&app.client, 0, 99).await?;
        rows::dead_letters(&app.client, 1, 50).await?;
        let analytics = "INSERT INTO webhook_daily (date, event_type, phase_status, event_count, duration_count, duration_us)
             SELECT date '2025-01-01' + n % 5, 'Type.' || n % 7,
                 CASE n % 3 WHEN 0 THEN 'failed' WHEN 1 THEN 'started' ELSE 'skipped' END, 1, 0, 0
             FROM generate_series(1, 105) AS n;
             INSERT INTO webhook_latency_hourly (hour, source, event_type, repository, phase_status, buckets)
             SELECT date_trunc('hour', now()) - n % 35 * interval '1 hour', 'source-' || n % 3, 'Type.' || n, '', 'completed',
                 array_fill(1::bigint, '{61}')
             FROM generate_series(1, 210) AS n;
             INSERT INTO workflow_daily (date, workflow_template, phase_name, phase_status, event_count, duration_count,
                 duration_us, duration_buckets, tokens_used, cost_usd)
             SELECT date '2025-01-01' + n, 'adw_' || n % 7, 'Phase ' || n % 15, 'completed', 1, 0, 0,
                 array_fill(0::bigint, '{61}'), 0, 0
             FROM generate_series(1, 210) AS n;
             INSERT INTO error_daily (date, workflow_template, message, event_count, last_id, last_message)
             SELECT date '2025-01-01' + n, 'adw_' || n % 7, 'Error ' || n % 15, n % 2, n, 'No.'
             FROM generate_series(1, 210) AS n";
        app.client.batch_execute(analytics).await?;
        let lists: [(&str, &[&str], usize); 8] = [
            ("/task-logs", &["id"], 100),
            ("/audit", &["audit_sequence"], 100),
            ("/queue", &["queue_id"], 100),
            ("/dead-letters", &["projection", "stream_sequence"], 100),
            ("/analytics/webhooks", &["date", "webhook_type", "phase_status"], 105),
            ("/analytics/workflows", &["workflow_template", "phase_name"], 105),
            ("/analytics/errors", &["workflow_template", "message"], 105),
            ("/analytics/latency", &["hour", "source"], 105),
        ];
        for (list, columns, expected) in lists {
            let whole = app.pages(&format!("{list}?limit=500")).await?;
            assert_eq!(whole.len(), 1, "{list}");
            let whole = keys(&whole, columns);
            assert_each_once(&whole, expected, list);
            for limit in [1, 7, 100] {
                let pages = app.pages(&format!("{list}?limit={limit}")).await?;
                assert_eq!(keys(&pages, columns), whole, "{list} by {limit}");
                assert_eq!(pages.len(), expected.div_ceil(limit), "{list} by {limit}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn names_of_any_length_have_a_next_page() {
    run_test(async || {
        let app = App::start().await;
        // The longest that the task log keeps, and such that JSON needs twice as much.
        let sums = "INSERT INTO workflow_daily (date, workflow_template, phase_name, phase_status, event_count, duration_count,
                 duration_us, duration_buckets, tokens_used, cost_usd)
             SELECT date '2025-01-01', repeat('\"', 1023) || n, repeat('\"', 1024), 'completed', 1, 0, 0,
                 array_fill(0::bigint, '{61}'), 0, 0
             FROM generate_series(1, 3) AS n;
             INSERT INTO error_daily (date, workflow_template, message, event_count, last_id, last_message)
             SELECT date '2025-01-01', repeat('\"', 1024), repeat('\"', 199) || n, 1, n, 'No.'
             FROM generate_series(1, 3) AS n";
        app.client.batch_execute(sums).await?;
        for list in ["/analytics/workflows", "/analytics/errors"] {
            assert_eq!(app.pages(&format!("{list}?limit=1")).await?.len(), 3, "{list}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn rows_inserted_while_paging_neither_hide_nor_double_others() {
    run_test(async || {
        let app = App::start().await;
        rows::task_logs(&app.client, 1, 50).await?;
        rows::audit_trail(&app.client, 1, 50).await?;
        rows::phases(&app.client, 0, 50).await?;
        // The first two show the newest first, so new rows come before the cursor; the queue shows them at its end.
        for (list, column, seen) in
            [("/task-logs", "id", 50), ("/audit", "audit_sequence", 50), ("/queue", "queue_id", 99)]
        {
            let mut pages = Vec::new();
            let mut next = format!("{list}?limit=10");
            let mut inserted = 50;
            loop {
                let page = app.get(&next).await?.json();
                pages.push(page["items"].as_array().expect("items").clone());
                if inserted < 98 {
                    match list {
                        "/task-logs" => rows::task_logs(&app.client, inserted + 1, inserted + 12).await?,
                        "/audit" => rows::audit_trail(&app.client, inserted + 1, inserted + 12).await?,
                        _ => rows::phases(&app.client, inserted + 1, inserted + 12).await?,
                    }
                    inserted += 12;
                }
                match page["next_cursor"].as_str() {
                    Some(cursor) => next = format!("{list}?limit=10&cursor={cursor}"),
                    None => break,
                }
            }
            assert_each_once(&keys(&pages, &[column]), seen, list);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_page_of_large_phases_ends_early_and_goes_on() {
    run_test(async || {
        let app = App::start().await;
        rows::phases(&app.client, 0, 29).await?;
        let large = "UPDATE phase_queue SET phase_data = jsonb_build_object('content', repeat('x', 1000000))";
        app.client.batch_execute(large).await?;
        let pages = app.pages("/queue?limit=500").await?;
        assert!(pages.len() > 2, "{} pages", pages.len());
        assert!(pages.iter().all(|page| (1..=9).contains(&page.len())), "about 8 MiB each");
        assert_each_once(&keys(&pages, &["queue_id"]), 30, "/queue");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn limits_are_kept_and_wrong_ones_refused() {
    run_test(async || {
        let app = App::start().await;
        rows::task_logs(&app.client, 1, 600).await?;
        for (query, expected) in [("", 100), ("?limit=1", 1), ("?limit=500", 500)] {
            assert_eq!(app.items(&format!("/task-logs{query}")).await?.len(), expected, "{query}");
        }
        for limit in ["0", "501", "-1", "1000000000", "99999999999999999999", "ten", ""] {
            for list in ["/queue", "/queue/7", "/task-logs", "/analytics/webhooks", "/audit", "/dead-letters"]
            {
                let answer = app.get(&format!("{list}?limit={limit}")).await?;
                let document = problem(&answer, 400, "bad-parameter");
                assert_eq!(document["detail"], "limit must be from 1 to 500", "{list}?limit={limit}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_tampered_or_foreign_cursor_is_refused() {
    run_test(async || {
        let app = App::start().await;
        rows::task_logs(&app.client, 1, 20).await?;
        rows::audit_trail(&app.client, 1, 20).await?;
        let page = app.get("/task-logs?limit=5&issue=1").await?.json();
        let cursor = page["next_cursor"].as_str().expect("a next page");
        assert_eq!(app.get(&format!("/task-logs?issue=1&cursor={cursor}")).await?.status, 200);
        let changed = format!("{}A", &cursor[..cursor.len() - 1]);
        let wrong = [
            format!("/task-logs?issue=1&cursor={changed}"),
            format!("/task-logs?issue=1&cursor={cursor}A"),
            format!("/task-logs?issue=1&cursor={}", &cursor[1..]),
            "/task-logs?issue=1&cursor=".to_owned(),
            "/task-logs?issue=1&cursor=%27%3BDROP".to_owned(),
            format!("/task-logs?issue=1&cursor={}", "A".repeat(5000)),
            // Another filter, another list.
            format!("/task-logs?issue=2&cursor={cursor}"),
            format!("/task-logs?cursor={cursor}"),
            format!("/audit?cursor={cursor}"),
        ];
        for path in wrong {
            problem(&app.get(&path).await?, 400, "bad-cursor");
        }
        Ok(())
    })
    .await;
}
