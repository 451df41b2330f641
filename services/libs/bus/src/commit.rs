//! Group commit: messages that come while a commit is in flight leave together as the next one.
//!
//! On a server that calls fsync before each ack, a message costs one fsync, and so does an atomic batch of them. There is
//! no timer: a lone message goes out at once, as a plain publish; under load the commits grow by themselves. Where batches
//! do not pay off, `choice` notices, and all go out at once.

use std::iter::{once, repeat};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;

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

/// The task that commits. Ends with its owner.
#[derive(Debug)]
pub(crate) struct Committer {
    entries: mpsc::UnboundedSender<Entry<Outgoing, Waiter>>,
    task: JoinHandle<()>,
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Committer {
    /// A batch without an answer within `patience` is given up, and its messages are sent one by one.
    pub(crate) fn start(bus: Bus, limits: GroupCommit, patience: Duration, observer: Observer) -> Self {
        // Unbounded in itself: each entry holds a permit of the publisher's, and those are bounded.
        let (entries, arriving) = mpsc::unbounded_channel();
        let commits = Commits { bus, patience, observer };
        Self { entries, task: tokio::spawn(commits.drive(arriving, Queue::new(limits))) }
    }

    /// Waits until `message` is stored, by whichever commit it leaves with. The caller bounds the time.
    pub(crate) async fn append(
        &self,
        message: Outgoing,
        permit: OwnedSemaphorePermit,
    ) -> Result<Receipt, PublishError> {
        let (answer, answered) = oneshot::channel();
        let waiters = vec![Waiter { answer, _permit: permit }];
        let (id, bytes) = (message.id().map(str::to_owned), message.bytes());
        let entry = Entry { id, message, bytes, waiters };
        // Both fail only if the task is gone, which ends no earlier than we do.
        self.entries.send(entry).map_err(|_| PublishError::Disconnected)?;
        answered.await.unwrap_or(Err(PublishError::Disconnected))
    }
}

struct Commits {
    bus: Bus,
    patience: Duration,
    observer: Observer,
}

/// A commit that has ended.
struct Done {
    messages: usize,
    outcome: Outcome,
}

enum Outcome {
    Stored,
    /// The stream takes no batches, and never will.
    NoBatches,
    /// It tells nothing of how long the stream takes.
    Lost,
}

impl Commits {
    async fn drive(
        self,
        mut arriving: mpsc::UnboundedReceiver<Entry<Outgoing, Waiter>>,
        mut queue: Queue<Outgoing, Waiter>,
    ) {
        let mut in_flight = FuturesUnordered::new();
        let mut choice = Choice::default();
        // Since when there has always been something to store, and since when it is not accounted for.
        let mut busy_since = Instant::now();
        loop {
            while let Some(commit) = queue.next(|count| choice.way(count)) {
                in_flight.push(self.commit(commit));
            }
            tokio::select! {
                Some(done) = in_flight.next() => {
                    let now = Instant::now();
                    let more = std::iter::from_fn(|| in_flight.next().now_or_never().flatten());
                    let ended: Vec<Done> = once(done).chain(more).collect();
                    for done in &ended {
                        queue.done(done.messages);
                    }
                    learn(&mut choice, &ended, now - busy_since);
                    busy_since = now;
                }
                entry = arriving.recv() => match entry {
                    Some(entry) => {
                        if in_flight.is_empty() && queue.is_empty() {
                            busy_since = Instant::now();
                        }
                        queue.push(entry);
                    }
                    None => return,
                },
            }
            // Whatever has come meanwhile leaves with the next commit.
            while let Ok(entry) = arriving.try_recv() {
                queue.push(entry);
            }
        }
    }

    async fn commit(&self, mut entries: Vec<Entry<Outgoing, Waiter>>) -> Done {
        let messages = entries.len();
        let bytes = entries.iter().map(|entry| entry.bytes).sum();
        let mut fell_back = false;
        let done = |outcome, fell_back| {
            (self.observer)(Commit { messages, bytes, fell_back });
            Done { messages, outcome }
        };
        // Nobody waits for those any more: they were told "not stored", and will come again.
        entries.retain(|entry| !entry.waiters.iter().all(Waiter::is_gone));
        let mut outcome = Outcome::Stored;
        if entries.len() > 1 {
            outcome = match self.commit_together(&entries).await {
                Ok(last) => {
                    answer_all(entries, &last);
                    return done(Outcome::Stored, false);
                }
                Err(BatchError::Disconnected) => {
                    let lost = Err(PublishError::Disconnected);
                    for entry in entries {
                        answer(entry, &lost);
                    }
                    return done(Outcome::Lost, false);
                }
                Err(BatchError::Unsupported) => {
                    tracing::warn!(
                        "the stream takes no atomic batches: each event costs an fsync of its own"
                    );
                    Outcome::NoBatches
                }
                Err(BatchError::Refused(why)) => {
                    tracing::debug!("a batch was not stored, its messages go one by one: {why}");
                    Outcome::Stored
                }
            };
            fell_back = true;
        }
        // Under the same ids, so that it does no harm if the batch was stored and only its ack was lost.
        let stored = join_all(entries.into_iter().map(async |entry| {
            let result = self.bus.append(&entry.message).await;
            answer(entry, &result);
            result.is_ok()
        }))
        .await;
        done(if stored.into_iter().all(|stored| stored) { outcome } else { Outcome::Lost }, fell_back)
    }

    async fn commit_together(&self, entries: &[Entry<Outgoing, Waiter>]) -> Result<Receipt, BatchError> {
        let messages: Vec<&Outgoing> = entries.iter().map(|entry| &entry.message).collect();
        let committed = tokio::time::timeout(self.patience, self.bus.append_batch(&messages)).await;
        committed.unwrap_or_else(|_| Err(BatchError::Refused("no ack in time".to_owned())))
    }
}

/// Tells what the stream took for commits that ended just now.
fn learn(choice: &mut Choice, ended: &[Done], time: Duration) {
    let mut messages = 0;
    for done in ended {
        match done.outcome {
            Outcome::Stored => messages += done.messages,
            Outcome::NoBatches => choice.no_batches(),
            Outcome::Lost => choice.lost(),
        }
    }
    choice.stored(messages, time);
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
