use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::asset::{Asset, Kind};

/// One way in which the server differs from what hookstream needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// `stream WEBHOOKS` or `consumer audit`.
    pub asset: String,
    /// What is different.
    pub change: Change,
}

/// What is different.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It does not exist.
    Missing,
    /// A field has another value.
    Field {
        /// Its name in the server's configuration.
        field: String,
        /// What it is; JSON null where the server states nothing.
        live: Value,
        /// What it should be.
        wanted: Value,
        /// The server can change it in place. If not, the stream or consumer has to be made anew by hand.
        editable: bool,
    },
}

impl Difference {
    pub(super) fn editable_field(&self) -> Option<&str> {
        match &self.change {
            Change::Field { field, editable: true, .. } => Some(field),
            _ => None,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asset = &self.asset;
        match &self.change {
            Change::Missing => write!(f, "{asset}: missing"),
            Change::Field { field, live, wanted, editable } => {
                write!(f, "{asset}: {field} is {}, should be {}", shown(field, live), shown(field, wanted))?;
                if *editable { Ok(()) } else { f.write_str(" (cannot be changed in place)") }
            }
        }
    }
}

/// What differs between `asset` and the server's configuration of it.
pub(super) fn between(asset: &Asset, live: Option<&Map<String, Value>>) -> Vec<Difference> {
    let difference = |change| Difference { asset: asset.to_string(), change };
    let Some(live) = live else { return vec![difference(Change::Missing)] };
    let mut differences = Vec::new();
    for (field, wanted) in &asset.config {
        let found = value_of(live, field);
        if !same(&found, wanted) {
            differences.push(difference(Change::Field {
                field: field.clone(),
                editable: editable(&asset.kind, field, &found),
                live: found,
                wanted: wanted.clone(),
            }));
        }
    }
    // Acks before anything is written, whatever sync_interval says. It cannot be switched off again.
    if let Some(mode) = live.get("persist_mode").filter(|mode| mode.as_str() == Some("async")) {
        differences.push(difference(Change::Field {
            field: "persist_mode".to_owned(),
            live: mode.clone(),
            wanted: Value::Null,
            editable: false,
        }));
    }
    differences
}

/// A consumer with one filter may state it as `filter_subject`.
fn value_of(live: &Map<String, Value>, field: &str) -> Value {
    let stated = live.get(field).cloned().unwrap_or_default();
    match (field, live.get("filter_subject")) {
        ("filter_subjects", Some(Value::String(one))) if !one.is_empty() => Value::from(vec![one.clone()]),
        _ => stated,
    }
}

/// The server leaves out what is zero, empty or false. The order of filters means nothing.
fn same(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && other.iter().all(|item| one.contains(item))
        }
        _ => live == wanted || (is_zero(live) && is_zero(wanted)),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// What nats-server refuses to change. (nats-io/nats-server, server/stream.go `configUpdateCheck` and
/// server/consumer.go `checkNewConsumerConfig`)
fn editable(kind: &Kind, field: &str, live: &Value) -> bool {
    match kind {
        Kind::Stream => match field {
            "storage" | "retention" => false,
            // Once on, for good.
            "deny_delete" | "deny_purge" => live != &Value::Bool(true),
            _ => true,
        },
        Kind::Consumer { .. } => !matches!(
            field,
            "deliver_policy"
                | "opt_start_seq"
                | "opt_start_time"
                | "ack_policy"
                | "replay_policy"
                | "max_waiting"
        ),
    }
}

/// A value as a person reads it: durations and sizes with units.
fn shown(field: &str, value: &Value) -> String {
    match (field, value) {
        ("max_age" | "duplicate_window" | "ack_wait", Value::Number(number)) => number
            .as_u64()
            .map_or_else(|| value.to_string(), |nanoseconds| duration(Duration::from_nanos(nanoseconds))),
        ("max_bytes" | "max_msg_size", Value::Number(number)) => {
            number.as_u64().map_or_else(|| "unlimited".to_owned(), bytes)
        }
        (_, Value::Null) => "not set".to_owned(),
        (_, Value::String(text)) => text.clone(),
        _ => value.to_string(),
    }
}

fn duration(value: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let seconds = value.as_secs();
    if value.subsec_nanos() != 0 || seconds == 0 {
        return format!("{value:?}");
    }
    let fitting = UNITS.iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

fn bytes(value: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fitting = UNITS.iter().find(|(unit, _)| value != 0 && value.is_multiple_of(*unit));
    fitting.map_or_else(|| format!("{value} bytes"), |(unit, name)| format!("{} {name}", value / unit))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown_between(wanted: Value, live: Value) -> Vec<String> {
        let Value::Object(live) = live else { panic!("an object") };
        between(&Asset::stream(wanted), Some(&live)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_server_leaves_out_is_zero_empty_or_false() {
        let wanted =
            json!({ "name": "S", "max_msgs": 0, "allow_direct": false, "sources": [], "description": "" });
        assert_eq!(shown_between(wanted, json!({ "name": "S" })), Vec::<String>::new());
    }

    #[test]
    fn what_we_do_not_state_is_not_compared() {
        let live = json!({ "name": "S", "num_replicas": 3, "metadata": { "team": "x" } });
        assert_eq!(shown_between(json!({ "name": "S" }), live), Vec::<String>::new());
    }

    #[test]
    fn the_order_of_a_list_means_nothing_but_its_items_do() {
        let wanted = json!({ "name": "S", "subjects": ["a", "b"] });
        assert_eq!(
            shown_between(wanted.clone(), json!({ "name": "S", "subjects": ["b", "a"] })),
            Vec::<String>::new()
        );
        for other in [json!(["a"]), json!(["a", "c"]), json!(["a", "a"])] {
            assert_eq!(shown_between(wanted.clone(), json!({ "name": "S", "subjects": other })).len(), 1);
        }
    }

    #[test]
    fn differences_are_read_with_units() {
        let wanted = json!({
            "name": "S", "max_bytes": 8_589_934_592_u64, "max_age": 604_800_000_000_000_u64,
            "duplicate_window": 30_000_000_000_u64, "discard": "new", "deny_purge": true,
        });
        let live = json!({
            "name": "S", "max_bytes": -1, "max_age": 1_500_000_000, "duplicate_window": 120_000_000_000_u64,
            "discard": "old",
        });
        assert_eq!(
            shown_between(wanted, live),
            [
                "stream S: deny_purge is not set, should be true",
                "stream S: discard is old, should be new",
                "stream S: duplicate_window is 2m, should be 30s",
                "stream S: max_age is 1.5s, should be 7d",
                "stream S: max_bytes is unlimited, should be 8 GiB",
            ]
        );
    }
}
