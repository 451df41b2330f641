//! The metrics of a process, in the text format of Prometheus. Names begin with `hookstream_`, units come last.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use crate::ProcessInfo;

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

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
        plain(&text)
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `OpenMetrics` as the older text format, which every scraper and `promtool` read: there a family of counters or infos
/// is named as its samples are, an info is a gauge, and there are neither units nor an end mark.
/// (<https://prometheus.io/docs/instrumenting/exposition_formats>, "Text-based format")
fn plain(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // OpenMetrics puts HELP before TYPE, and only TYPE says what the name has to become.
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            if let Some((_, words)) = help.take().filter(|(of, _)| *of == name) {
                let _ = writeln!(text, "# HELP {name}{suffix} {words}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Unit;

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

    #[test]
    fn a_scraper_of_the_older_text_format_finds_every_family_under_the_name_of_its_samples() {
        let metrics = Metrics::new(&ProcessInfo { name: "hookstream-test", about: "", version: "1.2.3" });
        metrics.register("events", "Events", Counter::<u64>::default());
        metrics.register("leading", "Whether it leads", Gauge::<i64>::default());
        metrics.with(|registry| {
            registry.register_with_unit("batch", "Batches", Unit::Seconds, Histogram::new([0.5]));
        });
        assert_eq!(
            metrics.encode(),
            r#"# HELP hookstream_build_info Which process this is.
# TYPE hookstream_build_info gauge
hookstream_build_info{process="hookstream-test",version="1.2.3"} 1
# HELP hookstream_events_total Events.
# TYPE hookstream_events_total counter
hookstream_events_total 0
# HELP hookstream_leading Whether it leads.
# TYPE hookstream_leading gauge
hookstream_leading 0
# HELP hookstream_batch_seconds Batches.
# TYPE hookstream_batch_seconds histogram
hookstream_batch_seconds_sum 0.0
hookstream_batch_seconds_count 0
hookstream_batch_seconds_bucket{le="0.5"} 0
hookstream_batch_seconds_bucket{le="+Inf"} 0
"#
        );
    }
}
