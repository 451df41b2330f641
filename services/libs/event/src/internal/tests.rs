use serde_json::json;
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::{Description, attribute};

const RECEIVED_AT: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

fn decode_json(body: &serde_json::Value) -> Result<InternalEvent, InvalidBody> {
    decode(body.to_string().as_bytes(), None)
}

fn describe(body: &serde_json::Value) -> Description {
    decode_json(body).unwrap().describe(RECEIVED_AT)
}

fn plan() -> serde_json::Value {
    serde_json::from_str(crate::samples::find("plan.enqueued").unwrap().body).unwrap()
}

#[test]
fn a_plan_gives_its_issue_to_every_phase() {
    let InternalEvent::PlanEnqueued(plan) = decode_json(&plan()).unwrap() else { panic!() };
    assert_eq!(plan.phases.len(), 3);
    assert!(plan.phases.iter().all(|phase| phase.parent_issue == plan.parent_issue));
    let [first, second, third] = plan.phases.as_slice() else { panic!() };
    assert_eq!((first.priority, second.priority, third.priority), (20, 50, 70));
    assert!(first.depends_on_phases.is_empty());
    assert_eq!(third.depends_on_phases, [1, 2]);
    assert_eq!(first.phase_data.workflow_type, "adw_plan_iso");
    assert_eq!(first.phase_data.json["workflow_type"], "adw_plan_iso");
    assert!(first.phase_data.json.contains_key("content"), "unknown parts of phase_data are kept");
}

#[test]
fn one_bad_phase_refuses_the_whole_plan_and_is_named() {
    let mut body = plan();
    body["phases"][2]["phase_data"]["adw_id"] = json!("");
    let error = decode_json(&body).unwrap_err();
    assert!(error.to_string().starts_with("'phases[2].phase_data.adw_id' must be 1 to 128"), "{error}");
    let mut body = plan();
    body["phases"][1]["queue_id"] = json!(null);
    assert_eq!(decode_json(&body).unwrap_err().to_string(), "'phases[1].queue_id' is missing");
}

#[test]
fn the_replaced_systems_report_is_a_completed_workflow() {
    let body = br#"{"adw_id":"7c31e0a4","status":"completed","queue_id":"q-1","parent_issue":42,"phase_number":1,"trigger_next":false}"#;
    let InternalEvent::WorkflowCompleted(done) = decode(body, Some(WORKFLOW_COMPLETED)).unwrap() else {
        panic!()
    };
    assert_eq!(done.adw_id, "7c31e0a4");
    assert_eq!(done.status, WorkflowStatus::Completed);
    assert_eq!(
        (done.queue_id.as_deref(), done.parent_issue, done.phase_number),
        (Some("q-1"), Some(42), Some(1))
    );
    assert!(!done.trigger_next);
    assert_eq!(decode(body, None).unwrap_err(), InvalidBody::TypeMissing);
}

#[test]
fn what_becomes_ready_is_announced_unless_the_report_says_no() {
    for (stated, expected) in [(json!(null), true), (json!(true), true), (json!(false), false)] {
        let body =
            json!({"type": "workflow.completed", "adw_id": "a", "status": "failed", "trigger_next": stated});
        let InternalEvent::WorkflowCompleted(done) = decode_json(&body).unwrap() else { panic!() };
        assert_eq!(done.trigger_next, expected);
    }
}

#[test]
fn derived_ids_are_those_of_the_replaced_system() {
    let event = |body: &str| decode(body.as_bytes(), Some(WORKFLOW_COMPLETED)).unwrap();
    let derived = |body: &str| event(body).derived_delivery_id(body.as_bytes());
    // printf 'adw-1:completed:q-1' | sha256sum | cut -c-16, and so on.
    assert_eq!(derived(r#"{"adw_id":"adw-1","status":"completed","queue_id":"q-1"}"#), "fbbb0a3b33f94921");
    assert_eq!(derived(r#"{"adw_id":"adw-1","status":"failed"}"#), "ffcca3b5131f18b0");
    assert_eq!(derived(r#"{"adw_id":"adw-1","status":"failed","queue_id":null}"#), "ffcca3b5131f18b0");
    assert_eq!(
        derived(r#"{"type":"queue.paused"}"#),
        "d6f1b6aab3c27b618982d7da0c36daa7",
        "other types are known by their whole body"
    );
}

#[test]
fn headers_say_all_that_the_task_log_needs() {
    let described = describe(&json!({
        "type": "task.logged", "adw_id": "adw-1", "issue_number": 7, "phase_name": "build",
        "phase_status": "failed", "log_message": "3 of 5 built", "workflow_template": "adw_build_iso",
        "phase_number": 2, "error_message": "exit code 1", "started_at": "2026-11-23T11:00:00.5+01:00",
        "completed_at": "2026-11-23 10:05:00", "duration_seconds": 300.25, "tokens_used": 1200, "cost_usd": 0.5,
    }));
    assert_eq!(described.event_type.as_str(), "hookstream.task.logged");
    assert_eq!(described.subject.stored(), "webhooks.internal.task.logged");
    assert_eq!(described.origin, ORIGIN);
    assert_eq!(described.about.as_deref(), Some("adw-1"));
    assert_eq!(described.occurred_at, datetime!(2026-11-23 10:05 UTC));
    let attributes: Vec<_> = described.attributes.iter().collect();
    let expected = [
        (attribute::ADW_ID, "adw-1"),
        (attribute::COMPLETED_AT, "2026-11-23T10:05:00Z"),
        (attribute::COST_USD, "0.5"),
        (attribute::DURATION_SECONDS, "300.25"),
        (attribute::ERROR_MESSAGE, "exit code 1"),
        (attribute::ISSUE, "7"),
        (attribute::LOG_MESSAGE, "3 of 5 built"),
        (attribute::PHASE_NAME, "build"),
        (attribute::PHASE_NUMBER, "2"),
        (attribute::PHASE_STATUS, "failed"),
        (attribute::STARTED_AT, "2026-11-23T10:00:00.5Z"),
        (attribute::TOKENS_USED, "1200"),
        (attribute::WORKFLOW_TEMPLATE, "adw_build_iso"),
    ];
    assert_eq!(attributes, expected);
}

#[test]
fn each_type_has_its_address_and_what_it_is_about() {
    let cases = [
        (json!({"type": "phase.started", "queue_id": "q", "adw_id": "a"}), "phase.started", Some("q")),
        (
            json!({"type": "workflow.completed", "adw_id": "a", "status": "failed"}),
            "workflow.completed",
            Some("a"),
        ),
        (json!({"type": "phase.retried", "queue_id": "q"}), "phase.retried", Some("q")),
        (json!({"type": "phase.dequeued", "queue_id": "q"}), "phase.dequeued", Some("q")),
        (
            json!({"type": "phase.execution_requested", "queue_id": "q"}),
            "phase.execution_requested",
            Some("q"),
        ),
        (json!({"type": "queue.paused"}), "queue.paused", None),
        (json!({"type": "queue.resumed", "reason": "done"}), "queue.resumed", None),
        (plan(), "plan.enqueued", Some("230")),
    ];
    for (body, type_name, about) in cases {
        let described = describe(&body);
        assert_eq!(described.event_type.as_str(), format!("hookstream.{type_name}"));
        assert_eq!(described.subject.ingest(), format!("ingest.internal.{type_name}"));
        assert_eq!(described.about.as_deref(), about, "{type_name}");
        assert_eq!(described.occurred_at, RECEIVED_AT, "{type_name}");
    }
}

// J3
#[test]
fn nul_becomes_a_replacement_character_in_free_text_and_in_kept_json() {
    let body = br#"{"type":"workflow.completed","adw_id":"a","status":"failed","error_message":"x\u0000y",
        "metadata":{"k\u0000":["\u0000",{"deep":"\u0000"}],"n":1}}"#;
    let InternalEvent::WorkflowCompleted(done) = decode(body, None).unwrap() else { panic!() };
    assert_eq!(done.error_message.as_deref(), Some("x\u{fffd}y"));
    let expected = json!({"k\u{fffd}": ["\u{fffd}", {"deep": "\u{fffd}"}], "n": 1});
    assert_eq!(serde_json::Value::Object(done.metadata.unwrap()), expected);
}

// J8
#[test]
fn bodies_that_are_no_event_are_told_apart() {
    let cases: [(&[u8], InvalidBody); 9] = [
        (b"", BodyError::Empty.into()),
        (b"\xff", BodyError::NotUtf8.into()),
        (b"null", BodyError::NotAnObject.into()),
        (b"[]", BodyError::NotAnObject.into()),
        (b"{", BodyError::NotJson.into()),
        (b"{}{}", BodyError::NotJson.into()),
        (b"{}", InvalidBody::TypeMissing),
        (br#"{"type":"queue.stopped"}"#, InvalidBody::TypeUnknown),
        (br#"{"type":"\ud800"}"#, InvalidBody::TypeUnknown),
    ];
    for (body, expected) in cases {
        assert_eq!(decode(body, None), Err(expected), "{:?}", String::from_utf8_lossy(body));
    }
    let deep = format!(r#"{{"type":"queue.paused","x":{}{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
    assert_eq!(decode(deep.as_bytes(), None), Err(BodyError::TooDeep.into()));
}

#[test]
fn odd_values_are_passed_over_in_unknown_fields_of_stored_events_and_refused_in_known_ones() {
    for value in ["1e400", r#""\ud800""#, &"[".repeat(120)] {
        let close = "]".repeat(if value.starts_with('[') { 120 } else { 0 });
        let unknown = format!(r#"{{"type":"queue.paused","later":{value}{close}}}"#);
        assert!(decode_stored(unknown.as_bytes(), None).is_ok(), "{value}");
        let refused = decode(unknown.as_bytes(), None).unwrap_err();
        assert_eq!(refused.to_string(), "'later' is not a field of this event", "{value}");
        let known = format!(r#"{{"type":"queue.paused","reason":{value}{close}}}"#);
        let error = decode(known.as_bytes(), None).unwrap_err();
        assert_eq!(error.to_string(), "'reason' must be a text of at most 65536 characters");
    }
}

#[test]
fn lengths_are_bounded() {
    let logged = |message: &str, name: &str| {
        let body = json!({"type": "task.logged", "adw_id": "a", "issue_number": 1, "phase_name": name,
            "phase_status": "started", "log_message": message});
        decode_json(&body)
    };
    assert!(logged(&"é".repeat(limit::TEXT), &"é".repeat(limit::NAME)).is_ok());
    assert!(logged(&"é".repeat(limit::TEXT + 1), "build").is_err());
    assert!(logged("", &"é".repeat(limit::NAME + 1)).is_err());

    let metadata = |bytes: usize| {
        let body = json!({"type": "workflow.completed", "adw_id": "a", "status": "failed",
            "metadata": {"k": "x".repeat(bytes - r#"{"k":""}"#.len())}});
        decode_json(&body)
    };
    assert!(metadata(limit::JSON_BYTES).is_ok());
    assert!(metadata(limit::JSON_BYTES + 1).is_err());

    let values = |zeros: usize| {
        let body = format!(
            r#"{{"type":"workflow.completed","adw_id":"a","status":"failed","metadata":{{"k":[{}"{}"]}}}}"#,
            "0,".repeat(zeros),
            r#"[,:{\\\""#.repeat(limit::JSON_VALUES)
        );
        decode(body.as_bytes(), None)
    };
    // Two opening brackets, a colon, and a comma behind each zero.
    assert!(values(limit::JSON_VALUES - 3).is_ok(), "what is in a text does not count");
    assert!(values(limit::JSON_VALUES - 2).is_err());
}

#[test]
fn the_fullest_headers_fit_into_what_the_server_takes() {
    let name = "é".repeat(limit::NAME);
    let text = "é".repeat(limit::TEXT);
    let described = describe(&json!({
        "type": "task.logged", "adw_id": "a".repeat(limit::ID), "issue_number": limit::INTEGER, "phase_name": name,
        "phase_status": "completed", "log_message": text, "workflow_template": name, "error_message": text,
    }));
    // Each byte of a text that is no ASCII takes three as %XX.
    let encoded: usize =
        described.attributes.iter().map(|(name, value)| name.len() + 3 * value.len() + 8).sum();
    assert!(encoded < 40_000, "{encoded}");
}

#[test]
fn times_are_read_as_senders_write_them() {
    let read = |text: &str| read::time(&format!("\"{text}\""));
    let expected = datetime!(2026-11-23 12:30:15 UTC);
    for text in [
        "2026-11-23T12:30:15Z",
        "2026-11-23t12:30:15z",
        "2026-11-23 12:30:15",
        "2026-11-23T12:30:15",
        "2026-11-23T12:30:15.000000",
        "2026-11-23T12:30:15.000000000+00:00",
        "2026-11-23T12:30:15+00:00",
        "2026-11-23T04:30:15-08:00",
    ] {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
    for text in [
        "",
        "2026-11-23",
        "2026-11-23T12:30",
        "2026-11-23P12:30:15Z",
        "2026-11-23_12:30:15",
        "2026-11-31T12:30:15Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T12:30:15 Z",
        "2026-11-23T12:30:15+2400",
        "23.11.2026 12:30:15",
        "9999-12-31T23:59:59-12:00",
        "0000-01-01T00:00:00Z",
        "2026-11-23T12:30:15éééé",
        "2026-11-23T12:30:15.0000000000Z",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

fn phase(change: impl FnOnce(&mut serde_json::Value)) -> Result<InternalEvent, InvalidBody> {
    let mut body = json!({
        "type": "phase.enqueued", "queue_id": "q-2", "parent_issue": 7, "phase_number": 2,
        "phase_data": {"workflow_type": "adw_plan_iso", "adw_id": "adw-1"},
    });
    change(&mut body);
    decode_json(&body)
}

#[test]
fn what_a_phase_may_not_be_is_said_with_the_name_of_the_field() {
    let whole = "must be a whole number from";
    let cases = [
        ("parent_issue", json!(-1), format!("'parent_issue' {whole} 0 to 9007199254740991")),
        ("phase_number", json!(0), format!("'phase_number' {whole} 1 to 20")),
        ("phase_number", json!(21), format!("'phase_number' {whole} 1 to 20")),
        ("priority", json!(9), format!("'priority' {whole} 10 to 90")),
        ("priority", json!(91), format!("'priority' {whole} 10 to 90")),
        ("phase_data", json!({}), "'phase_data.workflow_type' is missing".to_owned()),
        ("phase_data", json!(null), "'phase_data' is missing".to_owned()),
        ("phase_data", json!([]), "'phase_data' must be an object".to_owned()),
        ("phase_data", json!({"adw_id": "a"}), "'phase_data.workflow_type' is missing".to_owned()),
        ("phase_data", json!({"workflow_type": "w"}), "'phase_data.adw_id' is missing".to_owned()),
        ("colour", json!("blue"), "'colour' is not a field of this event".to_owned()),
        ("reason", json!(null), "'reason' is not a field of this event".to_owned()),
        ("a\nb'\u{0}", json!(1), "'a?b??' is not a field of this event".to_owned()),
    ];
    for (field, value, expected) in cases {
        let refused = phase(|body| body[field] = value.clone()).unwrap_err();
        assert_eq!(refused.to_string(), expected, "{field}: {value}");
        assert_eq!(refused.code(), "invalid_event");
    }
}

#[test]
fn a_workflow_type_and_a_run_are_texts_that_say_something() {
    for wrong in [json!(""), json!("  "), json!(" \u{feff}"), json!(7), json!(["a"]), json!({}), json!(true)]
    {
        let of_type = phase(|body| body["phase_data"]["workflow_type"] = wrong.clone()).unwrap_err();
        let rule = "must be a text of 1 to 256 characters, not blank, without control characters";
        assert_eq!(of_type.to_string(), format!("'phase_data.workflow_type' {rule}"), "{wrong}");
        let of_run = phase(|body| body["phase_data"]["adw_id"] = wrong.clone()).unwrap_err();
        assert!(of_run.to_string().starts_with("'phase_data.adw_id' must be 1 to 128"), "{wrong}: {of_run}");
    }
}

#[test]
fn a_phase_depends_on_earlier_ones() {
    for wrong in [json!([0]), json!([2]), json!([3]), json!([1, 2]), json!(["1"]), json!([1.5]), json!(1)] {
        let refused = phase(|body| body["depends_on_phases"] = wrong.clone()).unwrap_err();
        let rule = "must be a list of at most 20 phase numbers, each from 1 and below phase_number";
        assert_eq!(refused.to_string(), format!("'depends_on_phases' {rule}"), "{wrong}");
    }
    assert!(phase(|body| body["depends_on_phases"] = json!([1, 1])).is_ok());
}

#[test]
fn issue_0_is_allowed_and_further_fields_of_phase_data_are_kept() {
    let event = phase(|body| {
        body["parent_issue"] = json!(0);
        body["phase_data"]["external_docs"] = json!(["a.md"]);
    });
    let Ok(InternalEvent::PhaseEnqueued(phase)) = event else { panic!("{event:?}") };
    assert_eq!(phase.parent_issue, 0);
    assert_eq!(phase.phase_data.json["external_docs"], json!(["a.md"]));
}

#[test]
fn a_field_of_a_plan_that_phases_do_not_have_is_named_with_its_place() {
    let mut body = plan();
    body["phases"][1]["depends_on"] = json!([1]);
    let refused = decode_json(&body).unwrap_err();
    assert_eq!(refused.to_string(), "'phases[1].depends_on' is not a field of this event");
    assert!(decode_stored(body.to_string().as_bytes(), None).is_ok(), "what is stored stays readable");
}
