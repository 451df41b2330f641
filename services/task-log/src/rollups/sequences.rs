//! `phase_sequences`: which sequences of phases fail the most.

use std::collections::BTreeMap;

use hookstream_store::{StoreError, Transaction};

use crate::TaskLogRow;

/// Longest sequence: older phases make no pattern with newer ones.
const PHASES_MAX: usize = 8;

/// Longest name of a phase in a sequence, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Between two phases of a path.
const ARROW: &str = " > ";

/// Behind a phase that failed.
const FAILED: &str = "!";

/// How often the last phase of a sequence completed and failed, and the last row that was counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcomes {
    completed: i64,
    failed: i64,
    last_id: i64,
}

/// Phases that ended in a row, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Path(Vec<String>);

impl Path {
    fn parse(text: &str) -> Self {
        Self(text.split(ARROW).map(str::to_owned).collect())
    }

    /// The sequence that a phase of this name ends.
    fn then(&self, name: &str) -> Self {
        let mut phases = self.0.clone();
        phases.push(name.to_owned());
        let begin = phases.len().saturating_sub(PHASES_MAX);
        Self(phases.split_off(begin))
    }

    /// The same with its last phase marked as failed.
    fn failed(mut self) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.push_str(FAILED);
        }
        self
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(ARROW))
    }
}

/// A workflow that ended: its run, its name in a path, whether it failed, and its row.
struct Ended {
    run: String,
    name: String,
    failed: bool,
    id: i64,
}

impl Ended {
    fn of(row: &TaskLogRow<'_>) -> Option<Self> {
        let failed = match row.phase_status {
            "completed" => false,
            "failed" => true,
            _ => return None,
        };
        let run = match (row.issue_number, row.adw_id) {
            (Some(issue), _) => format!("issue:{issue}"),
            (None, Some(adw_id)) => format!("adw:{adw_id}"),
            (None, None) => return None,
        };
        row.is_workflow_end().then(|| Self { run, name: name_of(row), failed, id: row.stream_sequence })
    }
}

/// The template says more than the number of the phase.
fn name_of(row: &TaskLogRow<'_>) -> String {
    let name = row.workflow_template.unwrap_or(&row.phase_name);
    name[..name.floor_char_boundary(NAME_BYTES_MAX)].replace(['>', '!'], "_")
}

pub(super) async fn add(tx: &Transaction<'_>, rows: &[TaskLogRow<'_>]) -> Result<(), StoreError> {
    let ended: Vec<Ended> = rows.iter().filter_map(Ended::of).collect();
    if ended.is_empty() {
        return Ok(());
    }
    let runs: Vec<&str> = ended.iter().map(|ended| ended.run.as_str()).collect();
    let mut paths = BTreeMap::new();
    for row in tx.query(include_str!("../sql/phase_path_load.sql"), &[&runs]).await? {
        paths.insert(row.try_get::<_, String>("run")?, Path::parse(row.try_get("path")?));
    }
    let sums = follow(&mut paths, ended);
    let (runs, paths): (Vec<String>, Vec<String>) =
        paths.into_iter().map(|(run, path)| (run, path.to_string())).unzip();
    tx.execute(include_str!("../sql/phase_path.sql"), &[&runs, &paths]).await?;
    let (paths, sums): (Vec<String>, Vec<Outcomes>) = sums.into_iter().unzip();
    let column = |value: fn(&Outcomes) -> i64| sums.iter().map(value).collect::<Vec<_>>();
    let (completed, failed) = (column(|sum| sum.completed), column(|sum| sum.failed));
    let statement = include_str!("../sql/phase_sequences.sql");
    tx.execute(statement, &[&paths, &completed, &failed, &column(|sum| sum.last_id)]).await?;
    Ok(())
}

/// Lengthens the path of each run by what ended, in order; returns how each sequence ended.
fn follow(paths: &mut BTreeMap<String, Path>, ended: Vec<Ended>) -> BTreeMap<String, Outcomes> {
    let mut sums: BTreeMap<String, Outcomes> = BTreeMap::new();
    for Ended { run, name, failed, id } in ended {
        let path = paths.entry(run).or_default();
        let sequence = path.then(&name);
        let sum = sums.entry(sequence.to_string()).or_default();
        sum.completed += i64::from(!failed);
        sum.failed += i64::from(failed);
        sum.last_id = id;
        *path = if failed { sequence.failed() } else { sequence };
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(run: &str, name: &str, failed: bool, id: i64) -> Ended {
        Ended { run: run.to_owned(), name: name.to_owned(), failed, id }
    }

    #[test]
    fn each_sequence_counts_how_its_last_phase_ended() {
        let mut paths = BTreeMap::new();
        let sums = follow(
            &mut paths,
            vec![
                ended("a", "plan", false, 1),
                ended("b", "plan", false, 2),
                ended("a", "build", true, 3),
                ended("b", "build", false, 4),
                ended("a", "build", false, 5),
            ],
        );
        let counted: Vec<_> =
            sums.iter().map(|(path, sum)| (path.as_str(), sum.completed, sum.failed, sum.last_id)).collect();
        let expected = [("plan", 2, 0, 2), ("plan > build", 1, 1, 4), ("plan > build! > build", 1, 0, 5)];
        assert_eq!(counted, expected);
        assert_eq!(paths["a"].to_string(), "plan > build! > build");
        assert_eq!(Path::parse("plan > build! > build"), paths["a"]);
    }

    #[test]
    fn only_the_last_phases_make_a_sequence() {
        let mut paths = BTreeMap::new();
        let many = (0_i64..20).map(|n| ended("a", &n.to_string(), n == 17, n)).collect();
        let sums = follow(&mut paths, many);
        assert_eq!(paths["a"].to_string(), "12 > 13 > 14 > 15 > 16 > 17! > 18 > 19");
        assert!(sums.keys().all(|path| path.split(ARROW).count() <= PHASES_MAX));
    }
}
