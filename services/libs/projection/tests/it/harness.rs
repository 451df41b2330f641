//! What the tests share: a broker, a database, a runner between them, and what became of the events.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use hookstream_bus::{NatsSettings, Publisher};
use hookstream_event::Header;
use hookstream_projection::{Context, Projection, RunError, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::{Connection, PgSettings, StoreError};
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually, unique_id};
use serde_json::json;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A broker with our streams, an empty database, and a gateway's publisher.
pub(crate) struct World {
    pub(crate) nats: TestNats,
    pub(crate) database: TestDatabase,
    gateway: Publisher,
    /// Event ids in the order of the stream, from sequence 1.
    pub(crate) stored: Vec<String>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::of(TestNats::start().await, TestDatabase::create().await).await
    }

    /// With a Postgres that the test may stop.
    pub(crate) async fn with_own_postgres() -> Self {
        Self::of(TestNats::start().await, TestDatabase::create_private().await).await
    }

    pub(crate) async fn of(nats: TestNats, database: TestDatabase) -> Self {
        let gateway = nats.connect("gateway").await.publisher(Duration::from_secs(4));
        Self { nats, database, gateway, stored: Vec::new() }
    }

    /// Stores an event of its own for each delivery id.
    pub(crate) async fn store(&mut self, delivery_ids: &[&str]) {
        for id in delivery_ids {
            self.store_event(&event(id)).await;
        }
    }

    /// Stores `count` events with ids of their own.
    pub(crate) async fn store_many(&mut self, count: usize) {
        for _ in 0..count {
            self.store_event(&event(&unique_id())).await;
        }
    }

    /// Stores an event, also one whose id the broker would know as a duplicate: its message id is another.
    pub(crate) async fn store_event(&mut self, event: &SampleEvent) {
        let mut headers = event.envelope.to_headers();
        for (name, value) in &mut headers {
            if name == "Nats-Msg-Id" {
                *value = format!("test:{}", unique_id());
            }
        }
        let payload = Bytes::from(event.payload.clone());
        self.store_raw(&event.subject.ingest(), headers, payload).await;
        self.stored.pop();
        self.stored.push(event.envelope.id.as_str().to_owned());
    }

    /// Stores any message, waiting for a broker that is away.
    pub(crate) async fn store_raw(&mut self, subject: &str, headers: Vec<Header>, payload: Bytes) {
        let receipt = eventually("the message is stored", PATIENCE, async || {
            self.gateway.publish(subject.to_owned(), headers.clone(), payload.clone()).await
        })
        .await;
        assert!(!receipt.duplicate, "every message has an id of its own");
        self.stored.push(format!("raw:{}", receipt.sequence));
        assert_eq!(receipt.sequence, self.stored.len() as u64, "somebody else stores, too");
    }

    /// Starts the projection with settings of this world.
    pub(crate) fn start<P: Projection>(&self, projection: P) -> Running {
        self.start_with(projection, |_| ())
    }

    pub(crate) fn start_with<P: Projection>(
        &self,
        projection: P,
        change: impl FnOnce(&mut RunnerSettings),
    ) -> Running {
        Running::start(projection, self.nats.settings(P::NAME), self.database.settings(), change)
    }

    /// Waits until the checkpoint of `P` stands at the end of what was stored.
    pub(crate) async fn wait_applied<P: Projection>(&self) {
        let wanted = i64::try_from(self.stored.len()).expect("a test stores few events");
        eventually("all events are applied", PATIENCE, async || {
            let sequence = self.checkpoint::<P>().await.map_err(|error| error.to_string())?;
            if sequence == wanted { Ok(()) } else { Err(format!("{sequence} of {wanted}")) }
        })
        .await;
    }

    pub(crate) async fn checkpoint<P: Projection>(&self) -> anyhow::Result<i64> {
        let query = "SELECT sequence FROM projection_checkpoints WHERE projection = $1";
        let row = self.session().await?.query_opt(query, &[&P::NAME]).await?;
        Ok(row.context("no checkpoint yet")?.get("sequence"))
    }

    pub(crate) async fn session(&self) -> Result<Connection, StoreError> {
        Connection::open(&self.database.settings(), "hookstream-test").await
    }

    /// `delivery id: claim` of each effect, in the order of the effects.
    pub(crate) async fn effects(&self) -> anyhow::Result<Vec<String>> {
        let query = "SELECT event_id, claim FROM effects ORDER BY position";
        let rows = self.session().await?.query(query, &[]).await?;
        let text = |id: &str, claim: &str| format!("{}: {claim}", id.split(':').nth(1).unwrap_or(id));
        Ok(rows.iter().map(|row| text(row.get("event_id"), row.get("claim"))).collect())
    }

    /// `sequence reason attempts processed` of each dead letter; `processed` as its memory has it.
    pub(crate) async fn dead_letters(&self) -> anyhow::Result<Vec<String>> {
        let query = "SELECT letters.stream_sequence, letters.reason, letters.attempts, memory.processed
            FROM dead_letters AS letters
            LEFT JOIN event_memory AS memory USING (projection, stream_sequence)
            ORDER BY letters.stream_sequence";
        let rows = self.session().await?.query(query, &[]).await?;
        let text = |sequence: i64, reason: &str, attempts: i32, processed: Option<bool>| {
            let processed =
                processed.map_or("unknown", |processed| if processed { "applied" } else { "not applied" });
            format!("{sequence} {reason} {attempts} {processed}")
        };
        Ok(rows.iter().map(|row| text(row.get(0), row.get(1), row.get(2), row.get(3))).collect())
    }

    /// Each stored event has its effect exactly once, in the order of the stream.
    pub(crate) async fn assert_effects_are_the_stream(&self) -> anyhow::Result<()> {
        let query = "SELECT stream_sequence, event_id FROM effects ORDER BY position";
        let rows = self.session().await?.query(query, &[]).await?;
        let found: Vec<(i64, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let stored: Vec<(i64, String)> = (1..).zip(self.stored.iter().cloned()).collect();
        assert_eq!(found, stored);
        Ok(())
    }
}

/// An event of `audit`, `task_log` and `phase_queue` alike, received just now.
pub(crate) fn event(delivery_id: &str) -> SampleEvent {
    event_saying(delivery_id, delivery_id)
}

/// The same, with `words` in its body.
pub(crate) fn event_saying(delivery_id: &str, words: &str) -> SampleEvent {
    let body = json!({"type": "queue.paused", "reason": words});
    SampleEvent::internal(delivery_id, &body).received_at(now())
}

/// An event that does not concern the consumer `phase_queue`.
pub(crate) fn event_for_others(delivery_id: &str) -> SampleEvent {
    let body = json!({"zen": delivery_id, "hook_id": 1, "repository": {"full_name": "octo-org/octo-repo"}});
    SampleEvent::github("ping", delivery_id, &body).received_at(now())
}

/// To the microsecond, as Postgres keeps it.
pub(crate) fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.microsecond() * 1000).expect("a microsecond is in range")
}

/// A runner at work.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
}

impl Running {
    pub(crate) fn start<P: Projection>(
        projection: P,
        nats: NatsSettings,
        postgres: PgSettings,
        change: impl FnOnce(&mut RunnerSettings),
    ) -> Self {
        let info = ProcessInfo { name: "hookstream-test", about: "", version: "0" };
        let (health, metrics) = (Health::new(), Metrics::new(&info));
        let mut runner = quick();
        change(&mut runner);
        let context = Context { nats, postgres, runner, health: health.clone(), metrics: metrics.clone() };
        let shutdown = CancellationToken::new();
        let running = run(projection, context, shutdown.clone());
        let task = tokio::spawn(async move {
            let ended = running.await;
            // Shown where a test fails: it may be waiting for what can come no more.
            #[allow(clippy::print_stderr)]
            if let Err(error) = &ended {
                eprintln!("{} ended: {error:?}", P::NAME);
            }
            ended
        });
        Self { shutdown, task, health, metrics }
    }

    /// Asks it to stop, as SIGTERM does, and waits.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(tokio::time::timeout(PATIENCE, self.task).await.context("it did not stop")???)
    }

    /// Drops everything it was doing, as a crash does.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "it ran until it crashed");
    }

    /// Waits until it ends by itself.
    pub(crate) async fn error(self) -> RunError {
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("it ends by itself");
        ended.expect("it does not panic").expect_err("it ends with an error")
    }

    pub(crate) async fn wait_ready(&self) {
        eventually("the runner is ready", PATIENCE, async || {
            if self.health.is_ready() { Ok(()) } else { Err(self.health.report()) }
        })
        .await;
    }

    /// Waits until the check fails, and returns why.
    pub(crate) async fn wait_failing(&self, check: &str) -> String {
        eventually(&format!("check {check} fails"), PATIENCE, async || {
            let reason = self.health.report().checks.get(check).and_then(|check| check.reason.clone());
            reason.filter(|reason| reason != "starting")
        })
        .await
    }
}

/// As in production, but for the times.
fn quick() -> RunnerSettings {
    let defaults = RunnerSettings::default();
    let mut pull = defaults.pull;
    pull.messages = 20;
    pull.wait = Duration::from_millis(200);
    RunnerSettings {
        pull,
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(200),
        idle_check: Duration::from_millis(100),
        standby_poll: Duration::from_millis(50),
        ..defaults
    }
}
