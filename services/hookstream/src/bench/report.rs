//! What was measured, as a table or as JSON.

use serde_json::{Value, json};

use super::checks::Check;
use super::load::Round;
use super::targets::Kind;
use crate::output::{self, Format};

/// The percentiles that are told.
const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// All results.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) rows: Vec<Row>,
    pub(super) checks: Vec<Check>,
}

/// The rounds of one kind over so many connections. Those of all kinds took turns.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) connections: usize,
    /// Deliveries a second by the schedule.
    pub(super) rate: f64,
    /// As fast as they were answered.
    pub(super) answered: Vec<Round>,
    pub(super) scheduled: Vec<Round>,
}

/// The one in the middle; of an even number, the mean of the two.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

impl Row {
    fn per_second(&self) -> f64 {
        median(self.answered.iter().map(Round::per_second))
    }

    fn answered_in(&self, part: f64) -> f64 {
        median(self.answered.iter().map(|round| round.percentile(part)))
    }

    fn scheduled_in(&self, part: f64) -> f64 {
        median(self.scheduled.iter().map(|round| round.percentile(part)))
    }
}

impl Report {
    /// How a value of one kind compares with that of another: the median of the rounds' ratios.
    pub(super) fn ratio(
        &self,
        connections: usize,
        (one, other): (Kind, Kind),
        rounds: impl Fn(&Row) -> &[Round],
        value: impl Fn(&Round) -> f64,
    ) -> f64 {
        let rounds_of = |kind| {
            let row = self.rows.iter().find(|row| row.kind == kind && row.connections == connections);
            row.map(&rounds).unwrap_or_default()
        };
        let pairs = rounds_of(one).iter().zip(rounds_of(other));
        median(pairs.map(|(one, other)| value(one) / value(other)))
    }

    fn of_verifying(&self, row: &Row) -> f64 {
        let pair = (row.kind, Kind::Verify);
        self.ratio(row.connections, pair, |row| &row.answered, Round::per_second)
    }

    pub(super) fn print(&self, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Table => self.print_table(),
            Format::Json => {
                let rows: Vec<Value> = self.rows.iter().map(|row| self.row_as_json(row)).collect();
                let checks: Vec<Value> = self.checks.iter().map(Check::as_json).collect();
                output::json(&json!({ "rows": rows, "checks": checks }))
            }
        }
    }

    fn print_table(&self) -> anyhow::Result<()> {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                [
                    row.connections.to_string(),
                    row.kind.name().to_owned(),
                    format!("{:.0}", row.per_second()),
                    format!("{:.2}", self.of_verifying(row)),
                    milliseconds(row.answered_in(0.5)),
                    milliseconds(row.answered_in(0.99)),
                    format!("{:.0}", row.rate),
                    PERCENTILES.map(|(_, part)| milliseconds(row.scheduled_in(part))).join(" / "),
                ]
            })
            .collect();
        let headings = [
            "CONNECTIONS",
            "WHAT",
            "A SECOND",
            "OF VERIFYING",
            "P50 MS",
            "P99 MS",
            "AT A SECOND",
            "P50 / P90 / P99 / P99.9 MS",
        ];
        output::table(headings, &rows)?;
        output::line("")?;
        let checks: Vec<_> = self.checks.iter().map(Check::as_row).collect();
        output::table(["CHECK", "MEASURED", "LIMIT", "HELD"], &checks)
    }

    fn row_as_json(&self, row: &Row) -> Value {
        let percentiles = |value: &dyn Fn(f64) -> f64| -> Value {
            PERCENTILES
                .iter()
                .map(|(name, part)| ((*name).to_owned(), json!(value(*part))))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        json!({
            "connections": row.connections,
            "what": row.kind.name(),
            "per_second": row.per_second(),
            "of_verifying": self.of_verifying(row),
            "milliseconds": percentiles(&|part| row.answered_in(part)),
            "scheduled": { "per_second": row.rate, "milliseconds": percentiles(&|part| row.scheduled_in(part)) },
        })
    }
}

fn milliseconds(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(
            [median([3.0, 1.0, 2.0]), median([4.0, 1.0, 2.0, 3.0])].map(|m| m.to_string()),
            ["2", "2.5"]
        );
        assert!(median([]).is_nan());
    }
}
