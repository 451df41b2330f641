//! Signed webhooks to send, as they go over the wire.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context as _, ensure};
use hookstream_event::samples;
use hookstream_signature::{Key, hub};
use serde_json::{Map, Value};
use tokio_util::bytes::Bytes;

/// Sizes of bodies that are sent, in bytes. GitHub's are about so large.
const SIZES: RangeInclusive<usize> = 8 << 10..=12 << 10;

/// A webhook body without its last brace, and the event it belongs to.
#[derive(Debug)]
struct Body {
    event: String,
    start: Vec<u8>,
}

/// One signed webhook.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) event: String,
    /// The whole request.
    pub(super) request: Bytes,
    /// Its body.
    pub(super) body: Bytes,
}

/// Makes deliveries of which no two are alike, as those of a real sender: id and body are new each time.
#[derive(Debug)]
pub(super) struct Deliveries {
    bodies: Vec<Body>,
    key: Key,
    run: String,
    made: u64,
}

impl Deliveries {
    /// Takes the bodies of `file`, else our own samples; those that are 8 to 12 KiB, and samples made so long.
    pub(super) fn new(file: Option<&Path>, key: Key) -> anyhow::Result<Self> {
        let bodies = match file {
            Some(file) => from_file(file).with_context(|| format!("read {}", file.display()))?,
            None => from_samples()?,
        };
        let run = hookstream_runtime::unique_id();
        Ok(Self { bodies, key, run, made: 0 })
    }

    /// So many more.
    pub(super) fn make(&mut self, count: usize) -> Vec<Delivery> {
        (0..count).map(|at| self.next(at)).collect()
    }

    fn next(&mut self, at: usize) -> Delivery {
        self.made += 1;
        let Body { event, start } = &self.bodies[at % self.bodies.len()];
        let id = format!("{}-{}", self.run, self.made);
        let mut body = start.clone();
        body.extend_from_slice(format!(r#","bench":"{id}"}}"#).as_bytes());
        let head = format!(
            "POST /webhooks/github HTTP/1.1\r\nhost: bench\r\nuser-agent: GitHub-Hookshot/bench\r\naccept: */*\r\n\
             content-type: application/json\r\nx-github-event: {event}\r\nx-github-delivery: {id}\r\n\
             x-github-hook-id: 1\r\nx-github-hook-installation-target-type: repository\r\n\
             x-hub-signature-256: {}\r\ncontent-length: {}\r\n\r\n",
            hub::sign(&self.key, &body),
            body.len()
        );
        let request = Bytes::from([head.as_bytes(), &body].concat());
        let body = request.slice(head.len()..);
        Delivery { id, event: event.clone(), request, body }
    }
}

/// Lines of `{"event": …, "payload": …}`.
fn from_file(file: &Path) -> anyhow::Result<Vec<Body>> {
    let mut bodies = Vec::new();
    for (number, line) in BufReader::new(File::open(file)?).lines().enumerate() {
        let mut line: Value = serde_json::from_str(&line?).with_context(|| format!("line {}", number + 1))?;
        let event = line["event"].as_str().unwrap_or_default().to_owned();
        if let Value::Object(payload) = line["payload"].take() {
            bodies.extend(body(&event, &payload).filter(|body| SIZES.contains(&body.start.len())));
        }
    }
    ensure!(!bodies.is_empty(), "it holds no payload of {} to {} bytes", SIZES.start(), SIZES.end());
    Ok(bodies)
}

fn from_samples() -> anyhow::Result<Vec<Body>> {
    let mut bodies = Vec::new();
    for sample in samples::ALL.iter().filter(|sample| sample.source == "github") {
        let mut payload: Map<String, Value> = serde_json::from_str(sample.body)?;
        lengthen(&mut payload, usize::midpoint(*SIZES.start(), *SIZES.end()))?;
        bodies.extend(body(sample.event, &payload).filter(|body| SIZES.contains(&body.start.len())));
    }
    ensure!(!bodies.is_empty(), "there is no sample of the right size");
    Ok(bodies)
}

/// Adds what GitHub's bodies are mostly made of: fields of repositories.
fn lengthen(payload: &mut Map<String, Value>, bytes: usize) -> anyhow::Result<()> {
    let mut size = serde_json::to_vec(payload)?.len();
    let mut more = Map::new();
    for (name, value) in payload.get("repository").and_then(Value::as_object).into_iter().flatten() {
        let field = name.len() + serde_json::to_vec(value)?.len();
        if size + field < bytes {
            size += field;
            more.insert(name.clone(), value.clone());
        }
    }
    payload.insert("related_repository".to_owned(), more.into());
    Ok(())
}

fn body(event: &str, payload: &Map<String, Value>) -> Option<Body> {
    let mut start = serde_json::to_vec(payload).ok()?;
    // An object with at least one field: another one can follow.
    (!payload.is_empty() && start.pop() == Some(b'}')).then(|| Body { event: event.to_owned(), start })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn deliveries_are_of_github_s_size_signed_and_all_different() {
        let key = Key::new("bench", b"secret").unwrap();
        let deliveries = Deliveries::new(None, key.clone()).unwrap().make(100);
        for delivery in &deliveries {
            let request = String::from_utf8(delivery.request.to_vec()).unwrap();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert_eq!(body.as_bytes(), delivery.body);
            assert!((*SIZES.start()..SIZES.end() + 100).contains(&body.len()), "{}", body.len());
            assert!(head.contains(&hub::sign(&key, &delivery.body)));
            assert!(serde_json::from_str::<Value>(body).unwrap()["bench"].is_string());
        }
        let bodies: BTreeSet<_> = deliveries.iter().map(|delivery| &delivery.body).collect();
        assert_eq!(bodies.len(), 100);
    }
}
