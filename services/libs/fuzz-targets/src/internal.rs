//! `[endpoint][body]`: on an odd endpoint the type may be absent, as on `/workflow-complete`.
//!
//! - What the decoder accepts, the published schema accepts.
//! - What the schema accepts and the decoder does not breaks a rule that a schema cannot express, and the error names
//!   that field.
//! - An accepted event can be stored, and has the same id when it comes again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use hookstream_event::internal::{InternalEvent, WORKFLOW_COMPLETED, decode};
use hookstream_event::{BodyError, EventId, InvalidBody, Source};
use jsonschema::Validator;
use serde_json::Value;

use crate::Seed;
use crate::input::Input;
use crate::storable::{RECEIVED_AT, assert_storable, assert_tellable};

static SCHEMAS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    let schema = |name: &str| {
        let text = std::fs::read_to_string(folder().join(name).join("v1.json")).unwrap();
        jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
    };
    InternalEvent::TYPES.into_iter().map(|name| (name, schema(name))).collect()
});

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../schemas/events/internal")
}

pub(crate) fn check(data: &[u8]) -> bool {
    let mut input = Input::new(data);
    let default_type = (input.byte() % 2 == 1).then_some(WORKFLOW_COMPLETED);
    let body = input.rest();
    // Absent where a value is outside of what serde_json's `Value` holds, such as 1e400 or half a surrogate pair.
    let document: Option<Value> = serde_json::from_slice(body).ok();
    match decode(body, default_type) {
        Ok(event) => {
            accepted(&event, default_type, document.as_ref(), body);
            true
        }
        Err(error) => {
            assert_tellable(&error);
            if let Some(document) = &document {
                refused(&error, default_type, document);
            }
            false
        }
    }
}

fn accepted(event: &InternalEvent, default_type: Option<&str>, document: Option<&Value>, body: &[u8]) {
    if let Some(document) = document {
        let valid = SCHEMAS[event.type_name()].is_valid(document);
        assert!(valid, "only the decoder accepts this {}: {document}", event.type_name());
    }
    let id = event.derived_delivery_id(body);
    assert_eq!(
        decode(body, default_type).as_ref().map(|again| again.derived_delivery_id(body)),
        Ok(id.clone())
    );
    let id = EventId::new(&Source::internal(), &id).expect("a derived id is an id");
    assert_storable(&event.describe(RECEIVED_AT), &id, body);
    // Pairs of backslashes stand for one, which a 0 may follow.
    let shown = format!("{event:?}").replace("\\\\", "");
    assert!(!shown.contains("\\0"), "a U+0000 is left in {event:?}");
}

fn refused(error: &InvalidBody, default_type: Option<&str>, document: &Value) {
    let type_name = match &document["type"] {
        Value::String(name) => Some(name.as_str()),
        Value::Null => default_type,
        _ => None,
    };
    let Some(schema) = type_name.and_then(|name| SCHEMAS.get(name)) else { return };
    if *error == InvalidBody::Body(BodyError::TooDeep) || !schema.is_valid(document) {
        return;
    }
    let rules =
        ["depends_on_phases", "phase_number", "queue_id", "parent_issue", "_at'", "phase_data'", "metadata'"];
    let shown = error.to_string();
    assert!(rules.iter().any(|field| shown.contains(field)), "only the schema accepts {document}: {shown}");
}

pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, kind) in InternalEvent::TYPES.into_iter().flat_map(|name| [(name, "ok"), (name, "bad")]) {
        let mut paths: Vec<_> = std::fs::read_dir(folder().join(name).join("examples").join(kind))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        // The same in every run, so that a seed of the generator means the same inputs.
        paths.sort();
        // The good ones twice: most changes make a bad one of them.
        for path in paths.iter().chain(paths.iter().filter(|_| kind == "ok")) {
            let body = std::fs::read(path).unwrap();
            seeds.push(Seed { head: vec![u8::from(name == WORKFLOW_COMPLETED)], body });
        }
    }
    seeds
}
