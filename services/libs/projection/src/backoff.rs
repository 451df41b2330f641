use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Growing pauses with jitter, up to a cap.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    pauses: u32,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, pauses: 0 }
    }

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        self.next_by(random())
    }

    /// The next pause, between half and the whole of `min` doubled each time, as `random` has it.
    fn next_by(&mut self, random: u64) -> Duration {
        let doubled = self.min.saturating_mul(2u32.saturating_pow(self.pauses));
        self.pauses = self.pauses.saturating_add(1);
        jittered(doubled.min(self.max), random)
    }

    /// All is well again: the next pause is the first.
    pub(crate) fn reset(&mut self) {
        self.pauses = 0;
    }

    /// Pauses since all was well.
    pub(crate) fn pauses(&self) -> u32 {
        self.pauses
    }
}

/// Between half of `whole` and all of it.
fn jittered(whole: Duration, random: u64) -> Duration {
    let share = f64::from(u32::try_from(random >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    whole.div_f64(2.0) + whole.div_f64(2.0).mul_f64(share)
}

/// Between `period` and one and a half of it.
pub(crate) fn around(period: Duration) -> Duration {
    jittered(period, random()) + period.div_f64(2.0)
}

/// Enough randomness to keep processes from stepping in time: the standard library's hash keys.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn pauses_double_up_to_the_cap_and_begin_anew_after_a_reset() {
        let mut backoff = Backoff::new(MIN, MAX);
        let longest: Vec<u128> = (0..8).map(|_| backoff.next_by(u64::MAX).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        backoff.reset();
        assert_eq!(backoff.next_by(0), MIN / 2);
    }

    #[test]
    fn a_thousand_pauses_overflow_nothing() {
        let mut backoff = Backoff::new(MIN, MAX);
        for _ in 0..1000 {
            let pause = backoff.next();
            assert!(pause <= MAX && pause >= MIN / 2, "{pause:?}");
        }
    }

    #[test]
    fn a_jittered_period_stays_near_it() {
        for _ in 0..1000 {
            let pause = around(MAX);
            assert!(pause >= MAX && pause <= MAX * 3 / 2, "{pause:?}");
        }
    }
}
