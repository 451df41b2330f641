//! `min_sequence`: read your own writes.

use std::time::{Duration, Instant};

use hookstream_audit::Audit;
use hookstream_phase_queue::PhaseQueue;
use hookstream_projection::{Context, Projection, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_task_log::TaskLog;
use hookstream_test_support::{SampleEvent, run_test};
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{App, problem};

/// Starts a projection; it runs until the guard is dropped.
pub(crate) fn project<P: Projection>(app: &App, projection: P) -> DropGuard {
    let process = ProcessInfo { name: "test", about: "", version: "0" };
    let context = Context {
        nats: app.nats.settings(P::NAME),
        postgres: app.database.settings(),
        runner: RunnerSettings::default(),
        health: Health::new(),
        metrics: Metrics::new(&process),
    };
    let shutdown = CancellationToken::new();
    tokio::spawn(run(projection, context, shutdown.clone()));
    shutdown.drop_guard()
}

fn push(delivery_id: &str) -> SampleEvent {
    let body = json!({
        "ref": "refs/heads/main", "before": delivery_id, "after": delivery_id, "commits": [],
        "repository": { "full_name": "o/r", "url": "https://github.com/o/r" }, "pusher": { "name": "octocat" },
        "sender": { "login": "octocat" },
    });
    SampleEvent::github("push", delivery_id, &body)
}

fn enqueued(queue_id: &str) -> SampleEvent {
    let body = json!({
        "type": "phase.enqueued", "queue_id": queue_id, "parent_issue": 41, "phase_number": 1,
        "phase_data": { "workflow_type": "adw_plan_iso", "adw_id": "a1b2" },
    });
    SampleEvent::internal(queue_id, &body)
}

#[tokio::test]
async fn a_read_waits_until_its_projection_has_applied_the_sequence() {
    run_test(async || {
        let app = App::start().await;
        let publisher = app.nats.connect("gateway").await.publisher(Duration::from_secs(10));
        let sequence = enqueued("q-1").publish(&publisher).await.sequence;
        let paths = [
            format!("/task-logs?min_sequence={sequence}"),
            format!("/audit?min_sequence={sequence}"),
            format!("/queue?min_sequence={sequence}"),
            format!("/queue/41?min_sequence={sequence}"),
        ];
        // The requests are under way before anybody projects.
        let reads = async {
            tokio::join!(
                app.items(&paths[0]),
                app.items(&paths[1]),
                app.items(&paths[2]),
                app.items(&paths[3])
            )
        };
        let projecting = async {
            tokio::task::yield_now().await;
            let (queue, audit) = (PhaseQueue::default(), Audit::default());
            (project(&app, TaskLog::default()), project(&app, audit), project(&app, queue))
        };
        let (reads, _projecting) = tokio::join!(reads, projecting);
        for items in [reads.0?, reads.1?, reads.2?, reads.3?] {
            assert_eq!(items.len(), 1, "{items:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_queue_is_as_far_as_an_event_that_does_not_concern_it() {
    run_test(async || {
        let app = App::start().await;
        let _projecting = project(&app, PhaseQueue::default());
        let publisher = app.nats.connect("gateway").await.publisher(Duration::from_secs(10));
        enqueued("q-1").publish(&publisher).await;
        // Not of its subjects, so its checkpoint stays where it is.
        let sequence = push("d-1").publish(&publisher).await.sequence;
        let items = app.items(&format!("/queue?min_sequence={sequence}")).await?;
        assert_eq!(items.len(), 1);
        let config = app.get(&format!("/queue/config?min_sequence={sequence}")).await?;
        assert_eq!(config.status, 200);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_read_sees_the_event_it_names() {
    run_test(async || {
        let app = App::start().await;
        let _projecting = project(&app, PhaseQueue::default());
        let publisher = app.nats.connect("gateway").await.publisher(Duration::from_secs(10));
        for number in 1..=40_usize {
            push(&format!("d-{number}")).publish(&publisher).await;
            let body = json!({
                "type": "phase.enqueued", "queue_id": format!("q-{number}"), "parent_issue": number, "phase_number": 1,
                "phase_data": { "workflow_type": "adw_plan_iso", "adw_id": "a1b2" },
            });
            let sequence = SampleEvent::internal(&format!("e-{number}"), &body).publish(&publisher).await.sequence;
            let found = app.items(&format!("/queue/{number}?min_sequence={sequence}")).await?.len();
            assert_eq!(found, 1, "phase {number} at sequence {sequence}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_was_acked_and_is_not_in_the_tables_is_not_applied() {
    run_test(async || {
        let app = App::start().await;
        let publisher = app.nats.connect("gateway").await.publisher(Duration::from_secs(10));
        let sequence = enqueued("q-1").publish(&publisher).await.sequence;
        // As after a backup of the database was restored.
        let consumer = app.nats.connect("phase_queue").await.consumer("WEBHOOKS", "phase_queue");
        let acked = consumer.pull(&RunnerSettings::default().pull).await?;
        assert_eq!(acked.len(), 1);
        consumer.ack(&acked).await?;
        let path = format!("/queue?min_sequence={sequence}");
        problem(&app.get(&path).await?, 504, "not-yet-applied");
        let _projecting = project(&app, PhaseQueue::default());
        assert_eq!(app.items(&path).await?.len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_sequence_that_is_not_applied_in_time_is_a_504() {
    run_test(async || {
        let app = App::start().await;
        let _projecting = (project(&app, PhaseQueue::default()), project(&app, TaskLog::default()));
        let publisher = app.nats.connect("gateway").await.publisher(Duration::from_secs(10));
        let sequence = enqueued("q-1").publish(&publisher).await.sequence;
        let ahead = sequence + 1;
        let paths = [
            // Nobody projects the trail; nothing has the sequence after the last.
            format!("/audit?min_sequence={sequence}"),
            format!("/dead-letters?min_sequence={sequence}"),
            format!("/task-logs?min_sequence={ahead}"),
            format!("/queue?min_sequence={ahead}"),
        ];
        let start = Instant::now();
        let answers =
            tokio::join!(app.get(&paths[0]), app.get(&paths[1]), app.get(&paths[2]), app.get(&paths[3]));
        assert!(start.elapsed() >= Duration::from_secs(4), "they waited");
        for (answer, path) in [answers.0?, answers.1?, answers.2?, answers.3?].iter().zip(&paths) {
            let document = problem(answer, 504, "not-yet-applied");
            assert_eq!(document.get("detail"), None, "{path}");
            assert_eq!(answer.header("retry-after"), Some("2"), "{path}");
        }
        let applied =
            app.items(&format!("/dead-letters?projection=task_log&min_sequence={sequence}")).await?;
        assert!(applied.is_empty(), "one projection is waited for alone");
        Ok(())
    })
    .await;
}
