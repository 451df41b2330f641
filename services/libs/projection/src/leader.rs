//! What a leader does: one batch after the other, from the checkpoint on, in the stream's order.

use std::time::Instant;

use hookstream_bus::{BusError, Consumer, Operation};
use hookstream_store::checkpoint::{self, Checkpoint};
use hookstream_store::{Connection, StoreError};
use time::OffsetDateTime;

use crate::backoff::Backoff;
use crate::batch::Batch;
use crate::continuity::{Break, Continuity, Position};
use crate::feed::Feed;
use crate::identity::{first_held, recognise};
use crate::retention::Retention;
use crate::runner::{Runner, SESSION_TIMEOUT, Stop, within};
use crate::watchdog::Watchdog;
use crate::{Projection, RunError, StreamChanged};

mod idle;
mod settle;

/// A runner that holds the lock.
pub(crate) struct Leader<'r, P> {
    runner: &'r Runner<P>,
    connection: Connection,
    consumer: Consumer,
    watchdog: Watchdog,
    retention: Retention,
    /// When stream, consumer and checkpoint were last looked at while idle, in this round.
    looked_at: Option<Instant>,
    /// When the projection was last asked what it does beside its stream.
    beside_at: Option<Instant>,
    /// What was done to history and is not told yet.
    acts: Vec<Operation>,
    /// When the last applied event was recorded.
    reached: Option<OffsetDateTime>,
    /// Whether that was the last one in the stream.
    caught_up: bool,
    /// Something was wrong with the order or the consumer, and nothing has shown yet that it is right again.
    suspect: bool,
    /// This session has shown that it works.
    proven: bool,
}

/// Where one round stands: from a rewind of the consumer to the next.
struct Round {
    checkpoint: Checkpoint,
    continuity: Continuity,
}

/// Why a round ended. Nothing is lost: the next one begins at the checkpoint.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Bus(#[from] BusError),
    /// NATS was away and is back: the stream is to be compared again.
    #[error("the connection to NATS was lost meanwhile")]
    Reconnected,
    #[error(transparent)]
    Order(#[from] Break),
    #[error("{pending} events wait, but the consumer hands out none")]
    Stalled { pending: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Halt(#[from] RunError),
}

impl From<StreamChanged> for Broken {
    fn from(changed: StreamChanged) -> Self {
        Self::Halt(changed.into())
    }
}

impl<'r, P: Projection> Leader<'r, P> {
    pub(crate) fn new(runner: &'r Runner<P>, connection: Connection) -> Self {
        let (settings, now) = (&runner.context.runner, Instant::now());
        Self {
            runner,
            connection,
            consumer: runner.bus.consumer(&settings.stream, runner.name()),
            watchdog: Watchdog::new(settings.stall_after, settings.stalls_max, now),
            retention: Retention::new(settings.forget_every, now),
            looked_at: None,
            beside_at: None,
            acts: Vec::new(),
            reached: None,
            caught_up: false,
            suspect: false,
            proven: false,
        }
    }

    /// The session, to give the lock back on.
    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }

    /// Leads until the session breaks or there is a reason to stop. `lost` is reset once the session proved itself.
    pub(crate) async fn lead(&mut self, lost: &mut Backoff) -> Stop {
        let mut backoff = self.runner.backoff();
        let mut checkpoint = None;
        loop {
            let broken = match self.round(&mut checkpoint, &mut backoff).await {
                Ok(()) => return Stop::Shutdown,
                Err(broken) => broken,
            };
            if self.proven {
                lost.reset();
            }
            match broken {
                Broken::Store(error) => return Stop::of::<P>(error),
                Broken::Halt(error) => return Stop::Halt(error),
                broken => self.note_broken(&broken, &backoff),
            }
            tokio::select! {
                () = self.runner.pause(&mut backoff) => {}
                () = self.connection.closed() => return Stop::Store(StoreError::SessionLost),
            }
            if self.runner.shutdown.is_cancelled() {
                return Stop::Shutdown;
            }
        }
    }

    /// Rewinds to the checkpoint and follows the stream until shutdown, or until something breaks.
    async fn round(&mut self, known: &mut Option<Checkpoint>, backoff: &mut Backoff) -> Result<(), Broken> {
        let lost = self.runner.bus.times_lost();
        let checkpoint = self.recognise(known).await?;
        self.consumer.rewind(checkpoint.sequence + 1).await?;
        self.runner.metrics.rewound();
        self.runner.metrics.at(checkpoint.sequence);
        self.runner.checks.nats.pass();
        if !self.suspect {
            self.runner.checks.stream.pass();
        }
        self.looked_at = None;
        self.watchdog.restart(Instant::now());
        if self.runner.context.runner.until.is_some_and(|until| checkpoint.sequence >= until) {
            return Ok(());
        }
        let continuity = Continuity::after_rewind(checkpoint.sequence);
        let mut round = Round { checkpoint, continuity };
        let ended = self.follow(&mut round, lost, backoff).await;
        *known = Some(round.checkpoint);
        ended
    }

    /// Compares the stream with the checkpoint; takes the projection over if this session has not done so yet.
    async fn recognise(&mut self, known: &mut Option<Checkpoint>) -> Result<Checkpoint, Broken> {
        let name = &self.runner.context.runner.stream;
        let stream = self.runner.bus.stream_state(name).await?;
        let checkpoint = if let Some(checkpoint) = known.take() {
            checkpoint
        } else {
            // A new projection begins with what the stream still holds.
            let start = first_held(&stream) - 1;
            let taking = checkpoint::take_over(&self.connection, P::NAME, name, stream.created, start);
            within(SESSION_TIMEOUT, taking).await?
        };
        *known = Some(checkpoint.clone());
        recognise(&self.runner.bus, &checkpoint, &stream).await??;
        Ok(checkpoint)
    }

    async fn follow(&mut self, round: &mut Round, lost: u64, backoff: &mut Backoff) -> Result<(), Broken> {
        let runner = self.runner;
        let mut feed = Feed::new(self.consumer.clone(), runner.context.runner.pull);
        while !runner.shutdown.is_cancelled() {
            self.forget_some().await?;
            self.beside(round.checkpoint.epoch).await?;
            let batch = tokio::select! {
                biased;
                () = runner.shutdown.cancelled() => break,
                () = self.connection.closed() => return Err(StoreError::SessionLost.into()),
                pulled = feed.next() => pulled?,
            };
            if runner.bus.times_lost() != lost {
                return Err(Broken::Reconnected);
            }
            let mut beyond = false;
            if let Some(batch) = batch {
                beyond = self.take(round, batch, &mut feed, backoff).await?;
            } else if self.idle(round).await? {
                self.prove(backoff);
            }
            if self.is_at_end(round, beyond).await? {
                break;
            }
        }
        Ok(feed.finish().await?)
    }

    /// Applies a batch that came in order. Whether it reached beyond where we are to end.
    async fn take(
        &mut self,
        round: &mut Round,
        batch: Batch,
        feed: &mut Feed,
        backoff: &mut Backoff,
    ) -> Result<bool, Broken> {
        round.continuity.take(batch.messages().iter().map(Position::from))?;
        let last = batch.last();
        let beyond = self.runner.context.runner.until.is_some_and(|until| last.stream_sequence > until);
        if last.pending > 0 && !beyond {
            feed.pull_ahead();
        }
        if let Some(mut batch) = self.within_end(batch) {
            self.settle(round, &mut batch).await?;
            self.watchdog.progress(Instant::now());
            feed.applied(batch);
        }
        self.prove(backoff);
        Ok(beyond)
    }

    /// All is well: a batch is committed, or there is nothing to do.
    fn prove(&mut self, backoff: &mut Backoff) {
        (self.proven, self.suspect) = (true, false);
        backoff.reset();
        self.runner.checks.postgres.pass();
        self.runner.checks.stream.pass();
    }

    /// Readiness and log of what is waited out.
    fn note_broken(&mut self, broken: &Broken, backoff: &Backoff) {
        let (checks, name) = (&self.runner.checks, P::NAME);
        match broken {
            Broken::Bus(BusError::StreamMissing(_) | BusError::ConsumerMissing { .. }) => {
                checks.stream.fail(format!("{broken}: run `hookstream provision --apply`"));
            }
            Broken::Bus(_) => {
                self.runner.metrics.failed("nats");
                checks.nats.fail(broken.to_string());
            }
            Broken::Reconnected => {}
            _ => {
                self.runner.metrics.failed("order");
                tracing::warn!(projection = name, "rewinding {name} to its checkpoint: {broken}");
                // A break in the order is what a lost connection leaves behind, once. Again and again is not.
                if matches!(broken, Broken::Stalled { .. }) || backoff.pauses() >= 3 {
                    self.suspect = true;
                    checks.stream.fail(broken.to_string());
                }
            }
        }
    }
}
