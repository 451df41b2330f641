//! How fast a long run goes, and how it tells of it.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Holds a run to so many events a second. What it falls behind it never catches up with in one go.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: Option<u32>,
    due: Instant,
}

impl Pace {
    /// 0 is without a bound.
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: (per_second > 0).then_some(per_second), due: Instant::now() }
    }

    /// Most events to take at once, of `batch`: a second's worth.
    pub(crate) fn batch(&self, batch: usize) -> usize {
        self.per_second.map_or(batch, |rate| batch.min(rate as usize)).max(1)
    }

    /// How long to wait after `events` more.
    pub(crate) fn wait_after(&mut self, events: usize, now: Instant) -> Duration {
        let Some(rate) = self.per_second else { return Duration::ZERO };
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.due = self.due.max(now) + Duration::from_secs(1) * events / rate;
        // The batch that is behind us took time itself.
        self.due.saturating_duration_since(now)
    }
}

/// Tells on standard error how far a run has come, at what rate, and when it will be done.
#[derive(Debug)]
pub(crate) struct Meter {
    what: &'static str,
    total: u64,
    done: u64,
    skipped: u64,
    begun: Instant,
    told: Instant,
    terminal: bool,
}

impl Meter {
    /// Of `total` events, `done` were done before.
    pub(crate) fn new(what: &'static str, total: u64, done: u64) -> Self {
        let now = Instant::now();
        let terminal = std::io::stderr().is_terminal();
        Self { what, total, done, skipped: done, begun: now, told: now, terminal }
    }

    /// The total is another one, for what grows meanwhile.
    pub(crate) fn total(&mut self, total: u64) {
        self.total = total;
    }

    /// So many are done now, altogether.
    pub(crate) fn at(&mut self, done: u64) {
        self.done = done;
        let every = if self.terminal { Duration::from_millis(500) } else { Duration::from_secs(5) };
        let now = Instant::now();
        if now.duration_since(self.told) >= every {
            self.told = now;
            self.tell(&self.text(now.duration_since(self.begun)));
        }
    }

    /// Leaves the line that is renewed on a terminal.
    pub(crate) fn end(&self) {
        if self.terminal {
            self.tell("");
        }
    }

    fn tell(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        // Nobody is left to tell if standard error is closed.
        let _ = if self.terminal { write!(err, "\r\x1b[K{text}") } else { writeln!(err, "{text}") };
        let _ = err.flush();
    }

    fn text(&self, elapsed: Duration) -> String {
        let now_done = self.done.saturating_sub(self.skipped);
        #[expect(clippy::cast_precision_loss, reason = "a rate is for people")]
        let rate = now_done as f64 / elapsed.as_secs_f64().max(0.001);
        let left = self.total.saturating_sub(self.done);
        let percent = (self.done * 100).checked_div(self.total.max(self.done)).unwrap_or(100);
        #[expect(clippy::cast_precision_loss, reason = "a rate is for people")]
        let eta = if rate > 0.0 { span(left as f64 / rate) } else { "unknown".to_owned() };
        format!(
            "{}: {} of {} events ({percent} %), {rate:.0}/s, {eta} left",
            self.what, self.done, self.total
        )
    }
}

/// A time in whole units, for people.
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A size in units, for people.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size is for people")]
    let bytes = bytes as f64;
    match bytes {
        b if b < 1e3 => format!("{b:.0} B"),
        b if b < 1e6 => format!("{:.1} kB", b / 1e3),
        b if b < 1e9 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.1} GB", b / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept_and_lost_time_is_not_made_up_for() {
        let mut pace = Pace::new(100);
        let start = pace.due;
        assert_eq!(pace.batch(500), 100);
        assert_eq!(pace.wait_after(100, start), Duration::from_secs(1));
        // Half of it went by with work.
        assert_eq!(pace.wait_after(50, start + Duration::from_millis(1500)), Duration::from_millis(500));
        let late = start + Duration::from_mins(1);
        assert_eq!(pace.wait_after(10, late), Duration::from_millis(100));
        assert_eq!(Pace::new(0).wait_after(1_000_000, start), Duration::ZERO);
    }

    #[test]
    fn a_meter_tells_share_rate_and_rest() {
        let mut meter = Meter::new("replay", 1000, 200);
        meter.done = 400;
        let text = meter.text(Duration::from_secs(2));
        assert_eq!(text, "replay: 400 of 1000 events (40 %), 100/s, 6 s left");
        let empty = Meter::new("replay", 0, 0).text(Duration::from_secs(1));
        assert_eq!(empty, "replay: 0 of 0 events (100 %), 0/s, unknown left");
    }

    #[test]
    fn spans_and_sizes_are_for_people() {
        assert_eq!([span(5.4), span(600.0), span(9000.0)], ["5 s", "10 min", "2.5 h"]);
        assert_eq!([size(12), size(11_300_000), size(2_000_000_000)], ["12 B", "11.3 MB", "2.0 GB"]);
    }
}
