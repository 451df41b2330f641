//! `hookstream rebuild`: another generation of the tables, filled beside those in use and exchanged with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hookstream_bus::Publisher;
use hookstream_phase_queue::PhaseQueue;
use hookstream_projection::{Context, Projection, RunError, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::Connection;
use hookstream_task_log::TaskLog;
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually, run_test, unique_id};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::command::Hookstream;
use crate::replay::gateway;

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A broker, a database, and a session on it.
pub(crate) struct World {
    pub(crate) nats: TestNats,
    pub(crate) database: TestDatabase,
    pub(crate) client: Connection,
    pub(crate) gateway: Publisher,
}

/// A projection at work.
pub(crate) struct Live {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Live {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap().unwrap();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let (nats, database) = (TestNats::start().await, TestDatabase::create().await);
        let (client, gateway) = (database.client().await, gateway(&nats).await);
        Self { nats, database, client, gateway }
    }

    pub(crate) fn live<P: Projection>(&self, projection: P) -> Live {
        let info = ProcessInfo { name: "test", about: "", version: "0" };
        let backoff_max = Duration::from_millis(200);
        let context = Context {
            nats: self.nats.settings(P::NAME),
            postgres: self.database.settings(),
            runner: RunnerSettings { backoff_max, ..RunnerSettings::default() },
            health: Health::new(),
            metrics: Metrics::new(&info),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(projection, context, shutdown.clone()));
        Live { shutdown, task }
    }

    pub(crate) fn rebuild(&self, args: &[&str]) -> Hookstream {
        Hookstream::new(&[&["rebuild"], args].concat())
            .env("NATS_URL", &self.nats.url("operator"))
            .env("DATABASE_URL", &self.database.url())
    }

    pub(crate) async fn store(&self, count: usize) {
        for _ in 0..count {
            logged(&unique_id()).publish(&self.gateway).await;
        }
    }

    pub(crate) async fn applied(&self, projection: &str, sequence: i64) {
        let query = "SELECT sequence FROM projection_checkpoints WHERE projection = $1";
        eventually("the events are applied", PATIENCE, async || {
            let row =
                self.client.query_opt(query, &[&projection]).await.map_err(|error| error.to_string())?;
            let at = row.map_or(0, |row| row.get::<_, i64>(0));
            if at >= sequence { Ok(()) } else { Err(format!("{at} of {sequence}")) }
        })
        .await;
    }

    pub(crate) async fn number(&self, query: &str) -> i64 {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    pub(crate) async fn schemas(&self) -> Vec<String> {
        let query = "SELECT nspname::text FROM pg_namespace WHERE nspname ~ '_g[0-9]+$' ORDER BY 1";
        self.client.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }
}

pub(crate) fn logged(id: &str) -> SampleEvent {
    let body = json!({
        "type": "task.logged", "adw_id": "a1b2", "issue_number": 42, "phase_name": "Build",
        "phase_status": "completed", "log_message": format!("built {id}"),
    });
    SampleEvent::internal(id, &body)
}

const ROWS: &str = "SELECT count(*) FROM task_logs";
const GENERATION: &str =
    "SELECT generation::bigint FROM projection_checkpoints WHERE projection = 'task_log'";

#[tokio::test]
async fn damaged_tables_are_rebuilt_rolled_back_and_dropped() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(120).await;
        world.applied("task_log", 120).await;
        world
            .client
            .batch_execute(
                "UPDATE task_logs SET log_message = 'no' WHERE id = 5; DELETE FROM task_logs WHERE id = 7",
            )
            .await?;
        // The grants of those who read are kept.
        let grants = "GRANT SELECT ON task_logs TO PUBLIC; GRANT UPDATE (log_message) ON task_logs TO PUBLIC";
        world.client.batch_execute(grants).await?;

        let dry =
            world.rebuild(&["task_log", "--dry-run", "--format", "json"]).run().await.expect_code(0).json();
        assert_eq!(
            (&dry["events"], &dry["checkpoint"], &dry["generation"]),
            (&120.into(), &120.into(), &1.into())
        );
        assert_eq!(world.schemas().await, [""; 0]);

        let args = ["task_log", "--diff", "--no-swap", "--format", "json"];
        let diff = world.rebuild(&args).run().await.expect_code(0);
        let rows = diff.json();
        let found: Vec<(u64, &str)> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (row["row"]["id"].as_u64().unwrap(), row["generation"].as_str().unwrap()))
            .collect();
        assert_eq!(found.len(), 3, "{rows:#}");
        for expected in [(5, "in use"), (5, "new"), (7, "new")] {
            assert!(found.contains(&expected), "{found:?}");
        }
        assert_eq!((world.number(ROWS).await, world.schemas().await), (119, vec!["task_log_g2".to_owned()]));

        // What comes meanwhile is in both.
        world.store(5).await;
        let swapped = world.rebuild(&["task_log"]).run().await.expect_code(0);
        assert!(swapped.stderr.contains("goes on with generation 2"), "{swapped:?}");
        assert!(swapped.stderr.contains("is in use; readers were held up"), "{swapped:?}");
        assert_eq!((world.number(ROWS).await, world.number(GENERATION).await), (125, 2));
        assert_eq!(world.schemas().await, ["task_log_g1", "task_log_g2"]);
        let granted =
            "SELECT count(*) FROM information_schema.role_table_grants WHERE table_name = 'task_logs'
            AND table_schema = 'public' AND grantee = 'PUBLIC'";
        assert_eq!(world.number(granted).await, 1);
        let granted_column =
            "SELECT count(*) FROM information_schema.role_column_grants WHERE table_name = 'task_logs'
            AND table_schema = 'public' AND grantee = 'PUBLIC' AND privilege_type = 'UPDATE'";
        assert_eq!(world.number(granted_column).await, 1);
        world.store(5).await;
        world.applied("task_log", 130).await;
        assert_eq!(world.number(ROWS).await, 130);
        assert_eq!(world.number("SELECT sum(event_count)::bigint FROM webhook_analytics").await, 130);
        assert_eq!(world.number("SELECT count(*) FROM webhook_events").await, 130);

        let again = world.rebuild(&["task_log"]).run().await.expect_code(1);
        assert!(
            again.stderr.contains("generation 1 of task_log is still kept: --drop it first"),
            "{again:?}"
        );

        world.rebuild(&["task_log", "--rollback"]).run().await.expect_code(0);
        assert_eq!((world.number(ROWS).await, world.number(GENERATION).await), (129, 1));
        assert_eq!(world.number("SELECT count(*) FROM task_logs WHERE log_message = 'no'").await, 1);
        world.store(1).await;
        world.applied("task_log", 131).await;

        world.rebuild(&["task_log", "--drop"]).run().await.expect_code(0);
        assert_eq!(world.schemas().await, ["task_log_g1"]);
        assert_eq!(world.number("SELECT sum(event_count)::bigint FROM webhook_analytics").await, 131);
        // And once more, now that each number has been used.
        world.rebuild(&["task_log"]).run().await.expect_code(0);
        assert_eq!((world.number(ROWS).await, world.number(GENERATION).await), (131, 2));
        world.rebuild(&["task_log", "--drop"]).run().await.expect_code(0);
        assert_eq!(world.schemas().await, ["task_log_g2"]);
        let nothing = world.rebuild(&["task_log", "--rollback"]).run().await.expect_code(1);
        assert!(nothing.stderr.contains("nothing to go back to"), "{nothing:?}");
        live.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn under_traffic_no_read_fails_no_event_is_missing_or_doubled_and_the_generations_are_equal() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(50).await;
        world.applied("task_log", 50).await;
        let stop = Arc::new(AtomicBool::new(false));
        let (publisher, stopped) = (world.gateway.clone(), Arc::clone(&stop));
        // 500 a second, as far as this machine can.
        let traffic = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(2));
            let mut stored = 50_i64;
            while !stopped.load(Ordering::Relaxed) {
                tick.tick().await;
                logged(&unique_id()).publish(&publisher).await;
                stored += 1;
            }
            stored
        });
        let (reader, stopped) = (world.database.client().await, Arc::clone(&stop));
        let reading = tokio::spawn(async move {
            let queries = [
                "SELECT count(*) AS n, count(DISTINCT id) AS d FROM task_logs",
                "SELECT count(*) AS n, count(*) AS d FROM webhook_events",
                "SELECT sum(event_count)::bigint AS n, sum(event_count)::bigint AS d FROM webhook_analytics",
            ];
            let mut highest = [0_i64; 3];
            let mut reads = 0;
            while !stopped.load(Ordering::Relaxed) {
                for (query, highest) in queries.iter().zip(&mut highest) {
                    let row = reader.query_one(*query, &[]).await?;
                    let (rows, distinct): (i64, i64) = (row.try_get("n")?, row.try_get("d")?);
                    assert_eq!(rows, distinct, "{query}");
                    assert!(rows >= *highest, "{query} went back from {highest} to {rows}");
                    *highest = rows;
                    reads += 1;
                }
            }
            Ok::<_, hookstream_store::PgError>(reads)
        });
        let args = ["task_log", "--diff", "--format", "json"];
        let done = world.rebuild(&args).run().await.expect_code(0);
        assert_eq!(done.json(), json!([]), "no row differs");
        assert!(done.stderr.contains(": 0 rows differ"), "{done:?}");
        stop.store(true, Ordering::Relaxed);
        assert!(reading.await?? > 3, "somebody has read meanwhile");
        let stored = traffic.await?;
        world.applied("task_log", stored).await;
        assert_eq!((world.number(ROWS).await, world.number(GENERATION).await), (stored, 2));
        let whole = "SELECT max(id) - min(id) + 1 FROM task_logs";
        assert_eq!(world.number(whole).await, stored);
        // And the one that was in use has every event up to the exchange.
        let former = "SELECT count(*) - (SELECT sequence FROM task_log_g1.projection_checkpoints) FROM task_log_g1.task_logs";
        assert_eq!(world.number(former).await, 0);
        live.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_comes_while_a_rebuild_waits_to_hold_the_tables_is_in_both_generations() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(50).await;
        world.applied("task_log", 50).await;
        // Keeps the rebuild from holding the checkpoint, and the projection from nothing.
        let holder = world.database.client().await;
        let hold = "BEGIN; SELECT FROM projection_checkpoints WHERE projection = 'task_log' FOR KEY SHARE";
        holder.batch_execute(hold).await?;
        let running = world.rebuild(&["task_log"]).spawn();
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
            AND datname = current_database() AND query LIKE '%FOR UPDATE%'";
        eventually("it waits", PATIENCE, async || world.number(waits).await == 1).await;
        world.store(5).await;
        world.applied("task_log", 55).await;
        holder.batch_execute("COMMIT").await?;
        let done = running.end().await.expect_code(0);
        assert!(done.stderr.contains("compared at 55: 0 rows differ"), "{done:?}");
        assert_eq!((world.number(ROWS).await, world.number(GENERATION).await), (55, 2));
        live.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_phase_queue_is_rebuilt_from_the_events_that_concern_it() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(PhaseQueue::new(None));
        for n in 1..=10 {
            let data = json!({ "workflow_type": "adw_plan_iso", "adw_id": format!("run-{n}"), "title": "t" });
            let phase = json!({
                "type": "phase.enqueued", "queue_id": format!("q-{n}"), "parent_issue": n, "phase_number": 1,
                "phase_data": data,
            });
            SampleEvent::internal(&unique_id(), &phase).publish(&world.gateway).await;
            logged(&unique_id()).publish(&world.gateway).await;
        }
        world.applied("phase_queue", 20).await;
        let args = ["phase_queue", "--diff", "--format", "json"];
        let done = world.rebuild(&args).run().await.expect_code(0);
        assert_eq!(done.json(), json!([]), "{done:?}");
        assert!(done.stderr.contains("reads 10 events of WEBHOOKS 1–20"), "{done:?}");
        assert_eq!(world.number("SELECT count(*) FROM phase_queue").await, 10);
        let started = json!({ "type": "phase.started", "queue_id": "q-1", "adw_id": "run-1" });
        SampleEvent::internal(&unique_id(), &started).publish(&world.gateway).await;
        world.applied("phase_queue", 21).await;
        assert_eq!(world.number("SELECT count(*) FROM phase_queue WHERE status = 'running'").await, 1);
        live.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_duplicate_that_comes_after_the_exchange_is_known() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        let event = logged("once");
        event.publish(&world.gateway).await;
        world.applied("task_log", 1).await;
        world.rebuild(&["task_log"]).run().await.expect_code(0);
        // Past the broker's window, as it were: the message has another id.
        let mut headers = event.envelope.to_headers();
        for (name, value) in &mut headers {
            if name == "Nats-Msg-Id" {
                *value = format!("test:{}", unique_id());
            } else if name == "hs-received-at" {
                *value =
                    time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339)?;
            }
        }
        world.gateway.publish(event.subject.ingest(), headers, event.payload.clone().into()).await?;
        world.applied("task_log", 2).await;
        assert_eq!(world.number(ROWS).await, 1);
        live.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn acts_are_told_to_the_stream_of_operations() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(3).await;
        world.applied("task_log", 3).await;
        world.rebuild(&["task_log"]).run().await.expect_code(0);
        world.rebuild(&["task_log", "--rollback"]).run().await.expect_code(0);
        world.rebuild(&["task_log", "--drop"]).run().await.expect_code(0);
        let bus = world.nats.connect("operator").await;
        let mut acts = Vec::new();
        for sequence in 1..=4 {
            let told = bus.message_at("OPERATIONS", sequence).await?.expect("an act");
            let act: Value = serde_json::from_slice(&told.payload)?;
            assert_eq!(act["details"]["projection"], "task_log", "{act}");
            acts.push(told.subject.rsplit('.').next().unwrap_or_default().to_owned());
        }
        assert_eq!(acts, ["rebuild", "generation_swapped", "generation_rolled_back", "generation_dropped"]);
        live.stop().await;
        Ok(())
    })
    .await;
}
