use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::BodyError;

const RECEIVED_AT: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

fn path(path: &str) -> Vec<Field> {
    vec![Field::Path(path.to_owned())]
}

fn rule() -> Rule {
    let fields = Fields {
        id: vec![Field::Header("x-id".to_owned()), Field::Path("id".to_owned())],
        event: path("type"),
        action: path("data.action"),
        time: path("created"),
    };
    Rule::new(Source::parse("billing").unwrap(), "com.example", fields)
}

fn describe(body: &str) -> Delivery {
    rule().describe(&|_| None, body.as_bytes(), RECEIVED_AT).unwrap()
}

#[test]
fn an_event_is_split_at_its_first_dot_unless_an_action_is_given() {
    for (body, subject, event_type) in [
        (r#"{"type":"invoice.paid"}"#, "webhooks.billing.invoice.paid", "com.example.invoice.paid"),
        (
            r#"{"type":"customer.subscription.updated"}"#,
            "webhooks.billing.customer.subscription_updated",
            "com.example.customer.subscription_updated",
        ),
        (r#"{"type":"ping"}"#, "webhooks.billing.ping.none", "com.example.ping"),
        (r#"{"type":"Push Hook"}"#, "webhooks.billing.push_hook.none", "com.example.push_hook"),
        (
            r#"{"type":"issue","data":{"action":"open"}}"#,
            "webhooks.billing.issue.open",
            "com.example.issue.open",
        ),
        (r#"{"type":"a.b","data":{"action":"c"}}"#, "webhooks.billing.a.c", "com.example.a.c"),
        (r#"{"type":7}"#, "webhooks.billing.7.none", "com.example.7"),
        (r#"{"type":""}"#, "webhooks.billing.event.none", "com.example.event"),
        (r#"{"type":"."}"#, "webhooks.billing.none.none", "com.example.none.none"),
        (r#"{"type":["x"]}"#, "webhooks.billing.event.none", "com.example.event"),
        ("{}", "webhooks.billing.event.none", "com.example.event"),
    ] {
        let description = describe(body).description;
        assert_eq!(description.subject.stored(), subject, "{body}");
        assert_eq!(description.event_type.as_str(), event_type, "{body}");
        assert_eq!(description.origin, "/webhooks/billing");
    }
}

#[test]
fn the_first_field_with_a_value_is_the_id() {
    let header = |value: &'static str| move |name: &str| (name == "x-id").then(|| value.to_owned());
    let id = |value: &'static str, body: &str| {
        rule().describe(&header(value), body.as_bytes(), RECEIVED_AT).unwrap().id
    };
    assert_eq!(id("d-1", r#"{"id":"d-2"}"#).as_deref(), Some("d-1"));
    assert_eq!(id("", r#"{"id":"d-2"}"#).as_deref(), Some("d-2"));
    assert_eq!(id("", r#"{"id":17}"#).as_deref(), Some("17"));
    assert_eq!(id("", r#"{"id":null}"#), None);
    for replaced in [r"\ud800", r"\ud801", r"a\u0000"] {
        assert_eq!(
            describe(&format!(r#"{{"id":"{replaced}"}}"#)).id,
            None,
            "two of them would look the same"
        );
    }
}

#[test]
fn an_id_that_an_event_id_cannot_hold_is_stood_for_by_its_digest() {
    // printf 'urn:x.1' | sha256sum
    let one = describe(r#"{"id":"urn:x.1"}"#).id.unwrap();
    assert_eq!(one, digest_id(b"urn:x.1"));
    assert_eq!(one.len(), 32);
    assert_ne!(one, describe(r#"{"id":"urn:x.2"}"#).id.unwrap());
    for id in ["a b", "*", ">", "a\\r\\nNats-Rollup: all", &"a".repeat(129)] {
        let id = describe(&format!(r#"{{"id":"{id}"}}"#)).id.unwrap();
        assert!(EventId::new(rule().source(), &id).is_ok(), "{id}");
    }
}

#[test]
fn times_are_rfc_3339_unix_seconds_or_gitlabs_and_else_that_of_receipt() {
    for (created, expected) in [
        ("1764583200", datetime!(2025-12-01 10:00 UTC)),
        (r#""1764583200""#, datetime!(2025-12-01 10:00 UTC)),
        (r#""2025-12-01T11:00:00+01:00""#, datetime!(2025-12-01 10:00 UTC)),
        (r#""2025-12-01 10:00:00 UTC""#, datetime!(2025-12-01 10:00 UTC)),
        (r#""2025-12-01 10:00:00 CET""#, RECEIVED_AT),
        (r#""2025-12-01 10:00:00Z UTC""#, RECEIVED_AT),
        (r#"" UTC""#, RECEIVED_AT),
        (r#""yesterday""#, RECEIVED_AT),
        (r#""9999-12-31T23:59:59-23:59""#, RECEIVED_AT),
        ("99999999999999999999", RECEIVED_AT),
        ("1764583200.5", RECEIVED_AT),
        ("true", RECEIVED_AT),
        ("null", RECEIVED_AT),
    ] {
        let description = describe(&format!(r#"{{"created":{created}}}"#)).description;
        assert_eq!(description.occurred_at, expected, "{created}");
    }
}

#[test]
fn a_body_that_is_no_json_object_makes_no_event() {
    for (body, expected) in [
        ("", BodyError::Empty),
        ("nonsense", BodyError::NotJson),
        ("[]", BodyError::NotAnObject),
        ("{} {}", BodyError::NotJson),
    ] {
        let error = rule().describe(&|_| None, body.as_bytes(), RECEIVED_AT).unwrap_err();
        assert_eq!(error, InvalidBody::Body(expected), "{body}");
    }
}

proptest! {
    #[test]
    fn whatever_a_body_says_its_names_fit_subjects_types_and_ids(event: String, action: String, id: String) {
        let body = serde_json::json!({ "type": event, "id": id, "data": { "action": action } }).to_string();
        let Delivery { id, description } = describe(&body);
        prop_assert!(Subject::parse_stored(&description.subject.stored()).is_some());
        prop_assert!(EventType::parse(description.event_type.as_str()).is_some());
        if let Some(id) = id {
            prop_assert!(EventId::new(rule().source(), &id).is_ok());
        }
    }
}
