//! Histograms that can be added up: the same buckets everywhere, in Postgres too (`schemas/postgres/core/0003_histograms.sql`).

/// How many lower bounds there are: all buckets but the first have one.
const BOUNDS: usize = 60;

/// Lower bounds of the buckets, in microseconds: two to each doubling, from a millisecond on.
const BOUNDS_US: [i64; BOUNDS] = {
    let mut bounds = [0; BOUNDS];
    let mut n = 0;
    while n < BOUNDS {
        bounds[n] = (if n % 2 == 0 { 1000 } else { 1500 }) << (n / 2);
        n += 1;
    }
    bounds
};

/// Counts of times by their length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Histogram([i64; BOUNDS + 1]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BOUNDS + 1])
    }
}

impl Histogram {
    /// Counts a time in microseconds; one that went backwards counts as none at all.
    pub(crate) fn observe(&mut self, micros: i64) {
        self.0[BOUNDS_US.partition_point(|bound| *bound <= micros)] += 1;
    }

    /// An array as Postgres reads it. Arrays of arrays do not come through `unnest` row by row, texts do.
    pub(crate) fn to_sql(&self) -> String {
        let counts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        format!("{{{}}}", counts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(micros: i64) -> usize {
        let mut histogram = Histogram::default();
        histogram.observe(micros);
        histogram.0.iter().position(|count| *count == 1).unwrap()
    }

    #[test]
    fn a_bucket_holds_its_lower_bound_and_not_its_upper_one() {
        assert_eq!([i64::MIN, 0, 999].map(bucket), [0, 0, 0]);
        assert_eq!([1000, 1499, 1500, 1999, 2000].map(bucket), [1, 1, 2, 2, 3]);
        assert_eq!([BOUNDS_US[BOUNDS - 1] - 1, BOUNDS_US[BOUNDS - 1], i64::MAX].map(bucket), [59, 60, 60]);
    }
}
