//! The view `webhook_analytics`, against aggregates made by hand.

use hookstream_store::Client;
use hookstream_test_support::{SampleEvent, run_test};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::support::{apply, database, issue_opened, task_logged, workflow_completed};

async fn analytics(client: &Client) -> anyhow::Result<Vec<Value>> {
    let sql =
        "SELECT to_jsonb(a) AS row FROM webhook_analytics AS a ORDER BY date, webhook_type, phase_status";
    client.query(sql, &[]).await?.iter().map(|row| Ok(row.try_get("row")?)).collect()
}

/// Applies samples received at these times.
async fn apply_at(
    client: &mut hookstream_store::Connection,
    samples: Vec<(OffsetDateTime, SampleEvent)>,
) -> anyhow::Result<()> {
    let events: Vec<_> = (1..)
        .zip(samples)
        .map(|(sequence, (time, sample))| sample.received_at(time).recorded(sequence))
        .collect();
    apply(client, &events).await
}

#[tokio::test]
async fn the_view_has_exactly_the_promised_columns() {
    run_test(async || {
        let (_database, client) = database().await;
        let sql = "SELECT column_name::text, data_type::text FROM information_schema.columns \
                   WHERE table_name = 'webhook_analytics' ORDER BY ordinal_position";
        let columns: Vec<(String, String)> =
            client.query(sql, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect();
        let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let promised = [
            "date",
            "webhook_type",
            "phase_status",
            "event_count",
            "avg_duration_seconds",
            "min_duration_seconds",
            "max_duration_seconds",
            "success_count",
            "failure_count",
            "success_rate_percent",
        ];
        assert_eq!(names, promised);
        assert_eq!(columns[0].1, "date");
        assert_eq!(columns[9].1, "numeric");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn events_are_counted_by_utc_day_type_and_status() {
    run_test(async || {
        let (_database, mut client) = database().await;
        // Days are UTC's, whatever the session's time zone.
        client.batch_execute("SET TIME ZONE 'Pacific/Auckland'").await?;
        let (late, early) = (datetime!(2026-11-23 23:59:59.999999 UTC), datetime!(2026-11-24 0:00 UTC));
        let timed = |duration: f64| json!({ "duration_seconds": duration });
        let samples = vec![
            (late, issue_opened("d-1", 1)),
            (early, issue_opened("d-2", 2)),
            (early, issue_opened("d-3", 3)),
            (early, workflow_completed("d-4", "completed", &timed(2.0))),
            (early, workflow_completed("d-5", "completed", &timed(1.0))),
            (early, workflow_completed("d-6", "completed", &json!({}))),
            (early, workflow_completed("d-7", "failed", &timed(4.5))),
            (early, task_logged("d-8", "started", &json!({}))),
            (early, task_logged("d-9", "skipped", &timed(0.0))),
        ];
        apply_at(&mut client, samples).await?;
        let row = |date: &str, kind: &str, status: &str, counts: [u32; 3], rate: Value, durations: [Value; 3]| {
            let [average, shortest, longest] = durations;
            json!({
                "date": date, "webhook_type": kind, "phase_status": status, "event_count": counts[0],
                "success_count": counts[1], "failure_count": counts[2], "success_rate_percent": rate,
                "avg_duration_seconds": average, "min_duration_seconds": shortest, "max_duration_seconds": longest,
            })
        };
        let none = || [Value::Null, Value::Null, Value::Null];
        let (issue, workflow, task) =
            ("com.github.issues.opened", "hookstream.workflow.completed", "hookstream.task.logged");
        let expected = [
            row("2026-11-23", issue, "completed", [1, 1, 0], json!(100.0), none()),
            row("2026-11-24", issue, "completed", [2, 2, 0], json!(100.0), none()),
            row("2026-11-24", task, "skipped", [1, 0, 0], Value::Null, [json!(0), json!(0), json!(0)]),
            row("2026-11-24", task, "started", [1, 0, 0], Value::Null, none()),
            row("2026-11-24", workflow, "completed", [3, 3, 0], json!(100.0), [json!(1.5), json!(1), json!(2)]),
            row("2026-11-24", workflow, "failed", [1, 0, 1], json!(0.0), [json!(4.5), json!(4.5), json!(4.5)]),
        ];
        let found = analytics(&client).await?;
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(&expected) {
            for (column, value) in expected.as_object().expect("a row") {
                let same = match (value.as_f64(), found[column].as_f64()) {
                    (Some(value), Some(found)) => (value - found).abs() < f64::EPSILON,
                    _ => *value == found[column],
                };
                assert!(same, "{column}: {found} is not {expected}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn no_events_are_no_analytics() {
    run_test(async || {
        let (_database, client) = database().await;
        assert_eq!(analytics(&client).await?, Vec::<Value>::new());
        Ok(())
    })
    .await;
}
