use std::time::{Duration, Instant};

/// Notices a consumer that has work for us and hands out none, which pull consumers are known to do.
#[derive(Debug)]
pub(crate) struct Watchdog {
    stall_after: Duration,
    stalls_max: u32,
    last_progress: Instant,
    stalls: u32,
}

/// What to do about an idle consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// Nothing: there is no work, or it has not waited long.
    Quiet,
    /// Rewind the consumer.
    Rewind,
    /// Rewinding did not help, so often.
    GiveUp(u32),
}

impl Watchdog {
    pub(crate) fn new(stall_after: Duration, stalls_max: u32, now: Instant) -> Self {
        Self { stall_after, stalls_max, last_progress: now, stalls: 0 }
    }

    /// Something was pulled, or there is nothing to pull.
    pub(crate) fn progress(&mut self, now: Instant) {
        self.last_progress = now;
        self.stalls = 0;
    }

    /// NATS was away: the time since then says nothing about the consumer.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.last_progress = now;
    }

    /// Nothing was pulled, and the consumer says that `pending` events wait.
    pub(crate) fn idle(&mut self, pending: u64, now: Instant) -> Alarm {
        if pending == 0 {
            self.progress(now);
            return Alarm::Quiet;
        }
        if now.duration_since(self.last_progress) < self.stall_after {
            return Alarm::Quiet;
        }
        self.last_progress = now;
        self.stalls += 1;
        if self.stalls > self.stalls_max { Alarm::GiveUp(self.stalls_max) } else { Alarm::Rewind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    #[test]
    fn an_idle_consumer_without_work_raises_no_alarm() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(STALL, 1, start);
        for second in 0..1000 {
            assert_eq!(watchdog.idle(0, start + Duration::from_secs(second)), Alarm::Quiet);
        }
    }

    #[test]
    fn work_that_nobody_hands_out_is_rewound_then_given_up() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(STALL, 2, start);
        let alarms = [10, 29, 30, 40, 60, 90].map(|at| watchdog.idle(7, start + Duration::from_secs(at)));
        let expected =
            [Alarm::Quiet, Alarm::Quiet, Alarm::Rewind, Alarm::Quiet, Alarm::Rewind, Alarm::GiveUp(2)];
        assert_eq!(alarms, expected);
    }

    #[test]
    fn a_message_in_between_begins_the_count_anew() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watchdog = Watchdog::new(STALL, 1, start);
        assert_eq!(watchdog.idle(7, at(30)), Alarm::Rewind);
        watchdog.progress(at(31));
        assert_eq!(watchdog.idle(7, at(60)), Alarm::Quiet);
        assert_eq!(watchdog.idle(7, at(61)), Alarm::Rewind);
    }
}
