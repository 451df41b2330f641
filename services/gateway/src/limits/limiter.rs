//! A rate limit per key, in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

/// Keys that came while all places were taken share so many.
const SHARED: usize = 256;

/// How often it is worth looking for places that are free again.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Limits each key by itself, as long as there are at most `keys_max` that came lately. Further ones share what is
/// left, so that a flood from everywhere is limited too.
pub(crate) struct Limiter<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    rates: RateLimiter<K, Places<K>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    keys_max: usize,
    swept: Mutex<C::Instant>,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    pub(crate) fn new(quota: Quota, keys_max: usize) -> Self {
        Self::with_clock(quota, keys_max, DefaultClock::default())
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Limiter<K, C> {
    fn with_clock(quota: Quota, keys_max: usize, clock: C) -> Self {
        let rates = RateLimiter::new(quota, Places::new(keys_max), clock.clone());
        let swept = Mutex::new(clock.now());
        Self { rates, clock, keys_max, swept }
    }

    /// Counts one of `key`, or says how long it has to wait for the next.
    pub(crate) fn check(&self, key: &K) -> Result<(), Duration> {
        if self.rates.len() >= self.keys_max && self.sweep_is_due() {
            self.rates.retain_recent();
        }
        let now = self.clock.now();
        self.rates.check_key(key).map_err(|until| until.wait_time_from(now))
    }

    fn sweep_is_due(&self) -> bool {
        let now = self.clock.now();
        let mut swept = lock(&self.swept);
        let due = Duration::from(now.duration_since(*swept)) >= SWEEP_INTERVAL;
        if due {
            *swept = now;
        }
        due
    }
}

impl<K: Hash + Eq + Clone, C: Clock> std::fmt::Debug for Limiter<K, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("keys", &self.rates.len()).finish_non_exhaustive()
    }
}

/// The states: one per key while there is room, and the shared ones.
struct Places<K> {
    keys_max: usize,
    own: Mutex<HashMap<K, InMemoryState>>,
    shared: Vec<InMemoryState>,
    hasher: RandomState,
}

impl<K> Places<K> {
    fn new(keys_max: usize) -> Self {
        let shared = (0..SHARED).map(|_| InMemoryState::default()).collect();
        Self { keys_max, own: Mutex::default(), shared, hasher: RandomState::new() }
    }
}

impl<K: Hash + Eq + Clone> StateStore for Places<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut own = lock(&self.own);
        if let Some(state) = own.get(key) {
            return state.measure_and_replace(&NotKeyed::NonKey, decide);
        }
        if own.len() < self.keys_max {
            return own.entry(key.clone()).or_default().measure_and_replace(&NotKeyed::NonKey, decide);
        }
        drop(own);
        #[allow(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        let at = self.hasher.hash_one(key) as usize % SHARED;
        self.shared[at].measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Places<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        lock(&self.own).retain(|_, state| {
            // Looks without changing anything.
            let seen: Result<(), Option<Nanos>> = state.measure_and_replace(&NotKeyed::NonKey, Err);
            seen.err().flatten().is_some_and(|seen| seen > drop_below)
        });
    }

    fn len(&self) -> usize {
        lock(&self.own).len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limiter(keys_max: usize) -> (Limiter<u32, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let quota = Quota::per_second(NonZeroU32::new(2).unwrap());
        (Limiter::with_clock(quota, keys_max, clock.clone()), clock)
    }

    #[test]
    fn each_key_has_its_own_limit_and_is_told_how_long_to_wait() {
        let (limiter, clock) = limiter(10);
        assert_eq!([1, 1, 2, 2].map(|key| limiter.check(&key).is_ok()), [true; 4]);
        let wait = limiter.check(&1).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500), "{wait:?}");
        assert!(limiter.check(&3).is_ok(), "another key is not affected");
        clock.advance(wait);
        assert!(limiter.check(&1).is_ok());
    }

    #[test]
    fn keys_are_bounded_and_those_without_a_place_are_limited_together() {
        let (limiter, clock) = limiter(10);
        for key in 0..10 {
            assert!(limiter.check(&key).is_ok());
        }
        let passed = (10..100_000).filter(|key| limiter.check(key).is_ok()).count();
        assert!((1..=2 * SHARED).contains(&passed), "{passed}");
        assert_eq!(limiter.rates.len(), 10);
        assert!(limiter.check(&0).is_ok(), "who has a place keeps it");
        clock.advance(Duration::from_secs(2));
        assert!(limiter.check(&100_000).is_ok());
        assert_eq!(limiter.rates.len(), 1, "those who stay away leave their places");
    }
}
