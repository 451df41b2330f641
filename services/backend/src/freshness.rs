//! Read your own writes: `min_sequence` waits until a projection has applied what the caller knows of.

use std::time::Duration;

use hookstream_bus::Bus;
use hookstream_store::types::Type;
use tokio::time::Instant;

use crate::database::Database;
use crate::problem::Problem;
use crate::values::column;

/// Longest wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// First pause between two looks; doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// Longest pause between two looks.
const PAUSE_MAX: Duration = Duration::from_millis(160);

/// The stream that projections read.
pub(crate) const STREAM: &str = "WEBHOOKS";

/// Looks in a row that must find nothing left for a consumer. The server counts what is pending a moment after it has
/// stored an event, so one look could come between the two.
const SETTLED_LOOKS: u32 = 2;

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
        let mut behind: Vec<(Awaited, u32)> = projections.iter().map(|awaited| (*awaited, 0)).collect();
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

    /// Removes from `behind` what has come to `min_sequence`. With each is how often in a row its consumer had nothing
    /// left.
    async fn look(&self, behind: &mut Vec<(Awaited, u32)>, min_sequence: u64) -> Result<(), Problem> {
        let names: Vec<&str> = behind.iter().map(|(awaited, _)| awaited.name).collect();
        let rows =
            self.database.rows(include_str!("sql/checkpoints.sql"), &[(&names, Type::TEXT_ARRAY)]).await?;
        for row in &rows {
            let name: &str = column(row, "projection")?;
            let sequence: i64 = column(row, "sequence")?;
            if sequence.unsigned_abs() >= min_sequence {
                behind.retain(|(awaited, _)| awaited.name != name);
            }
        }
        for (awaited, settled) in behind.iter_mut().filter(|(awaited, _)| awaited.filtered) {
            *settled = if self.nothing_left(*awaited, min_sequence).await { *settled + 1 } else { 0 };
        }
        behind.retain(|(_, settled)| *settled < SETTLED_LOOKS);
        Ok(())
    }

    /// Whether the stream has come to `min_sequence` and the consumer has handed out, and had acked, all it wants of
    /// it. The runner acks after its commit, so then the tables are as far.
    async fn nothing_left(&self, awaited: Awaited, min_sequence: u64) -> bool {
        let state = async {
            let stream = self.bus.stream_state(STREAM).await?;
            let consumer = self.bus.consumer(STREAM, awaited.name).state().await?;
            Ok::<_, hookstream_bus::BusError>((stream, consumer))
        };
        match state.await {
            Ok((stream, consumer)) => {
                stream.last_sequence >= min_sequence && consumer.pending == 0 && consumer.ack_pending == 0
            }
            Err(error) => {
                // Without NATS the checkpoint alone decides; readiness tells of the outage.
                tracing::debug!(
                    projection = awaited.name,
                    "cannot ask for the consumer of {}: {error}",
                    awaited.name
                );
                false
            }
        }
    }
}
