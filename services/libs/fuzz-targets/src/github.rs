//! `[event][its name, where it is none of the known][body]`.
//!
//! - What is accepted can be stored, and is described the same when it comes again.
//! - Repository and sender are those that a walk over the whole document finds.
//! - A body of an event that starts work has that event's own key.

use std::sync::LazyLock;

use hookstream_event::{
    ATTRIBUTE_BYTES_MAX, Description, EventId, Source, Token, attribute, github, samples,
};
use serde_json::Value;

use crate::Seed;
use crate::input::Input;
use crate::storable::{RECEIVED_AT, assert_storable, assert_tellable};

static EVENTS: LazyLock<Vec<Token>> = LazyLock::new(|| {
    let table: Value = serde_json::from_str(include_str!("../../../../schemas/events/github.json")).unwrap();
    table["events"].as_object().unwrap().keys().map(|name| Token::parse(name).unwrap()).collect()
});

pub(crate) fn check(data: &[u8]) -> bool {
    let mut input = Input::new(data);
    let known = EVENTS.get(usize::from(input.byte()));
    let event = match known {
        Some(event) => event.clone(),
        None => Token::lossy(&String::from_utf8_lossy(input.text())),
    };
    let body = input.rest();
    let described = github::describe(&event, body, RECEIVED_AT);
    match &described {
        Ok(description) => {
            assert_eq!(github::describe(&event, body, RECEIVED_AT).as_ref(), Ok(description));
            let id = EventId::new(&Source::github(), "72d3162e-cc78-11e3-81ab-4c9367dc0958").unwrap();
            assert_storable(description, &id, body);
            let origin = &description.origin;
            assert!(
                (1..=1024).contains(&origin.len()) && origin.bytes().all(|b| b.is_ascii_graphic()),
                "{origin:?}"
            );
            if let Ok(document) = serde_json::from_slice::<Value>(body) {
                agrees(&event, description, &document);
            }
        }
        Err(error) => assert_tellable(error),
    }
    described.is_ok()
}

fn agrees(event: &Token, description: &Description, document: &Value) {
    assert!(document.is_object(), "{document} is no object");
    for (name, value) in [
        (attribute::REPOSITORY, &document["repository"]["full_name"]),
        (attribute::SENDER, &document["sender"]["login"]),
    ] {
        let walked = value.as_str().map(|text| text.replace('\0', "\u{fffd}"));
        let walked = walked.map(|text| text[..text.floor_char_boundary(ATTRIBUTE_BYTES_MAX)].to_owned());
        assert_eq!(description.attributes.text(name), walked.as_deref(), "{name} of {document}");
    }
    let own_key = match event.as_str() {
        "issues" => "issue",
        "issue_comment" => "comment",
        "pull_request" => "pull_request",
        _ => return,
    };
    assert!(!document[own_key].is_null(), "a body without '{own_key}' passes for {event}: {document}");
}

pub(crate) fn seeds() -> Vec<Seed> {
    let place = |name: &str| EVENTS.iter().position(|event| event.as_str() == name).expect("a known event");
    let of = |at: usize, body: &str| Seed {
        head: vec![u8::try_from(at).unwrap()],
        body: body.as_bytes().to_vec(),
    };
    let mut seeds: Vec<Seed> = samples::ALL
        .iter()
        .filter(|sample| sample.source == "github")
        .map(|sample| of(place(sample.event), sample.body))
        .collect();
    let small =
        r#"{"action":"opened","issue":{"number":42},"repository":{"full_name":"o/r","url":"https://x/r"}}"#;
    seeds.push(of(place("issues"), small));
    let dispatch = r#"{"action":"Deploy to prod.","branch":"main","client_payload":null,"repository":{"owner":{"url":"https://x/o"}}}"#;
    seeds.push(of(place("repository_dispatch"), dispatch));
    // An event that the table does not know.
    seeds.push(Seed {
        head: [&[255, 0, 6][..], b"coffee"].concat(),
        body: br#"{"action":"brewed"}"#.to_vec(),
    });
    seeds
}
