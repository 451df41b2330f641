use serde_json::{Map, Value, json};

use super::Difference;
use crate::{Bus, BusError};

/// A stream or a consumer as we want it.
#[derive(Debug, Clone)]
pub(super) struct Asset {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The fields that we state, in the server's notation.
    pub(super) config: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Stream,
    Consumer { stream: String },
}

impl Asset {
    /// Reads a file of `schemas/streams/`.
    pub(super) fn stream(config: Value) -> Self {
        let Value::Object(config) = config else { panic!("a stream's file holds an object") };
        Self { kind: Kind::Stream, name: text(&config, "name"), config }
    }

    /// Reads a file of `schemas/streams/consumers/`: the request that would create it.
    pub(super) fn consumer(request: Value) -> Self {
        let Value::Object(mut request) = request else { panic!("a consumer's file holds an object") };
        let Some(Value::Object(config)) = request.remove("config") else { panic!("a consumer has a config") };
        Self {
            kind: Kind::Consumer { stream: text(&request, "stream_name") },
            name: text(&config, "durable_name"),
            config,
        }
    }

    pub(super) fn is_stream(&self, name: &str) -> bool {
        self.kind == Kind::Stream && self.name == name
    }

    pub(super) fn is_meant_by(&self, difference: &Difference) -> bool {
        difference.asset == self.to_string()
    }

    pub(super) fn state_field(&mut self, field: &str, value: Value) {
        self.config.insert(field.to_owned(), value);
    }

    /// The server's configuration of it; `None` if it is missing.
    pub(super) async fn live(&self, bus: &Bus) -> Result<Option<Map<String, Value>>, BusError> {
        let config = match &self.kind {
            Kind::Stream => bus.stream_info(&self.name).await.map(|info| info.config),
            Kind::Consumer { stream } => bus.consumer_info(stream, &self.name).await.map(|info| info.config),
        };
        match config {
            Ok(Value::Object(config)) => Ok(Some(config)),
            Ok(_) => Err(BusError::Unreadable(format!("{self} has no configuration"))),
            Err(BusError::StreamMissing(_) | BusError::ConsumerMissing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn create(&self, bus: &Bus) -> Result<(), BusError> {
        self.send(bus, "CREATE", self.config.clone()).await
    }

    /// Sends the live configuration with `fields` as we want them.
    pub(super) async fn update(&self, bus: &Bus, fields: &[&str]) -> Result<(), BusError> {
        let mut config = self.live(bus).await?.unwrap_or_default();
        for &field in fields {
            if let Some(value) = self.config.get(field) {
                config.insert(field.to_owned(), value.clone());
            }
            if field == "filter_subjects" {
                config.remove("filter_subject");
            }
        }
        self.send(bus, "UPDATE", config).await
    }

    async fn send(&self, bus: &Bus, verb: &str, config: Map<String, Value>) -> Result<(), BusError> {
        let (subject, request) = match &self.kind {
            Kind::Stream => (format!("STREAM.{verb}.{}", self.name), Value::Object(config)),
            Kind::Consumer { stream } => (
                // One subject for both; the action says which is meant, so that neither happens by mistake.
                format!("CONSUMER.CREATE.{stream}.{}", self.name),
                json!({ "stream_name": stream, "config": config, "action": verb.to_lowercase() }),
            ),
        };
        bus.api::<Value>(&subject, &request).await.map(drop).map_err(|error| match error {
            BusError::Refused { code, description } => {
                BusError::Refused { code, description: format!("{self}: {description}") }
            }
            other => other,
        })
    }
}

impl std::fmt::Display for Asset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            Kind::Stream => write!(f, "stream {}", self.name),
            Kind::Consumer { .. } => write!(f, "consumer {}", self.name),
        }
    }
}

fn text(object: &Map<String, Value>, field: &str) -> String {
    object.get(field).and_then(Value::as_str).unwrap_or_else(|| panic!("no text {field}")).to_owned()
}
