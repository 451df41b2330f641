//! `openapi.json` says what the backend does: every route, every method, every answer.

use std::collections::BTreeSet;
use std::time::Duration;

use hookstream_task_log::TaskLog;
use hookstream_test_support::{SampleEvent, run_test};
use serde_json::{Value, json};

use crate::freshness::project;
use crate::rows;
use crate::support::App;

/// Answers that are proofs.
const PROOFS: [&str; 3] =
    ["/api/v1/audit/consistency", "/api/v1/audit/proof/{id}", "/api/v1/audit/resumptions"];

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

fn document() -> Value {
    serde_json::from_str(include_str!("../../../../schemas/backend/openapi.json")).expect("JSON")
}

/// A validator for one of the document's schemas.
pub(crate) fn validator(name: &str) -> jsonschema::Validator {
    let document = document();
    let mut schema = json!({ "$ref": format!("#/components/schemas/{name}") });
    schema["components"] = document["components"].clone();
    assert!(document["components"]["schemas"][name].is_object(), "no schema {name}");
    jsonschema::validator_for(&schema).expect("a valid schema")
}

#[track_caller]
pub(crate) fn validate(name: &str, instance: &Value) {
    if let Err(error) = validator(name).validate(instance) {
        panic!("not a {name}: {error} at {}: {instance}", error.instance_path());
    }
}

#[tokio::test]
async fn every_route_is_in_the_document_and_every_path_of_it_is_a_route() {
    run_test(async || {
        let app = App::start().await;
        let served = app.server().get("/openapi.json").await?.json();
        assert_eq!(served, document());
        assert_eq!(served["openapi"], "3.1.0");
        let paths = served["paths"].as_object().expect("paths");
        let documented: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
        assert_eq!(documented, hookstream_backend::paths().into_iter().collect());
        for (path, item) in paths {
            for method in METHODS {
                let documented = item.get(method.to_ascii_lowercase()).is_some();
                let answer = app.server().request_head(method, &path.replace("{id}", "7")).await?;
                assert_eq!(answer.status == 405, !documented, "{method} {path}: {}", answer.status);
            }
        }
        Ok(())
    })
    .await;
}

#[test]
fn every_reference_of_the_document_leads_somewhere_and_every_schema_is_valid() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in &found {
        let pointer = reference.strip_prefix('#').expect("a reference into the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is used nowhere");
        jsonschema::meta::validate(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test]
async fn what_the_backend_answers_is_what_the_document_says() {
    run_test(async || {
        let app = App::start().await;
        let _task_log = project(&app, TaskLog::default());
        let publisher = app.nats.connect("gateway").await.publisher(Duration::from_secs(10));
        let failed = json!({
            "type": "workflow.completed", "adw_id": "a", "status": "failed", "issue_number": 7, "phase_number": 1,
            "workflow_template": "adw_plan_iso", "error_message": "exit code 1", "duration_seconds": 1.5,
        });
        let last = SampleEvent::internal("d-1", &failed).publish(&publisher).await.sequence;
        app.items(&format!("/task-logs?min_sequence={last}")).await?;
        rows::audit_trail(&app.client, 1, 3).await?;
        rows::phases(&app.client, 3, 5).await?;
        rows::dead_letters(&app.client, 1, 2).await?;
        let document = document();
        let mut checked = 0;
        for (path, item) in document["paths"].as_object().expect("paths") {
            let schema = &item["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
            let Some(name) = schema.as_str().and_then(|name| name.strip_prefix("#/components/schemas/"))
            else {
                continue;
            };
            let answer = app.server().get(&path.replace("{id}", "1")).await?;
            if path == "/readyz" || PROOFS.contains(&path.as_str()) {
                continue; // whatever the status; proofs have a test of their own
            }
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let items = answer.json()["items"].as_array().map_or(0, Vec::len);
            assert!(items > 0, "{path} shows nothing");
            validate(name, &answer.json());
            checked += 1;
        }
        assert!(checked >= 10, "only {checked} answers were checked");
        validate("Problem", &app.get("/queue/x").await?.json());
        validate("Problem", &app.get("/nothing").await?.json());
        Ok(())
    })
    .await;
}
