//! What a walk through the stream found, for people and programs.

use serde_json::{Value, json};

use crate::output::{self, Format, progress as tell};
use crate::replay::range::Range;

/// Problems that are listed; further ones are counted.
const LISTED_MAX: usize = 10_000;

/// What was found.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) range: Range,
    /// Sequence that comes next.
    pub(super) next: u64,
    pub(super) verified: u64,
    pub(super) digest_only: u64,
    pub(super) appended: u64,
    /// Events that `--subject` leaves out.
    pub(super) others: u64,
    listed: Vec<Problem>,
    /// Problems beyond those that are listed.
    omitted: u64,
}

/// An event that does not verify, or is not there.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) sequence: u64,
    pub(super) event_id: Option<String>,
    pub(super) key_id: Option<String>,
    pub(super) code: &'static str,
    pub(super) detail: String,
}

impl Report {
    pub(super) fn of(range: Range) -> Self {
        let (verified, digest_only, appended, others, omitted) = (0, 0, 0, 0, 0);
        Self { range, next: range.from, verified, digest_only, appended, others, listed: Vec::new(), omitted }
    }

    pub(super) fn note(&mut self, problem: Problem) {
        if self.listed.len() < LISTED_MAX { self.listed.push(problem) } else { self.omitted += 1 }
    }

    /// Messages that should be there and are not. However many there are, those that are not listed are only counted.
    pub(super) fn missing(&mut self, sequences: Range, detail: &str) {
        let room = u64::try_from(LISTED_MAX - self.listed.len()).unwrap_or(u64::MAX);
        let listed = sequences.len().min(room);
        for sequence in (sequences.from..).take(usize::try_from(listed).unwrap_or(usize::MAX)) {
            let (event_id, key_id, detail) = (None, None, detail.to_owned());
            self.note(Problem { sequence, event_id, key_id, code: "missing", detail });
        }
        self.omitted = self.omitted.saturating_add(sequences.len() - listed);
    }

    pub(super) fn problems(&self) -> u64 {
        self.listed.len() as u64 + self.omitted
    }

    pub(super) fn print(&self, format: Format) -> anyhow::Result<()> {
        let counts = [
            ("verified", self.verified),
            ("unsigned, digest as it was", self.digest_only),
            ("unsigned, appended by the backend or the phase queue", self.appended),
            ("left out by --subject", self.others),
            ("do not verify", self.problems()),
        ];
        match format {
            Format::Json => output::json(&self.json())?,
            Format::Table => {
                output::table(
                    ["OUTCOME", "EVENTS"],
                    &counts.map(|(name, count)| [name.to_owned(), count.to_string()]),
                )?;
                if !self.listed.is_empty() {
                    output::line("")?;
                    let rows: Vec<_> = self.listed.iter().map(Problem::row).collect();
                    output::table(["SEQUENCE", "EVENT", "KEY", "PROBLEM", "DETAIL"], &rows)?;
                }
            }
        }
        if self.omitted > 0 {
            tell(format_args!("reverify: {} more do not verify and are not listed", self.omitted));
        }
        match self.problems() {
            0 => tell("reverify: all of it verifies"),
            problems => tell(format_args!("reverify: {problems} events do not verify")),
        }
        Ok(())
    }

    fn json(&self) -> Value {
        json!({
            "range": { "from": self.range.from, "to": self.range.to },
            "verified": self.verified, "digest_only": self.digest_only, "appended": self.appended,
            "left_out": self.others, "problems": self.problems(),
            "listed": self.listed.iter().map(Problem::json).collect::<Vec<_>>(),
        })
    }
}

impl Problem {
    fn row(&self) -> [String; 5] {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let (event, key) = (text(&self.event_id), text(&self.key_id));
        [self.sequence.to_string(), event, key, self.code.to_owned(), self.detail.clone()]
    }

    fn json(&self) -> Value {
        json!({
            "sequence": self.sequence, "event_id": self.event_id, "key_id": self.key_id, "problem": self.code,
            "detail": self.detail,
        })
    }
}
