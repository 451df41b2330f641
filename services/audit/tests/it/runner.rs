//! From the stream to the trail.

use std::time::Duration;

use hookstream_audit::Audit;
use hookstream_bus::Publisher;
use hookstream_event::header;
use hookstream_projection::{Context, Projection as _, RunError, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::Client;
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually, run_test};
use hookstream_trail::Fault;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{broken, database, push, rows, verified};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The projection at work.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
    metrics: Metrics,
}

impl Running {
    pub(crate) fn start(nats: &TestNats, database: &TestDatabase) -> Self {
        Self::start_with(nats, database, Audit::default())
    }

    pub(crate) fn start_with(nats: &TestNats, database: &TestDatabase, audit: Audit) -> Self {
        let process = ProcessInfo { name: "test", about: "", version: "0" };
        let context = Context {
            nats: nats.settings(Audit::NAME),
            postgres: database.settings(),
            runner: RunnerSettings::default(),
            health: Health::new(),
            metrics: Metrics::new(&process),
        };
        let metrics = context.metrics.clone();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(audit, context, shutdown.clone()));
        Self { shutdown, task, metrics }
    }

    /// Drops everything it was doing, as a crash does.
    pub(crate) async fn crash(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "it ran until it crashed");
    }

    /// The value of a line of `/metrics`; 0 if it is not there.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.metrics.encode();
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().expect("a number"))
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.task.await??)
    }
}

pub(crate) async fn publisher(nats: &TestNats) -> Publisher {
    nats.connect("gateway").await.publisher(Duration::from_secs(10))
}

/// Appends an event whose id the broker has forgotten, as after its window.
async fn publish_again(publisher: &Publisher, event: &SampleEvent) -> anyhow::Result<()> {
    let mut headers = event.envelope.to_headers();
    headers.retain(|(name, _)| name != header::MSG_ID);
    publisher.publish(event.subject.ingest(), headers, event.payload.clone().into()).await?;
    Ok(())
}

/// Kinds and event ids of the trail, once it has so many entries.
async fn kinds_when(client: &Client, count: usize) -> Vec<(String, String)> {
    eventually("the entries", PATIENCE, async || {
        let rows = rows(client).await.map_err(|error| error.to_string())?;
        let kinds: Vec<_> = rows.iter().map(|row| (row.get("kind"), row.get("event_id"))).collect();
        if kinds.len() == count { Ok(kinds) } else { Err(format!("{} entries", kinds.len())) }
    })
    .await
}

#[tokio::test]
async fn repeats_conflicts_and_replays_are_entries_of_their_kind() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (database, client) = database().await;
        let publisher = publisher(&nats).await;
        push("d-1").publish(&publisher).await;
        publish_again(&publisher, &push("d-1")).await?;
        let mut other_body = push("d-2");
        other_body.envelope.id = push("d-1").envelope.id;
        publish_again(&publisher, &other_body).await?;
        let mut other_id = push("d-1");
        other_id.envelope.id = push("d-3").envelope.id;
        other_id.publish(&publisher).await;

        let running = Running::start(&nats, &database);
        let kinds = kinds_when(&client, 4).await;
        let expected = [
            ("stored", "github:d-1"),
            ("redelivered", "github:d-1"),
            ("conflict", "github:d-1"),
            ("suspected_replay", "github:d-3"),
        ];
        let kinds: Vec<_> = kinds.iter().map(|(kind, id)| (kind.as_str(), id.as_str())).collect();
        assert_eq!(kinds, expected);
        running.stop().await?;
        verified(&client).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_chain_survives_restarts() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (database, client) = database().await;
        let publisher = publisher(&nats).await;
        for round in 1..=3_usize {
            for event in 0..4 {
                push(&format!("d-{round}-{event}")).publish(&publisher).await;
            }
            let running = Running::start(&nats, &database);
            kinds_when(&client, round * 4).await;
            running.stop().await?;
            assert_eq!(verified(&client).await?.audit_sequence, i64::try_from(round)? * 4);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn entries_removed_at_the_end_are_missed_by_the_checkpoint() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (database, client) = database().await;
        let publisher = publisher(&nats).await;
        for event in ["d-1", "d-2", "d-3"] {
            push(event).publish(&publisher).await;
        }
        let running = Running::start(&nats, &database);
        kinds_when(&client, 3).await;
        running.stop().await?;
        client
            .batch_execute(
                "ALTER TABLE audit_trail DISABLE TRIGGER audit_trail_append_only;
                 DELETE FROM audit_trail WHERE audit_sequence >= 2",
            )
            .await?;
        let broken = broken(&client).await;
        assert_eq!((broken.audit_sequence, broken.fault), (2, Fault::Gone { last: 3 }));
        // Even if the end is moved to match.
        client
            .batch_execute(
                "UPDATE audit_head SET audit_sequence = 1, entry_hash = entry.entry_hash,
                     peaks = sha256('\\x00'::bytea || entry.entry_hash)
                 FROM audit_trail AS entry WHERE entry.audit_sequence = 1",
            )
            .await?;
        let broken = self::broken(&client).await;
        assert_eq!((broken.audit_sequence, broken.fault), (2, Fault::Tail { stream_sequence: 3 }));
        Ok(())
    })
    .await;
}
