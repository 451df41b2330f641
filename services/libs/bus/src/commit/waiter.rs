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

/// The first of those who wait has stored it, even if it has left meanwhile; the others, whose message may be another one
/// under the same id, hear what the stream would have told them.
pub(super) fn answer<M>(entry: Entry<M, Waiter>, result: &Result<Receipt, PublishError>) {
    for (waiter, duplicate) in entry.waiters.into_iter().zip(once(false).chain(repeat(true))) {
        let own =
            result.clone().map(|receipt| Receipt { duplicate: receipt.duplicate || duplicate, ..receipt });
        // Fails only if they left meanwhile.
        let _ = waiter.answer.send(own);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn who_came_second_is_never_told_that_its_message_was_stored() {
        let room = Arc::new(Semaphore::new(3));
        let come = || Waiter::new(Arc::clone(&room).try_acquire_owned().unwrap());
        let ((first, left), (second, mut waits), (third, mut too)) = (come(), come(), come());
        drop(left);
        let receipt = Receipt { stream: "WEBHOOKS".to_owned(), sequence: 7, duplicate: false };
        let entry = Entry { id: None, message: (), bytes: 0, waiters: vec![first, second, third] };
        answer(entry, &Ok(receipt.clone()));
        for told in [waits.try_recv(), too.try_recv()] {
            assert_eq!(told, Ok(Ok(Receipt { duplicate: true, ..receipt.clone() })));
        }
        assert_eq!(room.available_permits(), 3);
    }
}
