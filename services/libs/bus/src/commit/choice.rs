//! Whether messages leave one by one or together, as measured. Pure: times are handed in.
//!
//! An atomic batch shares one fsync, but has a price of its own: the server stages it in files. On a server that calls
//! fsync before each ack it pays off from some messages on; on one that syncs lazily never. No setting tells which server
//! it is, so both ways are tried for some time each, and the better one is kept. What counts is how long messages take
//! from one to the next over a whole period of work, for a batch also costs what could be done while everybody waits for it.

use std::time::Duration;

/// A way to send what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Each message as a plain publish, at once.
    Alone,
    /// As one atomic batch, if there are several.
    Together,
}

impl Way {
    fn other(self) -> Self {
        match self {
            Self::Alone => Self::Together,
            Self::Together => Self::Alone,
        }
    }
}

/// A period has at least so many messages, and so many times the load: batches grow one upon the other.
const PERIOD_MESSAGES_MIN: usize = 64;
const PERIOD_LOADS: usize = 2;

/// To try how they leave alone takes fewer, for the others wait meanwhile.
const TRIED_ALONE: usize = 32;

/// One period in so many goes to trying the other way again.
const TRY_EVERY: usize = 32;

/// Batches are tried so often before they are given up: whatever else happens may make one slow.
const TRIES_TOGETHER: usize = 2;

/// Loads are told apart by powers of two, up to that of the largest batch.
const CLASSES: usize = 11;

/// What a message took lately, and what follows from it.
#[derive(Debug)]
pub(super) struct Choice {
    way: Way,
    /// How many more leave alone, if that is only tried.
    trying_alone: Option<usize>,
    /// Most messages that waited and were under way at once in this period.
    load: usize,
    /// Messages of this period, and how long they took.
    period: (usize, Duration),
    /// By class of load.
    known: [Known; CLASSES],
    /// The stream takes no batches.
    only_alone: bool,
}

/// What is known of a load.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// What a message takes alone, and together.
    took: [Option<Duration>; 2],
    /// Periods that were measured, and those of them in which messages left together.
    periods: usize,
    together: usize,
}

impl Default for Choice {
    fn default() -> Self {
        let known = [Known::default(); CLASSES];
        let period = (0, Duration::ZERO);
        Self { way: Way::Together, trying_alone: None, load: 0, period, known, only_alone: false }
    }
}

impl Choice {
    /// How the next of `count` messages, waiting and under way, should leave.
    pub(super) fn way(&mut self, count: usize) -> Way {
        self.load = self.load.max(count);
        match &mut self.trying_alone {
            _ if self.only_alone => Way::Alone,
            Some(0) => Way::Together,
            Some(left) => {
                *left -= 1;
                Way::Alone
            }
            None => self.way,
        }
    }

    /// So many messages were stored, after so long in which there was always one to store.
    pub(super) fn stored(&mut self, messages: usize, time: Duration) {
        self.period = (self.period.0 + messages, self.period.1 + time);
        let enough = match self.trying_alone {
            Some(_) => TRIED_ALONE,
            None if self.is_hopeless() => PERIOD_MESSAGES_MIN.max(self.load),
            None => PERIOD_MESSAGES_MIN.max(PERIOD_LOADS * self.load),
        };
        if self.period.0 >= enough {
            let (messages, time) = std::mem::take(&mut self.period);
            self.learn(time / u32::try_from(messages).unwrap_or(u32::MAX));
            self.load = 0;
        }
    }

    /// It is not known what became of some, or how long they would have taken.
    pub(super) fn lost(&mut self) {
        self.period = (0, Duration::ZERO);
        self.trying_alone = self.trying_alone.map(|_| TRIED_ALONE);
    }

    /// The stream takes no batches.
    pub(super) fn no_batches(&mut self) {
        self.only_alone = true;
    }

    /// Together they take clearly longer than alone: half a period shows it.
    fn is_hopeless(&self) -> bool {
        let [alone, _] = self.known[class(self.load)].took;
        let (messages, time) = self.period;
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.way == Way::Together && alone.is_some_and(|alone| time > alone * messages * 5 / 4)
    }

    /// A period has ended: which way is the next one's?
    fn learn(&mut self, each: Duration) {
        let known = &mut self.known[class(self.load)];
        let took = &mut known.took[self.way as usize];
        // Whatever else the machine does makes it slower and never faster.
        *took = Some(took.map_or(each, |took| if each < took { each } else { (took * 3 + each) / 4 }));
        known.periods += 1;
        known.together += usize::from(self.way == Way::Together);
        let (way, is_try) = known.next(self.way);
        self.way = way;
        self.trying_alone = (is_try && way == Way::Alone).then_some(TRIED_ALONE);
    }
}

impl Known {
    /// The next way, and whether it is only tried.
    fn next(&self, way: Way) -> (Way, bool) {
        let [Some(alone), Some(together)] = self.took else { return (way.other(), true) };
        let best = if together < alone { Way::Together } else { Way::Alone };
        let give_up_later = best == Way::Alone && way == Way::Alone && self.together < TRIES_TOGETHER;
        let try_other = give_up_later || self.periods.is_multiple_of(TRY_EVERY);
        if try_other { (best.other(), true) } else { (best, false) }
    }
}

fn class(load: usize) -> usize {
    (load.max(1).ilog2() as usize).min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Microseconds: of a message alone, of a batch, and of each message in it.
    type Prices = (u64, u64, u64);

    const SYNCING: Prices = (400, 3000, 60);
    const LAZY: Prices = (60, 3000, 60);

    /// A server with these prices, which is asked so often with so many at once; how many messages left alone, and the
    /// time.
    fn serve(choice: &mut Choice, prices: Prices, count: usize, times: usize) -> (usize, Duration) {
        let (alone, batch, each) = prices;
        let (mut by_themselves, mut total) = (0, Duration::ZERO);
        for _ in 0..times {
            let mut waiting = count;
            while waiting > 0 {
                let (messages, micros) = match choice.way(waiting) {
                    Way::Together if waiting > 1 => (waiting, batch + each * waiting as u64),
                    _ => (1, alone),
                };
                waiting -= messages;
                by_themselves += usize::from(messages == 1);
                let time = Duration::from_micros(micros);
                total += time;
                choice.stored(messages, time);
            }
        }
        (by_themselves, total)
    }

    /// How a load of so many leaves, tries aside.
    fn better(choice: &Choice, load: usize) -> Way {
        let [alone, together] = choice.known[class(load)].took.map(Option::unwrap);
        if together < alone { Way::Together } else { Way::Alone }
    }

    #[test]
    fn at_first_messages_leave_together() {
        assert_eq!(Choice::default().way(2), Way::Together);
    }

    #[test]
    fn many_leave_together_where_each_costs_an_fsync() {
        let mut choice = Choice::default();
        serve(&mut choice, SYNCING, 128, 50);
        let (alone, time) = serve(&mut choice, SYNCING, 128, 400);
        assert!(alone < 400 * 128 / 16, "{alone} of 51,200 left alone");
        let best = 400 * Duration::from_micros(3000 + 60 * 128);
        assert!(time < best * 120 / 100, "{time:?}, at best {best:?}");
    }

    #[test]
    fn what_is_tried_alone_costs_few_fsyncs() {
        let mut choice = Choice::default();
        let (alone, _) = serve(&mut choice, SYNCING, 250, 20);
        assert!(alone < 100, "{alone} of the first 5,000 left alone");
    }

    #[test]
    fn few_leave_alone_because_a_batch_has_its_price() {
        let mut choice = Choice::default();
        serve(&mut choice, SYNCING, 4, 400);
        serve(&mut choice, SYNCING, 64, 100);
        assert_eq!((better(&choice, 4), better(&choice, 64)), (Way::Alone, Way::Together));
        let (alone, _) = serve(&mut choice, SYNCING, 4, 400);
        assert!(alone > 1400, "{alone} of 1,600 left alone");
    }

    #[test]
    fn all_leave_alone_where_the_server_syncs_lazily() {
        let mut choice = Choice::default();
        serve(&mut choice, LAZY, 64, 50);
        let (_, time) = serve(&mut choice, LAZY, 64, 2000);
        let best = 2000 * 64 * Duration::from_micros(60);
        assert!(time < best * 105 / 100, "{time:?}, at best {best:?}");
    }

    #[test]
    fn one_slow_period_does_not_decide() {
        let mut choice = Choice::default();
        serve(&mut choice, (400, 300_000, 60), 128, PERIOD_LOADS);
        serve(&mut choice, SYNCING, 128, 50);
        assert_eq!(better(&choice, 128), Way::Together);
    }

    #[test]
    fn it_notices_when_the_disk_changes() {
        let mut choice = Choice::default();
        for (prices, way) in [(LAZY, Way::Alone), (SYNCING, Way::Together), (LAZY, Way::Alone)] {
            serve(&mut choice, prices, 64, 1500);
            assert_eq!(better(&choice, 64), way, "{prices:?}");
        }
    }

    #[test]
    fn a_stream_without_batches_gets_none() {
        let mut choice = Choice::default();
        choice.no_batches();
        assert_eq!(choice.way(1000), Way::Alone);
    }
}
