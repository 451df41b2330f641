//! Reports that came before the phase they are about.

use std::collections::{BTreeMap, BTreeSet};

use hookstream_event::internal::{PhaseEnqueued, WorkflowCompleted, WorkflowStatus};
use time::{Duration, OffsetDateTime};

use super::{Effect, Unchanged};
use crate::plan::why;
use crate::{EarlyReport, Moment, Refusal};

/// How many such reports are kept: the latest.
pub const EARLY_REPORTS_MAX: i64 = 10_000;

/// How long after a report its phase may be enqueued. Whatever comes later is another run.
pub const EARLY_REPORT_HORIZON: Duration = Duration::hours(1);

/// A report that is kept for a phase that may come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReport {
    /// The phase.
    pub queue_id: String,
    /// Counts kept reports.
    pub ordinal: i64,
    /// When it was stored.
    pub at: OffsetDateTime,
    /// What it says.
    pub report: EarlyReport,
}

/// The reports that are kept, as far as they are loaded, and what became of them since.
#[derive(Debug, Clone, Default)]
pub(super) struct EarlyReports {
    reports: BTreeMap<String, KeptReport>,
    /// Ordinal of the last one that was kept.
    pub(super) last: i64,
    /// Rows that are to go.
    pub(super) removed: BTreeSet<String>,
    /// Ordinal of the last one that had a row when this was loaded.
    loaded_last: i64,
}

impl EarlyReports {
    pub(super) fn load(last: i64, reports: Vec<KeptReport>) -> Self {
        let reports = reports.into_iter().map(|report| (report.queue_id.clone(), report)).collect();
        Self { reports, last, removed: BTreeSet::new(), loaded_last: last }
    }

    /// Reports that have no row yet.
    pub(super) fn added(&self) -> impl Iterator<Item = &KeptReport> {
        self.reports.values().filter(|kept| kept.ordinal > self.loaded_last && self.is_kept(kept))
    }

    /// Keeps a report of a phase that is not in the queue.
    pub(super) fn keep(
        &mut self,
        queue_id: &str,
        report: &WorkflowCompleted,
        now: Moment,
    ) -> Result<Effect, Refusal> {
        let early = EarlyReport {
            adw_id: report.adw_id.clone(),
            failed: (report.status == WorkflowStatus::Failed).then(|| why(report)),
            trigger_next: report.trigger_next,
        };
        if let Some(known) = self.reports.get(queue_id).filter(|kept| self.is_fresh(kept, now)) {
            return if known.report.adw_id == early.adw_id
                && known.report.failed.is_some() == early.failed.is_some()
            {
                Ok(Effect::Unchanged(Unchanged::Already("reported")))
            } else {
                let (queue_id, adw_id) = (queue_id.to_owned(), known.report.adw_id.clone());
                Err(Refusal::AlreadyReported { queue_id, adw_id })
            };
        }
        self.forget(queue_id);
        self.last += 1;
        let kept =
            KeptReport { queue_id: queue_id.to_owned(), ordinal: self.last, at: now.at, report: early };
        self.reports.insert(queue_id.to_owned(), kept);
        Ok(Effect::Unchanged(Unchanged::Kept))
    }

    /// What was reported of a phase that is enqueued now, by the run that it is enqueued with.
    pub(super) fn find(&self, phase: &PhaseEnqueued, now: Moment) -> Option<EarlyReport> {
        let kept = self.reports.get(&phase.queue_id).filter(|kept| self.is_fresh(kept, now))?;
        (kept.report.adw_id == phase.phase_data.adw_id).then(|| kept.report.clone())
    }

    /// The phase has come.
    pub(super) fn forget(&mut self, queue_id: &str) {
        if let Some(kept) = self.reports.remove(queue_id)
            && kept.ordinal <= self.loaded_last
        {
            self.removed.insert(kept.queue_id);
        }
    }

    fn is_kept(&self, kept: &KeptReport) -> bool {
        kept.ordinal > self.last - EARLY_REPORTS_MAX
    }

    fn is_fresh(&self, kept: &KeptReport, now: Moment) -> bool {
        self.is_kept(kept) && now.at - kept.at <= EARLY_REPORT_HORIZON
    }
}
