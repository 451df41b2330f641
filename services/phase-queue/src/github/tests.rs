use hookstream_event::RecordedEvent;
use hookstream_event::internal::PhaseEnqueued;
use hookstream_test_support::SampleEvent;
use serde_json::{Value, json};

use super::*;
use crate::Step;

const MARKER: &str = "[our-bot]";

fn rules(marker: Option<&str>) -> Rules {
    Rules { commands: Commands::default(), bot_marker: marker.map(str::to_owned) }
}

fn opened(title: &str, body: &str) -> Value {
    json!({
        "action": "opened",
        "issue": {
            "id": 900, "number": 42, "title": title, "body": body, "user": {"login": "mira"},
        },
        "repository": {"full_name": "octo-org/octo-repo"},
        "sender": {"login": "mira", "type": "User"},
    })
}

fn commented(comment: &str) -> Value {
    let mut body = opened("adw_test_iso in the title", "adw_test_iso in the text");
    body["action"] = json!("created");
    body["comment"] = json!({"id": 901, "body": comment, "user": {"login": "jo"}});
    body
}

fn recorded(event: &str, delivery_id: &str, body: &Value) -> RecordedEvent {
    let sample = SampleEvent::github(event, delivery_id, body);
    RecordedEvent { payload: sample.payload.clone(), ..sample.recorded(1) }
}

fn read(event: &RecordedEvent) -> Option<PhaseEnqueued> {
    match step(event, &rules(Some(MARKER))).unwrap() {
        Some(Step::Command(phase)) => Some(phase),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_issue_with_a_command_enqueues_its_first_phase() {
    let event = recorded("issues", "d-1", &opened("Crash at start", "Please adw_plan_build_iso this."));
    let phase = read(&event).unwrap();
    assert_eq!((phase.parent_issue, phase.phase_number, phase.issue_number), (42, 1, Some(42)));
    assert_eq!((phase.priority, phase.depends_on_phases.len()), (50, 0));
    assert_eq!(phase.phase_data.workflow_type, "adw_plan_build_iso");
    let expected = json!({
        "workflow_type": "adw_plan_build_iso",
        "adw_id": phase.phase_data.adw_id,
        "title": "Crash at start",
        "content": "Please adw_plan_build_iso this.",
        "repository": "octo-org/octo-repo",
        "author": "mira",
    });
    assert_eq!(Value::from(phase.phase_data.json), expected);
}

#[test]
fn a_command_in_the_title_comes_before_one_in_the_text() {
    let event = recorded("issues", "d-1", &opened("adw_plan_iso", "adw_build_iso"));
    assert_eq!(read(&event).unwrap().phase_data.workflow_type, "adw_plan_iso");
}

#[test]
fn only_the_comment_itself_counts_of_a_comment() {
    assert_eq!(read(&recorded("issue_comment", "d-1", &commented("Thanks!"))), None);
    let phase = read(&recorded("issue_comment", "d-1", &commented("adw_build_iso please"))).unwrap();
    assert_eq!(phase.phase_data.workflow_type, "adw_build_iso");
    assert_eq!(phase.phase_data.json["comment"], "adw_build_iso please");
    assert_eq!(phase.phase_data.json["author"], "jo");
    assert_eq!(phase.phase_data.json["title"], "adw_test_iso in the title");
}

#[test]
fn bots_and_marked_texts_enqueue_nothing() {
    let mut by_bot = opened("adw_plan_iso", "");
    by_bot["sender"]["type"] = json!("Bot");
    let marked_title = opened("adw_plan_iso [our-bot]", "");
    let marked_text = opened("adw_plan_iso", "[our-bot] has begun");
    for body in [by_bot, marked_title, marked_text] {
        assert_eq!(read(&recorded("issues", "d-1", &body)), None, "{body}");
    }
    let marked_comment = commented("[our-bot] adw_plan_iso has begun");
    assert_eq!(read(&recorded("issue_comment", "d-1", &marked_comment)), None);
    // Without a marker in the settings, texts are not looked at for one.
    let event = recorded("issue_comment", "d-1", &marked_comment);
    assert!(step(&event, &rules(None)).unwrap().is_some());
}

#[test]
fn other_actions_and_events_enqueue_nothing() {
    for action in ["edited", "transferred", "deleted", "labeled"] {
        let mut body = opened("adw_plan_iso", "adw_plan_iso");
        body["action"] = json!(action);
        assert_eq!(read(&recorded("issues", "d-1", &body)), None, "{action}");
        let mut body = commented("adw_plan_iso");
        body["action"] = json!(action);
        assert_eq!(read(&recorded("issue_comment", "d-1", &body)), None, "{action}");
    }
}

#[test]
fn an_issue_that_is_closed_or_opened_again_says_which() {
    let step_of = |action: &str| {
        let mut body = opened("no command", "");
        body["action"] = json!(action);
        step(&recorded("issues", "d-1", &body), &rules(None)).unwrap()
    };
    let repository = Some("octo-org/octo-repo".to_owned());
    assert_eq!(step_of("closed"), Some(Step::Close { issue: 42, repository: repository.clone() }));
    assert_eq!(step_of("reopened"), Some(Step::Reopen { issue: 42, repository }));
}

#[test]
fn one_comment_has_one_queue_id_under_every_delivery_id() {
    let ids = |event: &str, delivery_id: &str, body: &Value| {
        let phase = read(&recorded(event, delivery_id, body)).unwrap();
        (phase.queue_id, phase.phase_data.adw_id)
    };
    let comment = commented("adw_plan_iso");
    let first = ids("issue_comment", "d-1", &comment);
    assert_eq!(first, ids("issue_comment", "d-1", &comment), "derived from nothing else");
    let again = ids("issue_comment", "d-2", &comment);
    assert_eq!(first.0, again.0);
    assert_ne!(first.1, again.1, "another run");
    let mut other_comment = comment.clone();
    other_comment["comment"]["id"] = json!(902);
    let mut other_repository = comment.clone();
    other_repository["repository"]["full_name"] = json!("octo-org/other");
    for other in [other_comment, other_repository] {
        assert_ne!(first.0, ids("issue_comment", "d-1", &other).0, "{other}");
    }
    // Without an id of GitHub's, each delivery is a comment of its own.
    let mut nameless = comment;
    nameless["comment"]["id"] = Value::Null;
    assert_ne!(ids("issue_comment", "d-1", &nameless).0, ids("issue_comment", "d-2", &nameless).0);
}

#[test]
fn a_form_is_read_like_json() {
    let body = opened("adw_plan_iso", "100 % & more");
    let encoded: Vec<String> = body.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
    let mut event = recorded("issues", "d-1", &body);
    let as_json = read(&event);
    event.payload = format!("payload={}", encoded.concat()).into_bytes();
    event.envelope.content_type = "application/x-www-form-urlencoded".to_owned();
    assert_eq!(read(&event), as_json);
    event.payload = b"nothing=1".to_vec();
    assert_eq!(step(&event, &rules(None)), Err(InvalidBody::PayloadMissing));
}

#[test]
fn texts_are_bounded_and_free_of_what_postgres_refuses() {
    let body = opened(&"t".repeat(2000), &format!("adw_plan_iso \u{0} {}", "é".repeat(5000)));
    let phase = read(&recorded("issues", "d-1", &body)).unwrap();
    assert_eq!(phase.phase_data.json["title"].as_str().unwrap().len(), 1024);
    let content = phase.phase_data.json["content"].as_str().unwrap();
    assert!(content.starts_with("adw_plan_iso \u{fffd} é"), "{content:.40}");
    assert!((4093..=4096).contains(&content.len()));

    let mut event = recorded("issues", "d-1", &body);
    event.payload =
        br#"{"action":"opened","issue":{"number":42,"title":"adw_plan_iso \ud800"},"x":1e400}"#.to_vec();
    let title = &read(&event).unwrap().phase_data.json["title"];
    assert!(title.as_str().unwrap().starts_with("adw_plan_iso \u{fffd}"), "{title}");
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let mut event = recorded("issues", "d-1", &opened("adw_plan_iso", ""));
    for payload in ["", "null", "[]", "{", "\u{0}", &"[".repeat(200), &"{\"a\":".repeat(1_000_000)] {
        event.payload = payload.as_bytes().to_vec();
        assert_eq!(step(&event, &rules(None)).unwrap_err().code(), "invalid_body", "{payload:.20}");
    }
    for number in ["null", "0", "-1", "1e400", "1.5", "\"42\"", "99999999999999999999"] {
        let body = format!(r#"{{"issue":{{"number":{number},"title":"adw_plan_iso"}}}}"#);
        event.payload = body.into_bytes();
        assert_eq!(step(&event, &rules(None)).unwrap_err().code(), "invalid_event", "{number}");
    }
    // Without a command there is nothing to get wrong.
    event.payload = br#"{"issue":{"number":null,"title":5}}"#.to_vec();
    assert_eq!(step(&event, &rules(None)), Ok(None));
}
