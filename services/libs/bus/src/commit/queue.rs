//! What waits to be committed, and what goes out next. Pure: no clock, no task, no connection.

use std::collections::{HashMap, VecDeque};

use super::choice::Way;
use crate::batch::SENT_AT_ONCE;

/// Bounds of group commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCommit {
    /// Most messages of one commit, at most [`GroupCommit::MESSAGES_MAX`].
    pub messages_max: usize,
    /// Most bytes of one commit, headers included. A larger message goes alone.
    pub bytes_max: usize,
    /// Most commits in flight at once.
    pub commits_max: usize,
}

impl GroupCommit {
    /// Most messages that the server takes in one atomic batch. (nats-io/nats-architecture-and-design, adr/ADR-50.md)
    pub const MESSAGES_MAX: usize = 1000;
}

impl Default for GroupCommit {
    fn default() -> Self {
        Self { messages_max: 256, bytes_max: 4 << 20, commits_max: 1 }
    }
}

/// A message, and everyone who waits for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<M, W> {
    /// Its `Nats-Msg-Id`, if it has one.
    pub(super) id: Option<String>,
    pub(super) message: M,
    /// Size of headers and payload.
    pub(super) bytes: usize,
    /// The first is answered as the one who stored it, the others as duplicates. Never empty.
    pub(super) waiters: Vec<W>,
}

/// So many messages are sent ahead at once: as many as go with one write.
const AHEAD: usize = SENT_AT_ONCE;

/// Messages that wait while commits are in flight.
///
/// **Invariants:** no batch starts while `commits_max` commits are in flight; no commit exceeds the bounds, unless it is one message
/// that exceeds them alone; no id is twice in the queue; messages leave in the order they came; where some wait, a commit
/// is in flight whose end lets them leave; what was sent ahead leaves with the next commit, which has one message more.
#[derive(Debug)]
pub(super) struct Queue<M, W> {
    limits: GroupCommit,
    waiting: VecDeque<Entry<M, W>>,
    /// Of those, so many from the front were sent ahead.
    ahead: usize,
    /// Place of each waiting id, counted from the first message ever pushed.
    places: HashMap<String, usize>,
    /// How many messages have left.
    left: usize,
    in_flight: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    messages: usize,
    commits: usize,
    /// Those of them that are of several messages.
    batches: usize,
}

impl<M, W> Queue<M, W> {
    pub(super) fn new(limits: GroupCommit) -> Self {
        let (waiting, places, in_flight) = (VecDeque::new(), HashMap::new(), Counts::default());
        Self { limits, waiting, ahead: 0, places, left: 0, in_flight }
    }

    /// Messages that wait or are under way.
    pub(super) fn count(&self) -> usize {
        self.waiting.len() + self.in_flight.messages
    }

    /// Whether a message that comes now leaves at once, as a commit of its own. If not, it has to be pushed. `choose` says
    /// how it should leave if it can.
    pub(super) fn enter(&mut self, choose: impl FnOnce(usize) -> Way) -> bool {
        let enters = self.waiting.is_empty() && self.may_start(self.count() + 1, choose).is_some();
        if enters {
            self.in_flight.start(1);
        }
        enters
    }

    /// How the next of `count` messages may leave, if it may.
    fn may_start(&self, count: usize, choose: impl FnOnce(usize) -> Way) -> Option<Way> {
        let Counts { commits, batches, .. } = self.in_flight;
        let commits_max = self.limits.commits_max.max(1);
        let way = (batches < commits_max).then(|| choose(count))?;
        (way == Way::Alone || commits < commits_max).then_some(way)
    }

    /// Adds a message, or its waiters to those of the message with the same id: the stream would store one of them.
    pub(super) fn push(&mut self, entry: Entry<M, W>) {
        if let Some(id) = &entry.id {
            if let Some(place) = self.places.get(id) {
                self.waiting[place - self.left].waiters.extend(entry.waiters);
                return;
            }
            self.places.insert(id.clone(), self.left + self.waiting.len());
        }
        self.waiting.push_back(entry);
    }

    /// The next commit to start, in order, if one may start now. Never empty. `choose` as for [`Queue::enter`].
    pub(super) fn next(&mut self, choose: impl FnOnce(usize) -> Way) -> Option<Vec<Entry<M, W>>> {
        if self.waiting.is_empty() {
            return None;
        }
        let begun = self.ahead > 0;
        let choose = |count| if begun { Way::Together } else { choose(count) };
        let commit = match self.may_start(self.count(), choose)? {
            Way::Alone => self.pop().into_iter().collect(),
            Way::Together => self.pop_together(),
        };
        self.ahead = 0;
        self.in_flight.start(commit.len());
        Some(commit)
    }

    /// Whether there are messages to be sent ahead.
    pub(super) fn may_send_ahead(&self) -> bool {
        // The last one commits the batch.
        let count = self.ahead + AHEAD + 1;
        self.in_flight.batches >= self.limits.commits_max.max(1)
            && count <= self.waiting.len().min(self.limits.messages_max)
            && self.waiting.range(..count).map(|entry| entry.bytes).sum::<usize>() <= self.limits.bytes_max
    }

    /// The next messages of the batch that will be the next commit, which can be sent before it may start. They still wait.
    pub(super) fn send_ahead(&mut self) -> Option<Vec<M>>
    where
        M: Clone,
    {
        self.may_send_ahead().then(|| {
            let messages = self.waiting.range(self.ahead..self.ahead + AHEAD);
            let messages = messages.map(|entry| entry.message.clone()).collect();
            self.ahead += AHEAD;
            messages
        })
    }

    fn pop_together(&mut self) -> Vec<Entry<M, W>> {
        let (mut commit, mut bytes) = (Vec::new(), 0_usize);
        while let Some(entry) = self.waiting.front() {
            let fits = commit.len() < self.limits.messages_max
                && bytes.saturating_add(entry.bytes) <= self.limits.bytes_max;
            if !commit.is_empty() && !fits {
                break;
            }
            bytes = bytes.saturating_add(entry.bytes);
            commit.extend(self.pop());
        }
        commit
    }

    /// A commit of so many messages has ended, whatever its outcome.
    pub(super) fn done(&mut self, messages: usize) {
        self.in_flight.end(messages);
    }

    fn pop(&mut self) -> Option<Entry<M, W>> {
        let entry = self.waiting.pop_front()?;
        if let Some(id) = &entry.id {
            self.places.remove(id);
        }
        self.left += 1;
        Some(entry)
    }
}

impl Counts {
    fn start(&mut self, messages: usize) {
        self.messages += messages;
        self.commits += 1;
        self.batches += usize::from(messages > 1);
    }

    fn end(&mut self, messages: usize) {
        self.messages = self.messages.saturating_sub(messages);
        self.commits = self.commits.saturating_sub(1);
        self.batches = self.batches.saturating_sub(usize::from(messages > 1));
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: GroupCommit = GroupCommit { messages_max: 3, bytes_max: 100, commits_max: 1 };

    fn entry(id: &str, bytes: usize) -> Entry<(), u32> {
        Entry { id: Some(id.to_owned()), message: (), bytes, waiters: vec![1] }
    }

    fn together(_: usize) -> Way {
        Way::Together
    }

    fn ids(commit: Option<Vec<Entry<(), u32>>>) -> Vec<String> {
        commit.into_iter().flatten().filter_map(|entry| entry.id).collect()
    }

    #[test]
    fn a_lone_message_goes_at_once_and_what_comes_meanwhile_leaves_together() {
        let mut queue = Queue::new(LIMITS);
        queue.push(entry("a", 10));
        assert_eq!(ids(queue.next(together)), ["a"]);
        queue.push(entry("b", 10));
        queue.push(entry("c", 10));
        assert_eq!(queue.next(together), None, "one commit is in flight");
        queue.done(1);
        assert_eq!(ids(queue.next(together)), ["b", "c"]);
    }

    #[test]
    fn a_commit_is_bounded_by_count_and_by_bytes() {
        let mut queue = Queue::new(GroupCommit { commits_max: 9, ..LIMITS });
        for id in ["a", "b", "c", "d"] {
            queue.push(entry(id, 10));
        }
        assert_eq!(ids(queue.next(together)), ["a", "b", "c"]);
        queue.push(entry("e", 91));
        assert_eq!(ids(queue.next(together)), ["d"]);
        queue.push(entry("huge", 5_000));
        assert_eq!(ids(queue.next(together)), ["e"]);
        assert_eq!(ids(queue.next(together)), ["huge"]);
    }

    #[test]
    fn what_comes_enters_at_once_unless_somebody_waits_or_a_batch_is_in_flight() {
        let mut queue = Queue::new(LIMITS);
        assert!(queue.enter(together));
        assert!(!queue.enter(together), "one commit is in flight");
        assert!(queue.enter(|_| Way::Alone));
        queue.push(entry("a", 10));
        queue.push(entry("b", 10));
        assert!(!queue.enter(|_| Way::Alone), "others were there before");
        queue.done(1);
        assert_eq!(queue.next(together), None, "another commit is in flight");
        queue.done(1);
        assert_eq!(ids(queue.next(together)), ["a", "b"]);
        assert!(!queue.enter(|_| Way::Alone), "it would be stored behind the batch");
        queue.done(2);
        assert_eq!(queue.count(), 0);
    }

    #[test]
    fn an_id_that_waits_already_joins_its_first() {
        let mut queue = Queue::new(LIMITS);
        queue.push(entry("a", 10));
        queue.next(together).unwrap();
        queue.push(entry("b", 10));
        queue.push(Entry { waiters: vec![2], ..entry("b", 10) });
        queue.push(Entry { waiters: vec![3], ..entry("a", 10) });
        queue.done(1);
        let commit = queue.next(together).unwrap();
        assert_eq!(commit.iter().map(|entry| &entry.waiters[..]).collect::<Vec<_>>(), [&[1, 2][..], &[3]]);
    }

    #[test]
    fn what_shall_leave_alone_waits_for_nothing() {
        let mut queue = Queue::new(LIMITS);
        let mut counts = Vec::new();
        for id in ["a", "b", "c"] {
            queue.push(entry(id, 10));
            let commit = queue.next(|count| {
                counts.push(count);
                Way::Alone
            });
            assert_eq!(ids(commit), [id]);
        }
        assert_eq!(counts, [1, 2, 3], "what is under way counts");
        queue.push(entry("d", 10));
        assert_eq!(queue.next(together), None, "more are in flight than batches may be");
    }

    /// Pushes so many messages of one byte, named by number.
    fn push(queue: &mut Queue<String, u32>, numbers: RangeInclusive<usize>) {
        for number in numbers {
            let name = number.to_string();
            let (id, message) = (Some(name.clone()), name);
            queue.push(Entry { id, message, bytes: 1, waiters: vec![1] });
        }
    }

    fn numbers(messages: Option<Vec<String>>) -> Option<RangeInclusive<usize>> {
        let messages = messages?;
        let number = |message: Option<&String>| message?.parse().ok();
        Some(number(messages.first())?..=number(messages.last())?)
    }

    #[test]
    fn while_a_batch_is_in_flight_the_next_is_sent_ahead_but_for_what_commits_it() {
        let mut queue = Queue::new(GroupCommit { messages_max: 40, ..LIMITS });
        push(&mut queue, 1..=2);
        queue.next(together).unwrap();
        push(&mut queue, 3..=18);
        assert_eq!(queue.send_ahead(), None, "nothing would be left to commit them with");
        push(&mut queue, 19..=37);
        assert_eq!(numbers(queue.send_ahead()), Some(3..=18));
        assert_eq!(numbers(queue.send_ahead()), Some(19..=34));
        push(&mut queue, 38..=60);
        assert_eq!(queue.send_ahead(), None, "40 are the most of a commit");
        queue.done(2);
        let commit = queue.next(|_| Way::Alone).unwrap();
        let messages = commit.into_iter().map(|entry| entry.message).collect();
        assert_eq!(numbers(Some(messages)), Some(3..=42), "all that was sent ahead, and more");
        assert_eq!(numbers(queue.send_ahead()), Some(43..=58), "of the next one");
    }

    #[test]
    fn nothing_is_sent_ahead_of_what_may_leave_by_itself_or_beyond_the_bytes_of_a_commit() {
        let mut queue = Queue::new(GroupCommit { messages_max: 40, bytes_max: 16, commits_max: 1 });
        push(&mut queue, 1..=1);
        queue.next(together).unwrap();
        push(&mut queue, 2..=40);
        assert_eq!(queue.send_ahead(), None, "what is in flight is no batch");
        queue.done(1);
        queue.next(together).unwrap();
        assert_eq!(queue.send_ahead(), None, "17 bytes");
    }

    #[test]
    fn an_id_that_was_sent_ahead_is_joined() {
        let mut queue = Queue::new(GroupCommit { messages_max: 40, ..LIMITS });
        push(&mut queue, 1..=2);
        queue.next(together).unwrap();
        push(&mut queue, 3..=30);
        assert_eq!(numbers(queue.send_ahead()), Some(3..=18));
        push(&mut queue, 5..=5);
        queue.done(2);
        let commit = queue.next(together).unwrap();
        assert_eq!((commit.len(), &commit[2].waiters[..]), (28, &[1, 1][..]));
    }

    proptest! {
        #[test]
        fn what_is_sent_ahead_begins_the_next_commit(
            steps in prop::collection::vec((0_usize..40, any::<bool>(), any::<bool>()), 1..60),
        ) {
            let mut queue = Queue::new(GroupCommit { messages_max: 50, bytes_max: 45, commits_max: 1 });
            let (mut came, mut in_flight, mut ahead) = (0, VecDeque::new(), Vec::new());
            for (count, end, alone) in steps {
                push(&mut queue, came + 1..=came + count);
                came += count;
                if end && let Some(messages) = in_flight.pop_front() {
                    queue.done(messages);
                }
                while let Some(commit) = queue.next(|_| if alone { Way::Alone } else { Way::Together }) {
                    prop_assert!(commit.len() <= 45);
                    prop_assert!(commit.len() > ahead.len(), "something commits them");
                    let messages = commit.into_iter().map(|entry| entry.message).collect::<Vec<_>>();
                    prop_assert_eq!(&messages[..ahead.len()], &std::mem::take(&mut ahead)[..]);
                    in_flight.push_back(messages.len());
                }
                ahead.extend(queue.send_ahead().into_iter().flatten());
            }
        }

        #[test]
        fn every_waiter_leaves_once_in_order_and_within_bounds(
            steps in prop::collection::vec((0_u8..6, 1_usize..60, any::<bool>(), any::<bool>()), 1..200),
        ) {
            let mut queue = Queue::new(GroupCommit { commits_max: 2, ..LIMITS });
            let (mut came, mut left, mut in_flight) = (0_u32, Vec::new(), VecDeque::new());
            for (id, bytes, end, alone) in steps {
                let choose = |_: usize| if alone { Way::Alone } else { Way::Together };
                if queue.enter(choose) {
                    left.push(vec![came]);
                    in_flight.push_back(1);
                } else {
                    queue.push(Entry { waiters: vec![came], ..entry(&id.to_string(), bytes) });
                }
                came += 1;
                if end && let Some(messages) = in_flight.pop_front() {
                    queue.done(messages);
                    while let Some(commit) = queue.next(choose) {
                        prop_assert!(alone || in_flight.len() < 2);
                        prop_assert!(commit.len() <= 3);
                        let bytes = commit.iter().map(|entry| entry.bytes).sum::<usize>();
                        prop_assert!(commit.len() == 1 || bytes <= 100);
                        in_flight.push_back(commit.len());
                        left.extend(commit.into_iter().map(|entry| entry.waiters));
                    }
                }
                prop_assert!(in_flight.iter().filter(|messages| **messages > 1).count() <= 2);
                prop_assert!(queue.waiting.is_empty() || !in_flight.is_empty(), "nobody is forgotten");
            }
            while let Some(messages) = in_flight.pop_front() {
                queue.done(messages);
                if let Some(commit) = queue.next(together) {
                    in_flight.push_back(commit.len());
                    left.extend(commit.into_iter().map(|entry| entry.waiters));
                }
            }
            prop_assert!(left.windows(2).all(|pair| pair[0][0] < pair[1][0]), "firsts leave in order");
            let mut all: Vec<u32> = left.into_iter().flatten().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..came).collect::<Vec<_>>());
            prop_assert_eq!(queue.count(), 0);
        }
    }
}
