//! Each field of each known event: missing, null, of another type, empty, odd.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::Path;

use hookstream_event::internal::{self, InternalEvent, WORKFLOW_COMPLETED};
use hookstream_event::{EventType, Subject, Token, github};
use jsonschema::Validator;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;

const RECEIVED_AT: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

/// What may stand where something else should; `None` is nothing at all.
fn odd_values() -> Vec<Option<Value>> {
    let values = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(""),
        json!("x"),
        json!("\0"),
        json!("\u{1b}[31m\r\nNats-Rollup: all"),
        json!("é".repeat(5000)),
        json!("9999-12-31T23:59:59-12:00"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({"a": 1}),
    ];
    std::iter::once(None).chain(values.map(Some)).collect()
}

/// Puts a value at a path, or nothing; makes the objects on the way.
fn put(document: &mut Value, path: &[&str], value: Option<&Value>) {
    let Value::Object(members) = document else { return };
    match (path, value) {
        ([key], Some(value)) => drop(members.insert((*key).to_owned(), value.clone())),
        ([key], None) => drop(members.remove(*key)),
        ([key, rest @ ..], _) => {
            let inner = members.entry((*key).to_owned()).or_insert_with(|| json!({}));
            if !inner.is_object() {
                *inner = json!({});
            }
            put(inner, rest, value);
        }
        ([], _) => {}
    }
}

/// Everything in the table that names a place in a body.
fn paths(row: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut todo: Vec<&Value> = ["requires", "present", "absent", "type", "subject", "time", "issue"]
        .into_iter()
        .map(|key| &row[key])
        .collect();
    while let Some(value) = todo.pop() {
        match value {
            Value::String(path) => drop(found.insert(path.clone())),
            Value::Array(values) => todo.extend(values),
            Value::Object(members) => todo.extend(members.values()),
            _ => {}
        }
    }
    let source = row["source"].as_str().unwrap();
    found.extend(source.split('{').skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()));
    let common = [
        "action",
        "organization.url",
        "repository.full_name",
        "repository.url",
        "sender.login",
        "sender.url",
    ];
    found.extend(common.map(str::to_owned));
    found
}

// J5
#[test]
fn every_field_of_every_known_github_event_may_be_odd_and_nothing_panics_or_gets_out_of_bounds() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../schemas/events/github.json");
    let table: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for (name, row) in table["events"].as_object().unwrap() {
        let event = Token::parse(name).unwrap();
        let list = |key: &str| row[key].as_array().cloned().unwrap_or_default();
        let own: Vec<String> = list("requires")
            .iter()
            .chain(&list("present"))
            .map(|key| key.as_str().unwrap().to_owned())
            .collect();
        // The least that passes for this event.
        let mut least = json!({});
        if !list("absent").contains(&json!("action")) {
            least["action"] = json!("done");
        }
        for key in own.iter().filter(|key| *key != "action") {
            put(&mut least, &[key], Some(&json!({})));
        }
        let described = github::describe(&event, least.to_string().as_bytes(), RECEIVED_AT);
        assert!(described.is_ok(), "{name}: {described:?}: {least}");
        for path in paths(row) {
            for value in odd_values() {
                let mut body = least.clone();
                put(&mut body, &path.split('.').collect::<Vec<_>>(), value.as_ref());
                match github::describe(&event, body.to_string().as_bytes(), RECEIVED_AT) {
                    Ok(description) => {
                        accepted += 1;
                        assert!(Subject::parse_stored(&description.subject.stored()).is_some(), "{body}");
                        assert!(EventType::parse(description.event_type.as_str()).is_some(), "{body}");
                        assert!(description.origin.bytes().all(|byte| byte.is_ascii_graphic()), "{body}");
                        assert!(description.about.is_none_or(|about| (1..=1024).contains(&about.len())));
                    }
                    Err(error) => {
                        refused += 1;
                        assert_eq!(error.code(), "event_mismatch", "{body}: {error}");
                        let key = path.split('.').next().unwrap();
                        assert!(error.to_string().contains(&format!("'{key}'")), "{body}: {error}");
                    }
                }
            }
        }
    }
    assert!(accepted > 5000 && refused > 1000, "{accepted} were accepted, {refused} refused");
}

/// The paths of all members of a document, as JSON pointers.
fn pointers(document: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match document {
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(values) => {
            values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (key, value) in children {
        let pointer = format!("{at}/{key}");
        pointers(value, &pointer, found);
        found.push(pointer);
    }
}

// J5
#[test]
fn every_field_of_every_internal_event_may_be_odd_and_decoder_and_schema_agree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../schemas/events/internal");
    let read =
        |path: &Path| -> Value { serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap() };
    let (mut accepted, mut refused) = (0, 0);
    for name in InternalEvent::TYPES {
        let schema = jsonschema::validator_for(&read(&folder.join(name).join("v1.json"))).unwrap();
        for entry in std::fs::read_dir(folder.join(name).join("examples/ok")).unwrap() {
            let example = read(&entry.unwrap().path());
            let mut all = Vec::new();
            pointers(&example, "", &mut all);
            for (pointer, value) in
                all.iter().flat_map(|pointer| odd_values().into_iter().map(move |v| (pointer, v)))
            {
                let mut body = example.clone();
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                match (body.pointer_mut(parent).unwrap(), value) {
                    (Value::Object(members), None) => drop(members.remove(key)),
                    (Value::Array(values), None) => drop(values.remove(key.parse().unwrap())),
                    (inner, Some(value)) => *inner.pointer_mut(&format!("/{key}")).unwrap() = value,
                    (inner, None) => panic!("{inner} has members"),
                }
                let ok = agree(name, &schema, &body);
                *(if ok { &mut accepted } else { &mut refused }) += 1;
            }
        }
    }
    assert!(accepted > 500 && refused > 2000, "{accepted} were accepted, {refused} refused");
}

fn agree(name: &str, schema: &Validator, body: &Value) -> bool {
    let default_type = (name == WORKFLOW_COMPLETED).then_some(WORKFLOW_COMPLETED);
    let decoded = internal::decode(body.to_string().as_bytes(), default_type);
    match &decoded {
        Ok(event) => {
            assert!(event.type_name() != name || schema.is_valid(body), "only the decoder accepts {body}");
            event.describe(RECEIVED_AT);
        }
        // Rules that a schema cannot express are those of these fields.
        Err(error) if schema.is_valid(body) => {
            let shown = error.to_string();
            let rules = ["depends_on_phases", "phase_number", "queue_id", "parent_issue", "_at'"];
            assert!(
                rules.iter().any(|field| shown.contains(field)),
                "only the schema accepts {body}: {shown}"
            );
        }
        Err(_) => {}
    }
    decoded.is_ok()
}
