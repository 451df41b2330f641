use std::time::{Duration, Instant};

use hookstream_store::memory::HORIZON;
use time::OffsetDateTime;

/// When the memory is next to be rid of old events, and how old.
///
/// While the projection lags, "old" counts from the event it has come to, not from today: a rebuild of an old stream
/// would else forget what its next events are to be compared with.
#[derive(Debug)]
pub(crate) struct Retention {
    every: Duration,
    due: Instant,
}

impl Retention {
    /// Due at once.
    pub(crate) fn new(every: Duration, now: Instant) -> Self {
        Self { every, due: now }
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// There was no day to forget: that can wait. After a day there may be another.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.due = now + self.every;
    }
}

/// What was received before this may be forgotten. `reached` is when the last applied event was recorded, `caught_up`
/// whether it was the stream's last.
pub(crate) fn horizon(
    now: OffsetDateTime,
    reached: Option<OffsetDateTime>,
    caught_up: bool,
) -> Option<OffsetDateTime> {
    let newest = if caught_up { Some(now) } else { reached };
    newest.map(|newest| newest.min(now) - HORIZON)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

    #[test]
    fn it_is_due_until_it_rests_and_then_again() {
        let (start, hour) = (Instant::now(), Duration::from_hours(1));
        let mut retention = Retention::new(hour, start);
        assert!(retention.is_due(start));
        retention.rest(start);
        assert!(!retention.is_due(start + hour / 2) && retention.is_due(start + hour));
    }

    #[test]
    fn a_lagging_projection_forgets_by_the_time_of_its_events() {
        let (event, week) = (datetime!(2026-06-01 10:00 UTC), time::Duration::days(7));
        assert_eq!(horizon(NOW, Some(event), false), Some(event - week));
        assert_eq!(horizon(NOW, Some(event), true), Some(NOW - week));
        assert_eq!(horizon(NOW, None, false), None);
        // A broker whose clock is ahead makes us forget nothing early.
        assert_eq!(horizon(NOW, Some(NOW + week), false), Some(NOW - week));
    }
}
