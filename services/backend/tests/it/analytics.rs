//! What dashboards ask, of sums that a projection made.

use std::time::Duration;

use hookstream_task_log::TaskLog;
use hookstream_test_support::{SampleEvent, run_test};
use serde_json::{Value, json};

use crate::freshness::project;
use crate::support::App;

/// A workflow that ended, with what `more` adds.
fn ended(delivery_id: &str, status: &str, more: &Value) -> SampleEvent {
    let mut body =
        json!({ "type": "workflow.completed", "adw_id": "a1b2", "status": status, "issue_number": 7 });
    body.as_object_mut().expect("fields").extend(more.as_object().expect("more fields").clone());
    SampleEvent::internal(delivery_id, &body)
}

/// Stores these events; returns the query that waits for the last of them.
async fn stored(app: &App, events: &[SampleEvent]) -> String {
    let publisher = app.nats.connect("gateway").await.publisher(Duration::from_secs(10));
    let mut last = 0;
    for event in events {
        last = event.publish(&publisher).await.sequence;
    }
    format!("min_sequence={last}")
}

#[tokio::test]
async fn workflows_are_summed_up_by_template_and_phase() {
    run_test(async || {
        let app = App::start().await;
        let _projecting = project(&app, TaskLog::default());
        let build = |seconds: u32| {
            json!({
                "workflow_template": "adw_build_iso", "phase_number": 2, "duration_seconds": seconds, "tokens_used": 10,
                "cost_usd": 0.25,
            })
        };
        let events = [
            ended("d-1", "completed", &json!({ "workflow_template": "adw_plan_iso", "phase_number": 1 })),
            ended("d-2", "completed", &build(2)),
            ended("d-3", "completed", &build(4)),
            ended("d-4", "failed", &build(6)),
        ];
        let fresh = stored(&app, &events).await;
        let items = app.items(&format!("/analytics/workflows?{fresh}")).await?;
        assert_eq!(items.len(), 2);
        let (build, plan) = (&items[0], &items[1]);
        let exact = json!({
            "workflow_template": "adw_build_iso", "phase_name": "phase_2_complete", "run_count": 3, "started_count": 0,
            "completed_count": 2, "failed_count": 1, "skipped_count": 0, "success_rate_percent": 66.67,
            "avg_duration_seconds": 4.0, "tokens_used": 30, "cost_usd": 0.75,
        });
        for (field, value) in exact.as_object().expect("fields") {
            assert_eq!(&build[field], value, "{field} of {build}");
        }
        // To within their bucket.
        let median = build["p50_duration_seconds"].as_f64().expect("a number");
        assert!((3.0..=4.1).contains(&median), "{build}");
        assert!(build["p99_duration_seconds"].as_f64() > Some(4.0), "{build}");
        assert_eq!(plan["p50_duration_seconds"], Value::Null, "nothing has a duration: {plan}");
        let one = app.items("/analytics/workflows?workflow_template=adw_plan_iso&phase=phase_1_complete").await?;
        assert_eq!(one.as_slice(), &items[1..]);
        assert_eq!(app.items("/analytics/workflows?until=2020-01-01").await?, Vec::<Value>::new());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn errors_that_differ_only_in_numbers_are_one_and_the_most_frequent_comes_first() {
    run_test(async || {
        let app = App::start().await;
        let _projecting = project(&app, TaskLog::default());
        let failed = |id: &str, message: &str| ended(id, "failed", &json!({ "error_message": message }));
        let events = [
            failed("d-1", "no space left on device"),
            failed("d-2", "3 of 12 tests failed"),
            failed("d-3", "5 of 12 tests failed\nsee the log"),
        ];
        let fresh = stored(&app, &events).await;
        let items = app.items(&format!("/analytics/errors?{fresh}")).await?;
        let found: Vec<_> = items
            .iter()
            .map(|item| {
                (item["message"].as_str(), item["event_count"].as_i64(), item["last_message"].as_str())
            })
            .collect();
        let expected = [
            (Some("<n> of <n> tests failed"), Some(2), Some("5 of 12 tests failed\nsee the log")),
            (Some("no space left on device"), Some(1), Some("no space left on device")),
        ];
        assert_eq!(found, expected);
        assert_eq!(items[0]["last_id"], 3);
        assert_eq!(app.items("/analytics/errors?workflow_template=adw_plan_iso").await?, Vec::<Value>::new());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn latencies_are_those_from_the_gateway_to_the_task_log() {
    run_test(async || {
        let app = App::start().await;
        let _projecting = project(&app, TaskLog::default());
        let long_ago = time::OffsetDateTime::now_utc() - time::Duration::hours(3);
        let events = [ended("d-1", "completed", &json!({})), ended("d-2", "completed", &json!({}))];
        let events = events.map(|event| event.received_at(long_ago));
        let fresh = stored(&app, &events).await;
        let items = app.items(&format!("/analytics/latency?source=internal&{fresh}")).await?;
        assert_eq!(items.len(), 1, "{items:?}");
        assert_eq!(items[0]["event_count"], 2);
        let median = items[0]["p50_seconds"].as_f64().expect("a number");
        assert!((7_200.0..14_400.0).contains(&median), "about three hours: {items:?}");
        for other in ["source=github", "webhook_type=com.github.push", "repository=o/r", "until=2020-01-01"] {
            assert_eq!(
                app.items(&format!("/analytics/latency?{other}")).await?,
                Vec::<Value>::new(),
                "{other}"
            );
        }
        Ok(())
    })
    .await;
}
