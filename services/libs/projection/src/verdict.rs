//! What becomes of a batch that failed: pure.

use hookstream_store::Kind;

/// How a batch is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As a whole, in one call of `apply`.
    Whole,
    /// In ever smaller parts under savepoints, until the events at fault are found.
    Isolated,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Try again, after a pause.
    Retry,
    /// Try again at once, isolating.
    Isolate,
    /// Postgres is at fault: back off, as long as it takes.
    Outage,
    /// Another process leads.
    Fenced,
    /// Code or schema are at fault: stop the process.
    Halt,
}

/// The trials of one batch so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trials {
    mode: Mode,
    /// Calls of `apply` for this batch, the next one included.
    number: u32,
    retries_left: u32,
}

impl Trials {
    pub(crate) fn new(retries_max: u32) -> Self {
        Self { mode: Mode::Whole, number: 1, retries_left: retries_max }
    }

    pub(crate) fn mode(self) -> Mode {
        self.mode
    }

    pub(crate) fn number(self) -> u32 {
        self.number
    }

    /// Whether a fault that may pass leads to another trial of all of it.
    pub(crate) fn has_retries(self) -> bool {
        self.retries_left > 0
    }

    /// Judges a failure. Only what is the events' own fault, or may be after a stated number of retries, leads to
    /// isolation; in isolation such failures end in dead letters, so one that comes out of it nonetheless is none.
    pub(crate) fn judge(&mut self, kind: Kind, lock_timeout: bool) -> Verdict {
        self.number = self.number.saturating_add(1);
        match (kind, self.mode) {
            (Kind::Fenced, _) => Verdict::Fenced,
            (Kind::Schema, _) | (Kind::Event, Mode::Isolated) => Verdict::Halt,
            (Kind::Transient, _) if self.retries_left > 0 => {
                self.retries_left -= 1;
                Verdict::Retry
            }
            // Somebody holds a lock: no event is at fault, however long it takes.
            (Kind::Transient, Mode::Whole) if lock_timeout => Verdict::Outage,
            (Kind::Outage, _) | (Kind::Transient, Mode::Isolated) => Verdict::Outage,
            (Kind::Event | Kind::Transient, Mode::Whole) => {
                self.mode = Mode::Isolated;
                Verdict::Isolate
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_fault_leads_to_isolation_at_once() {
        let mut trials = Trials::new(5);
        assert_eq!(trials.judge(Kind::Event, false), Verdict::Isolate);
        assert_eq!((trials.mode(), trials.number()), (Mode::Isolated, 2));
        assert_eq!(trials.judge(Kind::Event, false), Verdict::Halt);
    }

    #[test]
    fn a_passing_fault_is_retried_a_stated_number_of_times_then_isolated() {
        let mut trials = Trials::new(2);
        let verdicts = [(); 4].map(|()| trials.judge(Kind::Transient, false));
        assert_eq!(verdicts, [Verdict::Retry, Verdict::Retry, Verdict::Isolate, Verdict::Outage]);
    }

    #[test]
    fn a_lock_that_somebody_holds_never_leads_to_isolation() {
        let mut trials = Trials::new(1);
        let verdicts = [(); 3].map(|()| trials.judge(Kind::Transient, true));
        assert_eq!(verdicts, [Verdict::Retry, Verdict::Outage, Verdict::Outage]);
        assert_eq!(trials.mode(), Mode::Whole);
    }

    #[test]
    fn no_outage_is_an_events_fault() {
        let mut trials = Trials::new(0);
        for _ in 0..1000 {
            assert_eq!(trials.judge(Kind::Outage, false), Verdict::Outage);
        }
        assert_eq!(trials.mode(), Mode::Whole);
        assert_eq!(trials.judge(Kind::Fenced, false), Verdict::Fenced);
        assert_eq!(trials.judge(Kind::Schema, false), Verdict::Halt);
    }
}
