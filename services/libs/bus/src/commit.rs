//! Group commit: messages that come while a commit is in flight leave together as the next one.
//!
//! On a server that calls fsync before each ack, a message costs one fsync, and so does an atomic batch of them. There is
//! no timer: a lone message goes out at once, as a plain publish; under load the commits grow by themselves. Where batches
//! do not pay off, `choice` notices, and all go out at once.

use std::fmt;
use std::iter::{once, repeat};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::append::BatchError;
use crate::outgoing::Outgoing;
use crate::{Bus, PublishError, Receipt};

mod choice;
mod queue;

use choice::Choice;
pub use queue::GroupCommit;
use queue::{Entry, Queue};

/// A commit that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Messages in it.
    pub messages: usize,
    /// Their size, headers included.
    pub bytes: usize,
    /// It was an atomic batch that was not stored as one: its messages went one by one.
    pub fell_back: bool,
}

/// Told of each commit that has ended.
pub(crate) type Observer = Arc<dyn Fn(Commit) + Send + Sync>;

/// Somebody who waits for an answer, and the room that the message takes until it has one.
struct Waiter {
    answer: oneshot::Sender<Result<Receipt, PublishError>>,
    _permit: OwnedSemaphorePermit,
}

/// Where messages for one stream meet. There is no task in between: who may send at once does so, and a commit that ends
/// starts the next.
#[derive(Clone)]
pub(crate) struct Committer(Arc<Shared>);

struct Shared {
    bus: Bus,
    /// A batch without an answer for so long is given up, and its messages are sent one by one, for as long again.
    patience: Duration,
    observer: Observer,
    runtime: Handle,
    state: Mutex<State>,
}

struct State {
    queue: Queue<Outgoing, Waiter>,
    choice: Choice,
    /// Since when there has always been something to store, and since when that is not accounted for.
    busy_since: Instant,
}

enum Turn {
    /// Send it now.
    Now(Outgoing, InFlight),
    /// Somebody else sends it.
    Later(oneshot::Receiver<Result<Receipt, PublishError>>),
}

/// A commit under way, which has ended once this is dropped: also where nobody waits for it any more.
struct InFlight {
    committer: Committer,
    commit: Commit,
    outcome: Outcome,
    /// The room of what no waiter holds room for.
    _permit: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Stored,
    /// The stream takes no batches, and never will.
    NoBatches,
    /// It tells nothing of how long the stream takes.
    Lost,
}

impl Committer {
    /// Must be called within a runtime.
    pub(crate) fn new(bus: Bus, limits: GroupCommit, patience: Duration, observer: Observer) -> Self {
        let (queue, choice) = (Queue::new(limits), Choice::default());
        let state = Mutex::new(State { queue, choice, busy_since: Instant::now() });
        Self(Arc::new(Shared { bus, patience, observer, runtime: Handle::current(), state }))
    }

    /// Waits until `message` is stored, by whichever commit it leaves with. The caller bounds the time.
    pub(crate) async fn append(
        &self,
        message: Outgoing,
        permit: OwnedSemaphorePermit,
    ) -> Result<Receipt, PublishError> {
        match self.enter(message, permit) {
            Turn::Now(message, mut in_flight) => {
                let result = self.0.bus.append(&message).await;
                if result.is_ok() {
                    in_flight.outcome = Outcome::Stored;
                }
                result
            }
            Turn::Later(answered) => answered.await.unwrap_or(Err(PublishError::Disconnected)),
        }
    }

    fn enter(&self, message: Outgoing, permit: OwnedSemaphorePermit) -> Turn {
        let (id, bytes) = (message.id().map(str::to_owned), message.bytes());
        let mut state = self.state();
        let State { queue, choice, busy_since } = &mut *state;
        if queue.count() == 0 {
            *busy_since = Instant::now();
        }
        if queue.enter(|count| choice.way(count)) {
            drop(state);
            return Turn::Now(message, InFlight::new(self, 1, bytes, Some(permit)));
        }
        let (answer, answered) = oneshot::channel();
        let waiters = vec![Waiter { answer, _permit: permit }];
        queue.push(Entry { id, message, bytes, waiters });
        Turn::Later(answered)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit has ended: whatever waits leaves with the next.
    fn ended(&self, messages: usize, outcome: Outcome) {
        let mut commits = Vec::new();
        {
            let mut state = self.state();
            let State { queue, choice, busy_since } = &mut *state;
            let now = Instant::now();
            match outcome {
                Outcome::Stored => choice.stored(messages, now - *busy_since),
                Outcome::NoBatches => choice.no_batches(),
                Outcome::Lost => choice.lost(),
            }
            *busy_since = now;
            queue.done(messages);
            while let Some(commit) = queue.next(|count| choice.way(count)) {
                commits.push(commit);
            }
        }
        for entries in commits {
            let committer = self.clone();
            self.0.runtime.spawn(async move { committer.commit(entries).await });
        }
    }

    async fn commit(self, mut entries: Vec<Entry<Outgoing, Waiter>>) {
        let bytes = entries.iter().map(|entry| entry.bytes).sum();
        let mut in_flight = InFlight::new(&self, entries.len(), bytes, None);
        // Nobody waits for those any more: they were told "not stored", and will come again.
        entries.retain(|entry| !entry.waiters.iter().all(Waiter::is_gone));
        if entries.len() < 2 {
            in_flight.outcome = self.commit_each(entries).await;
            return;
        }
        match self.commit_together(&entries).await {
            Ok(last) => {
                in_flight.outcome = Outcome::Stored;
                // The next one leaves before those who waited for this one do anything.
                drop(in_flight);
                answer_all(entries, &last);
            }
            Err(BatchError::Disconnected) => {
                for entry in entries {
                    answer(entry, &Err(PublishError::Disconnected));
                }
            }
            Err(BatchError::Unsupported) => {
                tracing::warn!("the stream takes no atomic batches: each event costs an fsync of its own");
                in_flight.commit.fell_back = true;
                in_flight.outcome = Outcome::NoBatches;
                self.commit_each(entries).await;
            }
            Err(BatchError::Refused(why)) => {
                tracing::debug!("a batch was not stored, its messages go one by one: {why}");
                in_flight.commit.fell_back = true;
                // Under the same ids, so that it does no harm if the batch was stored and only its ack was lost.
                in_flight.outcome = self.commit_each(entries).await;
            }
        }
    }

    async fn commit_together(&self, entries: &[Entry<Outgoing, Waiter>]) -> Result<Receipt, BatchError> {
        let messages: Vec<&Outgoing> = entries.iter().map(|entry| &entry.message).collect();
        let committed = tokio::time::timeout(self.0.patience, self.0.bus.append_batch(&messages)).await;
        committed.unwrap_or_else(|_| Err(BatchError::Refused("no ack in time".to_owned())))
    }

    async fn commit_each(&self, entries: Vec<Entry<Outgoing, Waiter>>) -> Outcome {
        let results = join_all(entries.into_iter().map(async |entry| {
            let appended = tokio::time::timeout(self.0.patience, self.0.bus.append(&entry.message)).await;
            let result = appended.unwrap_or(Err(PublishError::TimedOut));
            answer(entry, &result);
            result.is_ok()
        }));
        if results.await.into_iter().all(|stored| stored) { Outcome::Stored } else { Outcome::Lost }
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer").field("patience", &self.0.patience).finish_non_exhaustive()
    }
}

impl InFlight {
    fn new(
        committer: &Committer,
        messages: usize,
        bytes: usize,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let commit = Commit { messages, bytes, fell_back: false };
        Self { committer: committer.clone(), commit, outcome: Outcome::Lost, _permit: permit }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        (self.committer.0.observer)(self.commit);
        self.committer.ended(self.commit.messages, self.outcome);
    }
}

impl Waiter {
    fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }
}

/// A batch is stored without a gap, in order.
fn answer_all(entries: Vec<Entry<Outgoing, Waiter>>, last: &Receipt) {
    let count = entries.len() as u64;
    for (entry, before_last) in entries.into_iter().zip((0..count).rev()) {
        answer(entry, &Ok(Receipt { sequence: last.sequence - before_last, ..last.clone() }));
    }
}

/// One of those who wait has stored it; the others hear what the stream would have told them.
fn answer(entry: Entry<Outgoing, Waiter>, result: &Result<Receipt, PublishError>) {
    let waiters = entry.waiters.into_iter().filter(|waiter| !waiter.is_gone());
    for (waiter, duplicate) in waiters.zip(once(false).chain(repeat(true))) {
        let own =
            result.clone().map(|receipt| Receipt { duplicate: receipt.duplicate || duplicate, ..receipt });
        // Fails only if they left meanwhile.
        let _ = waiter.answer.send(own);
    }
}
