//! What a worker needs of JetStream: a durable consumer of the phases that may begin, and a way to keep hold of one.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Bus, BusError, Consumer, Message};

/// The consumer as `schemas/streams/` has it, but for its name and filter.
const WORKER: &str = include_str!("../../../../schemas/streams/worker.json");

/// How long the server keeps the consumer of one issue's phases that nobody pulls from.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);

impl Bus {
    /// The durable consumer `name` of what is ready in `PHASES`, made or brought up to date. Whoever takes a message must
    /// ack it, or keep hold of it, within `ack_wait`. With a `parent_issue` it is a consumer of that issue's phases
    /// alone, which goes when nobody has used it for an hour.
    pub async fn worker_consumer(
        &self,
        name: &str,
        parent_issue: Option<i64>,
        ack_wait: Duration,
    ) -> Result<Consumer, BusError> {
        let mut request: Value =
            serde_json::from_str(WORKER).expect("schemas/streams/worker.json holds JSON");
        let stream = request["stream_name"].as_str().unwrap_or_default().to_owned();
        let (name, issue) = match parent_issue {
            Some(issue) => (format!("{name}-issue-{issue}"), issue.to_string()),
            None => (name.to_owned(), "*".to_owned()),
        };
        let filter = format!("phases.{issue}.*.ready");
        let config = &mut request["config"];
        config["durable_name"] = json!(name);
        config["filter_subject"] = json!(filter);
        config["ack_wait"] = json!(nanoseconds(ack_wait));
        if parent_issue.is_some() {
            config["inactive_threshold"] = json!(nanoseconds(ABANDONED_AFTER));
        }
        // The filter is in the subject, so that the server's permissions can tell what a worker may read.
        let subject = format!("CONSUMER.CREATE.{stream}.{name}.{filter}");
        self.api::<Value>(&subject, &request).await.map_err(|error| match error {
            BusError::Refused { code: crate::api::code::STREAM_MISSING, .. } => {
                BusError::StreamMissing(stream.clone())
            }
            other => other,
        })?;
        Ok(self.consumer(&stream, &name))
    }
}

impl Consumer {
    /// Keeps hold of a message: the server counts `ack_wait` anew. Returns once it has confirmed that.
    pub async fn keep(&self, message: &Message) -> Result<(), BusError> {
        self.bus.request(message.ack_subject.clone(), Bytes::from_static(b"+WPI")).await.map(drop)
    }

    /// Gives a message back: it is handed out again after `delay`, as another attempt.
    pub async fn give_back(&self, message: &Message, delay: Duration) -> Result<(), BusError> {
        let nak = format!("-NAK {}", json!({ "delay": nanoseconds(delay) }));
        self.bus.request(message.ack_subject.clone(), Bytes::from(nak)).await.map(drop)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
