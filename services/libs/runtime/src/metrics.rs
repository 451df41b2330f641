//! The metrics of a process, in the text format of Prometheus. Names begin with `hookstream_`, units come last.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use crate::ProcessInfo;

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds for histograms of how long something took, in seconds, from a millisecond to half a minute.
pub const SECONDS_BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The registry of a process. Clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// A registry that holds `hookstream_build_info`.
    pub fn new(process: &ProcessInfo) -> Self {
        let mut registry = Registry::with_prefix("hookstream");
        let labels = vec![("process", process.name), ("version", process.version)];
        registry.register("build", "Which process this is", Info::new(labels));
        Self(Arc::new(Mutex::new(registry)))
    }

    /// Adds a metric and returns it. `name` has neither the prefix nor, for a counter, `_total`: both are added.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.lock().register(name, help, metric.clone());
        metric
    }

    /// The registry itself, for collectors and sub-registries.
    pub fn with<T>(&self, change: impl FnOnce(&mut Registry) -> T) -> T {
        change(&mut self.lock())
    }

    /// All metrics as text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.lock());
        text
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn metrics_carry_the_prefix_and_say_which_process_this_is() {
        let metrics = Metrics::new(&ProcessInfo { name: "hookstream-test", about: "", version: "1.2.3" });
        let counter = metrics.register("events", "Events", Counter::<u64>::default());
        counter.inc_by(3);
        let text = metrics.encode();
        assert!(text.contains("hookstream_events_total 3"), "{text}");
        assert!(
            text.contains(r#"hookstream_build_info{process="hookstream-test",version="1.2.3"} 1"#),
            "{text}"
        );
    }
}
