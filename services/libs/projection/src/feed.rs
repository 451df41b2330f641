//! The next batch, pulled and decoded while the last one is applied, and the acks of what was.

use std::panic::resume_unwind;

use hookstream_bus::{BusError, Consumer, PullLimits};
use tokio_util::task::AbortOnDropHandle;

use crate::batch::Batch;

/// Hands out a consumer's messages in order, and acks what was applied before it asks for more.
///
/// At most one batch is in hand and one is pulled ahead: together they stay below the consumer's `max_ack_pending`.
pub(crate) struct Feed {
    consumer: Consumer,
    limits: PullLimits,
    /// Applied, and not acked yet.
    applied: Vec<Batch>,
    turn: Option<Turn>,
}

/// Acks, then a pull: in a task of its own, so that it goes on while a batch is computed.
type Turn = AbortOnDropHandle<Result<Option<Batch>, BusError>>;

impl Feed {
    pub(crate) fn new(consumer: Consumer, limits: PullLimits) -> Self {
        Self { consumer, limits, applied: Vec::new(), turn: None }
    }

    /// Begins to pull what comes after the batch in hand.
    ///
    /// Only for those who are behind: where nothing waits yet, the pull would end with the first message that comes,
    /// and those that come with it would wait for two batches.
    pub(crate) fn pull_ahead(&mut self) {
        self.turn = Some(self.turn());
    }

    /// The next messages, as [`Consumer::pull`] has it; none if nothing came. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Result<Option<Batch>, BusError> {
        let turn = match self.turn.take() {
            Some(turn) => turn,
            None => self.turn(),
        };
        let pulled = self.turn.insert(turn).await;
        self.turn = None;
        // Nobody aborts it while we are here, so it ends early by a panic only.
        pulled.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    /// A batch is applied and committed: it is acked with the next pull.
    pub(crate) fn applied(&mut self, batch: Batch) {
        self.applied.push(batch);
    }

    /// Acks what was applied and pulls no more.
    pub(crate) async fn finish(self) -> Result<(), BusError> {
        // What it pulled is handed out again after the next rewind.
        drop(self.turn);
        ack(&self.consumer, &self.applied).await
    }

    fn turn(&mut self) -> Turn {
        let (consumer, limits, applied) =
            (self.consumer.clone(), self.limits, std::mem::take(&mut self.applied));
        AbortOnDropHandle::new(tokio::spawn(async move {
            ack(&consumer, &applied).await?;
            drop(applied);
            Ok(Batch::read(consumer.pull(&limits).await?))
        }))
    }
}

async fn ack(consumer: &Consumer, batches: &[Batch]) -> Result<(), BusError> {
    for batch in batches {
        consumer.ack(batch.messages()).await?;
    }
    Ok(())
}
