use std::sync::atomic::AtomicI64;
use std::time::Duration;

use hookstream_bus::Commit;
use hookstream_runtime::Metrics;
use hookstream_runtime::metrics::SECONDS_BUCKETS;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    source: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    source: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReplayLabels {
    source: &'static str,
    action: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    source: &'static str,
    key_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What a gateway counts. Every label has few values: none comes from a request.
#[derive(Debug, Clone)]
pub(crate) struct GatewayMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Histograms<SourceLabels>,
    body_bytes: Histograms<SourceLabels>,
    rejections: Family<ReasonLabels, Counter>,
    rejection_records: Family<OutcomeLabels, Counter>,
    suspected_replays: Family<ReplayLabels, Counter>,
    key_uses: Family<KeyLabels, Counter>,
    verify_seconds: Histograms<SourceLabels>,
    publish_seconds: Histograms<OutcomeLabels>,
    commit_messages: Histogram,
    commit_bytes: Histogram,
    commit_fallbacks: Counter,
    in_flight: Gauge,
    publishing: Gauge,
    pub(crate) nats_connected: Gauge,
}

impl GatewayMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(SECONDS_BUCKETS);
        let bytes: fn() -> Histogram = || {
            Histogram::new([256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 26_214_400.0])
        };
        let (requests, rejections, key_uses) = (Family::default(), Family::default(), Family::default());
        Self {
            requests: metrics.register("webhook_requests", "Webhooks answered, by status", requests),
            seconds: metrics.register(
                "webhook_request_seconds",
                "From a webhook's headers to its answer",
                Family::new_with_constructor(seconds),
            ),
            body_bytes: metrics.register(
                "webhook_body_bytes",
                "Sizes of bodies read",
                Family::new_with_constructor(bytes),
            ),
            rejections: metrics.register("webhook_rejections", "Webhooks refused, by reason", rejections),
            rejection_records: metrics.register(
                "rejection_records",
                "Records of what was refused: stored in the stream REJECTIONS, or why not",
                Family::default(),
            ),
            suspected_replays: metrics.register(
                "webhook_suspected_replays",
                "Webhooks whose body came before under another id, and what was done about it",
                Family::default(),
            ),
            key_uses: metrics.register(
                "webhook_key_uses",
                "Webhooks verified and understood, by the id of the key that matched",
                key_uses,
            ),
            verify_seconds: metrics.register(
                "webhook_verify_seconds",
                "From a whole body to a verified event, or to its refusal",
                Family::new_with_constructor(seconds),
            ),
            commit_messages: metrics.register(
                "commit_messages",
                "Events of a commit: those of an atomic batch share one fsync",
                Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            ),
            commit_bytes: metrics.register(
                "commit_bytes",
                "Sizes of commits, headers included",
                Histogram::new(exponential_buckets(1024.0, 4.0, 9)),
            ),
            commit_fallbacks: metrics.register(
                "commit_fallbacks",
                "Batches that the stream did not take, whose events went one by one",
                Counter::default(),
            ),
            publishing: metrics.register(
                "publishes_in_flight",
                "Events on their way into the stream, those that wait for a commit included",
                Gauge::default(),
            ),
            publish_seconds: metrics.register(
                "publish_seconds",
                "From an event to the stream's ack, or to its refusal",
                Family::new_with_constructor(seconds),
            ),
            in_flight: metrics.register(
                "webhooks_in_flight",
                "Webhooks being answered now",
                Gauge::default(),
            ),
            nats_connected: metrics.register(
                "nats_connected",
                "1 while connected to NATS",
                Gauge::<i64, AtomicI64>::default(),
            ),
        }
    }

    /// Counts a request as in flight until the guard is dropped, which it also is when the client goes away.
    pub(crate) fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// The same for an event on its way into the stream.
    pub(crate) fn publishing(&self) -> InFlight {
        self.publishing.inc();
        InFlight(self.publishing.clone())
    }

    pub(crate) fn committed(&self, commit: Commit) {
        // Far smaller than the numbers that f64 cannot hold.
        #[allow(clippy::cast_precision_loss)]
        let (messages, bytes) = (commit.messages as f64, commit.bytes as f64);
        self.commit_messages.observe(messages);
        self.commit_bytes.observe(bytes);
        if commit.fell_back {
            self.commit_fallbacks.inc();
        }
    }

    pub(crate) fn taken_in(&self, source: &'static str, took: Duration) {
        self.verify_seconds.get_or_create(&SourceLabels { source }).observe(took.as_secs_f64());
    }

    pub(crate) fn answered(&self, source: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { source, status }).inc();
        self.seconds.get_or_create(&SourceLabels { source }).observe(took.as_secs_f64());
    }

    pub(crate) fn body_read(&self, source: &'static str, bytes: usize) {
        // Bodies are far smaller than the numbers that f64 cannot hold.
        #[allow(clippy::cast_precision_loss)]
        self.body_bytes.get_or_create(&SourceLabels { source }).observe(bytes as f64);
    }

    pub(crate) fn refused(&self, source: &'static str, reason: &'static str) {
        self.rejections.get_or_create(&ReasonLabels { source, reason }).inc();
    }

    pub(crate) fn rejection_told(&self, outcome: &'static str) {
        self.rejection_records.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(crate) fn suspected_replay(&self, source: &'static str, action: &'static str) {
        self.suspected_replays.get_or_create(&ReplayLabels { source, action }).inc();
    }

    pub(crate) fn verified(&self, source: &'static str, key_id: &str) {
        self.key_uses.get_or_create(&KeyLabels { source, key_id: key_id.to_owned() }).inc();
    }

    pub(crate) fn published(&self, outcome: &'static str, took: Duration) {
        self.publish_seconds.get_or_create(&OutcomeLabels { outcome }).observe(took.as_secs_f64());
    }
}

/// A request that is being answered, or an event that is being stored.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
