//! `[rule][texts of two headers][body]`: the rules of Stripe, of Slack, of GitLab and one of headers.
//!
//! - What is accepted can be stored; its delivery id is one, whatever the body or header said.
//! - The same text gives the same id, and an id that can be kept is kept.
//! - A body is accepted if and only if it is one JSON object that is not too deep (where that can be said).

use std::sync::LazyLock;

use hookstream_event::generic::{Field, Fields, Rule};
use hookstream_event::{EventId, Source, select};
use serde_json::Value;

use crate::Seed;
use crate::input::{Input, text};
use crate::storable::{RECEIVED_AT, assert_storable, assert_tellable};

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let path = |paths: &[&str]| paths.iter().map(|path| Field::Path((*path).to_owned())).collect::<Vec<_>>();
    let rule = |prefix: &str, [id, event, action, time]: [&[&str]; 4]| {
        let fields = Fields { id: path(id), event: path(event), action: path(action), time: path(time) };
        Rule::new(Source::parse("billing").unwrap(), prefix, fields)
    };
    let headers = Fields {
        id: vec![Field::Header("x-id".to_owned())],
        event: vec![Field::Header("x-event".to_owned())],
        action: vec![Field::Path("a.b.c".to_owned())],
        time: vec![Field::Header("x-id".to_owned()), Field::Path("t".to_owned())],
    };
    vec![
        rule("com.stripe", [&["id"], &["type"], &[], &["created"]]),
        rule("com.slack", [&["event_id"], &["event.type", "type"], &["event.subtype"], &["event_time"]]),
        rule(
            &"a".repeat(100),
            [
                &["id", "x.id"],
                &["object_kind"],
                &["object_attributes.action"],
                &["object_attributes.updated_at"],
            ],
        ),
        Rule::new(Source::parse("shop").unwrap(), "com.example.shop", headers),
    ]
});

pub(crate) fn check(data: &[u8]) -> bool {
    let mut input = Input::new(data);
    let rule = &RULES[usize::from(input.byte()) % RULES.len()];
    // The gateway hands in only headers that are text.
    let texts = [input.text(), input.text()].map(|text| String::from_utf8_lossy(text).into_owned());
    let header = |name: &str| match name {
        "x-id" => Some(texts[0].clone()),
        "x-event" => Some(texts[1].clone()),
        _ => None,
    };
    let body = input.rest();
    let described = rule.describe(&header, body, RECEIVED_AT);
    match &described {
        Ok(delivery) => {
            assert_eq!(rule.describe(&header, body, RECEIVED_AT).as_ref(), Ok(delivery));
            let sent =
                (rule.source().as_str() == "shop").then_some(&texts[0]).filter(|sent| !sent.is_empty());
            if let Some(sent) = sent {
                let id = delivery.id.as_deref().expect("the header names an id");
                let kept = EventId::new(rule.source(), sent).is_ok();
                assert_eq!(id == sent, kept, "{sent:?} became {id}");
            }
            let id = delivery.id.clone().unwrap_or_else(|| "derived".to_owned());
            let id = EventId::new(rule.source(), &id).expect("an id is an id");
            assert_storable(&delivery.description, &id, body);
        }
        Err(error) => assert_tellable(error),
    }
    if let Ok(document) = serde_json::from_slice::<Value>(body) {
        let expected = document.is_object() && select::check_body(body).is_ok();
        assert_eq!(described.is_ok(), expected, "{document}");
    }
    described.is_ok()
}

pub(crate) fn seeds() -> Vec<Seed> {
    let of = |rule: u8, headers: [&str; 2], body: &str| {
        let head = [vec![rule], text(headers[0].as_bytes()), text(headers[1].as_bytes())].concat();
        Seed { head, body: body.as_bytes().to_vec() }
    };
    let stripe =
        r#"{"id":"evt_1","type":"customer.subscription.updated","created":1764583200,"data":{"object":{}}}"#;
    let slack = r#"{"event_id":"Ev1","event_time":1764583200,"type":"event_callback","event":{"type":"message","subtype":"bot"}}"#;
    let gitlab = r#"{"object_kind":"issue","object_attributes":{"action":"open","updated_at":"2025-12-01T11:00:00+01:00"}}"#;
    vec![
        of(0, ["", ""], stripe),
        of(1, ["", ""], slack),
        of(2, ["", ""], gitlab),
        of(3, ["urn:shop:1", "Orders/create"], r#"{"a":{"b":{"c":"d"}},"t":"2025-12-01T11:00:00Z"}"#),
        of(3, ["order-17", "order.placed"], "{}"),
    ]
}
