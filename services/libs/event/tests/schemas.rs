//! Holds the decoder of internal events and their published schemas together.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hookstream_event::internal::{self, InternalEvent, WORKFLOW_COMPLETED};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;
use time::macros::datetime;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../schemas/events/internal")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn schema(type_name: &str) -> Validator {
    let schema: Value = serde_json::from_str(&read(&folder().join(type_name).join("v1.json"))).unwrap();
    jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{type_name}: {error}"));
    jsonschema::validator_for(&schema).unwrap()
}

/// The examples of a type: name and body.
fn examples(type_name: &str, kind: &str) -> Vec<(String, String)> {
    let folder = folder().join(type_name).join("examples").join(kind);
    let examples: Vec<_> =
        names(&folder).into_iter().map(|name| (name.clone(), read(&folder.join(name)))).collect();
    assert!(!examples.is_empty(), "{type_name} has no {kind} example");
    examples
}

/// Decodes as the gateway does: only the workflows' own path fills in a type.
fn decode(type_name: &str, body: &str) -> Result<InternalEvent, hookstream_event::InvalidBody> {
    let default_type = (type_name == WORKFLOW_COMPLETED).then_some(WORKFLOW_COMPLETED);
    internal::decode(body.as_bytes(), default_type)
}

#[test]
fn every_type_has_a_schema_and_every_schema_a_type() {
    let mut types = InternalEvent::TYPES.map(str::to_owned);
    types.sort_unstable();
    assert_eq!(names(&folder()), types);
    for type_name in types {
        let text = read(&folder().join(&type_name).join("v1.json"));
        let schema: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(schema["$id"], format!("urn:hookstream:event:internal:{type_name}:v1"));
        assert_eq!(schema["title"], format!("hookstream.{type_name}"));
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    }
}

#[test]
fn ok_examples_are_accepted_by_schema_and_decoder() {
    for type_name in InternalEvent::TYPES {
        let schema = schema(type_name);
        for (name, body) in examples(type_name, "ok") {
            let instance: Value = serde_json::from_str(&body).unwrap();
            schema.validate(&instance).unwrap_or_else(|error| panic!("{type_name}/{name}: {error}"));
            let event =
                decode(type_name, &body).unwrap_or_else(|error| panic!("{type_name}/{name}: {error}"));
            assert_eq!(event.type_name(), type_name, "{name}");
        }
    }
}

#[test]
fn bad_examples_are_refused_by_the_decoder_and_by_the_schema_as_far_as_it_can() {
    for type_name in InternalEvent::TYPES {
        let schema = schema(type_name);
        for (name, body) in examples(type_name, "bad") {
            let refused = decode(type_name, &body);
            assert!(refused.is_err(), "{type_name}/{name} was accepted: {refused:?}");
            let instance: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(schema.is_valid(&instance), name.starts_with("rule-"), "{type_name}/{name}");
        }
    }
}

#[test]
fn a_refusal_names_a_field_and_never_its_value() {
    for type_name in InternalEvent::TYPES {
        for (name, body) in examples(type_name, "bad") {
            let canary =
                body.replace("yesterday", "canary").replace("running", "canary").replace("high", "canary");
            let error = decode(type_name, &canary).unwrap_err();
            let shown = error.to_string();
            assert!(!shown.contains("canary") && !shown.contains(".."), "{type_name}/{name}: {shown}");
            assert!(["invalid_event", "invalid_body"].contains(&error.code()), "{type_name}/{name}");
        }
    }
}

/// Values that tend to be where they should not.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..100_i64).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,140}".prop_map(Value::from),
        "[A-Za-z0-9_.:-]{0,10}".prop_map(Value::from),
        Just(Value::from("completed")),
        Just(Value::from("a U+0000: \0, and its escape: \\0")),
        Just(Value::from("2026-11-23T12:00:00Z")),
        proptest::collection::vec(0..22_i64, 0..4).prop_map(Value::from),
        Just(serde_json::json!({"workflow_type": "adw_test_iso", "adw_id": "adw-2"})),
        Just(serde_json::json!({})),
    ]
}

/// An ok example of any type, with the schema that it follows.
fn any_example() -> impl Strategy<Value = (&'static str, String)> {
    let all: Vec<_> = InternalEvent::TYPES
        .iter()
        .flat_map(|type_name| examples(type_name, "ok").into_iter().map(|(_, body)| (*type_name, body)))
        .collect();
    proptest::sample::select(all)
}

/// Puts `value` in place of the `at`-th member of the document (counted through all levels), or removes that.
fn replace(document: &mut Value, at: &mut usize, value: Option<&Value>) -> bool {
    match document {
        Value::Array(elements) => elements.iter_mut().any(|element| replace(element, at, value)),
        Value::Object(members) => {
            let keys: Vec<_> = members.keys().filter(|key| *key != "type").cloned().collect();
            for key in keys {
                if *at == 0 {
                    match value {
                        Some(value) => members.insert(key, value.clone()),
                        None => members.remove(&key),
                    };
                    return true;
                }
                *at -= 1;
                if replace(&mut members[&key], at, value) {
                    return true;
                }
            }
            false
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_the_decoder_accepts_the_schema_accepts(
        (type_name, body) in any_example(),
        mut at in 0..20_usize,
        value in proptest::option::weighted(0.9, any_value()),
    ) {
        thread_local! {
            static SCHEMAS: BTreeMap<&'static str, Validator> =
                InternalEvent::TYPES.iter().map(|type_name| (*type_name, schema(type_name))).collect();
        }
        let mut document: Value = serde_json::from_str(&body).unwrap();
        replace(&mut document, &mut at, value.as_ref());
        let decoded = decode(type_name, &document.to_string());
        let valid = SCHEMAS.with(|schemas| schemas[type_name].is_valid(&document));
        prop_assert!(valid || decoded.is_err(), "only the decoder accepts {document}");
        if let Ok(event) = decoded {
            let description = event.describe(datetime!(2026-11-23 12:00 UTC));
            prop_assert!(description.attributes.iter().all(|(_, text)| !text.contains('\0')));
            // Pairs of backslashes stand for one, which a 0 may follow.
            let shown = format!("{event:?}").replace("\\\\", "");
            prop_assert!(!shown.contains("\\0"), "a U+0000 is left in {event:?}");
        } else if valid {
            let rules = ["depends_on_phases", "phase_number", "queue_id", "parent_issue", "_at"];
            let shown = decoded.unwrap_err().to_string();
            prop_assert!(rules.iter().any(|field| shown.contains(field)), "only the schema accepts {document}: {shown}");
        }
    }

    #[test]
    fn mutated_examples_never_panic((_, body) in any_example(), at: usize, bytes: [u8; 2], length in 0..3_usize) {
        let mut body = body.into_bytes();
        let at = at % (body.len() - 2);
        body.splice(at..at + length, bytes);
        if let Ok(event) = internal::decode(&body, Some(WORKFLOW_COMPLETED)) {
            event.describe(datetime!(2026-11-23 12:00 UTC));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(body: Vec<u8>, default_type in proptest::option::of(".*")) {
        let _ = internal::decode(&body, default_type.as_deref());
    }
}
