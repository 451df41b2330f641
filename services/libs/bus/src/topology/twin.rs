//! Consumers that read as a projection's does, under another name.

use std::time::Duration;

use serde_json::Value;

use super::Topology;
use super::asset::{Asset, Kind};
use crate::consumer::filters;
use crate::{Bus, BusError, Selection};

/// How long the server keeps a twin that nobody pulls from.
const ABANDONED_AFTER: Duration = Duration::from_hours(6);

impl Topology {
    /// What the consumer of `projection` reads; `None` if there is no such consumer.
    pub fn selection(&self, projection: &str) -> Option<Selection> {
        let config = &self.consumer(projection)?.config;
        let headers_only = config.get("headers_only").and_then(Value::as_bool).unwrap_or_default();
        Some(Selection { subjects: filters(config), headers_only })
    }

    /// Makes a consumer that reads as that of `projection` does, under another name, unless it is there. The server takes
    /// it away once nobody has pulled from it for hours.
    pub async fn ensure_twin(&self, bus: &Bus, projection: &str, name: &str) -> Result<(), BusError> {
        let missing =
            || BusError::ConsumerMissing { stream: "WEBHOOKS".to_owned(), consumer: projection.to_owned() };
        let mut twin = self.consumer(projection).ok_or_else(missing)?.clone();
        name.clone_into(&mut twin.name);
        twin.state_field("durable_name", name.into());
        twin.state_field("description", format!("Fills another generation of {projection}").into());
        let threshold = u64::try_from(ABANDONED_AFTER.as_nanos()).unwrap_or(u64::MAX);
        twin.state_field("inactive_threshold", threshold.into());
        if twin.live(bus).await?.is_none() {
            twin.create(bus).await?;
        }
        Ok(())
    }

    fn consumer(&self, name: &str) -> Option<&Asset> {
        self.assets.iter().find(|asset| asset.name == name && matches!(asset.kind, Kind::Consumer { .. }))
    }
}

impl Bus {
    /// Takes a consumer off the server; one that is not there is no error.
    pub async fn delete_consumer(&self, stream: &str, name: &str) -> Result<(), BusError> {
        let deleted: Result<Value, _> =
            self.api(&format!("CONSUMER.DELETE.{stream}.{name}"), &Value::Null).await;
        match deleted.map_err(|error| crate::consumer::missing(error, stream, name)) {
            Ok(_) | Err(BusError::ConsumerMissing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
