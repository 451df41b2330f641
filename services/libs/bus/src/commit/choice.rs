//! Whether messages leave one by one or together, as measured. Pure: times are handed in.
//!
//! An atomic batch shares one fsync, but has a price of its own: the server stages it in files. On a server that calls
//! fsync before each ack it pays off from some messages on; on one that syncs lazily never. No setting tells which server
//! it is, so both ways are tried at each load: batches are kept where a message clearly takes less in one. Now and then the
//! other way is tried again, the rarer the more often it was in vain. What pays off for some pays off for more: few try no
//! batch before many gained by one.

use std::time::Duration;

/// A way to send what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Each message as a plain publish, at once.
    Alone,
    /// As one atomic batch, if there are several.
    Together,
}

/// So many at once leave alone where that is tried, and more as long as it looks no worse.
const TRIED_ALONE: usize = 32;

/// What is not used is tried again after so many periods, by how often that was in vain: all wait while a batch is tried.
const TRY_AGAIN_PERIODS: [usize; 4] = [4, 8, 64, 512];
const IN_VAIN_MAX: usize = TRY_AGAIN_PERIODS.len() - 1;

/// Loads are told apart by powers of two, up to that of the largest batch.
const CLASSES: usize = 11;

/// From so many on, a batch may pay off: it costs about as much as so many fsyncs.
const SEVERAL: usize = 16;

/// A period has so many messages, or so many times the load: acks come in bursts, and batches make whoever sends go in
/// step, a large one and a small one in turns.
const PERIOD: usize = 64;
const PERIOD_LOADS: usize = 2;

/// What a message takes either way, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Most messages that waited and were under way at once, in this period and in the one before.
    load: usize,
    load_before: usize,
    /// Messages of this period that were stored, and what they took.
    stored: (usize, Duration),
    /// By class of load.
    known: [Known; CLASSES],
    trying: Option<Try>,
    /// The stream takes no batches.
    only_alone: bool,
}

/// What is known of a load.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// What a message takes, by way.
    takes: [Option<Duration>; 2],
    /// Messages since something was tried, and how often that was in vain since it was not.
    since_tried: usize,
    in_vain: usize,
}

/// A way that is tried, at the load that it is tried for.
#[derive(Debug, Clone, Copy)]
struct Try {
    way: Way,
    class: usize,
    /// How many more leave alone, if that is what is tried. The others wait meanwhile.
    left: usize,
    /// So many tell enough, and fewer if they take clearly longer than the other way.
    enough: usize,
    other_takes: Option<Duration>,
    /// How many were stored, and what they took.
    stored: (usize, Duration),
}

impl Choice {
    /// How a message should leave that can leave now. `count` are those that wait, this one among them, and those that are
    /// under way.
    pub(super) fn way(&mut self, count: usize) -> Way {
        self.load = self.load.max(count);
        if self.only_alone || count < 2 {
            return Way::Alone;
        }
        let load = self.load_lately();
        if self.trying.is_none() {
            self.trying = self.next_try(load);
        }
        match &mut self.trying {
            // Fewer than lately, which are better alone: the others will wait for less.
            None if self.known[class(count)].better().unwrap_or(expected(count)) == Way::Alone => Way::Alone,
            None => self.known[class(load)].best(),
            Some(Try { left: 0, .. }) => Way::Together,
            Some(Try { left, .. }) => {
                *left -= 1;
                Way::Alone
            }
        }
    }

    /// Whether what waits behind a batch will leave together, as far as is known.
    pub(super) fn stays_together(&self) -> bool {
        if let Some(trying) = &self.trying {
            return trying.way == Way::Together;
        }
        let load = self.load_lately();
        self.known[class(load)].best() == Way::Together && self.next_try(load).is_none()
    }

    /// Some leave together, whatever is better, of so many that wait or are under way.
    pub(super) fn leave_together(&mut self, count: usize) {
        self.load = self.load.max(count);
    }

    /// A commit of so many messages was stored, so long after the one before or after it began.
    pub(super) fn stored(&mut self, messages: usize, time: Duration) {
        let class_now = class(self.load_lately());
        self.known[class_now].since_tried += messages;
        if let Some(trying) = &mut self.trying {
            if trying.has_enough(messages, time) {
                let Try { way, class, stored: (messages, time), .. } = *trying;
                self.known[class].tried(way, time, messages);
                self.trying = None;
            }
            return;
        }
        self.stored = (self.stored.0 + messages, self.stored.1 + time);
        let (messages, time) = self.stored;
        if messages >= period(self.load) {
            // Where the load has dropped, they left in the way of the load before.
            if class(self.load) == class_now {
                let way = self.known[class_now].best();
                self.known[class_now].learn(way, time, messages);
            }
            (self.stored, self.load_before, self.load) = ((0, Duration::ZERO), self.load, 0);
        }
    }

    /// What should be tried before anything else is done, at this load.
    fn next_try(&self, load: usize) -> Option<Try> {
        let class = class(load);
        let known = &self.known[class];
        let (way, periods) = match (known.takes, known.best()) {
            ([None, _], _) => (Way::Alone, 0),
            (_, Way::Together) => (Way::Alone, TRY_AGAIN_PERIODS[known.in_vain]),
            (_, Way::Alone) if !self.may_pay_off(class) => (Way::Together, TRY_AGAIN_PERIODS[IN_VAIN_MAX]),
            ([_, None], _) => (Way::Together, 0),
            (_, Way::Alone) => (Way::Together, TRY_AGAIN_PERIODS[known.in_vain]),
        };
        if known.since_tried < period(load) * periods {
            return None;
        }
        let (left, enough, other_takes) = match (way, known.takes) {
            (Way::Alone, [_, None]) => (TRIED_ALONE, TRIED_ALONE, None),
            (Way::Alone, [_, together]) => (TRIED_ALONE, period(load), together),
            // A batch also costs what could be done while everybody waits for it.
            (Way::Together, [alone, _]) => (0, period(load), alone),
        };
        Some(Try { way, class, left, enough, other_takes, stored: (0, Duration::ZERO) })
    }

    /// Whether a batch may be better at a load of this class, as far as is known of those above: with fewer messages it
    /// has the same price.
    fn may_pay_off(&self, class: usize) -> bool {
        let above = self.known[class + 1..].iter().find_map(Known::better);
        above.unwrap_or(expected(1 << class)) == Way::Together
    }

    fn load_lately(&self) -> usize {
        self.load.max(self.load_before)
    }

    /// It is not known what became of some, or how long they would have taken.
    pub(super) fn lost(&mut self) {
        self.trying = None;
    }

    /// The stream takes no batches.
    pub(super) fn no_batches(&mut self) {
        self.only_alone = true;
    }
}

impl Try {
    /// Counts a commit, and says whether there were enough.
    fn has_enough(&mut self, messages: usize, time: Duration) -> bool {
        // Those that were under way alone before do not count.
        if self.way == Way::Alone || messages > 1 || self.stored.0 > 0 {
            self.stored = (self.stored.0 + messages, self.stored.1 + time);
        }
        let (messages, _) = self.stored;
        if messages >= self.enough || self.other_takes.is_some_and(|other| self.is_hopeless(other)) {
            return true;
        }
        if self.way == Way::Alone && messages + TRIED_ALONE <= self.enough {
            self.left += 1;
        }
        false
    }

    /// Whether it takes clearly longer than the other way, so far.
    fn is_hopeless(&self, other: Duration) -> bool {
        let (messages, time) = self.stored;
        match self.way {
            // The first wait for the verification of what came while a batch was under way, up to half of the load.
            Way::Alone => time > other * count(messages + self.enough / 4),
            Way::Together => time > other * count(messages) * 3 / 2,
        }
    }
}

impl Known {
    /// What is better, once both are known. In a batch all wait for the last, alone the first are answered at once: it must
    /// take clearly less.
    fn better(&self) -> Option<Way> {
        let [Some(alone), Some(together)] = self.takes else { return None };
        Some(if together * 5 / 4 < alone { Way::Together } else { Way::Alone })
    }

    fn best(&self) -> Way {
        self.better().unwrap_or(Way::Alone)
    }

    /// So many messages took so long.
    fn learn(&mut self, way: Way, time: Duration, messages: usize) {
        let each = each(messages, time);
        let takes = &mut self.takes[way as usize];
        // Whatever else the machine does makes it slower and never faster.
        *takes = Some(takes.map_or(each, |took| if each < took { each } else { (took * 3 + each) / 4 }));
    }

    /// The same, of what was tried.
    fn tried(&mut self, way: Way, time: Duration, messages: usize) {
        self.learn(way, time, messages);
        self.since_tried = 0;
        self.in_vain = if self.best() == way { 0 } else { IN_VAIN_MAX.min(self.in_vain + 1) };
    }
}

fn each(messages: usize, time: Duration) -> Duration {
    time / count(messages).max(1)
}

fn count(messages: usize) -> u32 {
    u32::try_from(messages).unwrap_or(u32::MAX)
}

/// What is expected to be better where nothing is known.
fn expected(load: usize) -> Way {
    if load >= SEVERAL { Way::Together } else { Way::Alone }
}

/// How many messages are a period at this load.
fn period(load: usize) -> usize {
    PERIOD.max(PERIOD_LOADS * load)
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

    /// A server with these prices, with so many clients that send again once they are answered, until so many messages
    /// are stored; how many left alone, and the time.
    fn serve(choice: &mut Choice, prices: Prices, clients: usize, messages: usize) -> (usize, Duration) {
        let (alone, batch, each) = prices;
        let (mut by_themselves, mut total) = (0, Duration::ZERO);
        let (mut stored, mut waiting, mut under_way) = (0, clients, 0);
        while stored < messages {
            let mut leaving = 0;
            while waiting > 0 {
                match choice.way(waiting + under_way) {
                    Way::Alone => (waiting, under_way) = (waiting - 1, under_way + 1),
                    Way::Together if under_way > 0 => break,
                    Way::Together => (waiting, leaving) = (0, waiting),
                }
            }
            let (done, micros) = match leaving {
                0 => (1, alone),
                count => (count, batch + each * count as u64),
            };
            by_themselves += usize::from(leaving == 0);
            under_way -= usize::from(leaving == 0);
            let time = Duration::from_micros(micros);
            choice.stored(done, time);
            (stored, waiting, total) = (stored + done, waiting + done, total + time);
        }
        (by_themselves, total)
    }

    /// How a load of so many leaves, tries aside.
    fn better(choice: &Choice, load: usize) -> Way {
        choice.known[class(load)].best()
    }

    #[test]
    fn a_lone_message_leaves_alone_and_tries_nothing() {
        let mut choice = Choice::default();
        assert_eq!(serve(&mut choice, SYNCING, 1, 100).0, 100);
        assert!(choice.trying.is_none());
    }

    #[test]
    fn many_leave_together_where_each_costs_an_fsync() {
        let mut choice = Choice::default();
        serve(&mut choice, SYNCING, 128, 10_000);
        let (alone, time) = serve(&mut choice, SYNCING, 128, 50_000);
        assert!(alone < 50_000 / 64, "{alone} of 50,000 left alone");
        let best = Duration::from_micros((3000 + 60 * 128) * 50_000 / 128);
        assert!(time < best * 105 / 100, "{time:?}, at best {best:?}");
    }

    #[test]
    fn what_is_tried_alone_costs_few_fsyncs() {
        let mut choice = Choice::default();
        let (alone, _) = serve(&mut choice, SYNCING, 250, 5000);
        assert!(alone < 150, "{alone} of the first 5,000 left alone");
    }

    #[test]
    fn few_leave_alone_because_a_batch_has_its_price() {
        let mut choice = Choice::default();
        serve(&mut choice, SYNCING, 4, 1000);
        serve(&mut choice, SYNCING, 64, 1000);
        assert_eq!((better(&choice, 4), better(&choice, 64)), (Way::Alone, Way::Together));
        let (alone, _) = serve(&mut choice, SYNCING, 4, 10_000);
        assert!(alone > 9700, "{alone} of 10,000 left alone");
    }

    #[test]
    fn few_try_no_batch_before_many_gained_by_one() {
        let mut choice = Choice::default();
        assert_eq!(serve(&mut choice, SYNCING, 8, 5000).0, 5000);
        serve(&mut choice, SYNCING, 64, 1000);
        let (alone, _) = serve(&mut choice, SYNCING, 8, 5000);
        assert!(alone < 5000, "all left alone");
    }

    #[test]
    fn few_leave_alone_right_after_many() {
        let mut choice = Choice::default();
        serve(&mut choice, SYNCING, 128, 10_000);
        choice.known[class(128)].since_tried = 0;
        assert_eq!(
            [100, SEVERAL, 8].map(|count| choice.way(count)),
            [Way::Together, Way::Together, Way::Alone]
        );
    }

    #[test]
    fn fewer_try_no_batch_where_more_lost_by_one() {
        let mut choice = Choice::default();
        serve(&mut choice, LAZY, 128, 1000);
        assert_eq!(better(&choice, 128), Way::Alone);
        assert_eq!(serve(&mut choice, LAZY, 32, 5000).0, 5000);
        // What many lost by is no reason for ever.
        serve(&mut choice, SYNCING, 32, 50_000);
        assert_eq!(better(&choice, 32), Way::Together);
    }

    /// How many leave alone while that is tried, of a load of 64 where a batch took 100 µs a message, and each message
    /// alone now takes so long.
    fn tried_alone(micros: u64) -> usize {
        let known = Known {
            takes: [Some(Duration::from_micros(200)), Some(Duration::from_micros(100))],
            since_tried: usize::MAX / 2,
            in_vain: 0,
        };
        let mut choice = Choice::default();
        choice.known[class(64)] = known;
        let mut left = 0;
        while choice.way(64) == Way::Alone && choice.trying.is_some() {
            left += 1;
            choice.stored(1, Duration::from_micros(micros));
        }
        left
    }

    #[test]
    fn a_try_alone_goes_on_only_where_it_looks_no_worse() {
        let (alone, enough) = (tried_alone(400), period(64));
        assert!(alone < TRIED_ALONE, "{alone} of {enough} left alone");
        assert_eq!(tried_alone(60), enough);
    }

    #[test]
    fn a_slow_start_does_not_end_a_try_alone() {
        let mut choice = Choice::default();
        choice.known[class(256)].takes = [Some(Duration::from_micros(200)), Some(Duration::from_micros(130))];
        choice.known[class(256)].since_tried = usize::MAX / 2;
        // They wait for the verification of what came meanwhile.
        assert_eq!(choice.way(256), Way::Alone);
        choice.stored(1, Duration::from_millis(7));
        serve(&mut choice, LAZY, 256, 1000);
        assert_eq!(better(&choice, 256), Way::Alone);
    }

    #[test]
    fn all_leave_alone_where_the_server_syncs_lazily() {
        let mut choice = Choice::default();
        let (_, time) = serve(&mut choice, LAZY, 64, 5000);
        let best = 5000 * Duration::from_micros(60);
        assert!(time < best * 110 / 100, "at first {time:?}, at best {best:?}");
        serve(&mut choice, LAZY, 64, 50_000);
        let (_, time) = serve(&mut choice, LAZY, 64, 100_000);
        let best = 100_000 * Duration::from_micros(60);
        assert!(time < best * 101 / 100, "{time:?}, at best {best:?}");
    }

    #[test]
    fn one_slow_batch_does_not_decide() {
        let mut choice = Choice::default();
        choice.known[class(128)].learn(Way::Together, Duration::from_millis(300), 128);
        serve(&mut choice, SYNCING, 128, 5000);
        assert_eq!(better(&choice, 128), Way::Together);
    }

    #[test]
    fn what_few_take_is_not_held_against_many() {
        let mut choice = Choice::default();
        serve(&mut choice, SYNCING, 250, 10_000);
        let takes = choice.known[class(250)].takes;
        serve(&mut choice, (5000, 5000, 5000), 1, 1000);
        assert_eq!(choice.known[class(250)].takes, takes);
    }

    #[test]
    fn it_notices_when_the_disk_changes() {
        let mut choice = Choice::default();
        for (prices, way) in [(LAZY, Way::Alone), (SYNCING, Way::Together), (LAZY, Way::Alone)] {
            serve(&mut choice, prices, 64, 200_000);
            assert_eq!(better(&choice, 64), way, "{prices:?}");
        }
    }

    #[test]
    fn what_is_lost_ends_a_try() {
        let mut choice = Choice::default();
        assert_eq!(choice.way(2), Way::Alone);
        choice.lost();
        assert!(choice.trying.is_none());
        serve(&mut choice, SYNCING, 64, 1000);
        assert_eq!(better(&choice, 64), Way::Together);
    }

    #[test]
    fn a_stream_without_batches_gets_none() {
        let mut choice = Choice::default();
        choice.no_batches();
        assert_eq!(serve(&mut choice, SYNCING, 64, 1000).0, 1000);
    }
}
