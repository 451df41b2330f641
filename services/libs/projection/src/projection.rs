use std::future::Future;
use std::pin::Pin;

use hookstream_bus::Bus;
use hookstream_event::RecordedEvent;
use hookstream_runtime::Metrics;
use hookstream_store::{Connection, MigrationSet, PgError, StoreError, Transaction};

use crate::Context;

/// Tables derived from events. [`run`](crate::run) owns everything else: leadership, order, claims, dead letters, the
/// checkpoint, outages.
///
/// **Invariant:** rows depend on nothing but the events and their order: no clock, no random number, no `now()` in SQL.
/// A rebuild then gives the same rows.
pub trait Projection: Send + Sync + 'static {
    /// Name of the durable consumer, of the checkpoint and in logs; snake case.
    const NAME: &'static str;

    /// The projection's tables, applied at start after the core ones.
    const MIGRATIONS: &'static MigrationSet;

    /// Whether [`apply`](Self::apply) is also given what has no effects: [`Claim::Redelivered`],
    /// [`Claim::Conflict`] and [`Claim::RejectedReplay`].
    const SEES_REPEATS: bool = false;

    /// Tables whose rows are more than what the stream says, such as observations, or what is still to be passed on: a
    /// rebuilt generation takes those in use over, and is not compared by them.
    const CARRIED: &'static [&'static str] = &[];

    /// Tables with the column that holds the stream sequence of the event a row began with: a rebuild counts there what
    /// it would lose of events that have left the stream.
    const ORIGINS: &'static [(&'static str, &'static str)] = &[];

    /// What the leader does at the same time as applying batches, such as passing on what they leave in an outbox. It
    /// starts when this process takes the lead and is dropped when it gives it up; it must not end by itself.
    ///
    /// It may be dropped at any point, and another process may believe for a while that it leads, too: what it does has
    /// to stand both. None if there is nothing to do.
    fn alongside(&self, _context: &Context, _bus: &Bus) -> Option<Alongside> {
        None
    }

    /// A batch that was applied is committed. `behind`: more of the stream is waiting.
    fn committed(&self, _behind: bool) {}

    /// Applies a batch, in stream order, writing through `tx` only; the runner adds the checkpoint and commits.
    ///
    /// May be called again for the same events, in smaller batches, after `tx` was rolled back to where it was: keep
    /// nothing in memory that a rolled-back call has changed. Each event id comes once (see [`Claim`]).
    fn apply(
        &self,
        tx: &Transaction<'_>,
        batch: &[ClaimedEvent],
    ) -> impl Future<Output = Result<Applied, ApplyError>> + Send;

    /// What the leader does beside following its stream, such as reading another one: called between two batches, about
    /// once a second while idle and at most every [`RunnerSettings::beside_every`](crate::RunnerSettings::beside_every).
    ///
    /// Nobody else does it at the same time, for it is done on the session that holds the lead. The stream waits
    /// meanwhile, so do a little at a time. What NATS does not do is to be logged and tried again at the next call; an
    /// error of Postgres ends the session, any other the process.
    fn beside(&self, _: Beside<'_>) -> impl Future<Output = Result<(), ApplyError>> + Send {
        async { Ok(()) }
    }
}

/// What a leader works with beside its stream.
#[derive(Debug)]
pub struct Beside<'l> {
    /// The connection to NATS, as the projection's own user. It may be down.
    pub bus: &'l Bus,
    /// The session that holds the lead, with no transaction open.
    pub connection: &'l mut Connection,
    /// Counts leaders: it is another one in each session.
    pub epoch: i64,
    /// Where the projection may register metrics of its own, once.
    pub metrics: &'l Metrics,
}

/// See [`Projection::alongside`].
pub type Alongside = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An event of a batch, and whether this projection has seen its like.
#[derive(Debug, Clone)]
pub struct ClaimedEvent {
    /// The event.
    pub event: RecordedEvent,
    /// What the projection's memory says of it.
    pub claim: Claim,
}

/// What the memory of the last seven days says of an event. It counts from when the gateways received the two, not
/// from today, so that a rebuild claims alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    /// Neither its id nor its body is known; or its id was derived from the body, and so is not remembered.
    Fresh,
    /// The body is known under another id: perhaps somebody replays what they captured. Applied, and flagged.
    SuspectedReplay,
    /// The same, and the gateway's settings want replays of this source rejected: not applied.
    RejectedReplay,
    /// Id and body are known: the sender delivered it again.
    Redelivered,
    /// The id is known with another body.
    Conflict,
}

impl Claim {
    /// Whether the event is to have effects.
    pub fn is_new(self) -> bool {
        matches!(self, Self::Fresh | Self::SuspectedReplay)
    }

    /// The name in tables, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::SuspectedReplay => "suspected_replay",
            Self::RejectedReplay => "rejected_replay",
            Self::Redelivered => "redelivered",
            Self::Conflict => "conflict",
        }
    }
}

/// What became of a batch that was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Events without effects that are to become dead letters, in the same transaction.
    pub refused: Vec<Refused>,
}

/// An event that a projection refused by its own rules, having written nothing for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which event.
    pub stream_sequence: u64,
    /// A code in snake case, for metrics and for `dead_letters.reason`.
    pub reason: &'static str,
    /// What is wrong with it, for people.
    pub error: String,
}

/// A batch was not applied. Whatever was written is rolled back.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Postgres refused or was away; [`StoreError::kind`] decides what follows.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// One event is at fault: it becomes a dead letter and the others are applied without it.
    #[error("event {stream_sequence} cannot be applied: {error}")]
    Event {
        /// Which event.
        stream_sequence: u64,
        /// A code in snake case, for metrics and for `dead_letters.reason`.
        reason: &'static str,
        /// What is wrong with it, for people.
        error: String,
    },
}

impl From<PgError> for ApplyError {
    fn from(error: PgError) -> Self {
        Self::Store(error.into())
    }
}
