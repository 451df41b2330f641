//! Signed deliveries for the tests.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hookstream_e2e::{Delivery, Pipeline};
use hookstream_event::{EventId, Source, samples};
use hookstream_signature::{Key, hub, standard_webhooks};
use serde_json::Value;

/// Signs deliveries with the secrets of a pipeline.
pub(crate) struct Signer {
    github: Key,
    internal: Key,
}

impl Signer {
    pub(crate) fn new(pipeline: &Pipeline) -> Self {
        let key = |name: &str| Key::new("test", pipeline.value(name).as_bytes()).unwrap();
        Self { github: key("GITHUB_WEBHOOK_SECRET"), internal: key("INTERNAL_WEBHOOK_SECRET") }
    }

    /// A GitHub delivery with content type `application/json`.
    pub(crate) fn github(&self, event: &str, delivery_id: &str, body: &Bytes) -> Delivery {
        self.github_as(event, delivery_id, body.clone(), "application/json")
    }

    /// The same payload as GitHub sends it with content type `application/x-www-form-urlencoded`.
    pub(crate) fn github_form(&self, event: &str, delivery_id: &str, body: &Bytes) -> Delivery {
        let mut form = String::from("payload=");
        for byte in body {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                    form.push(char::from(*byte));
                }
                b' ' => form.push('+'),
                _ => write!(form, "%{byte:02X}").unwrap(),
            }
        }
        self.github_as(event, delivery_id, form.into(), "application/x-www-form-urlencoded")
    }

    fn github_as(&self, event: &str, delivery_id: &str, body: Bytes, content_type: &str) -> Delivery {
        Delivery {
            event_id: EventId::new(&Source::github(), delivery_id).unwrap().to_string(),
            path: "/webhooks/github",
            headers: vec![
                ("content-type", content_type.to_owned()),
                ("x-github-event", event.to_owned()),
                ("x-github-delivery", delivery_id.to_owned()),
                ("x-hub-signature-256", hub::sign(&self.github, &body)),
            ],
            body,
        }
    }

    /// An internal webhook with Standard Webhooks headers.
    pub(crate) fn internal(&self, webhook_id: &str, body: &Value) -> Delivery {
        let body = Bytes::from(body.to_string());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        Delivery {
            event_id: EventId::new(&Source::internal(), webhook_id).unwrap().to_string(),
            path: "/webhooks/internal",
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("webhook-id", webhook_id.to_owned()),
                ("webhook-timestamp", now.to_string()),
                ("webhook-signature", standard_webhooks::sign(&self.internal, webhook_id, now, &body)),
            ],
            body,
        }
    }

    /// A report as the replaced system's workflows post it: no id, no type, the hub signature.
    pub(crate) fn workflow_complete(&self, body: &Value) -> Delivery {
        let body = Bytes::from(body.to_string());
        Delivery {
            event_id: String::new(),
            path: "/workflow-complete",
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("x-hub-signature-256", hub::sign(&self.internal, &body)),
            ],
            body,
        }
    }
}

/// GitHub payloads, as event and body: those of the file (one `{"event","payload"}` a line) that
/// `HOOKSTREAM_GITHUB_DELIVERIES` names, else our own samples.
pub(crate) fn github_payloads() -> Vec<(String, Bytes)> {
    let Ok(path) = std::env::var("HOOKSTREAM_GITHUB_DELIVERIES") else {
        let ours = samples::ALL.iter().filter(|sample| sample.source == "github");
        return ours
            .map(|sample| (sample.event.to_owned(), Bytes::from_static(sample.body.as_bytes())))
            .collect();
    };
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {path}: {error}"));
    text.lines()
        .map(|line| {
            let delivery: Value = serde_json::from_str(line).unwrap();
            let event = delivery["event"].as_str().unwrap().to_owned();
            (event, Bytes::from(delivery["payload"].to_string()))
        })
        .collect()
}
