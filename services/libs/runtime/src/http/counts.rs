use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabels {
    fault: &'static str,
}

/// What a listener counts of its connections, and of what never comes to its service. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    connections: Gauge,
    faults: Family<FaultLabels, Counter>,
}

impl Counts {
    /// Makes the counts part of a process's metrics.
    pub fn register(metrics: &Metrics) -> Self {
        let Self { connections, faults } = Self::default();
        Self {
            connections: metrics.register("http_connections", "Connections being served", connections),
            faults: metrics.register(
                "http_faults",
                "Connections ended and requests answered by the listener itself, 500 in place of a panic among them",
                faults,
            ),
        }
    }

    /// A connection has its place, or has left it.
    pub(super) fn connected(&self, more: i64) {
        self.connections.inc_by(more);
    }

    pub(super) fn fault(&self, fault: &'static str) {
        self.faults.get_or_create(&FaultLabels { fault }).inc();
    }
}
