//! What becomes of keys, told to the stream of operational acts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hookstream_bus::{Bus, Operation};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::KeyInfo;

/// Acts that may wait for a broker that is away.
const QUEUE_MAX: usize = 256;
/// How long one may take to be stored.
const BUDGET: Duration = Duration::from_secs(4);
/// Pauses between attempts.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How long what is left may take at the end.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// The keys of the sources as they were told last. Reads no clock.
#[derive(Debug, Default)]
pub(super) struct KeyWatch {
    /// Those in force, by source and id.
    told: Option<BTreeMap<(&'static str, String), Option<i64>>>,
}

impl KeyWatch {
    /// What there is to tell of `keys` as they are at `now`.
    pub(super) fn look(&mut self, keys: &[KeyInfo], now: OffsetDateTime) -> Vec<Operation> {
        let unix = now.unix_timestamp();
        let in_force = keys.iter().filter(|key| key.not_after.is_none_or(|end| unix < end));
        let in_force: BTreeMap<_, _> =
            in_force.map(|key| ((key.source, key.key_id.clone()), key.not_after)).collect();
        let act = |act: &str| Operation::new("gateway", act, now);
        let Some(before) = self.told.replace(in_force.clone()) else {
            let list: Vec<Value> = in_force
                .iter()
                .map(|((source, id), end)| json!({ "source": source, "key_id": id, "not_after": end.map(rfc3339) }))
                .collect();
            return vec![act("keys_in_force").with("keys", list)];
        };
        let named = |name: &str, (source, id): &(&'static str, String)| {
            act(name).with("source", *source).with("key_id", id.as_str())
        };
        let mut acts = Vec::new();
        for (key, end) in &in_force {
            match before.get(key) {
                None => acts.push(named("key_added", key).with("not_after", end.map(rfc3339))),
                Some(was) if was != end => {
                    acts.push(named("key_changed", key).with("not_after", end.map(rfc3339)));
                }
                Some(_) => {}
            }
        }
        let held: BTreeSet<_> = keys.iter().map(|key| (key.source, key.key_id.clone())).collect();
        for key in before.keys().filter(|key| !in_force.contains_key(*key)) {
            let why = if held.contains(key) { "expired" } else { "removed" };
            acts.push(named("key_retired", key).with("why", why));
        }
        acts
    }
}

fn rfc3339(unix: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| unix.to_string())
}

/// Where acts are told. Telling waits for nothing.
#[derive(Debug, Clone)]
pub(super) struct Acts(mpsc::Sender<Operation>);

/// Acts on their way.
#[derive(Debug)]
pub(super) struct Waiting(mpsc::Receiver<Operation>);

/// A bounded queue of acts.
pub(super) fn queue() -> (Acts, Waiting) {
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    (Acts(sender), Waiting(receiver))
}

impl Acts {
    pub(super) fn tell(&self, operation: Operation) {
        let act = operation.act.clone();
        if self.0.try_send(operation).is_err() {
            tracing::error!(act, "the act {act} is not recorded: too many wait for the broker");
        }
    }
}

impl Waiting {
    /// Publishes each act until the stream holds it, in order, until `shutdown` and all senders are gone.
    pub(super) async fn publish(mut self, bus: &Bus, shutdown: &CancellationToken) {
        while let Some(operation) = self.0.recv().await {
            loop {
                let budget = if shutdown.is_cancelled() { LAST_WORDS } else { BUDGET };
                let Err(error) = bus.tell_operation(&operation, budget).await else { break };
                let act = &operation.act;
                if shutdown.is_cancelled() {
                    tracing::warn!(act, "the act {act} is not recorded: {error}");
                    break;
                }
                tracing::debug!(act, "the act {act} is not recorded yet: {error}");
                tokio::select! {
                    () = tokio::time::sleep(AGAIN_AFTER) => {}
                    () = shutdown.cancelled() => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-25 10:00 UTC);

    fn key(id: &str, not_after: Option<i64>) -> KeyInfo {
        let (key_id, place) = (id.to_owned(), String::new());
        KeyInfo { source: "github", scheme: "github", key_id, not_after, place }
    }

    fn told(watch: &mut KeyWatch, keys: &[KeyInfo], now: OffsetDateTime) -> Vec<String> {
        let acts = watch.look(keys, now);
        acts.iter().map(|told| format!("{} {}", told.act, Value::Object(told.details.clone()))).collect()
    }

    #[test]
    fn a_rotation_is_told_step_by_step() {
        let (mut watch, end) = (KeyWatch::default(), NOW.unix_timestamp() + 60);
        let expired = key("gone", Some(0));
        let first = told(&mut watch, &[key("old", None), expired.clone()], NOW);
        assert_eq!(
            first,
            [r#"keys_in_force {"keys":[{"key_id":"old","not_after":null,"source":"github"}]}"#]
        );
        assert_eq!(told(&mut watch, &[key("old", None), expired], NOW), [""; 0]);
        let both = [key("new", None), key("old", Some(end))];
        assert_eq!(
            told(&mut watch, &both, NOW),
            [
                r#"key_added {"key_id":"new","not_after":null,"source":"github"}"#,
                r#"key_changed {"key_id":"old","not_after":"2026-11-25T10:01:00Z","source":"github"}"#,
            ]
        );
        let later = NOW + time::Duration::MINUTE;
        let retired = [r#"key_retired {"key_id":"old","source":"github","why":"expired"}"#];
        assert_eq!(told(&mut watch, &both, later), retired);
        assert_eq!(told(&mut watch, &[key("new", None)], later), [""; 0], "it was told once");
        let removed = [r#"key_retired {"key_id":"new","source":"github","why":"removed"}"#];
        assert_eq!(told(&mut watch, &[], later), removed);
    }
}
