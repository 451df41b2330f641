//! A projection that keeps a row per event, in the order of its effects, and fails on demand.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hookstream_projection::{Applied, ApplyError, ClaimedEvent, Projection, Refused};
use hookstream_store::{MigrationSet, StoreError, Transaction};
use tokio::sync::{Mutex, watch};

/// `position` counts the effects; rolled-back ones leave gaps, which are no matter.
const TABLES: MigrationSet = MigrationSet {
    name: "probe",
    migrations: &[(
        "0001_effects",
        "CREATE TABLE effects (
            position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            stream_sequence bigint NOT NULL,
            event_id text NOT NULL,
            claim text NOT NULL,
            body bytea NOT NULL
        );
        CREATE TABLE tags (tag text NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO tags VALUES ('taken');
        CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL);
        INSERT INTO counters VALUES (1, 0), (2, 0)",
    )],
};

/// What the beginning of a delivery id asks for. Anything else is applied.
const WAYS_TO_FAIL: [(&str, &str); 9] = [
    ("text-", "SELECT 'no number'::integer"),
    ("serial-", "DO $$ BEGIN RAISE EXCEPTION 'serial' USING ERRCODE = '40001'; END $$"),
    ("deferred-", "INSERT INTO tags VALUES ('taken')"),
    ("schema-", "SELECT no_column FROM effects"),
    ("slow-", "SELECT pg_sleep(600)"),
    ("deadlock-", "DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$"),
    ("row1-", "UPDATE counters SET n = n + 1 WHERE id = 1"),
    ("row2-", "UPDATE counters SET n = n + 1 WHERE id = 2"),
    ("once-", "DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$"),
];

/// Shared between a test and the projections it starts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Probe {
    /// Calls of `apply`.
    pub(crate) calls: Arc<AtomicU32>,
    /// How often each `once-` event was seen.
    seen: Arc<Mutex<HashMap<String, u32>>>,
    /// Events that begin with `gate-` wait here.
    pub(crate) gate: Gate,
}

/// Holds `apply` back in the open transaction until the test lets it go on.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    reached: Arc<watch::Sender<u32>>,
    open: Arc<watch::Sender<bool>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { reached: Arc::new(watch::Sender::new(0)), open: Arc::new(watch::Sender::new(false)) }
    }
}

impl Gate {
    /// Waits until a projection stands at the gate.
    pub(crate) async fn reached(&self) {
        let mut reached = self.reached.subscribe();
        reached.wait_for(|times| *times > 0).await.expect("the gate outlives the test");
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    async fn pass(&self) {
        self.reached.send_modify(|times| *times += 1);
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.expect("the gate outlives the test");
    }
}

impl Probe {
    async fn apply(&self, tx: &Transaction<'_>, batch: &[ClaimedEvent]) -> Result<Applied, ApplyError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut applied = Applied::default();
        for claimed in batch {
            let id = claimed.event.envelope.id.delivery_id();
            let stream_sequence = claimed.event.stream_sequence;
            if id.starts_with("gate-") {
                self.gate.pass().await;
            }
            if id.starts_with("refused-") || id.starts_with("stray-") {
                let error = "we do not like it".to_owned();
                let stream_sequence = stream_sequence + if id.starts_with("stray-") { 1000 } else { 0 };
                applied.refused.push(Refused { stream_sequence, reason: "disliked", error });
                continue;
            }
            write(tx, claimed).await?;
            assert!(!id.starts_with("panic-"), "a bug");
            if id.starts_with("named-") {
                let error = "it breaks a rule".to_owned();
                return Err(ApplyError::Event { stream_sequence, reason: "rule_broken", error });
            }
            for (prefix, sql) in WAYS_TO_FAIL {
                if id.starts_with(prefix) && !(prefix == "once-" && self.seen_before(id).await) {
                    tx.batch_execute(sql).await?;
                }
            }
        }
        Ok(applied)
    }

    async fn seen_before(&self, id: &str) -> bool {
        let mut seen = self.seen.lock().await;
        let times = seen.entry(id.to_owned()).or_default();
        *times += 1;
        *times > 1
    }
}

async fn write(tx: &Transaction<'_>, claimed: &ClaimedEvent) -> Result<(), StoreError> {
    let insert = "INSERT INTO effects (stream_sequence, event_id, claim, body) VALUES ($1, $2, $3, $4)";
    let sequence = i64::try_from(claimed.event.stream_sequence).expect("a test stores few events");
    let (id, claim) = (claimed.event.envelope.id.as_str(), claimed.claim.as_str());
    if claimed.event.envelope.id.delivery_id().starts_with("odd-") {
        // As a careless projection would: the bytes, NUL and all, as a text.
        let text = String::from_utf8_lossy(&claimed.event.payload).into_owned();
        tx.execute("SELECT $1::text", &[&text]).await?;
    }
    tx.execute(insert, &[&sequence, &id, &claim, &claimed.event.payload]).await?;
    Ok(())
}

/// The probe on the consumer `audit`: all events, headers only, repeats too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Everything(pub(crate) Probe);

/// The probe on the consumer `task_log`: all events, headers only, no repeats.
#[derive(Debug, Clone, Default)]
pub(crate) struct New(pub(crate) Probe);

/// The probe on the consumer `phase_queue`: some subjects, with payloads, no repeats.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phases(pub(crate) Probe);

macro_rules! projection {
    ($type:ty, $name:literal, $sees_repeats:literal) => {
        impl Projection for $type {
            const NAME: &'static str = $name;
            const MIGRATIONS: &'static MigrationSet = &TABLES;
            const SEES_REPEATS: bool = $sees_repeats;

            async fn apply(
                &self,
                tx: &Transaction<'_>,
                batch: &[ClaimedEvent],
            ) -> Result<Applied, ApplyError> {
                self.0.apply(tx, batch).await
            }
        }
    };
}

projection!(Everything, "audit", true);
projection!(New, "task_log", false);
projection!(Phases, "phase_queue", false);
