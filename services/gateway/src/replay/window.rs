//! Which bodies were stored lately, and under which id.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use hookstream_event::{BodyDigest, EventId};

/// What is known of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It was not stored within the window.
    New,
    /// It was stored under this very id, or is being stored under it: the sender's retry.
    Again,
    /// It was stored under another id.
    Replayed,
    /// It is being stored under another id, which may fail.
    InHand,
}

/// The bodies of one source that were stored lately. Reads no clock and does nothing by itself.
///
/// **Invariant:** it knows only what was stored, or is being stored. It holds at most `entries_max` of the one, and at
/// most as many of the other as there are claims not yet settled, within the same bound.
#[derive(Debug)]
pub(crate) struct Window {
    entries_max: usize,
    age_max: Duration,
    stored: HashMap<BodyDigest, Id>,
    /// The bodies in `stored`, oldest first.
    order: VecDeque<(Instant, BodyDigest)>,
    in_hand: HashMap<BodyDigest, InHand>,
    hasher: RandomState,
}

/// A keyed hash of an id. That two ids collide is less likely than that the machine is struck by lightning, and would
/// let one replay pass.
type Id = u64;

#[derive(Debug)]
struct InHand {
    id: Id,
    claims: u32,
}

impl Window {
    pub(crate) fn new(entries_max: usize, age_max: Duration) -> Self {
        let (stored, order, in_hand) = (HashMap::new(), VecDeque::new(), HashMap::new());
        Self { entries_max, age_max, stored, order, in_hand, hasher: RandomState::new() }
    }

    /// What is known of a body that is about to be stored under `id`. For `New` and `Again` it counts as in hand from
    /// now on, until [`Window::settle`].
    pub(crate) fn claim(&mut self, body: BodyDigest, id: &EventId, now: Instant) -> Sight {
        self.forget_before(now);
        let id = self.id(id);
        let sight = match (self.stored.get(&body), self.in_hand.get(&body)) {
            (Some(stored), _) if *stored == id => Sight::Again,
            (Some(_), _) => return Sight::Replayed,
            (None, Some(in_hand)) if in_hand.id == id => Sight::Again,
            (None, Some(_)) => return Sight::InHand,
            (None, None) => Sight::New,
        };
        if self.in_hand.contains_key(&body) || self.in_hand.len() < self.entries_max {
            self.in_hand.entry(body).or_insert(InHand { id, claims: 0 }).claims += 1;
        }
        sight
    }

    /// Ends a claim. `stored` says whether the stream holds the body under that id since just now.
    pub(crate) fn settle(&mut self, body: BodyDigest, id: &EventId, stored: bool, now: Instant) {
        let id = self.id(id);
        if let Some(in_hand) = self.in_hand.get_mut(&body).filter(|in_hand| in_hand.id == id) {
            in_hand.claims -= 1;
            if in_hand.claims == 0 {
                self.in_hand.remove(&body);
            }
        }
        self.forget_before(now);
        // The first id stays: it is the likeliest to be the sender's.
        if !stored || self.stored.contains_key(&body) {
            return;
        }
        if self.order.len() >= self.entries_max {
            self.forget_oldest();
        }
        self.stored.insert(body, id);
        self.order.push_back((now, body));
    }

    fn id(&self, id: &EventId) -> Id {
        self.hasher.hash_one(id.as_str())
    }

    fn forget_before(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= self.age_max) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, body)) = self.order.pop_front() {
            self.stored.remove(&body);
        }
    }
}

#[cfg(test)]
mod tests;
