use std::time::{Duration, Instant};

use hookstream_bus::{ConsumerState, Operation};
use hookstream_store::{StoreError, checkpoint, memory};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Broken, Leader, Round};
use crate::batch::Batch;
use crate::failure::{Failure, bounded};
use crate::identity::check_stream;
use crate::retention::horizon;
use crate::runner::{SESSION_TIMEOUT, within};
use crate::watchdog::Alarm;
use crate::{Beside, Context, Projection, RunError};

impl<P: Projection> Leader<'_, P> {
    /// Nothing came: is there really nothing? True if it was looked at and is so.
    pub(super) async fn idle(&mut self, round: &mut Round) -> Result<bool, Broken> {
        let settings = &self.runner.context.runner;
        if self.looked_at.is_some_and(|at| at.elapsed() < settings.idle_check) {
            return Ok(false);
        }
        self.looked_at = Some(Instant::now());
        let stream = self.runner.bus.stream_state(&settings.stream).await?;
        let consumer = self.consumer.state().await?;
        check_stream(&round.checkpoint, &stream)?;
        round.continuity.check_idle(consumer.handed_out)?;
        self.check_lead(round).await?;
        self.runner.metrics.pending(consumer.pending);
        self.raise_alarm(&consumer)?;
        let last = stream.last_sequence.min(self.runner.context.runner.until.unwrap_or(u64::MAX));
        if consumer.pending > 0 || self.is_wanted(round, last).await? {
            return Ok(false);
        }
        self.caught_up = true;
        self.pass_over(round, last).await?;
        Ok(true)
    }

    /// Whether something between the checkpoint and `last` is for us, although nothing is pending: it was stored just now.
    async fn is_wanted(&self, round: &Round, last: u64) -> Result<bool, Broken> {
        let checkpoint = round.checkpoint.sequence;
        if last <= checkpoint {
            return Ok(false);
        }
        let next = self.consumer.next_wanted(checkpoint + 1).await?;
        Ok(next.is_some_and(|next| next <= last))
    }

    /// What of a batch is not behind where we are to end.
    pub(super) fn within_end(&self, batch: Batch) -> Option<Batch> {
        match self.runner.context.runner.until {
            Some(until) => batch.up_to(until),
            None => Some(batch),
        }
    }

    /// Whether we are where we are to end. `beyond`: nothing is left for us up to there.
    pub(super) async fn is_at_end(&mut self, round: &mut Round, beyond: bool) -> Result<bool, Broken> {
        let Some(until) = self.runner.context.runner.until else { return Ok(false) };
        if beyond {
            self.pass_over(round, until).await?;
        }
        Ok(round.checkpoint.sequence >= until)
    }

    /// An idle leader, too, wants to know whether Postgres is there and the lead still its own.
    async fn check_lead(&self, round: &Round) -> Result<(), StoreError> {
        let loading = checkpoint::load(&*self.connection, P::NAME);
        let stored = within(SESSION_TIMEOUT, loading).await?;
        if stored.as_ref() == Some(&round.checkpoint) {
            return Ok(());
        }
        Err(StoreError::Fenced { projection: P::NAME.to_owned() })
    }

    fn raise_alarm(&mut self, consumer: &ConsumerState) -> Result<(), Broken> {
        let (settings, pending) = (&self.runner.context.runner, consumer.pending);
        match self.watchdog.idle(pending, Instant::now()) {
            Alarm::Quiet => Ok(()),
            Alarm::Rewind => Err(Broken::Stalled { pending }),
            Alarm::GiveUp(rewinds) => Err(Broken::Halt(RunError::Stalled {
                projection: P::NAME,
                pending,
                rewinds,
                after: settings.stall_after,
            })),
        }
    }

    /// Moves the checkpoint over events that the consumer's filter left out. Else a projection that few events concern
    /// would seem to have missed what expires meanwhile, and would never be seen to have reached the stream's end.
    async fn pass_over(&mut self, round: &mut Round, last: u64) -> Result<(), Broken> {
        if last <= round.checkpoint.sequence {
            return Ok(());
        }
        let message_id = self.runner.bus.message_id_at(&self.runner.context.runner.stream, last).await?;
        let moving = async {
            let tx = self.connection.transaction().await?;
            let moved = checkpoint::advance(&tx, &round.checkpoint, last, message_id.as_deref()).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(moved)
        };
        round.checkpoint = within(SESSION_TIMEOUT, moving).await?;
        round.continuity.pass_over(last);
        self.runner.metrics.at(last);
        Ok(())
    }

    /// What the projection does beside its stream, if it is due.
    pub(super) async fn beside(&mut self, epoch: i64) -> Result<(), Broken> {
        let Context { runner, metrics, .. } = &self.runner.context;
        if runner.aside.is_some() || self.beside_at.is_some_and(|at| at.elapsed() < runner.beside_every) {
            return Ok(());
        }
        let beside = Beside { bus: &self.runner.bus, connection: &mut self.connection, epoch, metrics };
        let done = bounded(runner.batch_timeout, async { Ok(self.runner.projection.beside(beside).await?) });
        done.await.map_err(|failure| match failure {
            Failure::Store(error) => Broken::Store(error),
            other => Broken::Halt(RunError::Halted { projection: P::NAME, reason: other.chain() }),
        })?;
        self.tell_acts().await;
        self.beside_at = Some(Instant::now());
        Ok(())
    }

    /// Tells what was done to history, once NATS takes it. A day is forgotten once a day, so few acts ever wait.
    pub(super) async fn tell_acts(&mut self) {
        const BUDGET: Duration = Duration::from_secs(1);
        while let Some(act) = self.acts.first() {
            if !self.runner.bus.is_connected() {
                return;
            }
            if let Err(error) = self.runner.bus.tell_operation(act, BUDGET).await {
                tracing::debug!(projection = P::NAME, "an act is not recorded yet: {error}");
                return;
            }
            self.acts.remove(0);
        }
    }

    /// Forgets a day, if it is due.
    pub(super) async fn forget_some(&mut self) -> Result<(), Broken> {
        if !self.retention.is_due(Instant::now()) {
            return Ok(());
        }
        let Some(before) = horizon(OffsetDateTime::now_utc(), self.reached, self.caught_up) else {
            return Ok(());
        };
        let begun = Instant::now();
        let forgetting = memory::forget_a_day(&self.connection, P::NAME, before);
        match within(SESSION_TIMEOUT, forgetting).await? {
            Some(events) => {
                self.runner.metrics.forgot(events, begun.elapsed());
                tracing::info!(projection = P::NAME, events, "{} forgot a day of {events} events", P::NAME);
                let before = before.format(&Rfc3339).unwrap_or_default();
                let act = Operation::new(P::NAME, "retention", OffsetDateTime::now_utc());
                self.acts.push(act.with("table", "event_memory").with("before", before).with("rows", events));
            }
            None => self.retention.rest(Instant::now()),
        }
        Ok(())
    }
}
