//! The streams and consumers that hookstream needs, as data in `schemas/streams/`, and how a server differs from them.
//!
//! Only the fields that the data states are compared and changed, so an operator may set others (replicas, placement).

mod asset;
mod difference;
mod twin;

use std::time::Duration;

use serde_json::Value;

use crate::{Bus, BusError};
use asset::Asset;
pub use difference::{Change, Difference};

/// The streams, in the order they are made in.
const STREAMS: [&str; 5] = [
    include_str!("../../../../schemas/streams/webhooks.json"),
    include_str!("../../../../schemas/streams/rejections.json"),
    include_str!("../../../../schemas/streams/phases.json"),
    include_str!("../../../../schemas/streams/operations.json"),
    include_str!("../../../../schemas/streams/checkpoints.json"),
];

/// The durable consumers: one for each projection, and what the trail reads besides.
const CONSUMERS: [&str; 5] = [
    include_str!("../../../../schemas/streams/consumers/phase_queue.json"),
    include_str!("../../../../schemas/streams/consumers/task_log.json"),
    include_str!("../../../../schemas/streams/consumers/audit.json"),
    include_str!("../../../../schemas/streams/consumers/audit_rejections.json"),
    include_str!("../../../../schemas/streams/consumers/audit_operations.json"),
];

/// The streams and consumers that hookstream needs.
#[derive(Debug, Clone)]
pub struct Topology {
    assets: Vec<Asset>,
}

/// Bounds of the event stream that differ from one machine to the next; `None` keeps what the data says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Bytes that `WEBHOOKS` may hold.
    pub max_bytes: Option<u64>,
    /// How long `WEBHOOKS` keeps an event.
    pub max_age: Option<Duration>,
    /// How long `WEBHOOKS` remembers the id of an event.
    pub duplicate_window: Option<Duration>,
}

impl Topology {
    /// What `schemas/streams/` says.
    ///
    /// # Panics
    /// Never: the files are compiled in, and a test reads them.
    pub fn embedded() -> Self {
        let read = |text: &str| -> Value { serde_json::from_str(text).expect("schemas/streams holds JSON") };
        let streams = STREAMS.iter().map(|text| Asset::stream(read(text)));
        let consumers = CONSUMERS.iter().map(|text| Asset::consumer(read(text)));
        Self { assets: streams.chain(consumers).collect() }
    }

    /// The same with other bounds for `WEBHOOKS`.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        for asset in self.assets.iter_mut().filter(|asset| asset.is_stream("WEBHOOKS")) {
            if let Some(bytes) = limits.max_bytes {
                asset.state_field("max_bytes", bytes.into());
            }
            for (field, duration) in
                [("max_age", limits.max_age), ("duplicate_window", limits.duplicate_window)]
            {
                if let Some(duration) = duration {
                    asset.state_field(field, u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).into());
                }
            }
        }
        self
    }

    /// How the server differs: what is missing, and each stated field that has another value.
    pub async fn plan(&self, bus: &Bus) -> Result<Vec<Difference>, BusError> {
        let mut differences = Vec::new();
        for asset in &self.assets {
            let live = asset.live(bus).await?;
            differences.extend(difference::between(asset, live.as_ref()));
        }
        Ok(differences)
    }

    /// Creates and updates what `differences` name, as far as the server can, and returns what still differs.
    pub async fn apply(&self, bus: &Bus, differences: &[Difference]) -> Result<Vec<Difference>, BusError> {
        for asset in &self.assets {
            let concerned: Vec<_> =
                differences.iter().filter(|difference| asset.is_meant_by(difference)).collect();
            if concerned.iter().any(|difference| difference.change == Change::Missing) {
                asset.create(bus).await?;
                continue;
            }
            let fields: Vec<&str> =
                concerned.iter().filter_map(|difference| difference.editable_field()).collect();
            if !fields.is_empty() {
                asset.update(bus, &fields).await?;
            }
        }
        self.plan(bus).await
    }
}
