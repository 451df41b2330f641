use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hookstream_runtime::Metrics;
use hookstream_runtime::metrics::SECONDS_BUCKETS;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::commit::Committed;

/// What a runner counts. The names are in [`RunnerMetrics::register`].
#[derive(Debug, Clone)]
pub(crate) struct RunnerMetrics {
    events: Family<Label, Counter>,
    batch_messages: Histogram,
    batch_seconds: Histogram,
    checkpoint: Gauge<u64, AtomicU64>,
    pending: Gauge<u64, AtomicU64>,
    leading: Gauge,
    last_applied: Gauge<f64, AtomicU64>,
    rewinds: Counter,
    failures: Family<Label, Counter>,
    forgotten: Counter,
    forgetting_seconds: Histogram,
}

/// One label, its name and its value.
type Label = [(&'static str, &'static str); 1];

impl RunnerMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let seconds = || Histogram::new(SECONDS_BUCKETS);
        let sizes = Histogram::new([1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0]);
        let register_gauge = |name: &str, help: &str| metrics.register(name, help, Gauge::default());
        Self {
            events: metrics.register("projection_events", "Events by what became of them", Family::default()),
            batch_messages: metrics.register("projection_batch_messages", "Messages in a batch", sizes),
            batch_seconds: metrics.register(
                "projection_batch_seconds",
                "Time from a batch in hand to its commit",
                seconds(),
            ),
            checkpoint: register_gauge(
                "projection_checkpoint_sequence",
                "Last stream sequence whose effects are committed",
            ),
            pending: register_gauge("projection_pending_events", "Events that wait in the stream"),
            leading: metrics.register(
                "projection_leading",
                "1 while this process leads the projection, 0 while it stands by",
                Gauge::default(),
            ),
            last_applied: metrics.register(
                "projection_last_applied_timestamp_seconds",
                "When the last batch was committed",
                Gauge::default(),
            ),
            rewinds: metrics.register(
                "projection_rewinds",
                "Times the consumer was set back to the checkpoint",
                Counter::default(),
            ),
            failures: metrics.register(
                "projection_failures",
                "Failures that are waited out or tried again",
                Family::default(),
            ),
            forgotten: metrics.register(
                "projection_forgotten_events",
                "Remembered events that went after seven days",
                Counter::default(),
            ),
            forgetting_seconds: metrics.register(
                "projection_forgetting_seconds",
                "Time it took to drop a day of remembered events",
                seconds(),
            ),
        }
    }

    pub(crate) fn leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    pub(crate) fn at(&self, checkpoint: u64) {
        self.checkpoint.set(checkpoint);
    }

    pub(crate) fn pending(&self, events: u64) {
        self.pending.set(events);
    }

    pub(crate) fn rewound(&self) {
        self.rewinds.inc();
    }

    /// `what` is `postgres`, `nats`, `order` or `batch`.
    pub(crate) fn failed(&self, what: &'static str) {
        self.failures.get_or_create(&[("what", what)]).inc();
    }

    pub(crate) fn forgot(&self, events: u64, took: Duration) {
        self.forgotten.inc_by(events);
        self.forgetting_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn committed(&self, committed: &Committed, messages: usize, took: Duration) {
        let tally = committed.tally;
        for (disposition, events) in [
            ("applied", tally.applied),
            ("suspected_replay", tally.suspected_replays),
            ("rejected_replay", tally.rejected_replays),
            ("redelivered", tally.redelivered),
            ("conflict", tally.conflicts),
            ("dead_letter", tally.dead_letters),
        ] {
            self.events.get_or_create(&[("disposition", disposition)]).inc_by(events);
        }
        #[allow(clippy::cast_precision_loss)] // A batch has far fewer than 2^52 messages.
        self.batch_messages.observe(messages as f64);
        self.batch_seconds.observe(took.as_secs_f64());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_applied.set(now.as_secs_f64());
        self.at(committed.checkpoint.sequence);
    }
}
