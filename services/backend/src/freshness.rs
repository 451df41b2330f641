//! Read your own writes: `min_sequence` waits until a projection has applied what the caller knows of.

use std::collections::BTreeMap;
use std::time::Duration;

use hookstream_bus::Bus;
use hookstream_store::types::Type;
use tokio::time::Instant;

use crate::STREAM;
use crate::database::Database;
use crate::problem::Problem;
use crate::values::column;

/// Longest wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// First pause between two looks; doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(160);

/// A projection, as `min_sequence` waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Awaited {
    /// Its name: of its checkpoint and of its durable consumer.
    pub(crate) name: &'static str,
    /// Its consumer passes over some events, so its checkpoint stays behind the stream's end.
    pub(crate) filtered: bool,
}

pub(crate) const PHASE_QUEUE: Awaited = Awaited { name: "phase_queue", filtered: true };
pub(crate) const TASK_LOG: Awaited = Awaited { name: "task_log", filtered: false };
pub(crate) const AUDIT: Awaited = Awaited { name: "audit", filtered: false };
pub(crate) const ALL: [Awaited; 3] = [PHASE_QUEUE, TASK_LOG, AUDIT];

/// Waits for projections.
#[derive(Debug, Clone)]
pub(crate) struct Freshness {
    database: Database,
    bus: Bus,
}

impl Freshness {
    pub(crate) fn new(database: Database, bus: Bus) -> Self {
        Self { database, bus }
    }

    /// Returns once each of `projections` has applied everything up to `min_sequence`, or fails after 5 s.
    pub(crate) async fn wait(&self, projections: &[Awaited], min_sequence: u64) -> Result<(), Problem> {
        if min_sequence == 0 {
            return Ok(());
        }
        let deadline = Instant::now() + PATIENCE;
        let mut behind = projections.to_vec();
        let mut pause = PAUSE_MIN;
        loop {
            let looked = tokio::time::timeout_at(deadline, self.look(&mut behind, min_sequence)).await;
            looked.map_err(|_| Problem::NotYetApplied)??;
            if behind.is_empty() {
                return Ok(());
            }
            if Instant::now() + pause >= deadline {
                return Err(Problem::NotYetApplied);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Waits until `projection` has applied all that the stream holds now; says whether it did, within the same 5 s.
    pub(crate) async fn caught_up(&self, projection: Awaited) -> bool {
        match self.bus.stream_state(STREAM).await {
            Ok(stream) => self.wait(&[projection], stream.last_sequence).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Removes from `behind` what has come to `min_sequence`.
    async fn look(&self, behind: &mut Vec<Awaited>, min_sequence: u64) -> Result<(), Problem> {
        let names: Vec<&str> = behind.iter().map(|awaited| awaited.name).collect();
        let rows =
            self.database.rows(include_str!("sql/checkpoints.sql"), &[(&names, Type::TEXT_ARRAY)]).await?;
        let mut checkpoints = BTreeMap::new();
        for row in &rows {
            let sequence: i64 = column(row, "sequence")?;
            checkpoints.insert(column::<&str>(row, "projection")?, sequence.unsigned_abs());
        }
        let mut left = Vec::new();
        for awaited in std::mem::take(behind) {
            let checkpoint = checkpoints.get(awaited.name).copied().unwrap_or_default();
            let is_there = checkpoint >= min_sequence
                || awaited.filtered && self.nothing_left(awaited, checkpoint, min_sequence).await;
            if !is_there {
                left.push(awaited);
            }
        }
        *behind = left;
        Ok(())
    }

    /// Whether the stream has come to `min_sequence`, and holds nothing between `checkpoint` and there that the projection
    /// wants. What its consumer counts as pending is counted a moment late, and what was acked may be gone from a database
    /// that was set back; so the stream has the last word.
    async fn nothing_left(&self, awaited: Awaited, checkpoint: u64, min_sequence: u64) -> bool {
        let looked = async {
            let consumer = self.bus.consumer(STREAM, awaited.name);
            if self.bus.stream_state(STREAM).await?.last_sequence < min_sequence
                || consumer.state().await?.pending > 0
            {
                return Ok(false);
            }
            let next = consumer.next_wanted(checkpoint + 1).await?;
            Ok::<_, hookstream_bus::BusError>(next.is_none_or(|next| next > min_sequence))
        };
        looked.await.unwrap_or_else(|error| {
            // Without NATS the checkpoint alone decides; readiness tells of the outage.
            tracing::debug!(
                projection = awaited.name,
                "cannot ask for the consumer of {}: {error}",
                awaited.name
            );
            false
        })
    }
}
