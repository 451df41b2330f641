//! Which refusals are told one by one, and how many are told as a number.

use std::collections::HashMap;
use std::net::IpAddr;

/// Bounds of what is told within one period.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Refusals of one kind from one client that are told one by one.
    pub(crate) each: u32,
    /// The same of all kinds and clients together.
    pub(crate) all: u32,
    /// Kinds and clients that are told apart; the refusals of further clients are counted together.
    pub(crate) keys: usize,
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The source, `none` for a path that has none.
    pub(crate) source: String,
    pub(crate) reason: &'static str,
    pub(crate) status: u16,
    /// The client, as [`hookstream_runtime::http::network`] tells it; `None` stands for many.
    pub(crate) client: Option<IpAddr>,
}

/// Refusals that were not told one by one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rest {
    pub(crate) key: Key,
    pub(crate) count: u64,
}

/// Decides within a period. Whoever holds it ends the periods; it reads no clock.
///
/// **Invariant:** of all refusals noted, each is either told by itself or counted in one [`Rest`].
#[derive(Debug)]
pub(crate) struct Sampler {
    limits: Limits,
    /// At most `keys`, and one per source and reason.
    tallies: HashMap<Key, Tally>,
    told: u32,
}

#[derive(Debug, Default)]
struct Tally {
    told: u32,
    untold: u64,
}

impl Sampler {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, tallies: HashMap::new(), told: 0 }
    }

    /// Whether this refusal is told by itself.
    pub(crate) fn note(&mut self, key: &Key) -> bool {
        let Limits { each, all, .. } = self.limits;
        let tell = self.told < all;
        let tally = self.tally(key);
        if tell && tally.told < each {
            tally.told += 1;
            self.told += 1;
            return true;
        }
        tally.untold += 1;
        false
    }

    /// So many refusals that were to be told could not be: they are counted, to be told later.
    pub(crate) fn count_instead(&mut self, key: &Key, count: u64) {
        self.tally(key).untold += count;
    }

    /// Ends the period, and returns what was not told within it.
    pub(crate) fn end_period(&mut self) -> Vec<Rest> {
        self.told = 0;
        let tallies = self.tallies.drain().filter(|(_, tally)| tally.untold > 0);
        tallies.map(|(key, tally)| Rest { key, count: tally.untold }).collect()
    }

    fn tally(&mut self, key: &Key) -> &mut Tally {
        let is_new = !self.tallies.contains_key(key);
        let client = key.client.filter(|_| !is_new || self.tallies.len() < self.limits.keys);
        self.tallies.entry(Key { client, ..key.clone() }).or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { each: 2, all: 5, keys: 3 };

    fn key(reason: &'static str, client: u8) -> Key {
        let client = Some(IpAddr::from([192, 0, 2, client]));
        Key { source: "github".to_owned(), reason, status: 401, client }
    }

    #[test]
    fn the_first_of_a_kind_and_client_are_told_and_the_rest_is_a_number() {
        let mut sampler = Sampler::new(LIMITS);
        let told: Vec<bool> = (0..10).map(|_| sampler.note(&key("signature_missing", 1))).collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 2);
        assert!(sampler.note(&key("signature_missing", 2)), "another client is told");
        assert_eq!(sampler.end_period(), [Rest { key: key("signature_missing", 1), count: 8 }]);
        assert!(sampler.note(&key("signature_missing", 1)), "the next period begins anew");
        assert_eq!(sampler.end_period(), []);
    }

    #[test]
    fn what_could_not_be_told_is_counted() {
        let mut sampler = Sampler::new(LIMITS);
        assert!(sampler.note(&key("signature_missing", 1)));
        sampler.count_instead(&key("signature_missing", 1), 1);
        assert_eq!(sampler.end_period(), [Rest { key: key("signature_missing", 1), count: 1 }]);
    }

    proptest! {
        #[test]
        fn no_refusal_is_lost_and_nothing_grows(noted in prop::collection::vec((0..3_usize, any::<u8>()), 0..400)) {
            const REASONS: [&str; 3] = ["signature_missing", "signature_mismatch", "not_found"];
            let mut sampler = Sampler::new(LIMITS);
            let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
            let mut found = expected.clone();
            let mut told = 0;
            for (reason, client) in noted {
                let key = key(REASONS[reason], client);
                *expected.entry(key.reason).or_default() += 1;
                if sampler.note(&key) {
                    told += 1;
                    *found.entry(key.reason).or_default() += 1;
                }
                prop_assert!(sampler.tallies.len() <= LIMITS.keys + REASONS.len());
            }
            prop_assert!(told <= LIMITS.all);
            for rest in sampler.end_period() {
                *found.entry(rest.key.reason).or_default() += rest.count;
            }
            prop_assert_eq!(found, expected);
            prop_assert!(sampler.tallies.is_empty());
        }
    }
}
