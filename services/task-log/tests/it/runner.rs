//! From the stream to the table, and once more into empty tables.

use std::time::Duration;

use hookstream_projection::{Context, Projection as _, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::Client;
use hookstream_task_log::TaskLog;
use hookstream_test_support::{TestDatabase, TestNats, eventually, run_test};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{apply, database, issue_opened, rows, task_logged, workflow_completed};

const PATIENCE: Duration = Duration::from_secs(30);

/// The projection at work.
struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), hookstream_projection::RunError>>,
}

impl Running {
    fn start(nats: &TestNats, database: &TestDatabase) -> Self {
        Self::start_with(TaskLog::default(), nats, database)
    }

    fn start_with(task_log: TaskLog, nats: &TestNats, database: &TestDatabase) -> Self {
        let process = ProcessInfo { name: "test", about: "", version: "0" };
        let context = Context {
            nats: nats.settings(TaskLog::NAME),
            postgres: database.settings(),
            runner: RunnerSettings::default(),
            health: Health::new(),
            metrics: Metrics::new(&process),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(task_log, context, shutdown.clone()));
        Self { shutdown, task }
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.task.await??)
    }
}

/// The rows, once there are so many.
async fn rows_when(client: &Client, count: usize) -> Vec<Value> {
    eventually("the rows", PATIENCE, async || {
        let rows = rows(client).await.map_err(|error| error.to_string())?;
        if rows.len() == count { Ok(rows) } else { Err(format!("{} rows", rows.len())) }
    })
    .await
}

#[tokio::test]
async fn a_rebuild_into_empty_tables_gives_equal_rows() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (database, client) = database().await;
        let publisher = nats.connect("gateway").await.publisher(Duration::from_secs(10));
        let events = [
            issue_opened("d-1", 42),
            workflow_completed("d-2", "failed", &json!({ "phase_number": 1, "duration_seconds": 0.1 })),
            task_logged("d-3", "completed", &json!({ "cost_usd": 0.25, "log_message": "grüße\u{0}" })),
            issue_opened("d-4", 43),
        ];
        for event in &events {
            event.publish(&publisher).await;
        }
        let running = Running::start(&nats, &database);
        let first = rows_when(&client, events.len()).await;
        let ids: Vec<_> = first.iter().map(|row| row["id"].as_u64()).collect();
        assert_eq!(ids, [Some(1), Some(2), Some(3), Some(4)]);
        running.stop().await?;

        client
            .batch_execute("TRUNCATE task_logs; DELETE FROM projection_checkpoints; DELETE FROM event_memory")
            .await?;
        let running = Running::start(&nats, &database);
        assert_eq!(rows_when(&client, events.len()).await, first);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn an_event_that_was_seen_before_gives_no_second_row() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (database, client) = database().await;
        let publisher = nats.connect("gateway").await.publisher(Duration::from_secs(10));
        issue_opened("d-1", 42).publish(&publisher).await;
        // The window of the stream is over: the broker has forgotten the id.
        let mut headers = issue_opened("d-1", 42).envelope.to_headers();
        headers.retain(|(name, _)| name != hookstream_event::header::MSG_ID);
        let again = issue_opened("d-1", 42);
        publisher.publish(again.subject.ingest(), headers, again.payload.into()).await?;
        issue_opened("d-2", 43).publish(&publisher).await;

        let running = Running::start(&nats, &database);
        let rows = rows_when(&client, 2).await;
        assert_eq!((&rows[0]["id"], &rows[1]["id"]), (&json!(1), &json!(3)));
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn months_beyond_the_retention_go_and_the_trail_is_told() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (database, mut client) = database().await;
        let day = time::Duration::days(1);
        let now = OffsetDateTime::now_utc();
        let ages = [0, 20, 100, 101, 500];
        let events: Vec<_> = (1..)
            .zip(ages)
            .map(|(sequence, age)| issue_opened("d-1", 42).received_at(now - day * age).recorded(sequence))
            .collect();
        apply(&mut client, &events).await?;
        let mut acts = nats.connect("operator").await.subscribe("operations.task_log.retention").await?;

        let keeping = TaskLog::keeping(Duration::from_hours(24 * 60));
        let running = Running::start_with(keeping, &nats, &database);
        let left = eventually("old months go", PATIENCE, async || {
            let rows = rows(&client).await.map_err(|error| error.to_string())?;
            let ids: Vec<_> = rows.iter().map(|row| row["id"].clone()).collect();
            if ids.len() == 2 { Ok(ids) } else { Err(format!("{ids:?}")) }
        })
        .await;
        assert_eq!(left, [json!(1), json!(2)]);
        let mut dropped = 0;
        while dropped < 3 {
            let act = acts.next().await.expect("an act").payload;
            let act: Value = serde_json::from_slice(&act)?;
            dropped += act["details"]["rows"].as_i64().expect("rows");
            assert_eq!(act["details"]["table"], "task_logs");
        }
        assert_eq!(dropped, 3);
        let sums = client.query_one("SELECT sum(event_count)::bigint FROM webhook_daily", &[]).await?;
        assert_eq!(sums.try_get::<_, i64>(0)?, 5, "the sums stay");
        running.stop().await
    })
    .await;
}
