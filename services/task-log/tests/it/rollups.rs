//! The sums are what the rows add up to.

use hookstream_event::RecordedEvent;
use hookstream_store::Client;
use hookstream_test_support::{SampleEvent, run_test};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use time::Duration;
use time::macros::datetime;

use crate::support::{apply, database, issue_opened, task_logged, workflow_completed};

/// Where a sum is not what the rows add up to.
async fn differences(client: &Client) -> anyhow::Result<Vec<String>> {
    let check = include_str!("../../../../schemas/postgres/task_log/checks/rollups.sql");
    let rows = client.query(check, &[]).await?;
    rows.iter()
        .map(|row| Ok(format!("{}: {}", row.try_get::<_, &str>(0)?, row.try_get::<_, &str>(1)?)))
        .collect()
}

/// Some event, some hours after the first.
fn event() -> impl Strategy<Value = (SampleEvent, i64)> {
    let status = prop::sample::select(vec!["started", "completed", "failed", "skipped"]);
    let template = prop::option::of(prop::sample::select(vec!["adw_plan_iso", "adw_build_iso"]));
    let error =
        prop::option::of(prop::sample::select(vec!["3 tests failed", "7 tests failed", "no disk at /x"]));
    let amounts = (
        prop::option::of(prop_oneof![0.0..0.002_f64, 0.0..5_000.0_f64, Just(1e9)]),
        prop::option::of(0_u64..1_000_000),
        prop::option::of(prop_oneof![0.0..0.000_01_f64, 0.0..100.0_f64]),
    );
    let fields = (0_u8..3, 0_u64..4, 1_u8..4, status, template, error, amounts, any::<bool>());
    (fields, 0_i64..100).prop_map(|(fields, hours)| {
        let (kind, issue, phase, status, template, error, (duration, tokens, cost), alone) = fields;
        let more = json!({
            "workflow_template": template, "error_message": error, "duration_seconds": duration,
            "tokens_used": tokens, "cost_usd": cost, "phase_number": phase,
        });
        let sample = match kind {
            0 => issue_opened("d-1", issue),
            1 => task_logged("d-1", status, &more),
            _ => {
                let mut more = more;
                if !alone {
                    more["issue_number"] = json!(issue);
                }
                workflow_completed("d-1", if status == "failed" { "failed" } else { "completed" }, &more)
            }
        };
        (sample, hours)
    })
}

#[tokio::test]
async fn sums_are_what_the_rows_add_up_to_whatever_comes_in_whatever_batches() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let mut sequence = 0;
        let batches = prop::collection::vec(prop::collection::vec(event(), 1..30), 1..6);
        let mut runner = TestRunner::default();
        // The rows of all rounds add up in the same tables.
        for _ in 0..40 {
            let batches = batches.new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
            for batch in &batches {
                let events: Vec<RecordedEvent> = batch
                    .iter()
                    .map(|(sample, hours)| {
                        sequence += 1;
                        let at = datetime!(2026-10-30 09:59:59.5 UTC) + Duration::hours(*hours);
                        sample.clone().received_at(at).recorded(sequence)
                    })
                    .collect();
                apply(&mut client, &events).await?;
            }
            let found = differences(&client).await?;
            anyhow::ensure!(found.is_empty(), "{found:#?} after {batches:#?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_sum_that_was_tampered_with_is_found() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let failed = json!({ "issue_number": 7, "duration_seconds": 2, "error_message": "no" });
        let events =
            [issue_opened("d-1", 7).recorded(1), workflow_completed("d-2", "failed", &failed).recorded(2)];
        apply(&mut client, &events).await?;
        assert_eq!(differences(&client).await?, Vec::<String>::new());
        let changes = [
            "UPDATE webhook_hourly SET payload_bytes = payload_bytes + 1",
            "UPDATE webhook_latency_hourly SET buckets[1] = buckets[1] + 1",
            "UPDATE webhook_daily SET event_count = event_count + 1",
            "UPDATE workflow_daily SET duration_buckets = duration_buckets[2:] || 0::bigint",
            "UPDATE issue_progress SET last_phase_status = 'completed'",
            "DELETE FROM error_daily",
            "UPDATE phase_sequences SET failed_count = 2",
            "UPDATE phase_path SET path = path || '!'",
        ];
        for change in changes {
            let tx = client.transaction().await?;
            tx.batch_execute(change).await?;
            assert_ne!(differences(tx.client()).await?, Vec::<String>::new(), "{change}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn percentiles_are_within_the_bucket_of_the_value() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let durations = [0.0004, 0.0012, 0.5, 0.5, 0.5, 3.0, 60.0, 1e9];
        let events: Vec<_> = (1..)
            .zip(durations)
            .map(|(sequence, seconds)| {
                workflow_completed("d-1", "completed", &json!({ "duration_seconds": seconds }))
                    .recorded(sequence)
            })
            .collect();
        apply(&mut client, &events).await?;
        let sql = "SELECT histogram_percentile(histogram_sum(duration_buckets), $1) FROM workflow_daily";
        let mut found = Vec::new();
        for share in [0.0, 0.125, 0.5, 0.75, 0.875, 1.0] {
            found.push(client.query_one(sql, &[&share]).await?.try_get::<_, f64>(0)?);
        }
        // Buckets are [0, 1 ms), [1, 1.5) ms, …, [384, 512) ms, [512, 768) ms, …; the last has no end.
        let ranges =
            [(0.0, 0.001), (0.0, 0.001), (0.384, 0.512), (2.0, 3.072), (49.0, 66.0), (805_306.0, 805_307.0)];
        for (value, (low, high)) in found.iter().zip(ranges) {
            assert!((low..=high).contains(value), "{value} is not within {low} and {high}: {found:?}");
        }
        let none = "SELECT histogram_percentile(array_fill(0::bigint, '{61}'), 0.5)";
        assert_eq!(client.query_one(none, &[]).await?.try_get::<_, Option<f64>>(0)?, None);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_buckets_of_postgres_are_ours() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let bounds: Vec<i64> = client.query_one("SELECT histogram_bounds()", &[]).await?.try_get(0)?;
        let events: Vec<_> = (1..)
            .zip(bounds.iter().flat_map(|bound| [bound - 1, *bound]))
            .map(|(sequence, micros)| {
                #[allow(clippy::cast_precision_loss)] // Below 2^53.
                let seconds = Value::from(micros as f64 / 1e6);
                workflow_completed("d-1", "completed", &json!({ "duration_seconds": seconds }))
                    .recorded(sequence)
            })
            .collect();
        apply(&mut client, &events).await?;
        let buckets: Vec<i64> =
            client.query_one("SELECT duration_buckets FROM workflow_daily", &[]).await?.try_get(0)?;
        // Each bound has one value just below it and one at it: the ends have one, all between them two.
        assert_eq!(buckets, [&[1][..], &[2; 59], &[1]].concat());
        Ok(())
    })
    .await;
}
