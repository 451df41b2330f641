use std::time::{Duration, Instant};

use hookstream_store::dead_letters::DeadLetter;
use hookstream_store::{Kind, StoreError};

use super::{Broken, Leader, Round};
use crate::backoff::Backoff;
use crate::batch::Batch;
use crate::commit::{Committed, Limits, commit};
use crate::event_log;
use crate::failure::Failure;
use crate::verdict::{Trials, Verdict};
use crate::{Projection, RunError};

/// First and longest pause before a batch that met a deadlock or its like is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

impl<P: Projection> Leader<'_, P> {
    /// Tries a batch until it is committed. Gives it up only where Postgres, and no event of it, is at fault.
    pub(super) async fn settle(&mut self, round: &mut Round, batch: &mut Batch) -> Result<(), Broken> {
        let settings = &self.runner.context.runner;
        let mut trials = Trials::new(settings.transient_retries_max);
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let begun = Instant::now();
        let committed = loop {
            let failure = match self.try_once(round, batch, trials).await {
                Ok(committed) => break committed,
                Err(failure) => failure,
            };
            match trials.judge(failure.kind(), failure.is_lock_timeout()) {
                Verdict::Retry => {
                    self.note_failure("trying again", &failure, batch);
                    tokio::time::sleep(backoff.next()).await;
                }
                Verdict::Isolate => self.note_failure("seeking the event at fault", &failure, batch),
                Verdict::Outage | Verdict::Fenced => return Err(store_error(failure).into()),
                Verdict::Halt => return Err(halt::<P>(failure).into()),
            }
        };
        self.runner.projection.committed(batch.last().pending > 0);
        self.note_committed(&committed, batch, begun.elapsed());
        round.checkpoint = committed.checkpoint;
        Ok(())
    }

    async fn try_once(
        &mut self,
        round: &Round,
        batch: &mut Batch,
        trials: Trials,
    ) -> Result<Committed, Failure> {
        let settings = &self.runner.context.runner;
        let limits = Limits { step: settings.batch_timeout, retries_max: settings.transient_retries_max };
        let projection = &self.runner.projection;
        // Boxed, for whatever awaits a runner would be as large as all this is.
        Box::pin(commit(projection, &mut self.connection, &round.checkpoint, batch, trials, limits)).await
    }

    /// Without the error's text, which may quote what an event holds.
    fn note_failure(&self, next: &str, failure: &Failure, batch: &Batch) {
        self.runner.metrics.failed("batch");
        let (name, reason) = (P::NAME, failure.reason());
        let last = batch.last().stream_sequence;
        tracing::warn!(
            projection = name,
            stream_sequence = last,
            reason,
            sqlstate = failure.sqlstate(),
            "a batch of {name} up to {last} failed ({reason}): {next}"
        );
    }

    fn note_committed(&mut self, committed: &Committed, batch: &Batch, took: Duration) {
        let last = batch.last();
        self.reached = Some(last.recorded_at);
        self.caught_up = last.pending == 0;
        self.runner.metrics.committed(committed, batch.messages().len(), took);
        self.runner.metrics.pending(last.pending);
        committed.dead_letters.iter().for_each(note_dead_letter::<P>);
        event_log::write::<P>(batch, committed);
        let (name, sequence, events) = (P::NAME, last.stream_sequence, batch.messages().len());
        tracing::debug!(
            projection = name,
            stream_sequence = sequence,
            "{name} applied {events} events up to {sequence}"
        );
    }
}

fn note_dead_letter<P: Projection>(letter: &DeadLetter) {
    let id = letter.event_id.as_ref().map_or("unknown", |id| id.as_str());
    let DeadLetter { stream_sequence, reason, attempts, .. } = letter;
    tracing::warn!(
        projection = P::NAME,
        event.id = id,
        stream_sequence,
        reason,
        attempts,
        "{} gave up on event {id} at {stream_sequence} ({reason}); see table dead_letters",
        P::NAME
    );
}

/// An outage or a lost lead, as the runner waits them out.
fn store_error(failure: Failure) -> StoreError {
    match failure {
        Failure::Store(error) => error,
        Failure::Event { .. } | Failure::Stray(_) | Failure::Panic(_) => {
            unreachable!("the fault of an event or of the projection is isolated or halts")
        }
    }
}

fn halt<P: Projection>(failure: Failure) -> RunError {
    match failure {
        Failure::Store(source) if source.kind() == Kind::Schema => RunError::of_schema(P::NAME, source),
        other => RunError::Batch { projection: P::NAME, error: other.chain() },
    }
}
