//! Group commit: messages that come while a commit is in flight leave together as the next one.
//!
//! On a server that calls fsync before each ack, a message costs one fsync, and so does an atomic batch of them. There is
//! no timer: a lone message goes out at once, as a plain publish; under load the commits grow by themselves. Where batches
//! do not pay off, `choice` notices, and all go out at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, mem};

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::batch::{Batch, BatchError};
use crate::outgoing::Outgoing;
use crate::{Bus, PublishError, Receipt};

mod choice;
mod queue;
mod waiter;

use choice::Choice;
pub use queue::GroupCommit;
use queue::{Entry, Queue};
use waiter::{Waiter, answer, answer_all};

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
    queue: Queue<Arc<Outgoing>, Waiter>,
    choice: Choice,
    ahead: Ahead,
    /// Since when there has always been something to store, and since when that is not accounted for.
    busy_since: Instant,
}

/// The start of the next commit, sent while the one before is in flight.
#[derive(Default)]
enum Ahead {
    #[default]
    Nothing,
    /// By a task, which starts that commit when it is done, if it is `due` by then.
    Sending {
        due: bool,
    },
    Sent(Box<Batch>),
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
    /// So many messages left the queue with it.
    left: usize,
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
        let state = Mutex::new(State { queue, choice, ahead: Ahead::Nothing, busy_since: Instant::now() });
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
        let State { queue, choice, busy_since, .. } = &mut *state;
        if queue.count() == 0 {
            *busy_since = Instant::now();
        }
        if queue.enter(|count| choice.way(count)) {
            drop(state);
            let commit = Commit { messages: 1, bytes, fell_back: false };
            return Turn::Now(message, InFlight::new(self, 1, commit, Some(permit)));
        }
        let (waiter, answered) = Waiter::new(permit);
        queue.push(Entry { id, message: Arc::new(message), bytes, waiters: vec![waiter] });
        if let Some(batch) = self.may_send_ahead(&mut state) {
            self.0.runtime.spawn(self.clone().send_ahead(batch));
        }
        Turn::Later(answered)
    }

    /// The batch to send ahead with, if there is something to send and nobody does it.
    fn may_send_ahead(&self, state: &mut State) -> Option<Box<Batch>> {
        let sending = matches!(state.ahead, Ahead::Sending { .. });
        if sending || !state.queue.may_send_ahead() || !state.choice.stays_together() {
            return None;
        }
        match mem::replace(&mut state.ahead, Ahead::Sending { due: false }) {
            Ahead::Sent(batch) => Some(batch),
            _ => Some(self.batch()),
        }
    }

    /// Sends messages of the next commit while the one before is in flight: the server has them when their turn comes.
    async fn send_ahead(self, mut batch: Box<Batch>) {
        loop {
            let messages = {
                let mut state = self.state();
                let due = matches!(state.ahead, Ahead::Sending { due: true });
                let messages = if due { None } else { state.queue.send_ahead() };
                let Some(messages) = messages else {
                    state.ahead = Ahead::Sent(batch);
                    if due {
                        self.start(&mut state);
                    }
                    return;
                };
                messages
            };
            if tokio::time::timeout(self.0.patience, batch.send(&messages)).await.is_err() {
                batch.give_up();
            }
        }
    }

    fn batch(&self) -> Box<Batch> {
        Box::new(Batch::new(self.0.bus.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit has ended: whatever waits leaves with the next.
    fn ended(&self, left: usize, messages: usize, outcome: Outcome) {
        let mut state = self.state();
        let State { queue, choice, busy_since, .. } = &mut *state;
        let now = Instant::now();
        match outcome {
            Outcome::Stored => choice.stored(messages, now - *busy_since),
            Outcome::NoBatches => choice.no_batches(),
            Outcome::Lost => choice.lost(),
        }
        *busy_since = now;
        queue.done(left);
        self.start(&mut state);
    }

    /// Starts what can start.
    fn start(&self, state: &mut State) {
        let State { queue, choice, ahead, .. } = state;
        match ahead {
            Ahead::Nothing => {}
            Ahead::Sending { due } => {
                *due = true;
                return;
            }
            Ahead::Sent(_) => choice.leave_together(queue.count()),
        }
        while let Some(entries) = queue.next(|count| choice.way(count)) {
            let batch = match mem::take(ahead) {
                Ahead::Sent(batch) => Some(batch),
                _ => None,
            };
            self.0.runtime.spawn(self.clone().commit(batch, entries));
        }
    }

    /// Commits what left together, the first of it perhaps sent ahead.
    async fn commit(self, ahead: Option<Box<Batch>>, mut entries: Vec<Entry<Arc<Outgoing>, Waiter>>) {
        let left = entries.len();
        if ahead.is_none() {
            // Nobody waits for those any more: they were told "not stored", and will come again.
            entries.retain(|entry| !entry.waiters.iter().all(Waiter::is_gone));
        }
        let bytes = entries.iter().map(|entry| entry.bytes).sum();
        let commit = Commit { messages: entries.len(), bytes, fell_back: false };
        let mut in_flight = InFlight::new(&self, left, commit, None);
        if entries.is_empty() {
            return;
        }
        if entries.len() < 2 {
            in_flight.outcome = self.commit_each(entries).await;
            return;
        }
        let batch = ahead.unwrap_or_else(|| self.batch());
        match self.commit_together(batch, &entries).await {
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

    async fn commit_together(
        &self,
        batch: Box<Batch>,
        entries: &[Entry<Arc<Outgoing>, Waiter>],
    ) -> Result<Receipt, BatchError> {
        let rest: Vec<_> =
            entries.iter().skip(batch.sent()).map(|entry| Arc::clone(&entry.message)).collect();
        let committed = tokio::time::timeout(self.0.patience, batch.commit(&rest)).await;
        committed.unwrap_or_else(|_| Err(BatchError::Refused("no ack in time".to_owned())))
    }

    async fn commit_each(&self, entries: Vec<Entry<Arc<Outgoing>, Waiter>>) -> Outcome {
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
    fn new(committer: &Committer, left: usize, commit: Commit, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { committer: committer.clone(), left, commit, outcome: Outcome::Lost, _permit: permit }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.commit.messages > 0 {
            (self.committer.0.observer)(self.commit);
        }
        self.committer.ended(self.left, self.commit.messages, self.outcome);
    }
}
