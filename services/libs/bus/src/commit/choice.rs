//! Whether messages leave one by one or together, as measured. Pure: times are handed in.
//!
//! An atomic batch shares one fsync, but has a price of its own: the server stages it in files. On a server that calls
//! fsync before each ack it pays off from a few messages on; on one that syncs lazily never. No setting tells which
//! server it is, so what each way takes is measured, and now and then the other way is tried.

use std::time::Duration;

/// A way to send what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Each message as a plain publish, at once.
    Alone,
    /// As one atomic batch.
    Together,
}

/// The other way is tried for at most one part in so many of the time.
const TRIES: u32 = 64;

/// Messages that are tried alone at a time: on a slow disk, each of them holds up the others.
const TRIED_ALONE: u32 = 10;

/// Acks come in bursts: so many messages make one measurement of their time.
const MEASURED_ALONE: u32 = 8;

/// Each time that commits end, the load that was seen before fades by one part in so many.
const LOAD_FADES: usize = 8;

/// Sizes of batches are told apart by powers of two, up to that of the largest batch.
const CLASSES: usize = 11;

/// What the stream took lately for one message, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// When it was alone.
    alone: Option<Duration>,
    /// How many, and how long: not yet enough to count.
    measuring: (u32, Duration),
    /// When it was in a batch, by the class of the batch's size.
    together: [Option<Duration>; CLASSES],
    /// The stream takes no batches.
    only_alone: bool,
    /// Time that may be spent on trying the other way.
    allowance: Duration,
    /// How many more messages are tried alone.
    trying_alone: u32,
    /// The next batch is a try.
    trying_together: bool,
    /// The class of the size that was last tried.
    tried: usize,
    /// Most messages that waited and were under way lately.
    load: usize,
}

impl Choice {
    /// How the next of `count` messages, waiting and under way, should leave.
    ///
    /// What pays off is judged by the load and not by the count: the messages that answer a batch come one after the
    /// other, and if the first ones left alone because there are few of them, all others would wait for those.
    pub(super) fn way(&mut self, count: usize) -> Way {
        self.load = self.load.max(count);
        if count < 2 || self.only_alone || self.trying_alone > 0 {
            return Way::Alone;
        }
        if self.trying_together {
            return Way::Together;
        }
        let Some(together) = self.together[class(self.load)] else { return self.try_together() };
        let Some(alone) = self.alone else { return self.try_alone() };
        // Messages that wait for a batch are not worked on meanwhile: it must be clearly better.
        if together * 3 < alone * 2 {
            if self.may_spend(alone * TRIED_ALONE) { self.try_alone() } else { Way::Together }
        } else {
            let price = together * u32::try_from(self.load).unwrap_or(u32::MAX);
            if self.may_spend(price) { self.try_together() } else { Way::Alone }
        }
    }

    /// The batch that comes of it may be smaller: what is under way must end first.
    fn try_together(&mut self) -> Way {
        self.trying_together = true;
        self.tried = class(self.load);
        Way::Together
    }

    fn try_alone(&mut self) -> Way {
        self.trying_alone = TRIED_ALONE;
        Way::Alone
    }

    fn may_spend(&mut self, price: Duration) -> bool {
        let may = self.allowance >= price;
        if may {
            self.allowance = Duration::ZERO;
        }
        may
    }

    /// A message or batch has left.
    pub(super) fn left(&mut self, way: Way) {
        match way {
            Way::Alone => self.trying_alone = self.trying_alone.saturating_sub(1),
            Way::Together => self.trying_together = false,
        }
    }

    /// Some have ended: how many there were before counts for less.
    pub(super) fn ended(&mut self) {
        self.load -= self.load.div_ceil(LOAD_FADES);
    }

    /// The stream took so long for a batch of so many.
    pub(super) fn batch_took(&mut self, count: usize, time: Duration) {
        self.allowance += time / TRIES;
        let each = time / u32::try_from(count).unwrap_or(u32::MAX).max(1);
        learn(&mut self.together[class(count)], each);
        // What was tried is known from now on, even if the batch came out smaller.
        for unknown in
            self.together[..=self.tried].iter_mut().skip(class(count)).filter(|known| known.is_none())
        {
            *unknown = Some(each);
        }
    }

    /// The stream took so long for so many one by one, without a pause.
    pub(super) fn singles_took(&mut self, count: u32, time: Duration) {
        self.allowance += time / TRIES;
        let (measured, total) = (self.measuring.0 + count, self.measuring.1 + time);
        if measured < MEASURED_ALONE {
            self.measuring = (measured, total);
        } else {
            self.measuring = (0, Duration::ZERO);
            learn(&mut self.alone, total / measured);
        }
    }

    /// The stream takes no batches.
    pub(super) fn no_batches(&mut self) {
        self.only_alone = true;
    }
}

fn learn(known: &mut Option<Duration>, time: Duration) {
    *known = Some(known.map_or(time, |known| (known * 3 + time) / 4));
}

fn class(count: usize) -> usize {
    (count.max(1).ilog2() as usize).min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server with these prices, which is asked so often with so many; how many messages left alone, and the time.
    fn serve(
        choice: &mut Choice,
        (alone, batch, each): (u64, u64, u64),
        count: usize,
        times: usize,
    ) -> (usize, Duration) {
        let (mut by_themselves, mut total) = (0, Duration::ZERO);
        for _ in 0..times {
            let mut waiting = count;
            while waiting > 0 {
                let way = choice.way(waiting);
                let (n, time) = match way {
                    Way::Alone => (1, alone),
                    Way::Together => (waiting, batch + each * waiting as u64),
                };
                waiting -= n;
                choice.left(way);
                choice.ended();
                by_themselves += usize::from(way == Way::Alone);
                total += Duration::from_micros(time);
                match way {
                    Way::Alone => choice.singles_took(1, Duration::from_micros(time)),
                    Way::Together => choice.batch_took(n, Duration::from_micros(time)),
                }
            }
        }
        (by_themselves, total)
    }

    const SYNCING: (u64, u64, u64) = (400, 3000, 60);
    const LAZY: (u64, u64, u64) = (60, 3000, 60);

    /// Whether a batch of so many is the better way, tries aside.
    fn pays_off(choice: &Choice, count: usize) -> bool {
        choice.together[class(count)].unwrap() * 3 < choice.alone.unwrap() * 2
    }

    #[test]
    fn a_lone_message_leaves_alone() {
        assert_eq!(Choice::default().way(1), Way::Alone);
    }

    #[test]
    fn many_leave_together_where_each_costs_an_fsync() {
        let mut choice = Choice::default();
        let (alone, time) = serve(&mut choice, SYNCING, 128, 200);
        assert!(alone < 200, "{alone} of 25,600 left alone");
        let best = 200 * Duration::from_micros(3000 + 60 * 128);
        assert!(time < best * 105 / 100, "{time:?}, at best {best:?}");
    }

    #[test]
    fn few_leave_alone_because_a_batch_has_its_price() {
        let mut choice = Choice::default();
        serve(&mut choice, SYNCING, 4, 100);
        assert!(!pays_off(&choice, 4));
        serve(&mut choice, SYNCING, 64, 100);
        assert!(pays_off(&choice, 64) && !pays_off(&choice, 4));
    }

    #[test]
    fn the_first_answers_to_a_batch_do_not_leave_alone() {
        let mut choice = Choice::default();
        serve(&mut choice, SYNCING, 128, 100);
        let mut leave = |count| {
            let way = choice.way(count);
            choice.left(way);
            way
        };
        let alone = (2..40).filter(|count| leave(*count) == Way::Alone).count();
        assert!(alone <= TRIED_ALONE as usize, "{alone} of 38 left alone");
        serve(&mut choice, SYNCING, 4, 100);
        assert_eq!(choice.way(4), Way::Alone, "the load has gone");
    }

    #[test]
    fn what_was_tried_is_known_even_if_the_batch_came_out_smaller() {
        let mut choice = Choice::default();
        assert_eq!(choice.way(100), Way::Together);
        assert_eq!(choice.way(3), Way::Together, "a try goes on until a batch has left");
        choice.left(Way::Together);
        choice.batch_took(40, Duration::from_millis(8));
        assert_eq!((choice.together[4], choice.together[6]), (None, Some(Duration::from_micros(200))));
    }

    #[test]
    fn all_leave_alone_where_the_server_syncs_lazily() {
        let mut choice = Choice::default();
        let (_, time) = serve(&mut choice, LAZY, 64, 2000);
        let best = 2000 * 64 * Duration::from_micros(60);
        assert!(time < best * 105 / 100, "{time:?}, at best {best:?}");
    }

    #[test]
    fn it_notices_when_the_disk_changes() {
        let mut choice = Choice::default();
        serve(&mut choice, LAZY, 64, 500);
        assert!(!pays_off(&choice, 64));
        serve(&mut choice, SYNCING, 64, 100);
        assert!(pays_off(&choice, 64));
        serve(&mut choice, LAZY, 64, 500);
        assert!(!pays_off(&choice, 64));
    }

    #[test]
    fn a_stream_without_batches_gets_none() {
        let mut choice = Choice::default();
        choice.no_batches();
        assert_eq!(choice.way(1000), Way::Alone);
    }
}
