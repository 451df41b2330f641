//! Those who wait for a commit, and what each is told.

use std::iter::{once, repeat};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::queue::Entry;
use crate::{PublishError, Receipt};

/// Somebody who waits for an answer, and the room that the message takes until it has one.
pub(super) struct Waiter {
    answer: oneshot::Sender<Result<Receipt, PublishError>>,
    _permit: OwnedSemaphorePermit,
}

impl Waiter {
    pub(super) fn new(
        permit: OwnedSemaphorePermit,
    ) -> (Self, oneshot::Receiver<Result<Receipt, PublishError>>) {
        let (answer, answered) = oneshot::channel();
        (Self { answer, _permit: permit }, answered)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }
}

/// A batch is stored without a gap, in order.
pub(super) fn answer_all<M>(entries: Vec<Entry<M, Waiter>>, last: &Receipt) {
    let count = entries.len() as u64;
    for (entry, before_last) in entries.into_iter().zip((0..count).rev()) {
        answer(entry, &Ok(Receipt { sequence: last.sequence - before_last, ..last.clone() }));
    }
}

/// One of those who wait has stored it; the others hear what the stream would have told them.
pub(super) fn answer<M>(entry: Entry<M, Waiter>, result: &Result<Receipt, PublishError>) {
    let waiters = entry.waiters.into_iter().filter(|waiter| !waiter.is_gone());
    for (waiter, duplicate) in waiters.zip(once(false).chain(repeat(true))) {
        let own =
            result.clone().map(|receipt| Receipt { duplicate: receipt.duplicate || duplicate, ..receipt });
        // Fails only if they left meanwhile.
        let _ = waiter.answer.send(own);
    }
}
