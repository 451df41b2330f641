//! kill -9 of any one process, at many points of a load: what was accepted is there, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hookstream_e2e::{Delivery, Pipeline, Sender, Start};

use crate::deliveries::{Signer, github_payloads};
use crate::tables::{assert_chain_is_unbroken, assert_sums_add_up, wait_for_checkpoints};

/// Deliveries of one round. The process is killed when this share of them has been accepted.
const DELIVERIES: usize = 2_000;
const CONNECTIONS: usize = 32;
const KILL_POINTS: [usize; 3] = [25, 900, 1_800];

/// Sends all deliveries, and kills `victim` once `kill_at` of them are accepted. Returns the sequence of each.
async fn load_with_a_kill(
    pipeline: &Pipeline,
    deliveries: Vec<Delivery>,
    victim: &str,
    kill_at: usize,
) -> BTreeMap<String, u64> {
    let accepted = Arc::new(AtomicUsize::new(0));
    let (tell, mut told) = tokio::sync::mpsc::channel::<()>(1);
    let share = deliveries.len().div_ceil(CONNECTIONS);
    let tasks: Vec<_> = deliveries
        .chunks(share)
        .map(|chunk| {
            let (chunk, accepted, tell) = (chunk.to_vec(), Arc::clone(&accepted), tell.clone());
            let mut sender = Sender::new(pipeline.value("GATEWAY_URL"));
            tokio::spawn(async move {
                let mut sequences = BTreeMap::new();
                for delivery in chunk {
                    let answer = sender.deliver(&delivery).await.unwrap();
                    sequences.insert(delivery.event_id, answer.sequence().unwrap());
                    if accepted.fetch_add(1, Ordering::SeqCst) + 1 == kill_at {
                        tell.send(()).await.unwrap();
                    }
                }
                sequences
            })
        })
        .collect();
    told.recv().await.unwrap();
    pipeline.kill(victim).unwrap();
    let mut sequences = BTreeMap::new();
    for task in tasks {
        sequences.extend(task.await.unwrap());
    }
    sequences
}

/// Each accepted event is in the stream at the sequence of its receipt, and once in each read model.
async fn assert_nothing_lost_or_doubled(pipeline: &Pipeline, accepted: &BTreeMap<String, u64>) {
    let last = *accepted.values().max().unwrap();
    wait_for_checkpoints(pipeline, last).await;
    let database = pipeline.database().await.unwrap();
    for table in ["task_logs", "audit_trail"] {
        let query = format!(
            "SELECT event_id, min(stream_sequence) AS at, count(*) AS rows FROM {table}
            WHERE event_id IS NOT NULL GROUP BY event_id"
        );
        let rows = database.query(&query, &[]).await.unwrap();
        let found: BTreeMap<String, (i64, i64)> =
            rows.iter().map(|row| (row.get("event_id"), (row.get("at"), row.get("rows")))).collect();
        for (id, sequence) in accepted {
            let wanted = (i64::try_from(*sequence).unwrap(), 1);
            assert_eq!(found.get(id), Some(&wanted), "{table}: {id}");
        }
    }
    assert_chain_is_unbroken(&database).await;
    assert_sums_add_up(&database).await;
    let operator = pipeline.nats("NATS_URL", "operator").await.unwrap();
    for (id, sequence) in accepted {
        let stored = operator.message_id_at("WEBHOOKS", *sequence).await.unwrap();
        assert_eq!(stored.as_deref(), Some(id.as_str()), "sequence {sequence}");
    }
}

async fn survives_kills_of(victim: &str) {
    let pipeline = Pipeline::start(Start::default()).await.unwrap();
    let signer = Signer::new(&pipeline);
    let payloads: Vec<(String, Bytes)> = github_payloads();
    for (round, kill_at) in KILL_POINTS.into_iter().enumerate() {
        let deliveries: Vec<Delivery> = (0..DELIVERIES)
            .map(|n| {
                let (event, body) = &payloads[n % payloads.len()];
                signer.github(event, &format!("{round}-{n}"), body)
            })
            .collect();
        let accepted = load_with_a_kill(&pipeline, deliveries, victim, kill_at).await;
        assert_eq!(accepted.len(), DELIVERIES);
        assert_nothing_lost_or_doubled(&pipeline, &accepted).await;
    }
    pipeline.stop().await.unwrap();
}

/// A test per process, so that a failure names the process.
macro_rules! survives {
    ($($name:ident => $victim:literal,)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            survives_kills_of($victim).await;
        }
    )*};
}

survives! {
    killing_nats_loses_and_doubles_nothing => "nats-server",
    killing_postgres_loses_and_doubles_nothing => "postgres",
    killing_the_gateway_loses_and_doubles_nothing => "hookstream-gateway",
    killing_the_phase_queue_loses_and_doubles_nothing => "hookstream-phase-queue",
    killing_the_task_log_loses_and_doubles_nothing => "hookstream-task-log",
    killing_the_audit_trail_loses_and_doubles_nothing => "hookstream-audit",
    killing_the_backend_loses_and_doubles_nothing => "hookstream-backend",
}
